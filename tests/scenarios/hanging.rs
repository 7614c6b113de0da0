//! A service that hangs costs its callers a bounded time, and nobody else anything.

use std::time::{Duration, Instant};

use scenarios::embedded::Embedded;
use scenarios::{Answer, Customer, Marketplace, Shop, wait};
use serde_json::{Value, json};

/// Callers of what hangs, at the same time.
const CALLERS: usize = 500;
/// The customers that they are: of one, the gateway has at most 64 requests worked on at a time (`CLIENT_PLACES`), and 16 to begin with.
const CUSTOMERS: usize = 8;
/// Callers who wait: more than the places of any one customer.
const WAITING: u64 = 64;
/// The gateway's deadline of a call (`ORDERS_CLIENT`).
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// The dashboard's own deadline (`DASHBOARD_DEADLINE`), and what a busy machine may add to it.
const DEADLINE: Duration = Duration::from_secs(2);
const BUSY_MACHINE: Duration = Duration::from_secs(20);
/// What an answer may take once nobody waits for the service that hangs: far less than [`DEADLINE`].
const AT_ONCE: Duration = Duration::from_millis(500);
/// What the process may grow by while everybody waits: a task and its buffers for each caller, and no more.
const GROWTH_MAX_KIB: u64 = 64 * 1024;

/// orders accepts the gateway's calls and never answers, as the gateway's fault switch has it.
pub(crate) fn hanging_service_costs_a_bounded_time(marketplace: &mut Embedded) {
    let shop = marketplace.shop();
    let customers: Vec<_> = (0..CUSTOMERS).map(|_| shop.customer()).collect();
    let customer = &customers[0];
    let admin = Shop::new(&marketplace.admin("gateway"));
    until_whole(&shop, customer);
    let before = marketplace.resident_kib();

    let hang = json!({"rules": [{"target": "orders", "kind": "hang", "percent": 100}]});
    let _ = put(&admin, "/faults", &hang).expect(200);
    // On a busy machine another part may be late, too.
    let took = wait::until("an answer without orders", || {
        let since = Instant::now();
        names_orders(&dashboard(&shop, customer)).then(|| since.elapsed())
    });
    assert!(took < DEADLINE + BUSY_MACHINE, "{took:?}");

    let order = format!("/api/orders/{}", uuid::Uuid::new_v4());
    std::thread::scope(|scope| {
        let callers = (0..CALLERS).map(|number| {
            let token = &customers[number % CUSTOMERS].token;
            let (shop, order) = (&shop, &order);
            scope.spawn(move || {
                let since = Instant::now();
                let refused = shop.get(order, Some(token));
                (refused, since.elapsed())
            })
        });
        let callers: Vec<_> = callers.collect();
        wait::until("callers that wait", || {
            let waiting = &orders_client(&admin)["bulkhead"]["in_flight"];
            (waiting.as_u64() > Some(WAITING)).then_some(())
        });
        // Other routes do not notice.
        for _ in 0..20 {
            let _ = shop.get("/api/products?page_size=1", None).expect(200);
            let _ = shop.get("/api/users/me", Some(&customer.token)).expect(200);
        }
        for caller in callers {
            let (refused, took) = caller.join().expect("a caller");
            let status = refused.status;
            assert!(matches!(status, 503 | 504), "{refused:?}");
            let _ = refused.expect_problem(status);
            assert!(took < CALL_DEADLINE + BUSY_MACHINE, "{took:?}");
        }
    });
    let grown = marketplace.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "the process grew by {grown} KiB");

    // By now the breaker has seen enough, and nobody waits any more, but for who looks whether orders is back.
    assert_ne!(orders_client(&admin)["breaker"]["state"], "closed");
    wait::until("a partial answer at once", || {
        let since = Instant::now();
        let is_partial = names_orders(&dashboard(&shop, customer));
        (is_partial && since.elapsed() < AT_ONCE).then_some(())
    });

    let _ = admin
        .call("DELETE", "/faults", &[], None)
        .expect("an answer")
        .expect(204);
    until_whole(&shop, customer);
    wait::until("the breaker to be closed", || {
        let _ = dashboard(&shop, customer);
        (orders_client(&admin)["breaker"]["state"] == "closed").then_some(())
    });
    assert_eq!(orders_client(&admin)["bulkhead"]["in_flight"], 0);
    assert_told_once(&marketplace.log());
}

/// However many calls failed, the log warns as a breaker opens, and of nothing else: the one before all of orders, and at most
/// that of its only endpoint.
fn assert_told_once(log: &str) {
    let about = |line: &&str| {
        let warns = line.contains(" WARN ") && !line.contains("by hand");
        warns && line.contains("gateway") && line.contains("orders")
    };
    let warnings: Vec<_> = log.lines().filter(about).collect();
    let are_of_breakers = warnings
        .iter()
        .all(|line| line.contains("circuit breaker opened"));
    let is_told = matches!(warnings.len(), 1..=2) && are_of_breakers;
    assert!(is_told, "{} warnings: {warnings:#?}", warnings.len());
}

fn dashboard(shop: &Shop, customer: &Customer) -> Answer {
    let path = format!("/api/dashboard/{}", customer.id);
    shop.get(&path, Some(&customer.token)).expect(200)
}

fn until_whole(shop: &Shop, customer: &Customer) {
    wait::until("the dashboard to be whole", || {
        let answer = dashboard(shop, customer);
        (answer.json["partial"] == false).then_some(())
    });
}

/// Whether orders is missing and named, and the user is there.
fn names_orders(answer: &Answer) -> bool {
    assert_eq!(answer.json["partial"], true, "{answer:?}");
    assert!(answer.json["orders"].is_null(), "{answer:?}");
    answer.json["errors"][0]["part"] == "orders" && answer.json["user"].is_object()
}

/// What the gateway says of its calls to orders.
fn orders_client(admin: &Shop) -> Value {
    admin.get("/clients/orders", None).expect(200).json
}

fn put(admin: &Shop, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    let body = body.to_string();
    admin
        .call("PUT", path, &json, Some(body.as_bytes()))
        .expect("an answer")
}
