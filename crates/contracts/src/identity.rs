//! The shop's identity in tokens and in problem documents.

use chassis::ServiceInfo;
use chassis::auth::{Realm, Role};

/// Whoever buys: sees and changes what is theirs.
pub const CUSTOMER: Role = Role::user("customer");
/// Whoever runs the shop: sees everything.
pub const ADMIN: Role = Role::admin("admin");

/// What tokens say: `users` issues them, every service checks them.
pub const REALM: Realm = Realm {
    issuer: "agora",
    audience: "agora",
    roles: &[CUSTOMER, ADMIN],
};

/// What the `type` of every problem document starts with: a reference to the host that was asked, where the gateway serves a
/// page for each ([`crate::problems`]). So it is one string on every machine, and it leads somewhere on each.
pub const PROBLEM_TYPES: &str = "/problems/";

/// A service of this shop.
#[must_use]
pub const fn service(name: &'static str) -> ServiceInfo {
    ServiceInfo {
        name,
        problem_types: PROBLEM_TYPES,
        has_sidecar: false,
    }
}
