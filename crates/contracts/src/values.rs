//! What looks the same on every wire: in events and in REST bodies from version 2 on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount of money: one value, so that no amount goes anywhere without its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Money {
    /// In the currency's minor unit (cents).
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    pub currency: String,
}

/// Where something is sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Address {
    /// Who receives it there.
    #[schema(min_length = 1, max_length = 100, pattern = "\\S")]
    pub name: String,
    /// Street and number, or what stands for them.
    #[schema(min_length = 1, max_length = 100, pattern = "\\S")]
    pub street: String,
    /// Where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String, min_length = 1, max_length = 100, pattern = "\\S")]
    pub postal_code: Option<String>,
    /// The town.
    #[schema(min_length = 1, max_length = 100, pattern = "\\S")]
    pub city: String,
    /// ISO 3166-1 code of two capital letters.
    #[schema(pattern = "^[A-Z]{2}$", example = "GB")]
    pub country: String,
}
