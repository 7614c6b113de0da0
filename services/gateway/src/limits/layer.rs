//! The limits of each client, as a layer: the rate of its requests, and how many of them are processed at once.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::Shutdown;
use chassis::arrival::Held;
use chassis::auth::Caller;
use chassis::limits::outside;
use chassis::problem::Problem;
use chassis::proxies::TrustedProxies;

use super::calls::{Calls, Prefixes};
use super::client::{Claimant, Client};
use super::lines::{Lines, Turn};
use super::waiting::{MadeRoom, Waiting};
use super::{Limiter, PURGE_INTERVAL};
use crate::NAME;

/// The retry delay of a request that was dropped to make room for others.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The parts of the API that have lines of their own, beside [`GRAPHQL`].
const PARTS: [&str; 3] = ["users", "sessions", "dashboard"];
const GRAPHQL: &str = "graphql";

/// The state of the layers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Limits {
    /// `None` if the rate is not limited.
    pub(crate) requests: Option<Arc<Limiter>>,
    pub(crate) turns: Arc<Lines>,
    /// Of the calls to each service behind, whatever asks for them. Apart from the turns of requests, which hold theirs while they
    /// call: one that waited in the same line as its own calls could wait for itself.
    pub(crate) calls: Arc<Lines>,
    /// The requests that wait for their turns, in either.
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) passed_on: Prefixes,
    pub(crate) proxies: TrustedProxies,
}

impl Limits {
    /// Charges a message on a socket to the client's budget, like a request.
    ///
    /// # Errors
    /// 429 if the budget is used up.
    pub(crate) fn check(&self, client: &Client) -> Result<(), Problem> {
        let requests = self.requests.as_ref();
        requests.map_or(Ok(()), |requests| Ok(requests.check(client)?))
    }

    /// The calls that are made for the client at this address.
    pub(crate) fn calls_of(&self, client: Client, address: Option<IpAddr>) -> Calls {
        let who = Claimant::new(client, address, &self.proxies);
        Calls::of(who, Arc::clone(&self.calls))
    }

    /// Waits for the turn at `/graphql` of the client at this address.
    pub(crate) async fn turn(&self, client: Client, address: Option<IpAddr>) -> Option<Turn<'_>> {
        let who = Claimant::new(client, address, &self.proxies);
        self.turns.turn(&who, GRAPHQL).await
    }

    /// Removes the state of clients that were not seen for a while, periodically until the shutdown.
    pub(crate) async fn purge(self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PURGE_INTERVAL) => {
                    self.requests.iter().for_each(|limiter| limiter.purge());
                }
            }
        }
    }
}

/// Passes a request on if its client has budget left, and when it is its turn. It comes after authentication, which determines
/// the user; a request with an invalid token counts for its address. The turn ends when the answer begins, since how long a
/// streamed answer takes depends on its reader.
///
/// A request that waits for its turn holds no place among the requests in progress. If too many wait, the newest of the client with
/// the most at the site with the most is refused ([`Waiting`]); so is one whose large body has to make room.
pub(crate) async fn limit_clients(
    State(limits): State<Arc<Limits>>,
    mut request: Request,
    next: Next,
) -> Response {
    let (client, address) = client(&request, &limits.proxies);
    if let Err(problem) = limits.check(&client) {
        return problem.into_response();
    }
    let held = Held::take(request.extensions_mut());
    let service = limits.passed_on.service(request.uri().path());
    if service.is_none() {
        let calls = limits.calls_of(client, address);
        request.extensions_mut().insert(calls);
    }
    let (lines, line) = match service {
        Some(service) => (&limits.calls, service),
        None => (&limits.turns, part(request.uri().path())),
    };
    let who = Claimant::new(client, address, &limits.proxies);
    // Pinned here: a future that is moved into another one may take its room twice.
    let turn = pin!(lines.turn(&who, line));
    let turn = pin!(limits.waiting.until(&who, turn));
    let turn = match outside(held.until(turn)).await {
        Ok(Some(Ok(turn))) => turn,
        Ok(Some(Err(MadeRoom))) => return made_room("waiting"),
        Ok(None) => return made_room("body"),
        Err(overloaded) => return Problem::overloaded(overloaded.retry_after).into_response(),
    };
    let answer = next.run(request).await;
    if let (Some(turn), Some(bytes)) = (turn, answer.body().size_hint().exact()) {
        turn.answered(bytes);
    }
    answer
}

/// Refuses a request that made room for others, and counts it by what there was too much of.
fn made_room(of: &'static str) -> Response {
    metrics::counter!("http_requests_displaced_total", "service" => NAME, "of" => of).increment(1);
    Problem::overloaded(RETRY_AFTER).into_response()
}

/// The part of the API that a request is for, if the gateway answers it itself: the segment after `/api` and a version. Each part
/// has its own turns, so that requests for a service that hangs do not delay the client's other requests. Whatever else a client
/// asks for is one part, so that nobody makes lines up.
fn part(path: &str) -> &'static str {
    if path == "/graphql" {
        return GRAPHQL;
    }
    let mut segments = path.split('/').skip(2);
    let first = segments.next().unwrap_or_default();
    let part = match first.strip_prefix('v') {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            segments.next().unwrap_or_default()
        }
        _ => first,
    };
    let known = PARTS.into_iter().find(|known| *known == part);
    known.unwrap_or_default()
}

fn client(request: &Request, proxies: &TrustedProxies) -> (Client, Option<IpAddr>) {
    let extensions = request.extensions();
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    let address = info.map(|info| proxies.client(info.0.ip(), request.headers()));
    (Client::of(extensions.get::<Caller>(), address), address)
}

#[cfg(test)]
mod tests {
    use super::{GRAPHQL, part};

    #[test]
    fn a_part_is_the_same_in_each_version() {
        for (path, expected) in [
            ("/api/users", "users"),
            ("/api/users/1?x", "users"),
            ("/api/v1/dashboard/1", "dashboard"),
            ("/api/v12/sessions", "sessions"),
            ("/api/vases", ""),
            ("/api", ""),
            ("/graphql", GRAPHQL),
            ("/", ""),
        ] {
            assert_eq!(part(path), expected, "{path}");
        }
    }
}
