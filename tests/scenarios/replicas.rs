//! Two gateways and two replicas of orders: whoever watches an order at one of them goes on at another one.
//!
//! The second ones run in this process, beside those of `agora up`, and share its database and its stream.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use chassis::config::try_from_args;
use chassis::listen::TcpListener;
use chassis::{Fatal, Shutdown};
use scenarios::embedded::Embedded;
use scenarios::reader::{End, Reader};
use scenarios::subscriber::{Over, Subscriber};
use scenarios::{Customer, Marketplace, Shop, wait};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Changes of an order that is cancelled after it was confirmed.
const CHANGES: usize = 3;
/// Of these, those that come by themselves.
const CONFIRMED: usize = 2;

/// A service of this process.
struct Replica {
    url: String,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), Fatal>>,
}

impl Replica {
    /// A gateway of the marketplace, with orders at this address.
    fn gateway(runtime: &Runtime, market: &Embedded, orders: &str) -> Self {
        let line = [
            "gateway".to_owned(),
            format!("--orders-url={orders}"),
            format!("--products-url={}", market.endpoint("products")),
        ];
        let config: gateway::Config = try_from_args(among(market, line)).expect("a configuration");
        let listeners = gateway::Listeners::bind(&config);
        let listeners = runtime.block_on(listeners).expect("free ports");
        let ports = [url(&listeners.http), url(&listeners.admin)];
        let shutdown = Shutdown::manual();
        let running = runtime.spawn(gateway::run(config, listeners, shutdown.clone()));
        Self::ready(ports, shutdown, running)
    }

    /// Orders, on the database of the marketplace's and in its consumer group.
    fn orders(runtime: &Runtime, market: &Embedded) -> Self {
        let line = [
            "orders".to_owned(),
            format!("--database-url={}", market.database("orders")),
            format!("--kafka-brokers={}", market.endpoint("kafka")),
            "--kafka-fetch-wait=10ms".to_owned(),
        ];
        let config: orders::Config = try_from_args(among(market, line)).expect("a configuration");
        let listeners = orders::Listeners::bind(&config);
        let listeners = runtime.block_on(listeners).expect("free ports");
        let ports = [url(&listeners.http), url(&listeners.admin)];
        let shutdown = Shutdown::manual();
        let running = runtime.spawn(orders::run(config, listeners, shutdown.clone()));
        Self::ready(ports, shutdown, running)
    }

    fn ready(
        [url, admin]: [String; 2],
        shutdown: Shutdown,
        running: JoinHandle<Result<(), Fatal>>,
    ) -> Self {
        let admin = Shop::new(&admin);
        wait::until("the replica to be ready", || {
            (admin.get("/readyz", None).status == 200).then_some(())
        });
        Self {
            url,
            shutdown,
            running,
        }
    }

    /// As a deploy stops it.
    fn stop(self, runtime: &Runtime) {
        self.shutdown.trigger();
        let end = runtime.block_on(self.running).expect("no panic");
        end.expect("a clean end");
    }
}

/// A command line with where the marketplace is, and ports of its own.
fn among(market: &Embedded, line: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut line: Vec<_> = line.into_iter().collect();
    line.extend(["--http-port=0", "--admin-port=0", "--bind-host=127.0.0.1"].map(str::to_owned));
    line.push(format!("--users-url={}", market.endpoint("users")));
    line.push(format!(
        "--products-grpc-url={}",
        market.endpoint("products_grpc")
    ));
    line
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// An order, and whoever watches it, in each of the three ways.
struct Watched {
    order_id: String,
    reader: Reader,
    subscribers: [Subscriber; 2],
}

impl Watched {
    fn order(shop: &Shop, by: &Customer, product: &str) -> Self {
        let order_id = shop.order(by, product, 1).expect(201).id();
        let over = |over| Subscriber::new(over, &order_id, Some(&by.token));
        Self {
            reader: Reader::new(by, &order_id),
            subscribers: [over(Over::Events), over(Over::Socket)],
            order_id,
        }
    }

    fn until(&self, changes: usize) {
        self.reader.until(changes);
        for subscriber in &self.subscribers {
            subscriber.until(changes);
        }
    }

    /// Reads until `stop` has ended the streams, and says how they ended.
    fn ends(&self, shop: &Shop, stop: impl FnOnce()) -> [End; 3] {
        let [events, socket] = &self.subscribers;
        std::thread::scope(|scope| {
            let reading = [
                scope.spawn(|| self.reader.read(shop)),
                scope.spawn(|| events.read(shop)),
                scope.spawn(|| socket.read(shop)),
            ];
            let confirmed = catch_unwind(AssertUnwindSafe(|| self.until(CONFIRMED)));
            // In any case: the readers read for as long as the streams go on.
            stop();
            if let Err(panic) = confirmed {
                resume_unwind(panic);
            }
            reading.map(|reading| reading.join().expect("a reader"))
        })
    }

    /// Reads what is left at another door, while the order is cancelled at a third one.
    fn rest(&self, at: &Shop, cancelled_at: &Shop, by: &Customer) {
        let [events, socket] = &self.subscribers;
        std::thread::scope(|scope| {
            scope.spawn(|| self.reader.read_all(at));
            scope.spawn(|| events.read_all(at));
            scope.spawn(|| socket.read_all(at));
            let path = format!("/api/orders/{}/cancel", self.order_id);
            let answer = cancelled_at.post(&path, Some(&by.token), &json!({}));
            let _ = answer.expect(200);
        });
    }

    /// Nothing is missed, and nothing there twice; and all were told the same.
    fn assert_whole(&self) {
        let told = self.reader.seen();
        let told: Vec<u64> = told
            .iter()
            .map(|event| event.id.parse().expect("a sequence"))
            .collect();
        assert_eq!(told.len(), CHANGES, "{told:?}");
        assert!(told.is_sorted_by(|a, b| a < b), "{told:?}");
        for subscriber in &self.subscribers {
            let seen = subscriber.seen().into_iter();
            let sequences: Vec<u64> = seen.map(|(sequence, _)| sequence).collect();
            assert_eq!(sequences, told, "{subscriber:?}");
        }
    }
}

/// First the gateway of a stream stops, then the replica of orders behind another one.
pub(crate) fn streams_move_from_one_to_another(market: &mut Embedded) {
    let market: &Embedded = market;
    let runtime = Runtime::new().expect("a runtime");
    let beside = Replica::orders(&runtime, market);
    let at_the_markets = || Replica::gateway(&runtime, market, &market.endpoint("orders"));
    let first = at_the_markets();
    let second = Replica::gateway(&runtime, market, &beside.url);
    let (market_shop, second_shop) = (market.shop(), Shop::new(&second.url));
    let customer = market_shop.customer();
    let goods = market_shop.catalogue();
    let product = goods[0]["id"].as_str().expect("an id");

    let shop = Shop::new(&first.url);
    let watched = Watched::order(&shop, &customer, product);
    for end in watched.ends(&shop, || first.stop(&runtime)) {
        assert!(matches!(end, End::Whole | End::Refused(_)), "{end:?}");
    }
    // What one replica of orders changes is told by the other.
    watched.rest(&second_shop, &market_shop, &customer);
    watched.assert_whole();

    let watched = Watched::order(&second_shop, &customer, product);
    for end in watched.ends(&second_shop, || beside.stop(&runtime)) {
        assert!(matches!(end, End::Whole | End::Refused(_)), "{end:?}");
    }
    let again = at_the_markets();
    watched.rest(&Shop::new(&again.url), &market_shop, &customer);
    watched.assert_whole();

    for gateway in [second, again] {
        gateway.stop(&runtime);
    }
}
