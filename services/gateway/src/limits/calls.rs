//! How many calls to one service behind are made for one client at once.
//!
//! A client reaches a service in many ways: by requests that are passed on, by the users and the dashboard of REST, by GraphQL,
//! whose documents can ask for fifty things side by side. If each way had places of its own, one client could take all that the
//! service has. So there is one line for each client and service, and every call takes its turn in it. What a client's requests
//! have waited in before are other lines (`Limits::turns`): whoever has a place here waits for nothing but its
//! answer, or for another service's line.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::client::Claimant;
use super::lines::Lines;
use crate::routes::Routes;
use crate::versions::Version;

/// The calls of one client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Calls {
    lines: Arc<Lines>,
    who: Claimant,
    until: Option<Instant>,
}

impl Calls {
    /// They take their turns in these.
    pub(crate) fn of(who: Claimant, lines: Arc<Lines>) -> Self {
        Self {
            lines,
            who,
            until: None,
        }
    }

    /// The same, for work whose calls all end then ([`client::within`]), and which wait for their turns until then only: a call
    /// that begins later has no time left, and fails at once.
    pub(crate) fn until(self, end: Instant) -> Self {
        Self {
            until: Some(end),
            ..self
        }
    }

    /// Makes a call to this service when it is the turn of its client, and of its site. Until then nothing of the call has begun.
    pub(crate) async fn make<F: Future>(&self, service: &'static str, call: F) -> F::Output {
        let turn = self.lines.turn(&self.who, service);
        let turn = match self.until {
            Some(end) => timeout_at(end, turn).await.ok().flatten(),
            None => turn.await,
        };
        let answer = call.await;
        if let Some(turn) = turn {
            // How long it was is not known here. The answer that is made of it is weighed by the line of its request.
            turn.answered(0);
        }
        answer
    }
}

/// The services that requests are passed on to, by the paths that begin so. Such a request is a call itself, and takes its turn
/// as one. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Prefixes(Arc<[(String, &'static str)]>);

impl Prefixes {
    pub(crate) fn of(versions: &[(Version, &Routes)]) -> Self {
        let rooted = versions.iter().flat_map(|(version, routes)| {
            let roots = version.roots().iter();
            roots.map(move |root| (*routes, *root))
        });
        let prefixes = rooted.flat_map(|(routes, root)| {
            let routes = routes.0.iter();
            routes.map(move |route| (format!("{root}{}", route.prefix), route.upstream.name()))
        });
        Self(prefixes.collect())
    }

    /// The service that a request with this path is passed on to.
    pub(crate) fn service(&self, path: &str) -> Option<&'static str> {
        let is_below = |prefix: &str| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let matching = self.0.iter().filter(|(prefix, _)| is_below(prefix));
        let longest = matching.max_by_key(|(prefix, _)| prefix.len());
        longest.map(|(_, service)| *service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on_is_known_by_its_longest_prefix() {
        let routes: Routes = "/orders=orders:/v1/orders,/orders/goods=products:/v1/products"
            .parse()
            .unwrap();
        let prefixes = Prefixes::of(&[(Version::V1, &routes)]);
        for (path, expected) in [
            ("/api/orders", Some("orders")),
            ("/api/v1/orders/1", Some("orders")),
            ("/api/orders/goods/1", Some("products")),
            ("/api/ordersx", None),
            ("/api/users/me", None),
            ("/graphql", None),
        ] {
            assert_eq!(prefixes.service(path), expected, "{path}");
        }
    }
}
