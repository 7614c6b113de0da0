//! Conversions between rows and domain types. A row that violates the domain's rules is a decoding error: it was not
//! written by this service, and is not corrected by a guess. Lines of addresses are text that is only shown, and are taken as they
//! are: what is required of new ones may change.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use contracts::values;

use crate::domain::{Address, AddressLine, Line, Money, Order, Quantity};

/// The columns of an order with its lines.
#[derive(FromRow)]
pub(super) struct OrderRow {
    id: Uuid,
    user_id: Uuid,
    status: String,
    reason: Option<String>,
    total_amount: i64,
    currency: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
    version: i64,
    asked: i32,
    ask_again_at: Option<DateTime<Utc>>,
    shipping_address: Option<Json<values::Address>>,
    #[sqlx(flatten)]
    lines: LineColumns,
}

/// The lines of one order, column by column.
#[derive(FromRow)]
struct LineColumns {
    product_ids: Vec<Uuid>,
    quantities: Vec<i32>,
    unit_prices: Vec<i64>,
}

/// The columns of orders that can change, each as an array for `unnest`.
#[derive(Default)]
pub(super) struct OrderColumns {
    pub(super) ids: Vec<Uuid>,
    pub(super) statuses: Vec<&'static str>,
    pub(super) reasons: Vec<Option<String>>,
    pub(super) updated_at: Vec<DateTime<Utc>>,
    pub(super) confirmed_at: Vec<Option<DateTime<Utc>>>,
    pub(super) versions: Vec<i64>,
    pub(super) asked: Vec<i32>,
    pub(super) ask_again_at: Vec<Option<DateTime<Utc>>>,
}

impl OrderColumns {
    pub(super) fn of<'a>(orders: impl IntoIterator<Item = &'a Order>) -> Self {
        let mut columns = Self::default();
        for order in orders {
            columns.ids.push(order.id);
            columns.statuses.push(order.status.as_str());
            columns.reasons.push(order.reason.clone());
            columns.updated_at.push(order.updated_at);
            columns.confirmed_at.push(order.confirmed_at);
            columns.versions.push(order.version);
            columns
                .asked
                .push(i32::try_from(order.asked).unwrap_or(i32::MAX));
            columns.ask_again_at.push(order.ask_again_at);
        }
        columns
    }
}

impl TryFrom<OrderRow> for Order {
    type Error = sqlx::Error;

    fn try_from(row: OrderRow) -> Result<Self, sqlx::Error> {
        let currency = row.currency.parse().map_err(decode)?;
        let LineColumns {
            product_ids,
            quantities,
            unit_prices,
        } = row.lines;
        let lines = product_ids
            .into_iter()
            .zip(quantities)
            .zip(unit_prices)
            .map(|((product_id, pieces), unit_price)| {
                let quantity =
                    Quantity::new(u64::try_from(pieces).map_err(decode)?).map_err(decode)?;
                Ok(Line {
                    product_id,
                    quantity,
                    unit_price: Money::new(unit_price, currency),
                })
            })
            .collect::<Result<_, sqlx::Error>>()?;
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            status: row.status.parse().map_err(decode)?,
            reason: row.reason,
            lines,
            total: Money::new(row.total_amount, currency),
            shipping_address: row
                .shipping_address
                .map(|Json(stored)| address(&stored))
                .transpose()?,
            created_at: row.created_at,
            updated_at: row.updated_at,
            confirmed_at: row.confirmed_at,
            version: row.version,
            asked: u32::try_from(row.asked).map_err(decode)?,
            ask_again_at: row.ask_again_at,
        })
    }
}

fn address(stored: &values::Address) -> Result<Address, sqlx::Error> {
    Ok(Address {
        name: AddressLine::stored(&stored.name),
        street: AddressLine::stored(&stored.street),
        postal_code: stored.postal_code.as_deref().map(AddressLine::stored),
        city: AddressLine::stored(&stored.city),
        country: stored.country.parse().map_err(decode)?,
    })
}

pub(super) fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
