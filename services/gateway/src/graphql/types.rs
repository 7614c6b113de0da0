//! The object types of the schema.

mod address;
mod product;
mod user;

pub(super) use address::Address;
pub(super) use product::{Product, ProductConnection};
pub(super) use user::{Order, OrderConnection, OrderStatus, Session, User, UserConnection};

use async_graphql::{ID, Result, Scalar, ScalarType, SimpleObject, Value};
use async_graphql::{InputValueError, InputValueResult};
use chassis::problem::Problem;
use contracts::values;
use uuid::Uuid;

use super::refusal::error;

/// A whole number of 64 bits, as a JSON number. `Int` has 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Long(pub(super) i64);

/// A whole number of 64 bits, as a JSON number.
#[Scalar]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number.as_i64().map(Self),
            _ => None,
        }
        .ok_or_else(|| InputValueError::expected_type(value))
    }

    /// For the validation: what is none is refused before anything is executed.
    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::Number(number) if number.is_i64())
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.into())
    }
}

/// An amount of money.
#[derive(SimpleObject, Debug, Clone)]
pub(super) struct Money {
    /// In the currency's minor unit (cents).
    amount: Long,
    /// ISO 4217 code.
    currency: String,
}

impl Money {
    pub(super) fn new(amount: i64, currency: &str) -> Self {
        let (amount, currency) = (Long(amount), currency.to_owned());
        Self { amount, currency }
    }
}

impl From<&values::Money> for Money {
    fn from(money: &values::Money) -> Self {
        Self::new(money.amount, &money.currency)
    }
}

/// An id that a caller names. What is no UUID is the id of nothing.
///
/// # Errors
/// `not-found`.
pub(super) fn parse_id(id: &ID) -> Result<Uuid> {
    Uuid::try_parse(id).map_err(|_| error(&Problem::not_found()))
}
