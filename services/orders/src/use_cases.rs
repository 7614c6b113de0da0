//! What can be done with orders, a file for each use case. Their callers (the door in `rest.rs`, events in
//! `stock_events.rs`, the timer in `saga.rs`) decode, call one of these, and encode.

pub(crate) mod ask_again;
pub(crate) mod cancel;
pub(crate) mod decide;
pub(crate) mod look;
pub(crate) mod place;
pub(crate) mod watch;

use chassis::auth::Caller;

use crate::{
    domain::{Order, Status},
    error::Error,
};

/// Counts an order that has reached another status than `from`. One that is cancelled after its confirmation is counted twice;
/// those that were still undecided are told by `from`.
fn count_decided(order: &Order, from: Status) {
    let labels = [("status", order.status.as_str()), ("from", from.as_str())];
    metrics::counter!("orders_decided_total", &labels).increment(1);
}

/// The order, if it exists and the caller may see it. The error is the same in both cases, so that it does not reveal which.
fn visible(order: Option<Order>, caller: &Caller) -> Result<Order, Error> {
    order
        .filter(|order| caller.may_see(order.user_id))
        .ok_or(Error::NotFound)
}
