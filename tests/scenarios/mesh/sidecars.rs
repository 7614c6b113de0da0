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
/// Of each kind of call: that none of them meets one of two instances happens once in millions of runs.
const READS: usize = 24;
/// How often to look at logs: each time is a process for each of them.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a customer's look at themselves leads to, over gRPC.
const ONE_USER: &str = "/agora.users.v1.UserService/GetUser";
/// What the administrator's look at all users leads to.
const LIST_USERS: &str = "/agora.users.v1.UserService/ListUsers";

/// All users, for the administrator: a stream of gRPC through two sidecars. Of users and of products each instance gets calls, of
/// gRPC and REST. And the callee's sidecar knows who has called.
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

    let product = format!("/products/{}", shop.product());
    for _ in 0..READS {
        let _ = shop
            .get("/api/users/me", Some(&customers[0].token))
            .expect(200);
        let _ = shop.get(&format!("/api{product}"), None).expect(200);
    }

    let (users, products) = (sidecars(compose, "users"), sidecars(compose, "products"));
    // Envoy writes what it has to say each 10 s.
    let what = "lines of the calls in the log of each sidecar";
    let callers = wait::until_every(LOOK_EVERY, wait::PATIENCE, what, || {
        let listed = callers_at(compose, &users, LIST_USERS).concat();
        let one = callers_at(compose, &users, ONE_USER);
        let goods = callers_at(compose, &products, &product);
        let has_all = one.iter().chain(&goods).all(|callers| !callers.is_empty());
        (has_all && !listed.is_empty()).then(|| [listed, one.concat(), goods.concat()].concat())
    });
    let gateway = identity("gateway");
    assert!(
        callers.iter().all(|caller| *caller == gateway.as_str()),
        "{callers:?}"
    );
}

/// The containers of all sidecars of a service.
fn sidecars(compose: &Compose, service: &str) -> Vec<String> {
    let instances = table::instances(service).into_iter();
    let names = instances.map(|instance| format!("{instance}-sidecar"));
    names.map(|name| only_container(compose, &name)).collect()
}

/// Who has called something whose path ends so, sidecar by sidecar.
fn callers_at(compose: &Compose, sidecars: &[String], path: &str) -> Vec<Vec<Value>> {
    let logs = sidecars.iter().map(|it| compose.docker(&["logs", it]));
    logs.map(|log| callers(&log, path)).collect()
}

/// The same by the lines of one sidecar's log.
fn callers(log: &str, path: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["path"].as_str().is_some_and(|it| it.ends_with(path)))
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
