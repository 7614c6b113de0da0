//! The queries.

use async_graphql::{Context, ID, Object, Result};
use chassis::problem::Problem;
use client::CallError;
use contracts::users::v1::{self, ListUsersRequest};
use futures::TryStreamExt;

use super::asking::Asking;
use super::page::{PRODUCTS, USERS};
use super::refusal::{error, nullable, of_call};
use super::types::{
    Order, OrderConnection, Product, ProductConnection, User, UserConnection, parse_id,
};

/// Each field is answered or not by itself: one that fails is null, with an error that has its path, and the others
/// are there.
pub(super) struct Query;

#[Object]
impl Query {
    /// Who is signed in.
    async fn me(&self, context: &Context<'_>) -> Option<Result<User>> {
        nullable(async {
            let asking = Asking::of(context)?;
            let id = asking.caller()?.user_id;
            User::of(asking, id).await.map(Some)
        })
        .await
    }

    /// A user: oneself, or anybody for an admin.
    async fn user(&self, context: &Context<'_>, id: ID) -> Option<Result<User>> {
        nullable(async {
            let asking = Asking::of(context)?;
            // Without a token the answer reveals nothing about the id, not even whether it is valid.
            asking.caller()?;
            User::of(asking, parse_id(&id)?).await.map(Some)
        })
        .await
    }

    /// All users, oldest first. For admins.
    async fn users(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100; 20 if not said.")] first: Option<i64>,
        #[graphql(desc = "The cursor that the page begins behind.")] after: Option<String>,
    ) -> Option<Result<UserConnection>> {
        nullable(async {
            let asking = Asking::of(context)?;
            let token = &asking.admin()?.token;
            let page = USERS.page(first, after.as_deref())?;
            // One more than requested, which shows without counting whether there is a next page.
            let request = ListUsersRequest {
                page_size: 0,
                after_user_id: page.after.map(|id| id.to_string()).unwrap_or_default(),
                limit: page.first.cast_signed() + 1,
            };
            // It keeps its turn until the last user of the stream.
            let listed = asking.calls.make("users", async {
                let users = asking.services.users.list_users(token, request).await?;
                let users = users.map_err(CallError::from);
                users.try_collect::<Vec<_>>().await
            });
            let mut users = listed.await.map_err(of_call)?;
            let has_next = users.len() > page.first as usize;
            users.truncate(page.first as usize);
            let users = users.into_iter().map(|user| known(asking, user));
            let users: Vec<_> = users.collect::<Result<_>>()?;
            let items = users.into_iter().map(|user| (user.id, user));
            UserConnection::new(page, has_next, items).map(Some)
        })
        .await
    }

    /// An order of one's own, or anybody's for an admin.
    async fn order(&self, context: &Context<'_>, id: ID) -> Option<Result<Order>> {
        nullable(async {
            let asking = Asking::of(context)?;
            asking.caller()?;
            let found = asking.orders_by_id.load(parse_id(&id)?).await?;
            let found = found.ok_or_else(|| error(&Problem::not_found()))?;
            Ok(Some(Order(found)))
        })
        .await
    }

    /// One's own orders, newest first.
    async fn orders(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100; 20 if not said.")] first: Option<i64>,
        #[graphql(desc = "The cursor that the page begins behind.")] after: Option<String>,
    ) -> Option<Result<OrderConnection>> {
        nullable(async {
            let asking = Asking::of(context)?;
            let user_id = asking.caller()?.user_id;
            OrderConnection::of_user(asking, user_id, first, after.as_deref()).await
        })
        .await
    }

    /// A product.
    async fn product(&self, context: &Context<'_>, id: ID) -> Option<Result<Product>> {
        nullable(async {
            let found = Asking::of(context)?.products.load(parse_id(&id)?).await?;
            let found = found.ok_or_else(|| error(&Problem::not_found()))?;
            Product::try_from(found).map(Some)
        })
        .await
    }

    /// What is for sale.
    async fn products(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What the name or the description has to contain.")] query: Option<String>,
        #[graphql(desc = "How many, 1 to 100; 20 if not said.")] first: Option<i64>,
        #[graphql(desc = "The cursor that the page begins behind.")] after: Option<String>,
    ) -> Option<Result<ProductConnection>> {
        nullable(async {
            let page = PRODUCTS.page(first, after.as_deref())?;
            let asking = Asking::of(context)?;
            let products = &asking.services.products;
            let call = products.list_after(page.first, page.after, query.as_deref());
            let found = asking.calls.make("products", call).await;
            let found = found.map_err(of_call)?;
            let items = found.products.into_iter();
            let items = items.map(|product| (product.id, Product::from(product)));
            ProductConnection::new(page, found.next_page_token.is_some(), items).map(Some)
        })
        .await
    }
}

/// A user that a call returned; cached, so that it is not fetched again.
fn known(asking: &Asking, user: v1::User) -> Result<User> {
    let shown = User::try_from(user.clone())?;
    asking.users.know(shown.id, user);
    Ok(shown)
}
