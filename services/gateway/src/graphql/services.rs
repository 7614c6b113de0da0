//! The clients of the services that resolve fields.

use contracts::clients::{Catalog, Orders, Products, Users};

/// The same clients as those of REST, with the same limits and breakers; orders is called in its newest version. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    pub(crate) users: Users,
    pub(crate) orders: Orders,
    pub(crate) products: Products,
    pub(crate) catalog: Catalog,
}
