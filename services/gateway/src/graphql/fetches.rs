//! What the loaders ask for.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Result;
use contracts::clients::{Catalog, OrdersV2, Users};
use contracts::products::v1::Product;
use contracts::rest::v2;
use contracts::users::v1::User;
use futures::future::{join_all, try_join_all};
use uuid::Uuid;

use super::loader::Fetch;
use super::page::Page;
use super::refusal::{error, known_id, of_call};
use crate::error::from_call_to;

/// Users by their ids, as far as the caller may see them.
pub(super) struct UsersById {
    pub(super) users: Users,
    pub(super) token: Arc<str>,
}

impl Fetch for UsersById {
    type Key = Uuid;
    type Value = User;

    async fn fetch(&self, keys: Vec<Uuid>) -> Result<HashMap<Uuid, User>> {
        let calls = keys
            .chunks(Users::IDS_MAX)
            .map(|ids| self.users.get_users(&self.token, ids.iter().copied()));
        let found = try_join_all(calls).await.map_err(of_call)?;
        let found = found.into_iter().flatten();
        let keyed = found.map(|user| known_id("users", &user.id).map(|id| (id, user)));
        keyed.collect()
    }
}

/// Who answers for products by their ids, in the log.
const PEER: &str = "products-grpc";

/// Products by their ids.
pub(super) struct ProductsById(pub(super) Catalog);

impl Fetch for ProductsById {
    type Key = Uuid;
    type Value = Product;

    async fn fetch(&self, keys: Vec<Uuid>) -> Result<HashMap<Uuid, Product>> {
        let calls = keys
            .chunks(Catalog::IDS_MAX)
            .map(|ids| self.0.get_products(ids.iter().copied()));
        let found = try_join_all(calls).await;
        let found = found.map_err(|failed| error(&from_call_to(PEER, failed)))?;
        let found = found.into_iter().flatten();
        let keyed = found.map(|product| known_id(PEER, &product.id).map(|id| (id, product)));
        keyed.collect()
    }
}

/// Orders by their ids, each asked for by itself since no call takes several. They are known together: what the fields below them
/// ask for is one call then.
pub(super) struct OrdersById {
    pub(super) orders: OrdersV2,
    pub(super) token: Arc<str>,
}

impl Fetch for OrdersById {
    type Key = Uuid;
    /// One that fails takes no other with it.
    type Value = Result<v2::Order>;

    async fn fetch(&self, keys: Vec<Uuid>) -> Result<HashMap<Uuid, Self::Value>> {
        let calls = keys.into_iter().map(|id| async move {
            let order = self.orders.get(&self.token, id).await;
            (id, order.map_err(of_call))
        });
        Ok(join_all(calls).await.into_iter().collect())
    }
}

/// A page of one user's orders.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OrdersKey {
    pub(super) user_id: Uuid,
    pub(super) page: Page,
}

/// Orders of several users. Those who ask for the same page are asked for together.
pub(super) struct OrdersOfUsers {
    pub(super) orders: OrdersV2,
    pub(super) token: Arc<str>,
}

impl OrdersOfUsers {
    async fn of(
        &self,
        page: Page,
        users: &[Uuid],
    ) -> Result<Vec<(OrdersKey, Arc<v2::OrdersOfUser>)>> {
        let (first, after) = (page.first, page.after);
        let answer = self.orders.of_users(&self.token, users, first, after).await;
        let users = answer.map_err(of_call)?.users.into_iter();
        let keyed = |user: v2::OrdersOfUser| {
            let user_id = user.user_id;
            (OrdersKey { user_id, page }, Arc::new(user))
        };
        Ok(users.map(keyed).collect())
    }
}

impl Fetch for OrdersOfUsers {
    type Key = OrdersKey;
    type Value = Arc<v2::OrdersOfUser>;

    async fn fetch(&self, keys: Vec<OrdersKey>) -> Result<HashMap<OrdersKey, Self::Value>> {
        let mut by_page: HashMap<Page, Vec<Uuid>> = HashMap::new();
        for key in keys {
            by_page.entry(key.page).or_default().push(key.user_id);
        }
        let calls = by_page.iter().flat_map(|(page, users)| {
            let most = OrdersV2::USERS_MAX.min(OrdersV2::ORDERS_MAX / page.first as usize);
            users.chunks(most).map(|users| self.of(*page, users))
        });
        let found = try_join_all(calls).await?;
        Ok(found.into_iter().flatten().collect())
    }
}
