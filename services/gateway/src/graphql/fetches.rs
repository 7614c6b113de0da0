//! The calls of the loaders.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::Result;
use contracts::clients::{Catalog, OrdersV2, Users};
use contracts::products::v1::Product;
use contracts::rest::v2;
use contracts::users::v1::User;
use futures::future::join_all;
use uuid::Uuid;

use super::loader::{Answers, Fetch};
use super::page::Page;
use super::refusal::{error, known_id, of_call};
use crate::error::from_call_to;
use crate::limits::calls::Calls;

/// Merges the answers of several calls, each for a part of the keys. A failed call fails only its part.
fn of_parts<'a, K: Hash + Eq + Clone + 'a, V>(
    parts: impl Iterator<Item = &'a [K]>,
    answers: impl IntoIterator<Item = Result<Vec<(K, V)>>>,
) -> Answers<K, V> {
    let mut all = Answers::new();
    for (keys, answer) in parts.zip(answers) {
        match answer {
            Ok(found) => all.extend(found.into_iter().map(|(key, value)| (key, Ok(value)))),
            Err(failed) => all.extend(keys.iter().map(|key| (key.clone(), Err(failed.clone())))),
        }
    }
    all
}

/// Users by their ids, if the caller may see them.
pub(super) struct UsersById {
    pub(super) users: Users,
    pub(super) token: Arc<str>,
    pub(super) calls: Calls,
}

impl Fetch for UsersById {
    type Key = Uuid;
    type Value = User;

    async fn fetch(&self, keys: Vec<Uuid>) -> Answers<Uuid, User> {
        let parts = keys.chunks(Users::IDS_MAX);
        let calls = parts.clone().map(|ids| {
            let call = self.users.get_users(&self.token, ids.iter().copied());
            self.calls.make("users", call)
        });
        let answers = join_all(calls).await.into_iter().map(|found| {
            let found = found.map_err(of_call)?.into_iter();
            let keyed = found.map(|user| known_id("users", &user.id).map(|id| (id, user)));
            keyed.collect::<Result<Vec<_>>>()
        });
        of_parts(parts, answers)
    }
}

/// The name of the peer for products by their ids, in the log.
const PEER: &str = "products-grpc";

/// Products by their ids.
pub(super) struct ProductsById {
    pub(super) catalog: Catalog,
    pub(super) calls: Calls,
}

impl Fetch for ProductsById {
    type Key = Uuid;
    type Value = Product;

    async fn fetch(&self, keys: Vec<Uuid>) -> Answers<Uuid, Product> {
        let parts = keys.chunks(Catalog::IDS_MAX);
        let calls = parts.clone().map(|ids| {
            let call = self.catalog.get_products(ids.iter().copied());
            self.calls.make(PEER, call)
        });
        let answers = join_all(calls).await.into_iter().map(|found| {
            let found = found.map_err(|failed| error(&from_call_to(PEER, failed)))?;
            let keyed = found
                .into_iter()
                .map(|product| known_id(PEER, &product.id).map(|id| (id, product)));
            keyed.collect::<Result<Vec<_>>>()
        });
        of_parts(parts, answers)
    }
}

/// Orders by their ids, as far as the caller may see them.
pub(super) struct OrdersById {
    pub(super) orders: OrdersV2,
    pub(super) token: Arc<str>,
    pub(super) calls: Calls,
}

impl Fetch for OrdersById {
    type Key = Uuid;
    type Value = v2::Order;

    async fn fetch(&self, keys: Vec<Uuid>) -> Answers<Uuid, v2::Order> {
        let parts = keys.chunks(OrdersV2::IDS_MAX);
        let calls = parts.clone().map(|ids| {
            let call = self.orders.by_ids(&self.token, ids);
            self.calls.make("orders", call)
        });
        let answers = join_all(calls).await.into_iter().map(|found| {
            let orders = found.map_err(of_call)?.into_iter();
            let keyed = orders.map(|order| Ok((order.id, order)));
            keyed.collect::<Result<Vec<_>>>()
        });
        of_parts(parts, answers)
    }
}

/// A page of one user's orders.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OrdersKey {
    pub(super) user_id: Uuid,
    pub(super) page: Page,
}

/// Orders of several users. Users of whom the same page is wanted share a call.
pub(super) struct OrdersOfUsers {
    pub(super) orders: OrdersV2,
    pub(super) token: Arc<str>,
    pub(super) calls: Calls,
}

impl OrdersOfUsers {
    async fn of(
        &self,
        page: Page,
        keys: &[OrdersKey],
    ) -> Result<Vec<(OrdersKey, Arc<v2::OrdersOfUser>)>> {
        let users: Vec<_> = keys.iter().map(|key| key.user_id).collect();
        let (first, after) = (page.first, page.after);
        let call = self.orders.of_users(&self.token, &users, first, after);
        let answer = self.calls.make("orders", call);
        let users = answer.await.map_err(of_call)?.users.into_iter();
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

    async fn fetch(&self, keys: Vec<OrdersKey>) -> Answers<OrdersKey, Self::Value> {
        let mut by_page: HashMap<Page, Vec<OrdersKey>> = HashMap::new();
        for key in keys {
            by_page.entry(key.page).or_default().push(key);
        }
        let parts = by_page.iter().flat_map(|(page, keys)| {
            let most = OrdersV2::USERS_MAX.min(OrdersV2::ORDERS_MAX / page.first as usize);
            keys.chunks(most).map(move |keys| (*page, keys))
        });
        let parts: Vec<_> = parts.collect();
        let calls = parts.iter().map(|(page, keys)| self.of(*page, keys));
        let answers = join_all(calls).await;
        of_parts(parts.into_iter().map(|(_, keys)| keys), answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_fails_takes_no_other_with_it() {
        let keys = [1, 2, 3, 4];
        let answers = [Ok(vec![(2, "two")]), Err("away".into())];
        let all = of_parts(keys.chunks(2), answers);
        assert!(!all.contains_key(&1), "it does not exist");
        assert_eq!(all[&2].as_ref().unwrap(), &"two");
        for key in [3, 4] {
            assert_eq!(all[&key].as_ref().unwrap_err().message, "away");
        }
    }
}
