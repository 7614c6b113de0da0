//! The same purchase as in the first version's examples, with what that one cannot say.

use super::{
    Order, OrderChange, OrderPage, OrdersByIds, OrdersOfUser, OrdersOfUsers, Product, ProductPage,
    v1,
};
use crate::rest::{self, examples::EXAMPLE_USER};
use crate::values::{Address, Money};

impl Order {
    /// One that stands and goes to an address.
    #[must_use]
    pub fn example() -> Self {
        let address = Address {
            name: "Ada Lovelace".to_owned(),
            street: "12 St James's Square".to_owned(),
            postal_code: Some("SW1Y 4JH".to_owned()),
            city: "London".to_owned(),
            country: "GB".to_owned(),
        };
        Self {
            shipping_address: Some(address),
            ..Self::from(v1::Order::example())
        }
    }
}

impl OrderChange {
    /// That the order stands.
    #[must_use]
    pub fn example() -> Self {
        let v1 = v1::OrderChange::example();
        Self {
            order_id: v1.order_id,
            sequence: v1.sequence,
            status: v1.status,
            reason: None,
            changed_at: v1.changed_at,
        }
    }
}

impl OrderPage {
    /// The last page.
    #[must_use]
    pub fn example() -> Self {
        Self {
            orders: vec![Order::example()],
            next_page_token: None,
        }
    }
}

impl OrdersOfUsers {
    /// Of one user.
    #[must_use]
    pub fn example() -> Self {
        let of_one = OrdersOfUser {
            user_id: EXAMPLE_USER,
            orders: vec![Order::example()],
            more: false,
        };
        Self {
            users: vec![of_one],
        }
    }
}

impl OrdersByIds {
    /// One of one.
    #[must_use]
    pub fn example() -> Self {
        Self {
            orders: vec![Order::example()],
        }
    }
}

impl Product {
    /// What was bought.
    #[must_use]
    pub fn example() -> Self {
        let v1 = rest::Product::example();
        Self {
            id: v1.id,
            name: v1.name,
            description: v1.description,
            price: Money {
                amount: v1.price,
                currency: v1.currency,
            },
            available: v1.available,
        }
    }
}

impl ProductPage {
    /// The last page.
    #[must_use]
    pub fn example() -> Self {
        Self {
            products: vec![Product::example()],
            next_page_token: None,
        }
    }
}
