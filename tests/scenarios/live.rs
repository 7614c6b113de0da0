//! Live updates: a stream of an order's changes, from the first to the last, whatever is restarted meanwhile.

use scenarios::reader::{End, Reader};
use scenarios::{Customer, Marketplace, Shop};

use crate::stage::Open;

/// Changes of an order that is cancelled after it was confirmed.
const ALL: [&str; 3] = ["pending", "confirmed", "cancelled"];

fn cancel(shop: &Shop, by: &Customer, order_id: &str) {
    let path = format!("/api/orders/{order_id}/cancel");
    let answer = shop.post(&path, Some(&by.token), &serde_json::json!({}));
    let _ = answer.expect(200);
}

/// Each of the sequences is higher than the one before, and names its event.
fn assert_whole(reader: &Reader) {
    assert_eq!(reader.statuses(), ALL);
    let sequences: Vec<u64> = reader
        .seen()
        .iter()
        .map(|event| event.id.parse().expect("a sequence"))
        .collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
    for (event, sequence) in reader.seen().iter().zip(sequences) {
        assert_eq!(event.data["sequence"], sequence, "{event:?}");
        assert_eq!(event.data["status"], event.event, "{event:?}");
    }
}

/// Three readers of one order: one who is there from the beginning, one who comes later, one who comes when all is over.
pub(crate) fn tells_an_order_from_beginning_to_end(open: &Open<'_>) {
    let shop = open.shop();
    let (product, _) = open.product(10);
    let customer = shop.customer();
    let order_id = shop.order(&customer, &product, 1).expect(201).id();
    let [first, later, last] = [(); 3].map(|()| Reader::new(&customer, &order_id));
    std::thread::scope(|scope| {
        scope.spawn(|| first.read_all(&shop));
        first.until(2);
        scope.spawn(|| later.read_all(&shop));
        later.until(2);
        cancel(&shop, &customer, &order_id);
    });
    last.read_all(&shop);
    for reader in [&first, &later, &last] {
        assert_whole(reader);
    }
    assert_eq!(first.seen(), last.seen());

    let stranger = Reader::new(&shop.customer(), &order_id);
    assert_eq!(stranger.read(&shop), End::Refused("404".to_owned()));
}

/// A deploy ends a stream as if it were over, a crash breaks it. A reader who comes again with where it stopped gets the
/// rest, and nothing twice: also of what happened while nobody was there to tell it.
pub(crate) fn survives_restarts(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let customer = shop.customer();
    let goods = shop.catalogue();
    let product = goods[0]["id"].as_str().expect("an id");
    let order_id = shop.order(&customer, product, 1).expect(201).id();
    let reader = Reader::new(&customer, &order_id);

    std::thread::scope(|scope| {
        let reading = scope.spawn(|| reader.read(&shop));
        reader.until(2);
        for stopped in marketplace.stop() {
            assert!(
                stopped.took <= marketplace.stop_max(),
                "{stopped:?}: nobody waits for readers"
            );
        }
        assert_eq!(reading.join().expect("a reader"), End::Whole);
    });
    marketplace.restart();

    // The order is confirmed by those who come after the crash.
    let shop = marketplace.shop();
    let hurried = shop.order(&customer, product, 1).expect(201).id();
    let hurried_reader = Reader::new(&customer, &hurried);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| reader.read(&shop));
        let hurried_reading = scope.spawn(|| hurried_reader.read(&shop));
        hurried_reader.until(1);
        marketplace.kill();
        for reading in [reading, hurried_reading] {
            let end = reading.join().expect("a reader");
            assert!(matches!(end, End::Broken(_) | End::Refused(_)), "{end:?}");
        }
    });
    marketplace.restart();

    let shop = marketplace.shop();
    std::thread::scope(|scope| {
        scope.spawn(|| reader.read_all(&shop));
        scope.spawn(|| hurried_reader.read_all(&shop));
        hurried_reader.until(2);
        cancel(&shop, &customer, &order_id);
        cancel(&shop, &customer, &hurried);
    });
    assert_whole(&reader);
    assert_whole(&hurried_reader);
}
