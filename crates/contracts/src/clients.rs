//! How to call each service: one typed client for each interface.
//!
//! A client is cheap to clone, connects when it is first used, and holds nobody's token: each call is on
//! behalf of one caller, whose token it carries, because every service checks it for itself.

mod catalog;
mod keys;
mod orders;
mod products;
mod query;
mod users;

pub use catalog::Catalog;
pub use keys::{UsersKeys, jwk_set};
pub use orders::{Orders, OrdersV2};
pub use products::{Products, ProductsV2};
pub use users::Users;
