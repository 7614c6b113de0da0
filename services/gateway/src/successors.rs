//! What of the public API has a successor: every answer about it says so, whoever gives it. A route, a limit on clients or the
//! door itself may refuse a request, and a client that is only ever refused has to learn of it, too.

use std::cmp::Reverse;
use std::sync::Arc;

use chassis::http::Mark;
use http::{HeaderMap, Uri};

use crate::rest;
use crate::routes::Routes;
use crate::versions::{Successor, Version};

/// Prefixes of paths, longest first, each with what follows it.
#[derive(Debug)]
pub(crate) struct Successors(Vec<(String, Successor)>);

impl Successors {
    /// What the gateway answers itself is in all versions; what it passes on has a successor if the next version has the same
    /// prefix.
    pub(crate) fn of(versions: &[(Version, &Routes)]) -> Self {
        let mut all = Vec::new();
        for (version, routes) in versions {
            let Some(next) = version.successor() else {
                continue;
            };
            let followed = |prefix: &str| {
                let mut of_next = versions.iter().filter(|(version, _)| *version == next);
                of_next.any(|(_, routes)| routes.0.iter().any(|route| route.prefix == prefix))
            };
            let passed_on = routes.0.iter().map(|route| route.prefix.as_str());
            let passed_on: Vec<_> = passed_on.filter(|prefix| followed(prefix)).collect();
            for root in version.roots() {
                for prefix in rest::PARTS.into_iter().chain(passed_on.iter().copied()) {
                    let successor = Successor::at(&format!("{}{prefix}", next.root()));
                    all.extend(successor.map(|it| (format!("{root}{prefix}"), it)));
                }
            }
        }
        all.sort_by_key(|(prefix, _)| Reverse(prefix.len()));
        Self(all)
    }

    /// What the door adds to its answers.
    pub(crate) fn mark(self) -> Mark {
        Arc::new(move |uri: &Uri, headers: &mut HeaderMap| self.announce(uri.path(), headers))
    }

    fn announce(&self, path: &str, headers: &mut HeaderMap) {
        let below = |prefix: &str| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut all = self.0.iter();
        if let Some((_, successor)) = all.find(|(prefix, _)| below(prefix)) {
            successor.announce(headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_next_version_has_goes() {
        let routes = |text: &str| text.parse::<Routes>().unwrap();
        let v1 =
            routes("/shop=orders:/v1/orders,/shop/goods=products:/v1/products,/old=orders:/v1/old");
        let v2 = routes("/shop=orders:/v2/orders,/shop/goods=products:/v2/products");
        let successors = Successors::of(&[(Version::V1, &v1), (Version::V2, &v2)]);
        for (path, expected) in [
            ("/api/shop", Some("/api/v2/shop")),
            ("/api/v1/shop/1", Some("/api/v2/shop")),
            ("/api/v1/shop/goods/1", Some("/api/v2/shop/goods")),
            ("/api/v1/users/me", Some("/api/v2/users")),
            ("/api/sessions", Some("/api/v2/sessions")),
            ("/api/shopping", None),
            ("/api/v1/old/1", None),
            ("/api/v2/shop/1", None),
            ("/api/v2/users/me", None),
            ("/graphql", None),
        ] {
            let mut headers = HeaderMap::new();
            successors.announce(path, &mut headers);
            let link = expected.map(|at| format!("<{at}>; rel=\"successor-version\""));
            let said = headers.get("link").map(|link| link.to_str().unwrap());
            assert_eq!(said, link.as_deref(), "{path}");
            assert_eq!(
                headers.contains_key("deprecation"),
                link.is_some(),
                "{path}"
            );
        }
    }
}
