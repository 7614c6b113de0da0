//! What looks the same on every wire: in events and in REST bodies from version 2 on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of money: one value, so that no amount goes anywhere without its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// In the currency's minor unit (cents).
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// Where something is sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// Who receives it there.
    pub name: String,
    /// Street and number, or what stands for them.
    pub street: String,
    /// Where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// The town.
    pub city: String,
    /// ISO 3166-1 code of two capital letters.
    pub country: String,
}
