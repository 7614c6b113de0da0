//! The orders service (REST).

use client::{CallContext, CallError, Events, HttpPool, Monitor, Peer, RestClient};
use uuid::Uuid;

use super::query::with_query;
use crate::rest::{OrderPage, v2};

/// A client of the orders service's `/v1`.
#[derive(Clone)]
pub struct Orders {
    rest: RestClient,
}

impl Orders {
    /// A client for `peer`; nothing is connected yet.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self::over(HttpPool::new(peer))
    }

    /// A client over a pool that others use, too.
    #[must_use]
    pub fn over(pool: HttpPool) -> Self {
        Self {
            rest: RestClient::over(pool),
        }
    }

    /// What can be seen and forced from outside.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.rest.monitor()
    }

    /// One page of a user's orders, newest first. Without a size: the service's default.
    ///
    /// # Errors
    /// See [`CallError`]; 404 also for a user that the caller may not see, 400 for a bad page token.
    pub async fn of_user(
        &self,
        token: &str,
        user_id: Uuid,
        page_size: Option<u32>,
        page_token: Option<&str>,
    ) -> Result<OrderPage, CallError> {
        let path = page_of_user("v1", user_id, page_size, page_token);
        self.rest.get(&path, &CallContext::bearer(token)).await
    }
}

impl Orders {
    /// The same service's `/v2`.
    #[must_use]
    pub fn v2(&self) -> OrdersV2 {
        OrdersV2 {
            rest: self.rest.clone(),
        }
    }
}

/// A client of the orders service's `/v2`.
#[derive(Clone)]
pub struct OrdersV2 {
    rest: RestClient,
}

impl OrdersV2 {
    /// Most orders in one call of [`OrdersV2::by_ids`].
    pub const IDS_MAX: usize = 100;
    /// Most users in one call of [`OrdersV2::of_users`].
    pub const USERS_MAX: usize = 100;
    /// Most orders in one answer of it: users times the size of the page.
    pub const ORDERS_MAX: usize = 1000;
    /// Most bytes of that answer: 1,000 orders of fifty lines and an address each have about six million.
    const OF_USERS_BYTES_MAX: usize = 8 << 20;

    /// Places an order. With an idempotency key it is safe to repeat.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn place(
        &self,
        token: &str,
        order: &v2::NewOrder,
        idempotency_key: Option<&str>,
    ) -> Result<v2::Order, CallError> {
        let mut context = CallContext::bearer(token);
        context.idempotency_key = idempotency_key.map(str::to_owned);
        self.rest.post("/v2/orders", order, &context).await
    }

    /// Several orders in one call, at most [`OrdersV2::IDS_MAX`], in the order asked for. Those that do not exist, and those that
    /// the caller may not see, are left out.
    ///
    /// # Errors
    /// See [`CallError`]; 400 for more than one call answers.
    pub async fn by_ids(&self, token: &str, ids: &[Uuid]) -> Result<Vec<v2::Order>, CallError> {
        let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
        let path = with_query("/v2/batch/orders", &[("ids", Some(&ids.join(",")))]);
        let found: v2::OrdersByIds = self.rest.get(&path, &CallContext::bearer(token)).await?;
        Ok(found.orders)
    }

    /// What changes in an order, as it happens: from the beginning, or after the change with the sequence `after`. Ends when
    /// the order can change no more; see [`Events`] for what happens when the service stops.
    ///
    /// # Errors
    /// See [`CallError`]; 404 also for an order that the caller may not see, 429 and 503 if too many are watched.
    pub async fn events(
        &self,
        token: &str,
        order_id: Uuid,
        after: Option<u64>,
    ) -> Result<Events<v2::OrderChange>, CallError> {
        let path = format!("/v2/orders/{order_id}/events");
        let after = after.map(|sequence| sequence.to_string());
        let context = CallContext::bearer(token);
        Events::open(self.rest.clone(), path, after.as_deref(), context).await
    }

    /// Takes an order back. Safe to repeat: one that is taken back already is answered as it is.
    ///
    /// # Errors
    /// See [`CallError`]; 409 when it cannot be cancelled any more.
    pub async fn cancel(&self, token: &str, order_id: Uuid) -> Result<v2::Order, CallError> {
        let path = format!("/v2/orders/{order_id}/cancel");
        let context = CallContext::bearer(token);
        self.rest.post_empty(&path, &context).await
    }

    /// One page of a user's orders, newest first. Without a size: the service's default.
    ///
    /// # Errors
    /// See [`CallError`]; 404 also for a user that the caller may not see, 400 for a bad page token.
    pub async fn of_user(
        &self,
        token: &str,
        user_id: Uuid,
        page_size: Option<u32>,
        page_token: Option<&str>,
    ) -> Result<v2::OrderPage, CallError> {
        let path = page_of_user("v2", user_id, page_size, page_token);
        self.rest.get(&path, &CallContext::bearer(token)).await
    }

    /// The same page for several users in one call: newest first, `page_size` of each, older than the order `before`.
    /// At most 100 users, and at most 1000 orders together. Users that the caller may not see are left out.
    ///
    /// # Errors
    /// See [`CallError`]; 400 for more than one call answers.
    pub async fn of_users(
        &self,
        token: &str,
        user_ids: &[Uuid],
        page_size: u32,
        before: Option<Uuid>,
    ) -> Result<v2::OrdersOfUsers, CallError> {
        let ids: Vec<_> = user_ids.iter().map(Uuid::to_string).collect();
        let (size, before) = (page_size.to_string(), before.map(|id| id.to_string()));
        let path = with_query(
            "/v2/users/orders",
            &[
                ("ids", Some(&ids.join(","))),
                ("page_size", Some(&size)),
                ("before", before.as_deref()),
            ],
        );
        let context = CallContext::bearer(token);
        self.rest
            .get_long(&path, Self::OF_USERS_BYTES_MAX, &context)
            .await
    }
}

/// The path of a page of a user's orders. The versions differ in what they answer, not in how they are asked.
fn page_of_user(
    version: &str,
    user_id: Uuid,
    page_size: Option<u32>,
    page_token: Option<&str>,
) -> String {
    let size = page_size.map(|size| size.to_string());
    with_query(
        &format!("/{version}/users/{user_id}/orders"),
        &[("page_size", size.as_deref()), ("page_token", page_token)],
    )
}

impl std::fmt::Debug for OrdersV2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrdersV2")
            .field("peer", self.rest.peer())
            .finish()
    }
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orders")
            .field("peer", self.rest.peer())
            .finish()
    }
}
