//! Endpoints found, lost and kept. The sockets are real, so time is too: each test waits for what it wants
//! to see, however long that takes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use client::Address;
use client::discovery::{Discovery, Dns, Lookups, Snapshot};
use hickory_resolver::proto::rr::RecordType;

use crate::dns::NameServer;
use crate::logs;

const ONE: &str = "10.0.0.1";
const TWO: &str = "10.0.0.2";
/// As good as for ever: the set changes only by [`Discovery::hurry`].
const LONG: u32 = 3600;

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn at(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn discover(server: &NameServer, address: &str) -> Discovery {
    logs::capture();
    let address: Address = address.parse().unwrap();
    Discovery::with_dns("peer", &address, Dns::Server(server.address))
}

/// Waits until `wanted` holds.
async fn until(discovery: &Discovery, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let mut changes = discovery.changes();
    let seen = changes.wait_for(|snapshot| wanted(snapshot));
    let seen = tokio::time::timeout(Duration::from_secs(30), seen).await;
    seen.expect("it never came").unwrap().clone()
}

async fn until_found(discovery: &Discovery, endpoints: &[&str]) {
    let endpoints = at(endpoints);
    until(discovery, |now| {
        now.endpoints[..] == endpoints && now.health == Lookups::Good
    })
    .await;
}

#[tokio::test]
async fn what_is_known_needs_no_name_server() {
    let server = NameServer::start().await;
    server.be_mute(true);
    let list = "http://10.0.0.2:1,http://10.0.0.1:1,http://localhost:7";
    let discovery = discover(&server, list);
    discovery.first().await;
    assert_eq!(
        discovery.snapshot().endpoints[..],
        at(&["10.0.0.1:1", "10.0.0.2:1", "127.0.0.1:7"])
    );
    assert!(discovery.health().is_ok() && discovery.is_static());
    assert_eq!(server.queries(), 0);
}

#[tokio::test]
async fn a_name_is_all_of_its_addresses() {
    let server = NameServer::start().await;
    server.set_addresses("orders.test", LONG, &ips(&[TWO, ONE, "fd00::1"]));
    let discovery = discover(&server, "http://orders.test:8081");
    discovery.first().await;
    // The IPv6 address is most likely one of the two again.
    until_found(&discovery, &["10.0.0.1:8081", "10.0.0.2:8081"]).await;
}

#[tokio::test]
async fn a_name_without_ipv4_is_its_ipv6_addresses() {
    let server = NameServer::start().await;
    server.set_addresses("orders.test", LONG, &ips(&["fd00::1"]));
    until_found(&discover(&server, "http://orders.test:1"), &["[fd00::1]:1"]).await;
}

#[tokio::test]
async fn a_service_has_its_ports_in_dns() {
    let server = NameServer::start().await;
    server.set_addresses("a.test", LONG, &ips(&[ONE]));
    server.set_addresses("b.test", LONG, &ips(&[TWO]));
    server.set_addresses("spare.test", LONG, &ips(&["10.0.0.3"]));
    let targets = [
        (1, 81, "a.test."),
        (1, 82, "b.test."),
        (2, 83, "spare.test."),
    ];
    server.set_service("_http._tcp.orders.test", LONG, &targets);
    let discovery = discover(&server, "srv+http://_http._tcp.orders.test");
    until_found(&discovery, &["10.0.0.1:81", "10.0.0.2:82"]).await;
}

#[tokio::test]
async fn a_target_that_does_not_exist_hides_no_other() {
    let server = NameServer::start().await;
    server.set_addresses("a.test", LONG, &ips(&[ONE]));
    server.set_addresses("empty.test", LONG, &[]);
    let targets = [
        (1, 81, "gone.test."),
        (1, 82, "a.test."),
        (1, 83, "empty.test."),
    ];
    server.set_service("_http._tcp.orders.test", LONG, &targets);
    let discovery = discover(&server, "srv+http://_http._tcp.orders.test");
    until_found(&discovery, &["10.0.0.1:82"]).await;

    // With no other there is nothing to call, and it is said why.
    server.set_service("_http._tcp.users.test", LONG, &targets[..1]);
    let discovery = discover(&server, "srv+http://_http._tcp.users.test");
    let is_told = |now: &Snapshot| match &now.health {
        Lookups::Failing(why) => why.contains("gone.test. does not exist"),
        _ => false,
    };
    let now = until(&discovery, is_told).await;
    assert!(now.endpoints.is_empty(), "{now:?}");
}

/// As most have, it has no address of IPv6: that answer alone does not say that there is none.
#[tokio::test]
async fn a_target_of_which_nothing_is_known_is_not_left_out() {
    let server = NameServer::start().await;
    server.set_addresses("a.test", LONG, &ips(&[ONE]));
    server.set_addresses("b.test", LONG, &ips(&[TWO]));
    server.fail("b.test", RecordType::A);
    let targets = [(1, 81, "a.test."), (1, 82, "b.test.")];
    server.set_service("_http._tcp.orders.test", LONG, &targets);
    let discovery = discover(&server, "srv+http://_http._tcp.orders.test");
    let is_told = |now: &Snapshot| match &now.health {
        Lookups::Failing(why) => why.contains("DNS fails"),
        health => *health == Lookups::Good,
    };
    let now = until(&discovery, is_told).await;
    assert!(now.endpoints.is_empty(), "{now:?}");
}

#[tokio::test]
async fn a_changing_set_is_followed_by_ttl() {
    let (server, logs) = (NameServer::start().await, logs::capture());
    server.set_addresses("orders.test", 1, &ips(&[ONE]));
    let discovery = discover(&server, "http://orders.test:1,http://10.0.0.9:1");
    until_found(&discovery, &["10.0.0.1:1", "10.0.0.9:1"]).await;
    server.set_addresses("orders.test", 1, &ips(&[ONE, TWO]));
    until_found(&discovery, &["10.0.0.1:1", "10.0.0.2:1", "10.0.0.9:1"]).await;
    server.set_addresses("orders.test", 1, &ips(&[TWO]));
    until_found(&discovery, &["10.0.0.2:1", "10.0.0.9:1"]).await;
    assert_eq!(logs.lines("endpoints found"), 3, "{}", logs.text());
}

#[tokio::test]
async fn the_last_good_set_is_kept_while_dns_fails_in_any_way() {
    let (server, logs) = (NameServer::start().await, logs::capture());
    server.set_addresses("orders.test", 0, &ips(&[ONE, TWO]));
    let discovery = discover(&server, "http://orders.test:1");
    let both = ["10.0.0.1:1", "10.0.0.2:1"];
    until_found(&discovery, &both).await;

    // An empty set.
    server.set_addresses("orders.test", 0, &[]);
    let failing = |now: &Snapshot| matches!(now.health, Lookups::Failing(_));
    assert_eq!(until(&discovery, failing).await.endpoints[..], at(&both));
    let why = discovery.health().unwrap_err();
    assert!(
        why.contains("orders.test") && why.contains("no addresses"),
        "{why}"
    );

    // No answer at all: another reason, the same state, no second line.
    server.be_mute(true);
    let mute = |now: &Snapshot| now.health == Lookups::Failing("DNS does not answer".into());
    assert_eq!(until(&discovery, mute).await.endpoints[..], at(&both));
    assert_eq!(logs.lines("cannot be looked up"), 1, "{}", logs.text());

    server.be_mute(false);
    server.set_addresses("orders.test", 0, &ips(&[TWO]));
    until_found(&discovery, &["10.0.0.2:1"]).await;
    assert!(discovery.health().is_ok());
    assert_eq!(logs.lines("cannot be looked up"), 1, "{}", logs.text());
    assert_eq!(logs.lines("endpoints found"), 2, "{}", logs.text());
}

#[tokio::test]
async fn a_name_that_does_not_exist_yet_is_found_when_it_does() {
    let server = NameServer::start().await;
    let discovery = discover(&server, "http://orders.test:1");
    discovery.first().await;
    // Unless the first answer came too late for the lookup.
    let is_told = |now: &Snapshot| match &now.health {
        Lookups::Failing(why) => why.contains("does not exist"),
        _ => false,
    };
    let now = until(&discovery, is_told).await;
    assert!(now.endpoints.is_empty(), "{now:?}");
    server.set_addresses("orders.test", LONG, &ips(&[ONE]));
    until_found(&discovery, &["10.0.0.1:1"]).await;
}

#[tokio::test]
async fn a_long_ttl_is_cut_short_when_asked() {
    let server = NameServer::start().await;
    server.set_addresses("orders.test", LONG, &ips(&[ONE]));
    let discovery = discover(&server, "http://orders.test:1");
    until_found(&discovery, &["10.0.0.1:1"]).await;
    server.set_addresses("orders.test", LONG, &ips(&[TWO]));
    discovery.hurry();
    until_found(&discovery, &["10.0.0.2:1"]).await;
}

#[tokio::test]
async fn lookups_end_with_the_last_clone() {
    let server = NameServer::start().await;
    server.set_addresses("orders.test", 0, &ips(&[ONE]));
    let discovery = discover(&server, "http://orders.test:1");
    let mut changes = discovery.changes();
    until_found(&discovery, &["10.0.0.1:1"]).await;
    drop(discovery.clone());
    // An aborted task would end here, on the only thread.
    tokio::task::yield_now().await;
    assert!(changes.has_changed().is_ok());
    drop(discovery);
    // The task held the sender.
    while changes.changed().await.is_ok() {}
}
