//! Looking at orders.

use chassis::{auth::Caller, page::PageSize};
use uuid::Uuid;

use super::visible;
use crate::{app::App, domain::Order, error::Error, store};

/// One order of the caller's.
pub(crate) async fn one(app: &App, caller: &Caller, id: Uuid) -> Result<Order, Error> {
    visible(store::find(&app.pool, id).await?, caller)
}

/// A page of a user's orders, newest first, and the last of them if there are more: the position of the next page.
/// Keyset paging: an order that comes in while somebody pages neither repeats nor hides another.
pub(crate) async fn page(
    app: &App,
    caller: &Caller,
    user_id: Uuid,
    size: PageSize,
    before: Option<Uuid>,
) -> Result<(Vec<Order>, Option<Uuid>), Error> {
    if !caller.may_see(user_id) {
        return Err(Error::NotFound);
    }
    let mut orders = store::page(&app.pool, user_id, before, size.limit_with_next()).await?;
    let more = orders.len() > size.get() as usize;
    orders.truncate(size.get() as usize);
    let next = orders.last().filter(|_| more).map(|order| order.id);
    Ok((orders, next))
}
