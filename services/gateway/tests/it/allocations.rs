//! What a proxied read allocates, held to the budget of docs/performance.md. The allocator counts for each thread by
//! itself: the gateway has one thread alone, and its neighbours and its client have others.

use allocation_counter::measure;
use axum::body::Body;
use contracts::testing::budget;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Builder;

use crate::support::{FakeShop, FakeUsers, start};

/// Reads that warm the connections, and then as many in each round.
const READS: u64 = 50;
/// What runs by the clock falls into some rounds and not into others; the round with the least counts.
const ROUNDS: usize = 10;

#[test]
fn a_proxied_read_keeps_to_its_budget() {
    let outside = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let inside = Builder::new_current_thread().enable_all().build().unwrap();
    let (users, shop) = outside.block_on(async {
        (
            FakeUsers::default().serve().await.0,
            FakeShop::default().serve().await,
        )
    });
    let gateway = inside.block_on(start(users, shop, &[]));
    let url = format!("http://{}/api/products/1", gateway.address);
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let read = |count: u64| {
        let (client, url) = (client.clone(), url.clone());
        let reads = outside.spawn(async move {
            for _ in 0..count {
                let request = Request::get(&url).body(Body::empty()).unwrap();
                let answer = client.request(request).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                answer.into_body().collect().await.unwrap();
            }
        });
        inside.block_on(reads).unwrap();
    };
    read(READS);
    let rounds = (0..ROUNDS).map(|_| measure(|| read(READS)));
    let counted = rounds.min_by_key(|round| round.count_total).unwrap();
    let each = |count: u64| (count / READS) as f64;
    budget::hold("allocations of a proxied read", each(counted.count_total));
    budget::hold("bytes of a proxied read", each(counted.bytes_total));
}
