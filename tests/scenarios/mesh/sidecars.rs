//! What sidecars do for their services, and what becomes of a service without one.

use std::time::Duration;

use mesh::table::{self, identity};
use scenarios::compose::Compose;
use scenarios::{Marketplace, wait};
use serde_json::Value;

use super::asking::only_container;
use crate::compose::services;
use crate::story;

/// More users than fit into one message of a stream.
const USERS: usize = 5;
/// Enough that balancing meets each instance.
const ORDERS: usize = 5;
/// How often to look at a log: each time is a process.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All users, for the administrator: a stream of gRPC through two sidecars. And the callee's sidecar knows who has called.
pub(crate) fn carry_streams_and_know_callers(compose: &mut Compose) {
    let shop = compose.shop();
    let customers: Vec<_> = (0..USERS).map(|_| shop.customer()).collect();
    let (email, password) = compose.administrator();
    let token = shop.sign_in(&email, &password);
    let all = shop.get("/api/users", Some(&token)).expect(200).text;
    for customer in &customers {
        assert!(
            all.contains(&customer.id),
            "{} is not in {all}",
            customer.id
        );
    }

    let container = only_container(compose, "users-sidecar");
    // Envoy writes what it has to say each 10 s.
    let what = "a line of the call in the sidecar's log";
    let callers = wait::until_every(LOOK_EVERY, wait::PATIENCE, what, || {
        let callers = callers(&compose.docker(&["logs", &container]));
        (!callers.is_empty()).then_some(callers)
    });
    let gateway = identity("gateway");
    assert!(
        callers.iter().all(|caller| *caller == gateway.as_str()),
        "{callers:?}"
    );
}

/// Who has asked for the list of users, by the lines of a sidecar's log.
fn callers(log: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["path"] == "/agora.users.v1.UserService/ListUsers")
        .map(|line| line["caller"].clone())
        .collect()
}

/// A service itself knows who has called, and says so in its log: of an order it is the gateway.
pub(crate) fn tell_their_services_who_calls(compose: &mut Compose) {
    let shop = compose.shop();
    let customer = shop.customer();
    let id = shop.order(&customer, &shop.product(), 1).expect(201).id();
    let accepted = wait::until("the line about the order", || {
        let mut lines = story::told(compose, &id).into_iter();
        lines.find(|line| line["message"] == "order accepted")
    });
    let gateway = identity("gateway");
    assert_eq!(accepted["caller"], gateway.as_str(), "{accepted}");
}

/// A sidecar dies. Its service says so, the other instance does the work, and all is well when the sidecar is back.
pub(crate) fn one_that_dies_is_told_and_missed_by_nobody(compose: &mut Compose) {
    let (service, sidecar) = (
        only_container(compose, "orders"),
        only_container(compose, "orders-sidecar"),
    );
    let check = "orders healthcheck 2>&1 || true";
    let health = |compose: &Compose| compose.docker(&["exec", &service, "sh", "-c", check]);
    compose.docker(&["kill", "--signal", "KILL", &sidecar]);
    wait::until("orders to miss its sidecar", || {
        let told = health(compose);
        told.contains("sidecar is down").then_some(())
    });

    let shop = compose.shop();
    let customer = shop.customer();
    let product = shop.product();
    for _ in 0..ORDERS {
        let id = shop.order(&customer, &product, 1).expect(201).id();
        assert_eq!(shop.settled(&customer, &id)["status"], "confirmed");
    }

    compose.docker(&["start", &sidecar]);
    wait::until("orders to be ready again", || {
        let told = health(compose);
        (!told.contains("sidecar")).then_some(())
    });
    compose.until_healthy();
}

/// The two instances of orders end one by one and come back. Their sidecars stay, and tell what the service has not seen.
pub(crate) fn instances_one_by_one_fail_nothing(compose: &mut Compose) {
    let instances = table::instances("orders");
    let instances: Vec<&str> = instances.iter().map(String::as_str).collect();
    services::end_one_by_one(compose, &instances);
}
