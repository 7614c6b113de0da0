//! What is for sale.

use async_graphql::{Error, ID, Object, Result};
use contracts::{products, rest};
use uuid::Uuid;

use super::{Long, Money};
use crate::graphql::page::{PRODUCTS, connection};
use crate::graphql::refusal::known_id;

/// Something for sale.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Product {
    pub(in crate::graphql) id: Uuid,
    name: String,
    description: String,
    price: i64,
    currency: String,
    available: i64,
}

#[Object]
impl Product {
    async fn id(&self) -> ID {
        self.id.into()
    }

    /// Short, for lists.
    async fn name(&self) -> &str {
        &self.name
    }

    /// A paragraph.
    async fn description(&self) -> &str {
        &self.description
    }

    /// Of one piece, now.
    async fn price(&self) -> Money {
        Money::new(self.price, &self.currency)
    }

    /// Pieces that can be ordered: the stock less what is reserved.
    async fn available(&self) -> Long {
        Long(self.available)
    }
}

connection!(ProductConnection, ProductEdge, Product, PRODUCTS);

/// As it comes over gRPC.
impl TryFrom<products::v1::Product> for Product {
    type Error = Error;

    fn try_from(product: products::v1::Product) -> Result<Self> {
        Ok(Self {
            id: known_id("products-grpc", &product.id)?,
            name: product.name,
            description: product.description,
            price: product.price,
            currency: product.currency,
            available: product.available,
        })
    }
}

/// As it comes over REST.
impl From<rest::Product> for Product {
    fn from(product: rest::Product) -> Self {
        Self {
            id: product.id,
            name: product.name,
            description: product.description,
            price: product.price,
            currency: product.currency,
            available: product.available,
        }
    }
}
