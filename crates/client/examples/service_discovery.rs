//! Endpoints that move, against a name server whose answers change: found, followed, and kept while DNS is away.
//!
//! ```sh
//! cargo run -p client --example service_discovery
//! ```
#![expect(clippy::print_stdout, reason = "it shows something")]
#![expect(clippy::unwrap_used, reason = "an example may stop")]

#[path = "../tests/it/dns.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod dns;

use std::net::IpAddr;

use client::discovery::Snapshot;
use tokio::sync::watch;

// region: build
use client::{Address, Discovery, Dns};

fn endpoints_of_orders(dns: Dns) -> Result<Discovery, String> {
    // In compose and for a headless Kubernetes service this name means every instance.
    let address: Address = "http://orders.shop:8081".parse()?;
    Ok(Discovery::with_dns("orders", &address, dns))
}
// endregion: build

#[tokio::main]
async fn main() {
    let server = dns::NameServer::start().await;
    let at = |hosts: &[u8]| {
        let ips: Vec<_> = hosts
            .iter()
            .map(|host| IpAddr::from([10, 0, 0, *host]))
            .collect();
        server.set_addresses("orders.shop", 1, &ips);
    };
    at(&[1, 2]);
    let orders = endpoints_of_orders(Dns::Server(server.address)).unwrap();
    let mut changes = orders.changes();
    show("two instances", &mut changes).await;
    at(&[1, 2, 3]);
    show("scaled to three", &mut changes).await;
    at(&[]);
    show("DNS has no addresses", &mut changes).await;
    server.be_mute(true);
    show("DNS does not answer", &mut changes).await;
    at(&[2, 4]);
    server.be_mute(false);
    show("back, and one was replaced", &mut changes).await;
    println!("\n{} queries in all", server.queries());
}

/// Waits until a lookup brings something new, and shows it.
async fn show(what: &str, changes: &mut watch::Receiver<Snapshot>) {
    changes.changed().await.unwrap();
    let now = changes.borrow_and_update();
    let endpoints: Vec<_> = now.endpoints.iter().map(ToString::to_string).collect();
    println!("{what:<28} {:<46} {:?}", endpoints.join(" "), now.health);
}
