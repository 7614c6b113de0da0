//! Finding the endpoints of a peer, and noticing when they change.
//!
//! A [`Discovery`] holds the set of a peer's addresses. What is known from the start ([`Address`]) is held as
//! it is and costs nothing more; names are looked up by a task in the background, again and again as their TTL
//! says, and no call ever waits for a lookup but the first ones.
//!
//! The last good set is kept. A name server that answers nothing, or that a name has no addresses at all, is
//! more often wrong than every instance gone at once, and if they are gone, calling them tells the same: so
//! failures are reported ([`Discovery::health`], one log line for each change) and not acted upon. Envoy and
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
    /// None if there is nothing to look up.
    task: Option<AbortHandle>,
}

/// What is known of a peer's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Every address, in ascending order, each once.
    pub endpoints: Arc<[SocketAddr]>,
    /// How the last lookup went.
    pub health: Lookups,
}

/// How the lookups of a peer go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookups {
    /// The first one is under way.
    Starting,
    /// The last one found addresses, or there is nothing to look up.
    Good,
    /// The last one found nothing, for this reason; the endpoints are those of the last one that did.
    Failing(String),
}

impl Discovery {
    /// Finds the endpoints of the peer of this name at `address`, by the machine's DNS.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, if `address` holds a name.
    #[must_use]
    pub fn new(peer: &'static str, address: &Address) -> Self {
        Self::with_dns(peer, address, Dns::System)
    }

    /// The same, by these DNS servers.
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

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.inner.state.borrow().clone()
    }

    /// Tells of each change of [`Discovery::snapshot`].
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Snapshot> {
        self.inner.state.clone()
    }

    /// Waits until the first lookup is over, well or not. At once, if there is nothing to look up.
    pub async fn first(&self) {
        let mut state = self.inner.state.clone();
        // The sender lives as long as the task, which lives as long as `self`.
        let _ = state
            .wait_for(|snapshot| snapshot.health != Lookups::Starting)
            .await;
    }

    /// For readiness: whether the last lookup found addresses.
    ///
    /// # Errors
    /// Why it did not, for a person.
    pub fn health(&self) -> Result<(), String> {
        match &self.inner.state.borrow().health {
            Lookups::Good => Ok(()),
            Lookups::Starting => Err("its addresses have not been found yet".to_owned()),
            Lookups::Failing(why) => Err(why.clone()),
        }
    }

    /// Asks for a lookup before the TTL is over, e.g. since an endpoint refuses connections: what runs on
    /// containers comes back at another address. Names are still not looked up more often than every
    /// [`REFRESH_MIN`].
    pub fn hurry(&self) {
        self.inner.hurry.notify_one();
    }

    /// Whether there is anything to look up.
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
