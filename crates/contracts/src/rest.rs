//! JSON bodies of the services' REST: snake_case, RFC 3339 UTC times, money in minor units.

pub mod orders;
pub mod products;

pub use orders::{
    NewOrder, NewOrderItem, Order, OrderChange, OrderItem, OrderPage, OrderStatus, OrdersOfUser,
    OrdersOfUsers,
};
pub use products::{Product, ProductPage};
