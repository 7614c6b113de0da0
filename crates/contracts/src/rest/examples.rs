//! What the documents show: one purchase, told by every body. Since they are values of the types they cannot be out of date.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Order, OrderChange, OrderItem, OrderPage, OrderStatus, OrdersOfUser, OrdersOfUsers, Product,
    ProductPage,
};

const ORDER: Uuid = Uuid::from_u128(0x0192_d6f0_0000_7000_8000_0000_0000_0011);
const PRODUCT: Uuid = Uuid::from_u128(0x0192_d6f0_0000_7000_8000_0000_0000_0001);
const CURRENCY: &str = "EUR";
/// One piece, in cents.
const PRICE: i64 = 1_250;
const QUANTITY: u32 = 2;

/// Whose purchase it is.
pub const EXAMPLE_USER: Uuid = Uuid::from_u128(0x0192_d6f0_0000_7000_8000_0000_0000_0021);

/// Noon of the day of the purchase, and some seconds.
#[must_use]
pub fn example_time(seconds: u64) -> DateTime<Utc> {
    // 28 November 2026, 12:00 UTC.
    DateTime::UNIX_EPOCH + Duration::from_secs(1_795_867_200 + seconds)
}

impl Order {
    /// One that stands.
    #[must_use]
    pub fn example() -> Self {
        Self {
            id: ORDER,
            user_id: EXAMPLE_USER,
            status: OrderStatus::Confirmed,
            items: vec![OrderItem {
                product_id: PRODUCT,
                quantity: QUANTITY,
                unit_price: PRICE,
            }],
            total_amount: PRICE * i64::from(QUANTITY),
            currency: CURRENCY.to_owned(),
            created_at: example_time(0),
            updated_at: example_time(1),
            reason: None,
        }
    }
}

impl OrderChange {
    /// That the order stands.
    #[must_use]
    pub fn example() -> Self {
        Self {
            order_id: ORDER,
            sequence: 2,
            status: OrderStatus::Confirmed,
            reason: None,
            changed_at: example_time(1),
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

impl Product {
    /// What was bought.
    #[must_use]
    pub fn example() -> Self {
        Self {
            id: PRODUCT,
            name: "Green olives".to_owned(),
            description: "A jar of 300 g, in brine.".to_owned(),
            price: PRICE,
            currency: CURRENCY.to_owned(),
            available: 40,
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
