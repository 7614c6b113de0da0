//! Prefix routes: the paths of the API that are passed on, with their services.
//!
//! Written as `/orders=orders:/v1/orders,/products=products:/v1/products`: what comes to `/api/orders/…` and
//! `/api/v1/orders/…` is passed to the service `orders` at `/v1/orders/…`.

use std::fmt;
use std::str::FromStr;

use strum::{EnumString, IntoStaticStr, VariantNames};

/// The most prefix routes; more are a mistake in the configuration.
pub const ROUTES_MAX: usize = 64;

/// The first segments of the gateway's own routes, with which no prefix route may begin.
const OWN: [&str; 5] = ["users", "sessions", "dashboard", "v1", "v2"];

/// A service that prefix routes can lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Upstream {
    /// The orders service.
    Orders,
    /// The products service, over REST.
    Products,
}

impl Upstream {
    /// Its name in configuration, errors and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether some of its routes need no token. For the other services the gateway refuses requests with an invalid token itself;
    /// they check each token again.
    pub(crate) const fn is_open(self) -> bool {
        match self {
            Self::Orders => false,
            Self::Products => true,
        }
    }
}

/// One prefix and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The prefix below the roots of its version (`/api`, `/api/v1`), for example `/orders`.
    pub prefix: String,
    /// The service.
    pub upstream: Upstream,
    /// The prefix at the service, for example `/v1/orders`.
    pub target: String,
}

/// The prefix routes, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes(pub Vec<Route>);

impl FromStr for Routes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut routes: Vec<Route> = Vec::new();
        for entry in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            let route: Route = entry.parse()?;
            if routes.iter().any(|other| other.prefix == route.prefix) {
                return Err(format!("the prefix {} is there twice", route.prefix));
            }
            routes.push(route);
        }
        if routes.len() > ROUTES_MAX {
            return Err(format!(
                "{} routes, at most {ROUTES_MAX} are allowed",
                routes.len()
            ));
        }
        Ok(Self(routes))
    }
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not of the form /prefix=service:/path");
        let (prefix, rest) = text.split_once('=').ok_or_else(form)?;
        let (name, target) = rest.split_once(':').ok_or_else(form)?;
        let upstream = name.parse::<Upstream>().map_err(|_| {
            let names = Upstream::VARIANTS.join(" and ");
            format!("there is no service {name:?}: {names} are")
        })?;
        if !is_plain_path(prefix) || !is_plain_path(target) {
            return Err(format!(
                "{text:?}: paths are made of /segments of a-z, 0-9, - and _"
            ));
        }
        if let Some(own) = OWN
            .iter()
            .find(|own| prefix[1..].split('/').next() == Some(own))
        {
            return Err(format!("{prefix:?}: the gateway answers /{own} itself"));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            upstream,
            target: target.to_owned(),
        })
    }
}

fn is_plain_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/')
            .all(|segment| !segment.is_empty() && segment.bytes().all(plain))
    })
}

impl fmt::Display for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (
            i,
            Route {
                prefix,
                upstream,
                target,
            },
        ) in self.0.iter().enumerate()
        {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{prefix}={}:{target}", upstream.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_and_written_alike() {
        let text = "/orders=orders:/v1/orders,/shop/goods=products:/v1/products";
        let routes: Routes = text.parse().unwrap();
        assert_eq!(routes.to_string(), text);
        assert_eq!(routes.0[1].upstream, Upstream::Products);
        assert_eq!("".parse::<Routes>().unwrap().0, []);
    }

    #[test]
    fn a_bad_route_says_what_is_allowed() {
        for (bad, hint) in [
            ("/orders", "/prefix=service:/path"),
            ("/orders=orders", "/prefix=service:/path"),
            ("/orders=mail:/v1", "orders and products"),
            ("orders=orders:/v1/orders", "/segments"),
            ("/orders/=orders:/v1/orders", "/segments"),
            ("/or{d}ers=orders:/v1/orders", "/segments"),
            ("/orders=orders:", "/segments"),
            ("/users=orders:/v1/orders", "itself"),
            ("/users/x=orders:/v1/orders", "itself"),
            ("/v1=orders:/v1/orders", "itself"),
            ("/v2/orders=orders:/v1/orders", "itself"),
            ("/a=orders:/v1,/a=products:/v1", "twice"),
        ] {
            let error = bad.parse::<Routes>().unwrap_err();
            assert!(error.contains(hint), "{bad}: {error}");
        }
    }
}
