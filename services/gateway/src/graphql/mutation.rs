//! The mutations. They run one after another, as the specification requires.

use async_graphql::{Context, ID, InputObject, Object, Result};
use chassis::problem::{FieldError, Problem};
use contracts::rest::NewOrderItem;
use contracts::rest::v2::NewOrder;
use contracts::users::v1::{AuthenticateRequest, CreateUserRequest};
use uuid::Uuid;

use super::asking::Asking;
use super::refusal::{error, nullable, of_call};
use super::types::{Address, Order, Session, User, parse_id};
use crate::error::from_sign_in;

/// A change that fails is null, with an error that has its path; those after it are made.
pub(super) struct Mutation;

/// One line to order.
#[derive(InputObject, Debug)]
struct OrderLine {
    product_id: ID,
    /// Pieces, at least 1.
    // As `first` of a connection: what has more than 32 bits is an error of its field.
    quantity: i64,
}

#[Object]
impl Mutation {
    /// Signs a customer up.
    async fn sign_up(
        &self,
        context: &Context<'_>,
        email: String,
        name: String,
        password: String,
    ) -> Option<Result<User>> {
        nullable(async {
            let asking = Asking::of(context)?;
            let new = CreateUserRequest {
                email,
                name,
                password,
            };
            let call = asking.services.users.create_user(new, asking.address);
            let user = asking.calls.make("users", call).await;
            User::try_from(user.map_err(of_call)?).map(Some)
        })
        .await
    }

    /// Exchanges an email and a password for a token.
    async fn sign_in(
        &self,
        context: &Context<'_>,
        email: String,
        password: String,
    ) -> Option<Result<Session>> {
        nullable(async {
            let asking = Asking::of(context)?;
            let credentials = AuthenticateRequest {
                email,
                password,
                expires_in: 0,
            };
            let users = &asking.services.users;
            let call = users.authenticate(credentials, asking.address);
            let answer = asking.calls.make("users", call).await;
            answer
                .map(|answer| Some(answer.into()))
                .map_err(|failed| error(&from_sign_in(failed)))
        })
        .await
    }

    /// Places an order.
    async fn place_order(
        &self,
        context: &Context<'_>,
        items: Vec<OrderLine>,
        #[graphql(
            desc = "Whoever repeats an order under the same key gets the order that there is: 1 to 255 printable characters."
        )]
        idempotency_key: Option<String>,
        #[graphql(desc = "Where the goods go.")] shipping_address: Option<Address>,
    ) -> Option<Result<Order>> {
        nullable(async {
            let asking = Asking::of(context)?;
            let token = &asking.caller()?.token;
            let key = idempotency_key.as_deref();
            check_key(key).map_err(|problem| error(&problem))?;
            let order = NewOrder {
                items: lines(&items).map_err(|problem| error(&problem))?,
                shipping_address: shipping_address.map(Into::into),
            };
            let orders = asking.services.orders.v2();
            let call = orders.place(token, &order, key);
            let placed = asking.calls.make("orders", call).await;
            placed.map(|order| Some(Order(order))).map_err(of_call)
        })
        .await
    }

    /// Takes an order back. One that is taken back already is answered as it is.
    async fn cancel_order(&self, context: &Context<'_>, id: ID) -> Option<Result<Order>> {
        nullable(async {
            let asking = Asking::of(context)?;
            let token = &asking.caller()?.token;
            let orders = asking.services.orders.v2();
            let call = orders.cancel(token, parse_id(&id)?);
            let cancelled = asking.calls.make("orders", call).await;
            cancelled.map(|order| Some(Order(order))).map_err(of_call)
        })
        .await
    }
}

/// Refuses a key that would be another one on its way: a header loses the spaces around its value (RFC 9110 section 5.5). What else a
/// key may be, the orders service says.
fn check_key(key: Option<&str>) -> Result<(), Problem> {
    match key {
        Some(key) if key.trim_ascii() != key => Err(Problem::bad_request(
            "idempotencyKey must neither begin nor end with a space",
        )),
        _ => Ok(()),
    }
}

/// Converts the lines of an order. Their content is validated by the orders service.
fn lines(lines: &[OrderLine]) -> Result<Vec<NewOrderItem>, Problem> {
    let (mut items, mut errors) = (Vec::with_capacity(lines.len()), Vec::new());
    for (at, line) in lines.iter().enumerate() {
        let mut wrong = |field: &str, detail: &str| {
            errors.push(FieldError::new(format!("/items/{at}/{field}"), detail));
        };
        let product_id = Uuid::try_parse(&line.product_id);
        let quantity = u32::try_from(line.quantity);
        if product_id.is_err() {
            wrong("product_id", "must be a UUID");
        }
        if quantity.is_err() {
            let detail = match line.quantity {
                ..1 => "must be at least 1",
                _ => "is more than any order can have",
            };
            wrong("quantity", detail);
        }
        if let (Ok(product_id), Ok(quantity)) = (product_id, quantity) {
            items.push(NewOrderItem {
                product_id,
                quantity,
            });
        }
    }
    if errors.is_empty() {
        Ok(items)
    } else {
        Err(Problem::unprocessable(errors))
    }
}
