//! Another service, from the caller's point of view.

use resilience::fault::Faults;

use crate::discovery::Dns;
use crate::{Address, ClientConfig};

/// Another service, from the caller's point of view. Each service declares each of its peers in one place and creates
/// one client for it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The peer's name, for errors, logs and metrics.
    pub name: &'static str,
    /// The name of the calling service, a label in metrics, since several services can share a process. Empty if there
    /// is only one.
    pub caller: &'static str,
    /// The address of the peer.
    pub address: Address,
    /// Time limits, retries, breaker and bulkhead of calls to the peer.
    pub config: ClientConfig,
    /// The DNS servers that resolve the peer's names.
    pub dns: Dns,
    /// Injected faults; only where faults are allowed.
    pub faults: Option<Faults>,
}

impl Peer {
    /// A peer at `address`.
    #[must_use]
    pub fn new(name: &'static str, address: impl Into<Address>, config: ClientConfig) -> Self {
        Self {
            name,
            caller: "",
            address: address.into(),
            config,
            dns: Dns::System,
            faults: None,
        }
    }

    /// Sets the name of the calling service.
    #[must_use]
    pub fn called_by(mut self, caller: &'static str) -> Self {
        self.caller = caller;
        self
    }

    /// The peer's name as it appears in the caller's logs.
    pub(crate) fn label(&self) -> String {
        match self.caller {
            "" => self.name.to_owned(),
            caller => format!("{caller} to {}", self.name),
        }
    }

    /// Sets the DNS servers.
    #[must_use]
    pub fn with_dns(mut self, dns: Dns) -> Self {
        self.dns = dns;
        self
    }

    /// Adds fault injection, where it is allowed; the name of the target is the peer's.
    #[must_use]
    pub fn with_faults(mut self, faults: impl Into<Option<Faults>>) -> Self {
        self.faults = faults.into();
        self
    }
}
