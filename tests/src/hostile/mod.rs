//! A hostile client, with the attacks by which one client has made calls of others fail. An attack goes on until its task is
//! dropped; its results are counted.

mod floods;
mod idle;
mod streams;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::embedded::Embedded;
use crate::marketplace::Marketplace;
use crate::net;
use crate::shop::Customer;

pub use floods::forged;

/// The pause after each answer, refusal or closed connection: an attack at full speed on the same machine would only measure the
/// machine's speed.
const AGAIN: Duration = Duration::from_millis(500);
/// The attacker's orders, a page of them, and the lines of each, one for each of the shop's goods at its start: equal
/// products would be one line. A list of about 300 kB.
const ORDERS: usize = 100;
const LINES: usize = 24;

/// One way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Three HTTP/2 connections with 1,000 `POST` each: a body is announced and never sent.
    StalledPosts,
    /// 800 gRPC calls on one connection to users, without their messages.
    EmptyCalls,
    /// A list of 300 kB, asked for on 484 streams by a client that never opens their windows.
    UnreadLists,
    /// 1,280 tokens a second whose keys nobody has.
    ForgedKeys,
    /// 1,000 connections to the gateway and 300 to its admin port that say nothing.
    IdleConnections,
    /// 169 sign-ins a second of people who do not exist, over REST and over gRPC.
    UnknownSignIns,
    /// Sign-ins of an own account, 16 at a time.
    OwnSignIns,
    /// Paths, methods and gRPC methods that are made up, with bad tokens.
    MadeUpNames,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::StalledPosts,
        Self::EmptyCalls,
        Self::UnreadLists,
        Self::ForgedKeys,
        Self::IdleConnections,
        Self::UnknownSignIns,
        Self::OwnSignIns,
        Self::MadeUpNames,
    ];
}

/// Somebody with an account and bad manners.
#[derive(Debug, Clone)]
pub struct Attacker {
    from: IpAddr,
    gateway: SocketAddr,
    gateway_admin: SocketAddr,
    users: SocketAddr,
    customer: Customer,
    counts: Counts,
}

/// How often what happened; a clone counts the same.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counts {
    fn count(&self, what: impl Into<String>) {
        let mut counts = self.0.lock();
        *counts.entry(what.into()).or_default() += 1;
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock();
        counts.clone()
    }

    /// One of it.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.all().get(what).copied().unwrap_or_default()
    }

    /// Everything that was answered, whatever the answer.
    #[must_use]
    pub fn answers(&self) -> u64 {
        let all = self.all();
        let answers = all.iter().filter(|(what, _)| what.starts_with("answer "));
        answers.map(|(_, count)| count).sum()
    }
}

/// An attack under way; dropping it ends it and closes its connections.
#[derive(Debug)]
pub struct Attack {
    /// What came of it so far.
    pub counts: Counts,
    _tasks: JoinSet<()>,
}

impl Attacker {
    /// Signs up, at this address.
    #[must_use]
    pub fn new(marketplace: &Embedded, from: IpAddr) -> Self {
        Self {
            from,
            gateway: net::address(&marketplace.endpoint("gateway")),
            gateway_admin: net::address(&marketplace.admin("gateway")),
            users: net::address(&marketplace.endpoint("users")),
            customer: marketplace.shop().customer(),
            counts: Counts::default(),
        }
    }

    /// Does beforehand what a way needs. Not yet an attack: the shop's usual calls.
    pub fn prepare(&self, marketplace: &Embedded, way: Way) {
        if way != Way::UnreadLists {
            return;
        }
        let shop = marketplace.shop();
        let goods = shop.catalogue();
        let ids = goods.iter().filter_map(|product| product["id"].as_str());
        let lines = ids.map(|id| json!({"product_id": id, "quantity": 1}));
        let lines: Vec<Value> = lines.take(LINES).collect();
        let order = json!({ "items": lines });
        for _ in 0..ORDERS {
            let _ = shop
                .post("/api/orders", Some(&self.customer.token), &order)
                .expect(201);
        }
    }

    /// Misbehaves from now on. Inside of a Tokio runtime.
    #[must_use]
    pub fn attack(&self, way: Way) -> Attack {
        let attacker = Self {
            counts: Counts::default(),
            ..self.clone()
        };
        let counts = attacker.counts.clone();
        let mut tasks = JoinSet::new();
        match way {
            Way::StalledPosts => attacker.stalled_posts(&mut tasks),
            Way::EmptyCalls => attacker.empty_calls(&mut tasks),
            Way::UnreadLists => attacker.unread_lists(&mut tasks),
            Way::ForgedKeys => attacker.forged_keys(&mut tasks),
            Way::IdleConnections => attacker.idle_connections(&mut tasks),
            Way::UnknownSignIns => attacker.unknown_sign_ins(&mut tasks),
            Way::OwnSignIns => attacker.own_sign_ins(&mut tasks),
            Way::MadeUpNames => attacker.made_up_names(&mut tasks),
        }
        Attack {
            counts,
            _tasks: tasks,
        }
    }
}
