//! Bodies of the products service.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its id.
    pub id: Uuid,
    /// Short, for lists.
    pub name: String,
    /// A paragraph.
    pub description: String,
    /// One piece, in the currency's minor unit.
    pub price: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Pieces that can be ordered: the stock less what is reserved.
    pub available: i64,
}

/// One page of products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductPage {
    /// The page.
    pub products: Vec<Product>,
    /// Opaque; `null` on the last page.
    #[serde(default)]
    pub next_page_token: Option<String>,
}
