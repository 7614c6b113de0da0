//! Engines and services that are taken away and given back while everything runs.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Market, Place, status, until};

/// What is hit by itself: pools and consumers that look for what is away.
const HIT: [&str; 6] = [
    "kafka",
    "queue",
    "database-users",
    "database-orders",
    "database-products",
    "database-notifications",
];
const SERVICES: [&str; 4] = ["users", "orders", "products", "notifications"];

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)));
    ureq::Agent::new_with_config(config.build())
}

impl Market {
    fn switches(&self) -> Vec<Value> {
        let url = format!("{}/switches", self.endpoint("switches"));
        let mut answer = agent().get(&url).call().expect("the switches");
        let listed: Value = answer.body_mut().read_json().expect("JSON");
        listed["switches"].as_array().expect("a list").clone()
    }

    fn switch(&self, name: &str) -> Value {
        let found = self
            .switches()
            .into_iter()
            .find(|switch| switch["name"] == name);
        found.expect(name)
    }

    fn set(&self, name: &str, on: bool) {
        let url = format!("{}/switches/{name}", self.endpoint("switches"));
        let mut answer = agent()
            .post(&url)
            .send_json(json!({ "on": on }))
            .expect("an answer");
        let said: Value = answer.body_mut().read_json().expect("JSON");
        assert_eq!(answer.status(), 200, "{said}");
        // A state that does not come within its second is not told, but for its usual position; on a busy machine it may be late.
        assert!(said["hit"].is_null() || said["on"] == on, "{said}");
    }

    fn until_ready(&self, service: &str) {
        let admin = self.endpoints["admin"][service].as_str().expect("a URL");
        until(&format!("{service} to be ready"), || {
            (status(&format!("{admin}/readyz")) == 200).then_some(())
        });
    }

    /// The demo customer signs in and buys something: the status of the first answer that is no success, or of the last.
    fn buys(&self) -> u16 {
        let shop = self.endpoint("gateway");
        let who = json!({"email": "demo@agora.example", "password": "shopping-for-olives"});
        let mut session = agent()
            .post(format!("{shop}/api/sessions"))
            .send_json(who)
            .expect("a session");
        if session.status() != 201 {
            return session.status().as_u16();
        }
        let session: Value = session.body_mut().read_json().expect("JSON");
        let token = session["access_token"].as_str().unwrap_or_default();
        let mut goods = agent()
            .get(format!("{shop}/api/products"))
            .call()
            .expect("goods");
        let goods: Value = goods.body_mut().read_json().expect("JSON");
        let order = json!({"items": [{"product_id": goods["products"][0]["id"], "quantity": 1}]});
        let bought = agent()
            .post(format!("{shop}/api/orders"))
            .header("authorization", format!("Bearer {token}"))
            .send_json(order);
        bought.expect("an answer").status().as_u16()
    }
}

#[test]
fn what_was_started_is_taken_away_counted_and_given_back() {
    let place = Place::new();
    let mut market = Market::start(&place);
    for switch in market.switches() {
        let is_whole = switch["on"] == switch["usual"] && switch["absent"].is_null();
        assert!(is_whole, "{switch}");
    }
    // A door that is shut, and opened again by the same service.
    let door = format!("{}/v1/products", market.endpoint("products"));
    assert_eq!(status(&door), 200);
    market.set("products", false);
    assert_eq!(status(&door), 0, "nobody is there");
    until("the one call to be counted", || {
        (market.switch("products")["hit"] == 1).then_some(())
    });
    market.set("products", false);
    market.set("products", true);
    market.until_ready("products");
    assert_eq!(status(&door), 200);

    for name in HIT {
        market.set(name, false);
    }
    market.set("mail", false);
    for name in HIT {
        until(&format!("{name} to hit something"), || {
            (market.switch(name)["hit"].as_u64()? > 0).then_some(())
        });
    }
    for name in SERVICES {
        market.set(name, false);
    }
    assert!(market.buys() >= 500, "there is nobody to buy from");

    let url = format!("{}/switches", market.endpoint("switches"));
    let mended = agent().delete(&url).call().expect("an answer");
    assert_eq!(mended.status(), 204, "{}", market.output());
    assert!(
        market
            .switches()
            .iter()
            .all(|switch| switch["on"] == switch["usual"])
    );
    for name in SERVICES {
        market.until_ready(name);
    }
    // The breakers of the gateway ask again by and by.
    until("a purchase", || (market.buys() == 201).then_some(()));
    market.stop();
}

#[test]
fn what_a_killed_run_took_away_is_there_again() {
    let place = Place::new();
    let mut market = Market::start(&place);
    market.set("mail", false);
    market.set("database-orders", false);
    assert!(
        place.data().join("mail").is_file(),
        "no directory to write to"
    );
    market.signal(Signal::KILL);
    market.ended();
    drop(market);

    let mut again = Market::start(&place);
    assert!(
        again
            .switches()
            .iter()
            .all(|switch| switch["on"] == switch["usual"])
    );
    assert!(place.data().join("mail").is_dir());
    assert_eq!(again.buys(), 201);
    again.stop();
}

#[test]
fn what_is_not_ours_is_not_taken_away() {
    let given = embedded::testing::fresh_database();
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    command.env("DATABASE_URL", &given.url);
    let mut market = Market::start_with(&place, command);
    let switch = market.switch("database-orders");
    let why = switch["absent"]["why"].as_str().expect("a reason");
    assert!(why.contains("DATABASE_URL"), "{why}");
    let url = format!("{}/switches/database-orders", market.endpoint("switches"));
    let refused = agent()
        .post(&url)
        .send_json(json!({"on": false}))
        .expect("an answer");
    assert_eq!(refused.status(), 409);
    // Nor is anything switched by a page of somebody else's.
    let url = format!("{}/switches/kafka", market.endpoint("switches"));
    let foreign = agent().post(&url).header("origin", "http://evil.example");
    assert_eq!(
        foreign
            .send_json(json!({"on": false}))
            .expect("an answer")
            .status(),
        403
    );
    market.stop();
}
