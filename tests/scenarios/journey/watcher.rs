//! Whoever looks at the observatory, and a purchase to look at.

use std::time::{Duration, Instant};

use scenarios::shop::one_line;
use scenarios::{Answer, Marketplace, Shop, wait};
use serde_json::Value;

/// How long a purchase may take until its mail is sent.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// The services whose hops are followed.
pub(super) const SERVICES: [&str; 5] = ["gateway", "users", "orders", "products", "notifications"];

/// Whoever may look at the observatory, whether or not the gateway is on the loopback: an administrator.
pub(crate) struct Watcher {
    shop: Shop,
    token: String,
}

impl Watcher {
    pub(crate) fn of(marketplace: &dyn Marketplace) -> Self {
        let shop = marketplace.shop();
        let (email, password) = marketplace.administrator();
        let token = shop.sign_in(&email, &password);
        Self { shop, token }
    }

    pub(super) fn ask(&self, path: &str) -> Answer {
        let path = format!("/observatory/{path}");
        self.shop.get(&path, Some(&self.token))
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.ask(path).expect(200)
    }

    /// Waits until the hops of all services are followed.
    pub(crate) fn followed(&self) {
        wait::until("all hops to be followed", || {
            let answer = self.ask("state");
            let replicas = answer.json["services"].as_array()?;
            let is_followed = |service: &&str| {
                let mut of_service = replicas
                    .iter()
                    .filter(|replica| replica["name"] == **service);
                of_service.any(|replica| replica["followed"] == true)
            };
            SERVICES.iter().all(is_followed).then_some(())
        });
    }

    /// The trace, once it has so many hops and all of them are over.
    pub(crate) fn whole(&self, trace_id: &str, hops: usize) -> Value {
        let begun = Instant::now();
        wait::until_within(2 * PATIENCE, &format!("{hops} hops of a purchase"), || {
            let answer = self.ask(&format!("traces/{trace_id}"));
            let known = answer.json["hops"].as_array()?;
            let is_over = known.iter().all(|hop| hop["ended_at"].is_u64());
            assert!(
                begun.elapsed() < PATIENCE,
                "{:#?}",
                known.iter().map(told).collect::<Vec<_>>()
            );
            (known.len() >= hops && is_over).then(|| answer.json.clone())
        })
    }
}

/// Buys one piece in a trace of its own: the trace's id and the order's.
pub(crate) fn buy(
    shop: &Shop,
    token: &str,
    product: &str,
    headers: &[(&str, &str)],
) -> (String, String) {
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let mut all = vec![("traceparent", parent.as_str())];
    all.extend(headers);
    let answer = shop.try_post("/api/orders", Some(token), &all, &one_line(product, 1));
    (trace, answer.expect("an answer").expect(201).id())
}

/// A hop in a line: service, kind, side, name.
pub(super) fn told(hop: &Value) -> String {
    ["service", "kind", "side", "name"]
        .map(|field| hop[field].as_str().unwrap_or("?"))
        .join(" ")
}
