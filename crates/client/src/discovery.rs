//! Finding the endpoints of a peer, and noticing when they change.
//!
//! A [`Discovery`] holds the set of a peer's addresses. Literal addresses ([`Address`]) are held as they are, at no
//! further cost. Names are looked up repeatedly by a background task, as their TTL says; only the first calls, before
//! any lookup has ended, wait for one.
//!
//! The last good set is kept. When a name server does not answer, or answers that a name has no addresses, it is more
//! often wrong than all instances are gone at once; and if they are gone, calls to them fail and show it. So lookup
//! failures are reported ([`Discovery::health`], one log line for each change) but do not change the set. Envoy and
//! gRPC keep their last good set for the same reason.

mod address;
mod dns;
mod task;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

pub use address::Address;
pub use dns::Dns;
pub use task::{REFRESH_MAX, REFRESH_MIN};

use address::Place;

/// The endpoints of a peer, kept up to date. Cheap to clone; the lookups end with the last clone.
#[derive(Debug, Clone)]
pub struct Discovery {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: watch::Receiver<Snapshot>,
    hurry: Arc<Notify>,
    /// The lookup task; `None` if the address contains no names.
    task: Option<AbortHandle>,
}

/// What is currently known about a peer's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Every address, in ascending order, each once.
    pub endpoints: Arc<[SocketAddr]>,
    /// The result of the last lookup.
    pub health: Lookups,
}

/// The state of a peer's lookups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookups {
    /// The first one is under way.
    Starting,
    /// The last lookup found addresses, or the address contains no names.
    Good,
    /// The last lookup failed for this reason; the endpoints are those of the last successful one.
    Failing(String),
}

impl Discovery {
    /// Starts discovery of the endpoints of the named peer at `address`, by the machine's DNS.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, if `address` holds a name.
    #[must_use]
    pub fn new(peer: &'static str, address: &Address) -> Self {
        Self::with_dns(peer, address, Dns::System)
    }

    /// Like [`Discovery::new`], but by these DNS servers.
    ///
    /// # Panics
    /// As [`Discovery::new`].
    #[must_use]
    pub fn with_dns(peer: &'static str, address: &Address, dns: Dns) -> Self {
        let fixed = address.places().iter().filter_map(|place| match place {
            Place::Fixed(address) => Some(*address),
            _ => None,
        });
        let endpoints = sorted(fixed.collect());
        let needs_lookup = endpoints.len() < address.places().len();
        let (changes, state) = watch::channel(Snapshot {
            endpoints: endpoints.into(),
            health: if needs_lookup {
                Lookups::Starting
            } else {
                Lookups::Good
            },
        });
        let hurry = Arc::new(Notify::new());
        let task = needs_lookup.then(|| {
            let places = address.places().to_vec();
            let lookups = task::keep(peer, places, dns, changes, Arc::clone(&hurry));
            tokio::spawn(lookups).abort_handle()
        });
        Self {
            inner: Arc::new(Inner { state, hurry, task }),
        }
    }

    /// The current endpoints and the state of the lookups.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.inner.state.borrow().clone()
    }

    /// A receiver that is notified of each change of [`Discovery::snapshot`].
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Snapshot> {
        self.inner.state.clone()
    }

    /// Waits until the first lookup has ended, successfully or not. Returns at once if the address contains no names.
    pub async fn first(&self) {
        let mut state = self.inner.state.clone();
        // The sender lives as long as the task, which lives as long as `self`.
        let _ = state
            .wait_for(|snapshot| snapshot.health != Lookups::Starting)
            .await;
    }

    /// Whether the last lookup found addresses, for readiness.
    ///
    /// # Errors
    /// The reason why it did not, for a person.
    pub fn health(&self) -> Result<(), String> {
        match &self.inner.state.borrow().health {
            Lookups::Good => Ok(()),
            Lookups::Starting => Err("its addresses have not been found yet".to_owned()),
            Lookups::Failing(why) => Err(why.clone()),
        }
    }

    /// Asks for a lookup before the TTL is over, e.g. because an endpoint refuses connections: a restarted container
    /// often has another address. Names are still not looked up more often than every [`REFRESH_MIN`].
    pub fn hurry(&self) {
        self.inner.hurry.notify_one();
    }

    /// Whether the address contains no names, so that nothing is looked up.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.inner.task.is_none()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn sorted(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
