//! The background lookups.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backoff::Backoff;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::address::Place;
use super::dns::{Dns, Found, Lookup};
use super::{Lookups, Snapshot, sorted};

/// The shortest interval between lookups of a name, whatever its TTL: a TTL of 0 (Kubernetes) would mean lookups
/// without pause.
pub const REFRESH_MIN: Duration = Duration::from_secs(1);
/// The longest interval between lookups of a name: Docker's DNS gives a TTL of 600 s to addresses that change at the
/// next restart.
pub const REFRESH_MAX: Duration = Duration::from_secs(60);
/// The longest pause that is added to [`REFRESH_MIN`] while lookups fail.
const FAILING_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Looks up `places` again and again, until the task is aborted.
pub(super) async fn keep(
    peer: &'static str,
    places: Vec<Place>,
    dns: Dns,
    state: watch::Sender<Snapshot>,
    hurry: Arc<Notify>,
) {
    let mut places: Vec<Known> = places.into_iter().map(Known::new).collect();
    let mut lookup = None;
    let mut backoff = Backoff::new(REFRESH_MIN, FAILING_PAUSE_MAX);
    loop {
        let started = Instant::now();
        let round = round(&dns, &mut lookup, &mut places).await;
        let pause = match &round {
            Ok(ttl) => {
                backoff.reset();
                (*ttl).clamp(REFRESH_MIN, REFRESH_MAX)
            }
            // Randomised, so that callers do not return to a name server all at once.
            Err(_) => REFRESH_MIN + backoff.next(),
        };
        let addresses = places.iter().flat_map(|known| &known.addresses).copied();
        publish(peer, &state, sorted(addresses.collect()), round.err());
        sleep_until(started + REFRESH_MIN).await;
        tokio::select! {
            () = sleep_until(started + pause) => {}
            () = hurry.notified() => {}
        }
    }
}

/// One place and its last good addresses.
struct Known {
    place: Place,
    addresses: Vec<SocketAddr>,
}

impl Known {
    fn new(place: Place) -> Self {
        let addresses = match &place {
            Place::Fixed(address) => vec![*address],
            _ => Vec::new(),
        };
        Self { place, addresses }
    }
}

/// Looks each place up once and keeps the addresses found. Returns the shortest TTL, or the first failure.
async fn round(
    dns: &Dns,
    lookup: &mut Option<Lookup>,
    places: &mut [Known],
) -> Result<Duration, String> {
    // Tried again each round: a machine without a resolv.conf may get one later.
    let lookup = match lookup {
        Some(lookup) => lookup,
        None => lookup.insert(Lookup::new(dns)?),
    };
    let mut result = Ok(Duration::MAX);
    for known in places {
        match lookup.find(&known.place).await {
            Ok(Found { addresses, ttl }) => {
                known.addresses = addresses;
                result = result.map(|shortest| ttl.min(shortest));
            }
            Err(why) => result = result.and(Err(why)),
        }
    }
    result
}

/// Publishes the result, and logs one line if it differs from the previous one.
fn publish(
    peer: &'static str,
    state: &watch::Sender<Snapshot>,
    endpoints: Vec<SocketAddr>,
    failure: Option<String>,
) {
    let now = Snapshot {
        endpoints: endpoints.into(),
        health: failure.map_or(Lookups::Good, Lookups::Failing),
    };
    let before = state.borrow().clone();
    let failed_before = matches!(before.health, Lookups::Failing(_));
    match &now.health {
        Lookups::Failing(reason) if !failed_before => {
            let kept = now.endpoints.len();
            tracing::warn!(peer, reason, kept, "the endpoints cannot be looked up");
        }
        Lookups::Good if failed_before || before.endpoints != now.endpoints => {
            let endpoints = &now.endpoints;
            tracing::info!(peer, ?endpoints, "endpoints found");
        }
        _ => {}
    }
    state.send_if_modified(|state| {
        let is_news = *state != now;
        *state = now;
        is_news
    });
}
