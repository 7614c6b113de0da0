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
use std::time::Duration;

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
    show("two instances", &orders, Duration::ZERO).await;
    at(&[1, 2, 3]);
    show("scaled to three", &orders, Duration::from_secs(2)).await;
    at(&[]);
    show("DNS has no addresses", &orders, Duration::from_secs(2)).await;
    server.be_mute(true);
    show("DNS does not answer", &orders, Duration::from_secs(5)).await;
    server.be_mute(false);
    at(&[2, 4]);
    show(
        "back, and one was replaced",
        &orders,
        Duration::from_secs(4),
    )
    .await;
    println!("\n{} queries in all", server.queries());
}

async fn show(what: &str, discovery: &Discovery, after: Duration) {
    tokio::time::sleep(after).await;
    discovery.first().await;
    let now = discovery.snapshot();
    let endpoints: Vec<_> = now.endpoints.iter().map(ToString::to_string).collect();
    println!("{what:<28} {:<46} {:?}", endpoints.join(" "), now.health);
}
