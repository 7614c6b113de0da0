//! JSON bodies of the services' REST: snake_case, RFC 3339 UTC times, money in minor units.
//! Version 1 is in `orders` and `products`, version 2 in [`v2`].

pub mod examples;
pub mod orders;
pub mod products;
pub mod v2;

pub use orders::{
    NewOrder, NewOrderItem, Order, OrderChange, OrderItem, OrderPage, OrderStatus, OrdersOfUser,
    OrdersOfUsers,
};
pub use products::{Product, ProductPage};
