//! Where goods go: shown with an order, and said when it is placed.

use async_graphql::{InputObject, SimpleObject};
use contracts::values;

/// Where something is sent to.
#[derive(SimpleObject, InputObject, Debug, Clone)]
#[graphql(input_name = "AddressInput")]
pub(in crate::graphql) struct Address {
    /// Who receives it there.
    name: String,
    /// Street and number, or what stands for them.
    street: String,
    /// Where there is one.
    postal_code: Option<String>,
    /// The town.
    city: String,
    /// ISO 3166-1 code of two capital letters.
    country: String,
}

impl From<values::Address> for Address {
    fn from(address: values::Address) -> Self {
        Self {
            name: address.name,
            street: address.street,
            postal_code: address.postal_code,
            city: address.city,
            country: address.country,
        }
    }
}

impl From<Address> for values::Address {
    fn from(address: Address) -> Self {
        Self {
            name: address.name,
            street: address.street,
            postal_code: address.postal_code,
            city: address.city,
            country: address.country,
        }
    }
}
