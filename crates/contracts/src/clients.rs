//! How to call each service: one typed client for each interface.
//!
//! A client is cheap to clone, connects when it is first used, and holds nobody's token: each call is on
//! behalf of one caller, whose token it carries, because every service checks it for itself.

mod admin;
mod catalog;
mod keys;
mod orders;
mod products;
mod query;
mod readiness;
mod users;
mod watch;

pub use admin::list_peers;
pub use catalog::Catalog;
pub use keys::{UsersKeys, jwk_set};
pub use orders::Orders;
pub use products::Products;
pub use readiness::report_lookups;
pub use users::Users;
pub use watch::watch_peers;
