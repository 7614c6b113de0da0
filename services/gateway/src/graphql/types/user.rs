//! Users, and tokens.

mod order;

pub(in crate::graphql) use order::{Order, OrderConnection, OrderStatus};

use async_graphql::{Context, Error, ID, Object, Result, SimpleObject};
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use contracts::users::v1;
use uuid::Uuid;

use crate::graphql::asking::Asking;
use crate::graphql::page::{USERS, connection};
use crate::graphql::refusal::{error, known_id, nullable};
use crate::rest::view;

/// A user.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct User {
    pub(in crate::graphql) id: Uuid,
    email: String,
    name: String,
    created_at: Option<DateTime<Utc>>,
}

#[Object]
impl User {
    async fn id(&self) -> ID {
        self.id.into()
    }

    async fn email(&self) -> &str {
        &self.email
    }

    /// How to address them.
    async fn name(&self) -> &str {
        &self.name
    }

    /// When they signed up.
    async fn created_at(&self) -> Option<DateTime<Utc>> {
        self.created_at
    }

    /// Their orders, newest first.
    async fn orders(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100; 20 if not said.")] first: Option<i64>,
        #[graphql(desc = "The cursor that the page begins behind.")] after: Option<String>,
    ) -> Option<Result<OrderConnection>> {
        nullable(async {
            OrderConnection::of_user(Asking::of(context)?, self.id, first, after.as_deref()).await
        })
        .await
    }
}

connection!(UserConnection, UserEdge, User, USERS);

impl User {
    /// The user with this id, asked for together with all others of the request.
    ///
    /// # Errors
    /// Those of [`Asking::may_see`] and of the call; `not-found` if there is no such user.
    pub(in crate::graphql) async fn of(asking: &Asking, id: Uuid) -> Result<Self> {
        asking.may_see(id)?;
        let user = asking.users.load(id).await?;
        user.ok_or_else(|| error(&Problem::not_found()))?.try_into()
    }
}

impl TryFrom<v1::User> for User {
    type Error = Error;

    fn try_from(user: v1::User) -> Result<Self> {
        Ok(Self {
            id: known_id("users", &user.id)?,
            email: user.email,
            name: user.name,
            created_at: view::time(user.created_at),
        })
    }
}

/// A token, in the words of RFC 6749 section 5.1.
#[derive(SimpleObject, Debug)]
pub(in crate::graphql) struct Session {
    /// Send it as `Authorization: Bearer`.
    access_token: String,
    token_type: String,
    /// Seconds.
    expires_in: i64,
}

impl From<v1::AuthenticateResponse> for Session {
    fn from(answer: v1::AuthenticateResponse) -> Self {
        Self {
            access_token: answer.access_token,
            token_type: answer.token_type,
            expires_in: answer.expires_in,
        }
    }
}
