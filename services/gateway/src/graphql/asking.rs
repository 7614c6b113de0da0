//! The caller of a request, its permissions and its loaders. Created for each request.

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::{Context, Result};
use chassis::auth::Caller;
use chassis::problem::Problem;
use uuid::Uuid;

use super::fetches::{OrdersById, OrdersOfUsers, ProductsById, UsersById};
use super::idle::Idle;
use super::loader::Loader;
use super::refusal::error;
use super::seen::Seen;
use super::services::Services;
use crate::limits::calls::Calls;

/// One request's caller and loaders.
pub(super) struct Asking {
    pub(super) services: Services,
    /// For what is asked or changed without a loader.
    pub(super) calls: Calls,
    /// Why there is none, if there is none.
    caller: Result<Caller, Problem>,
    /// The client's address, by which users limits failed attempts.
    pub(super) address: Option<IpAddr>,
    /// The position of the reader of a subscription.
    pub(super) seen: Seen,
    pub(super) products: Loader<ProductsById>,
    pub(super) users: Loader<UsersById>,
    pub(super) orders: Loader<OrdersOfUsers>,
    pub(super) orders_by_id: Loader<OrdersById>,
}

impl Asking {
    pub(super) fn new(
        services: Services,
        caller: Result<Caller, Problem>,
        address: Option<IpAddr>,
        calls: Calls,
        idle: &Arc<Idle>,
    ) -> Self {
        // Without a caller these loaders are never used.
        let token = caller.as_ref().map(|caller| caller.token.as_str());
        let token: Arc<str> = token.unwrap_or_default().into();
        Self {
            products: Loader::new(
                ProductsById {
                    catalog: services.catalog.clone(),
                    calls: calls.clone(),
                },
                Arc::clone(idle),
            ),
            users: Loader::new(
                UsersById {
                    users: services.users.clone(),
                    token: Arc::clone(&token),
                    calls: calls.clone(),
                },
                Arc::clone(idle),
            ),
            orders: Loader::new(
                OrdersOfUsers {
                    orders: services.orders.v2(),
                    token: Arc::clone(&token),
                    calls: calls.clone(),
                },
                Arc::clone(idle),
            ),
            orders_by_id: Loader::new(
                OrdersById {
                    orders: services.orders.v2(),
                    token,
                    calls: calls.clone(),
                },
                Arc::clone(idle),
            ),
            services,
            calls,
            caller,
            address,
            seen: Seen::default(),
        }
    }

    /// The one of the field that is being resolved.
    pub(super) fn of<'a>(context: &Context<'a>) -> Result<&'a Self> {
        context.data::<Self>()
    }

    /// The signed-in caller.
    ///
    /// # Errors
    /// `unauthorized` without a valid token, with the reason; `unavailable` if the token cannot be checked.
    pub(super) fn caller(&self) -> Result<&Caller> {
        self.caller.as_ref().map_err(error)
    }

    /// The caller, if they may see the data of this user.
    ///
    /// # Errors
    /// Those of [`Asking::caller`]; `not-found` as if there was no such user.
    pub(super) fn may_see(&self, user_id: Uuid) -> Result<&Caller> {
        let caller = self.caller()?;
        if caller.may_see(user_id) {
            Ok(caller)
        } else {
            Err(error(&Problem::not_found()))
        }
    }

    /// The caller, if an admin.
    ///
    /// # Errors
    /// Those of [`Asking::caller`]; `forbidden`.
    pub(super) fn admin(&self) -> Result<&Caller> {
        let caller = self.caller()?;
        if caller.is_admin() {
            Ok(caller)
        } else {
            Err(error(&Problem::forbidden()))
        }
    }
}
