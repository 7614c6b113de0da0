//! Bodies of the products service.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Something for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = Product::example)]
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
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    pub currency: String,
    /// Pieces that can be ordered: the stock less what is reserved.
    pub available: i64,
}

/// One page of products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = ProductPage::example)]
pub struct ProductPage {
    /// The page.
    pub products: Vec<Product>,
    /// Opaque; `null` on the last page.
    #[serde(default)]
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}
