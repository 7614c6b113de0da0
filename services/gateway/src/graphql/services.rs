//! The services that fields are answered by.

use contracts::clients::{Catalog, Orders, Products, Users};

/// Their clients: the same as those of REST, with the same limits and breakers; orders are asked in their newest version. Cheap
/// to clone.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    pub(crate) users: Users,
    pub(crate) orders: Orders,
    pub(crate) products: Products,
    pub(crate) catalog: Catalog,
}
