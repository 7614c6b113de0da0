//! A user's orders: the request to the orders service, and the conversion of its answer.

use chassis::page::MAX_TOKEN_BYTES;
use client::CallError;
use contracts::{
    rest,
    users::v1::{GetUserOrdersResponse, Order, OrderItem},
};

use super::timestamp;
use crate::{domain::Violation, error::Error};

/// Orders on a page by default.
const DEFAULT_PAGE_ORDERS: u32 = 20;
/// The most orders on a page.
const MAX_PAGE_ORDERS: u32 = 100;

/// The number of orders to request.
pub(super) fn page_size(asked: i32) -> Result<u32, Error> {
    match u32::try_from(asked) {
        Ok(0) => Ok(DEFAULT_PAGE_ORDERS),
        Ok(size) if size <= MAX_PAGE_ORDERS => Ok(size),
        _ => Err(Error::Invalid(vec![Violation {
            field: "page_size",
            description: "must be between 1 and 100, or 0 for the default",
        }])),
    }
}

/// The page token; `None` for the first page. Its length is checked before orders is called, since it has to fit into
/// that request.
pub(super) fn page_token(asked: &str) -> Result<Option<&str>, Error> {
    match asked.len() {
        0 => Ok(None),
        1..=MAX_TOKEN_BYTES => Ok(Some(asked)),
        _ => Err(bad_token()),
    }
}

fn bad_token() -> Error {
    Error::Invalid(vec![Violation {
        field: "page_token",
        description: "must be the next_page_token of the page before, unchanged",
    }])
}

/// Converts a refusal of the orders service for our caller. `hurried`: the caller's deadline was shorter than our own
/// limit.
pub(super) fn refusal(error: CallError, hurried: bool) -> Error {
    match &error {
        CallError::Timeout { .. } if hurried => Error::Late,
        CallError::Problem(problem) if hurried && problem.status == 504 => Error::Late,
        // The size was checked here and the path is ours, so that only the token can be wrong.
        CallError::Problem(problem) if matches!(problem.status, 400 | 422) => bad_token(),
        error if error.is_not_found() => Error::NotFound,
        _ => Error::Orders(error),
    }
}

/// The page as a Protobuf message.
pub(super) fn to_wire(page: rest::OrderPage) -> GetUserOrdersResponse {
    GetUserOrdersResponse {
        orders: page.orders.into_iter().map(order).collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }
}

fn order(order: rest::Order) -> Order {
    Order {
        id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        status: order.status.to_string(),
        items: order.items.into_iter().map(item).collect(),
        total_amount: order.total_amount,
        currency: order.currency,
        created_at: Some(timestamp(order.created_at)),
        updated_at: Some(timestamp(order.updated_at)),
        reason: order.reason.unwrap_or_default(),
    }
}

fn item(item: rest::OrderItem) -> OrderItem {
    OrderItem {
        product_id: item.product_id.to_string(),
        quantity: item.quantity,
        unit_price: item.unit_price,
    }
}
