//! Another service, as its callers see it.

use resilience::fault::Faults;

use crate::discovery::Dns;
use crate::{Address, ClientConfig};

/// Another service, as its callers see it: each service declares each of its peers in one place, and makes one
/// client of it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name, for errors, logs and metrics.
    pub name: &'static str,
    /// Who calls it; told apart in metrics, since several services can share a process. Empty if there is one only.
    pub caller: &'static str,
    /// Where it is.
    pub address: Address,
    /// How it is called.
    pub config: ClientConfig,
    /// Who looks its names up.
    pub dns: Dns,
    /// What is broken on purpose; only where faults are allowed.
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

    /// The same, called by the service of this name.
    #[must_use]
    pub fn called_by(mut self, caller: &'static str) -> Self {
        self.caller = caller;
        self
    }

    /// Its name as its caller's logs have it.
    pub(crate) fn label(&self) -> String {
        match self.caller {
            "" => self.name.to_owned(),
            caller => format!("{caller} to {}", self.name),
        }
    }

    /// The same, looked up by this name server.
    #[must_use]
    pub fn with_dns(mut self, dns: Dns) -> Self {
        self.dns = dns;
        self
    }

    /// The same, with calls that can be broken, where that is allowed: the target's name is the peer's.
    #[must_use]
    pub fn with_faults(mut self, faults: impl Into<Option<Faults>>) -> Self {
        self.faults = faults.into();
        self
    }
}
