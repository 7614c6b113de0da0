//! What an order allocates in this service until its event is on the stream, held to the budget of
//! docs/performance.md. The allocator counts for each thread by itself: the service has one thread alone, and its
//! neighbours and its client have others.

use allocation_counter::measure;
use contracts::testing::{budget, customer};
use tokio::runtime::Builder;

use crate::app::{Service, World};

/// Orders that warm connections and statements, and then as many in each round.
const ORDERS: u64 = 50;
/// What runs by the clock falls into some rounds more than into others; the round with the least counts.
const ROUNDS: usize = 4;

#[test]
fn an_order_keeps_to_its_budget() {
    let outside = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let inside = Builder::new_current_thread().enable_all().build().unwrap();
    let world = outside.block_on(World::new());
    let product = world.catalog.product(1_250);
    let buyer = customer();
    let serving = inside.block_on(async {
        let orders = world.serve(&[]).await;
        (world, orders)
    });
    let place = |(world, orders): (World, Service)| {
        let buyer = buyer.clone();
        let placing = outside.spawn(async move {
            for _ in 0..ORDERS {
                let id = orders.place(&buyer, product, 1).await;
                world.broker.events(id, 1).await;
            }
            (world, orders)
        });
        inside.block_on(placing).unwrap()
    };
    let mut serving = Some(place(serving));
    let rounds = (0..ROUNDS).map(|_| measure(|| serving = serving.take().map(place)));
    let counted = rounds.min_by_key(|round| round.count_total).unwrap();
    let each = |count: u64| (count / ORDERS) as f64;
    budget::hold(
        "allocations of an order in its service",
        each(counted.count_total),
    );
    budget::hold(
        "bytes of an order in its service",
        each(counted.bytes_total),
    );
}
