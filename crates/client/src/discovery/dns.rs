//! DNS lookups.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use super::address::Place;

/// The time limit of one try of a lookup, and the number of tries. `resolv.conf` usually says 5 s and two tries;
/// shorter tries do no harm here, because lookups run in the background and calls wait only for the first one.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);
const TRIES: usize = 2;

/// Which DNS servers are asked.
#[derive(Debug, Clone, Default)]
pub enum Dns {
    /// Those of `/etc/resolv.conf`, after `/etc/hosts`; both are read when the first name is looked up.
    #[default]
    System,
    /// This server only.
    Server(SocketAddr),
}

/// The result of a lookup.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) addresses: Vec<SocketAddr>,
    /// How long the addresses are valid, by the records' TTL.
    pub(super) ttl: Duration,
}

/// Why the addresses of a name were not found.
#[derive(Debug)]
struct NotFound {
    why: String,
    /// DNS says that there is no such name, or that it has no addresses.
    is_absent: bool,
}

/// Looks up places. Created only for addresses that contain names.
#[derive(Debug)]
pub(super) struct Lookup {
    resolver: TokioResolver,
}

impl Lookup {
    pub(super) fn new(dns: &Dns) -> Result<Self, String> {
        let mut builder = match dns {
            Dns::System => TokioResolver::builder_tokio().map_err(|error| explain(&error))?,
            Dns::Server(address) => {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                for connection in &mut server.connections {
                    connection.port = address.port();
                }
                Resolver::builder_with_config(
                    ResolverConfig::from_name_servers(vec![server]),
                    TokioRuntimeProvider::default(),
                )
            }
        };
        tune(builder.options_mut());
        let resolver = builder.build().map_err(|error| explain(&error))?;
        Ok(Self { resolver })
    }

    /// Returns every address of `place`, at least one.
    pub(super) async fn find(&self, place: &Place) -> Result<Found, String> {
        let found = match place {
            Place::Fixed(address) => Found {
                addresses: vec![*address],
                ttl: Duration::MAX,
            },
            Place::Name { host, port } => {
                let found = self.find_name(host, *port).await;
                found.map_err(|not_found| not_found.why)?
            }
            Place::Service { name } => self.find_service(name).await?,
        };
        if found.addresses.is_empty() {
            return Err("no addresses".to_owned());
        }
        Ok(found)
    }

    async fn find_name(&self, host: &str, port: u16) -> Result<Found, NotFound> {
        match self.resolver.lookup_ip(host).await {
            Ok(lookup) => Ok(Found {
                addresses: lookup.iter().map(|ip| SocketAddr::new(ip, port)).collect(),
                ttl: shortest_ttl(lookup.as_lookup().answers()),
            }),
            Err(error) => Err(self.why_not(host, error).await),
        }
    }

    /// What the error of a lookup says. It is what came of the last question, for IPv6. The one before, for IPv4, may have failed,
    /// which says nothing of the name: so that one is asked once more.
    async fn why_not(&self, host: &str, error: NetError) -> NotFound {
        if !error.is_no_records_found() {
            return NotFound {
                why: explain(&error),
                is_absent: false,
            };
        }
        let again = self.resolver.lookup(host, RecordType::A).await;
        let again = again.as_ref().err();
        NotFound {
            why: explain(again.unwrap_or(&error)),
            is_absent: again.is_some_and(NetError::is_no_records_found),
        }
    }

    /// Takes only the records of the best priority, as RFC 2782 requires; the others are used once DNS no longer lists
    /// the better ones. Weights are ignored: the balancer measures the load that weights can only estimate.
    ///
    /// A target that does not exist is left out: an instance that has gone between the two answers, or a record that was
    /// left behind, must not hide all others. If DNS fails in any other way, nothing is known about that target, and the
    /// lookup fails.
    async fn find_service(&self, name: &str) -> Result<Found, String> {
        let lookup = self.resolver.lookup(name, RecordType::SRV).await;
        let lookup = lookup.map_err(|error| explain(&error))?;
        let records = || {
            lookup
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::SRV(service) => Some(service),
                    _ => None,
                })
        };
        let best = records().map(|service| service.priority).min();
        let mut found = Found {
            addresses: Vec::new(),
            ttl: shortest_ttl(lookup.answers()),
        };
        let mut left_out = None;
        // A target of "." means that the service is not offered.
        let offered =
            records().filter(|service| Some(service.priority) == best && !service.target.is_root());
        for service in offered {
            let host = service.target.to_string();
            match self.find_name(&host, service.port).await {
                Ok(target) => {
                    found.addresses.extend(target.addresses);
                    found.ttl = found.ttl.min(target.ttl);
                }
                Err(NotFound { why, is_absent }) if is_absent => {
                    tracing::debug!(record = name, why, "a target of a service is left out");
                    left_out = Some(why);
                }
                Err(NotFound { why, .. }) => return Err(why),
            }
        }
        match left_out {
            Some(why) if found.addresses.is_empty() => Err(why),
            _ => Ok(found),
        }
    }
}

fn tune(options: &mut ResolverOpts) {
    options.timeout = TRY_TIMEOUT;
    options.attempts = TRIES;
    // An instance with an address of both kinds is one endpoint, not two.
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    // No cache: the task looks a name up again when its TTL is over, and a cache could only return the old answer.
    options.cache_size = 0;
}

fn shortest_ttl(records: &[Record]) -> Duration {
    let seconds = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(seconds.unwrap_or_default().into())
}

/// One line for a person; the library's own text prints its structs.
fn explain(error: &NetError) -> String {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) if error.is_nx_domain() => {
            format!("{} does not exist", none.query.name())
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            format!("{} has no addresses", none.query.name())
        }
        NetError::Timeout => "DNS does not answer".to_owned(),
        error => format!("DNS fails: {error}"),
    }
}
