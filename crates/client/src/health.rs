//! Probes of the endpoints' health, independent of calls.
//!
//! While there are calls, the balancer learns more, and sooner, from them. Probes add two things: an endpoint that is
//! about to stop is known early (its `/readyz` says so before it closes its port), and one that has recovered is found
//! without using a caller's request as the probe.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;

use crate::body::RequestBody;
use crate::discovery::Snapshot;
use crate::endpoint::{GrpcEndpoints, Http1Endpoints};
use crate::failure::Failure;
use crate::{HealthCheck, Peer};

/// The interval between probes of an endpoint.
const PERIOD: Duration = Duration::from_secs(2);
/// How long the answer to a probe may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// This many bad answers in a row make an endpoint unhealthy, since a single one can be lost. One good answer makes it
/// healthy again, because it is warmed up slowly anyway.
const BAD_ANSWERS: u32 = 2;

/// Probes every endpoint of `peer` periodically and passes each result to `mark`. Returns at once if health checks are
/// off.
pub(crate) async fn watch(
    peer: Peer,
    found: watch::Receiver<Snapshot>,
    mark: impl Fn(SocketAddr, bool) + Send,
) {
    let Some(mut asker) = Asker::new(&peer) else {
        return;
    };
    let mut bad_answers: HashMap<SocketAddr, u32> = HashMap::new();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let endpoints = Arc::clone(&found.borrow().endpoints);
        bad_answers.retain(|endpoint, _| endpoints.contains(endpoint));
        for (endpoint, answer) in asker.ask_all(&endpoints).await {
            let Some(is_well) = answer else { continue };
            let bad = bad_answers.entry(endpoint).or_default();
            *bad = if is_well { 0 } else { bad.saturating_add(1) };
            mark(endpoint, *bad < BAD_ANSWERS);
        }
    }
}

/// Sends the probes.
enum Asker {
    Http {
        endpoints: Http1Endpoints,
        port: Option<u16>,
        path: String,
    },
    /// Uses connections of its own, so that an endpoint whose streams are all in use can still be probed.
    Grpc {
        endpoints: GrpcEndpoints,
        channels: HashMap<SocketAddr, Channel>,
    },
}

impl Asker {
    fn new(peer: &Peer) -> Option<Self> {
        match &peer.config.health {
            HealthCheck::Off => None,
            HealthCheck::Grpc => Some(Self::Grpc {
                endpoints: GrpcEndpoints::new(&peer.address, &peer.config),
                channels: HashMap::new(),
            }),
            HealthCheck::Http { port, path } => Some(Self::Http {
                endpoints: Http1Endpoints::new(&peer.address, &peer.config),
                port: *port,
                path: path.clone(),
            }),
        }
    }

    /// Probes all endpoints at the same time. `None` for an endpoint that could not be asked.
    async fn ask_all(&mut self, endpoints: &[SocketAddr]) -> Vec<(SocketAddr, Option<bool>)> {
        let mut answers = JoinSet::new();
        match self {
            Self::Http {
                endpoints: http,
                port,
                path,
            } => {
                for &endpoint in endpoints {
                    let at = SocketAddr::new(endpoint.ip(), port.unwrap_or(endpoint.port()));
                    let answer = get(http.at(at), path.clone());
                    answers.spawn(async move { (endpoint, in_time(answer).await) });
                }
            }
            Self::Grpc {
                endpoints: grpc,
                channels,
            } => {
                channels.retain(|endpoint, _| endpoints.contains(endpoint));
                for &endpoint in endpoints {
                    let channel = channels
                        .entry(endpoint)
                        .or_insert_with(|| grpc.channel(endpoint));
                    let answer = check(channel.clone());
                    answers.spawn(async move { (endpoint, in_time(answer).await) });
                }
            }
        }
        answers.join_all().await
    }
}

async fn in_time(answer: impl Future<Output = Option<bool>>) -> Option<bool> {
    timeout(ANSWER_TIMEOUT, answer).await.unwrap_or(Some(false))
}

async fn get(endpoint: crate::endpoint::Http1Endpoint, path: String) -> Option<bool> {
    let request = Request::get(path).body(RequestBody::whole(""));
    let Ok(request) = request else {
        return Some(false);
    };
    match endpoint.oneshot(request).await {
        Ok(answer) => Some(answer.status().is_success()),
        Err(failure) => no_answer(&failure),
    }
}

async fn check(channel: Channel) -> Option<bool> {
    // The empty service name stands for the server as a whole.
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    match answer {
        Ok(answer) => Some(answer.get_ref().status() == ServingStatus::Serving),
        Err(status) => no_answer(&Failure::from_connection(&status)),
    }
}

/// What it says about an endpoint that it did not answer; `None` if this process could not ask it, which is no endpoint's fault.
fn no_answer(failure: &Failure) -> Option<bool> {
    match failure {
        Failure::NoSocket(_) => None,
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_could_not_be_asked_is_not_unwell() {
        assert_eq!(no_answer(&Failure::NoSocket("none left".to_owned())), None);
        for failure in [Failure::Refused, Failure::Unsent, Failure::Broken] {
            assert_eq!(no_answer(&failure("why".to_owned())), Some(false));
        }
    }
}
