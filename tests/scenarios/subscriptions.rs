//! Subscriptions of GraphQL, over both transports, whatever is restarted meanwhile.

use scenarios::reader::End;
use scenarios::subscriber::{Over, Subscriber};
use scenarios::{Customer, Marketplace, Shop};

/// Changes of an order that is cancelled after it was confirmed.
const ALL: [&str; 3] = ["PENDING", "CONFIRMED", "CANCELLED"];

/// The readers of an order.
struct Watched {
    order_id: String,
    subscribers: [Subscriber; 2],
}

impl Watched {
    fn order(shop: &Shop, by: &Customer, product: &str) -> Self {
        let order_id = shop.order(by, product, 1).expect(201).id();
        let over = |over| Subscriber::new(over, &order_id, Some(&by.token));
        let subscribers = [over(Over::Events), over(Over::Socket)];
        Self {
            order_id,
            subscribers,
        }
    }

    fn until(&self, changes: usize) {
        for subscriber in &self.subscribers {
            subscriber.until(changes);
        }
    }

    /// Nothing is missed, and nothing there twice.
    fn assert_whole(&self) {
        for subscriber in &self.subscribers {
            let (sequences, statuses): (Vec<_>, Vec<_>) = subscriber.seen().into_iter().unzip();
            assert_eq!(statuses, ALL, "{subscriber:?}");
            assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
        }
    }
}

/// Reads each once, and says how it ended, while `meanwhile` happens.
fn ends(shop: &Shop, watched: &[&Watched], meanwhile: impl FnOnce()) -> Vec<End> {
    std::thread::scope(|scope| {
        let reading: Vec<_> = watched
            .iter()
            .flat_map(|watched| &watched.subscribers)
            .map(|subscriber| scope.spawn(|| subscriber.read(shop)))
            .collect();
        meanwhile();
        let reading = reading.into_iter();
        reading
            .map(|reading| reading.join().expect("a reader"))
            .collect()
    })
}

/// A deploy tells its readers to come again, a crash breaks their connections. Either way they say what they had, and get
/// the rest: also of what happened while nobody was there to tell it.
pub(crate) fn survive_restarts(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let customer = shop.customer();
    let goods = shop.catalogue();
    let product = goods[0]["id"].as_str().expect("an id");
    let first = Watched::order(&shop, &customer, product);
    let ended = ends(&shop, &[&first], || {
        first.until(2);
        for stopped in marketplace.stop() {
            let most = marketplace.stop_max();
            assert!(
                stopped.took <= most,
                "{stopped:?}: nobody waits for readers"
            );
        }
    });
    for end in ended {
        // Told by the gateway, or of orders, which may have stopped a moment before it.
        assert!(matches!(end, End::Whole | End::Refused(_)), "{end:?}");
    }
    marketplace.restart();

    // The order is confirmed by those who come after the crash.
    let shop = marketplace.shop();
    let hurried = Watched::order(&shop, &customer, product);
    let ended = ends(&shop, &[&first, &hurried], || {
        hurried.until(1);
        marketplace.kill();
    });
    for end in ended {
        assert!(matches!(end, End::Broken(_) | End::Refused(_)), "{end:?}");
    }
    marketplace.restart();

    let shop = marketplace.shop();
    let watched = [&first, &hurried];
    std::thread::scope(|scope| {
        for subscriber in watched.iter().flat_map(|watched| &watched.subscribers) {
            scope.spawn(|| subscriber.read_all(&shop));
        }
        hurried.until(2);
        for Watched { order_id, .. } in watched {
            let path = format!("/api/orders/{order_id}/cancel");
            let answer = shop.post(&path, Some(&customer.token), &serde_json::json!({}));
            let _ = answer.expect(200);
        }
    });
    for watched in watched {
        watched.assert_whole();
    }
}
