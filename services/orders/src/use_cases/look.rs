//! Reading orders.

use std::collections::HashMap;

use chassis::{auth::Caller, page::PageSize};
use uuid::Uuid;

use super::visible;
use crate::{app::App, domain::Order, error::Error, store};

/// One order of the caller.
pub(crate) async fn one(app: &App, caller: &Caller, id: Uuid) -> Result<Order, Error> {
    visible(store::find(&app.pool, id).await?, caller)
}

/// Several orders, in the order of the ids. Each is authorized by itself: one that the caller may not see is left out, as one
/// that does not exist is.
pub(crate) async fn several(
    app: &App,
    caller: &Caller,
    ids: Vec<Uuid>,
) -> Result<Vec<Order>, Error> {
    let mut found = store::find_all(&app.pool, &ids).await?;
    let orders = ids.into_iter().filter_map(|id| found.remove(&id));
    Ok(orders
        .filter(|order| caller.may_see(order.user_id))
        .collect())
}

/// A page of a user's orders, newest first, and the id of the last one if there are more, which is the position of the next
/// page. Keyset paging: an order that is placed between two pages neither repeats nor hides another.
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

/// One user's part of [`pages`].
pub(crate) struct PageOfUser {
    pub(crate) user_id: Uuid,
    /// Newest first.
    pub(crate) orders: Vec<Order>,
    /// Whether there are older ones.
    pub(crate) more: bool,
}

/// The same page for several users, in the order of the ids. Each id is authorized separately: users that the caller may
/// not see are left out.
pub(crate) async fn pages(
    app: &App,
    caller: &Caller,
    mut user_ids: Vec<Uuid>,
    size: PageSize,
    before: Option<Uuid>,
) -> Result<Vec<PageOfUser>, Error> {
    user_ids.retain(|user_id| caller.may_see(*user_id));
    let found = store::pages(&app.pool, &user_ids, before, size.limit_with_next()).await?;
    let mut by_user: HashMap<Uuid, Vec<Order>> = HashMap::new();
    for order in found {
        by_user.entry(order.user_id).or_default().push(order);
    }
    let page = |user_id| {
        let mut orders = by_user.remove(&user_id).unwrap_or_default();
        let more = orders.len() > size.get() as usize;
        orders.truncate(size.get() as usize);
        PageOfUser {
            user_id,
            orders,
            more,
        }
    };
    Ok(user_ids.into_iter().map(page).collect())
}
