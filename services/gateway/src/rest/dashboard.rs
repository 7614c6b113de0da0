//! The dashboard: one answer from three concurrent calls. A part that fails or takes too long is left out and named, so that
//! the answer takes no longer than the deadline of a part, and one failure does not empty the page.

pub(super) mod v2;

use std::collections::HashSet;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use chassis::auth::Caller;
use chassis::extract::Path;
use chassis::openapi::{Routes, routes};
use chassis::problem::Problem;
use client::CallError;
use contracts::rest::{Order, Product};
use futures::TryFutureExt;
use serde::Serialize;
use tokio::time::Instant;
use tonic::Code;
use utoipa::ToSchema;
use uuid::Uuid;

use super::users::visible;
use super::view::User;
use super::{Gateway, Shared};
use crate::error::{Error, log_failure};
use crate::limits::calls::Calls;

/// The number of newest orders that are shown.
const ORDERS: u32 = 10;
/// The number of products that are considered for recommendations.
const CANDIDATES: u32 = 50;
/// The number of recommended products.
const RECOMMENDED: usize = 5;

pub(super) fn routes(root: &str) -> Routes<Shared> {
    Routes::below(root).with(routes!(dashboard))
}

/// A part that is missing is `null`, which is not the same as empty.
#[derive(Serialize, ToSchema)]
#[schema(example = Dashboard::example)]
struct Dashboard {
    /// Whose it is.
    #[schema(required = true)]
    user: Option<User>,
    /// The newest orders.
    #[schema(required = true)]
    orders: Option<Vec<Order>>,
    /// What can be bought and was not bought yet.
    #[schema(required = true)]
    recommended: Option<Vec<Product>>,
    /// Whether any part is missing; `errors` says why.
    partial: bool,
    errors: Vec<PartError>,
}

/// Why a part is missing.
#[derive(Debug, Serialize, ToSchema)]
struct PartError {
    /// The member that is `null`.
    part: &'static str,
    /// The kind of failure.
    title: String,
    /// For a person.
    detail: String,
}

impl Dashboard {
    /// One without recommendations, since products did not answer.
    fn example() -> Self {
        Self {
            user: Some(User::example()),
            orders: Some(vec![Order::example()]),
            recommended: None,
            partial: true,
            errors: vec![PartError::example()],
        }
    }
}

/// A user, their newest orders and what they may like, in one answer.
///
/// A part whose service does not answer in time is `null` and named in `errors`; the rest is there.
#[utoipa::path(get, path = "/dashboard/{user_id}", operation_id = "getDashboard", tag = "dashboard",
    security(("bearer" = [])), params(("user_id" = Uuid, Path, description = "The user's id.")),
    responses((status = 200, description = "The dashboard.", body = Dashboard)))]
async fn dashboard(
    State(gateway): State<Shared>,
    caller: Caller,
    Extension(calls): Extension<Calls>,
    Path(user_id): Path<Uuid>,
) -> Result<Answer<Dashboard>, Error> {
    let orders = gateway
        .orders
        .of_user(&caller.token, user_id, Some(ORDERS), None)
        .map_ok(|page| page.orders);
    let goods = gateway
        .products
        .list(Some(CANDIDATES), None, None)
        .map_ok(|page| page.products);
    let parts = gather(&gateway, &caller, calls, user_id, orders, goods).await?;
    Ok(Answer(Dashboard {
        user: parts.user,
        orders: parts.orders,
        recommended: parts.recommended,
        partial: !parts.errors.is_empty(),
        errors: parts.errors,
    }))
}

/// The parts of a dashboard in either version.
struct Parts<O, P> {
    user: Option<User>,
    orders: Option<Vec<O>>,
    recommended: Option<Vec<P>>,
    errors: Vec<PartError>,
}

/// Fetches all parts concurrently.
async fn gather<O: Bought, P: ForSale>(
    gateway: &Gateway,
    caller: &Caller,
    calls: Calls,
    user_id: Uuid,
    orders: impl Future<Output = Result<Vec<O>, CallError>>,
    goods: impl Future<Output = Result<Vec<P>, CallError>>,
) -> Result<Parts<O, P>, Error> {
    let id = visible(caller, user_id)?;
    // Shorter than that of a single call; the clients pass it on to the services behind. It is our own deadline and not the
    // caller's: a service that exceeds it has failed, and its breaker counts that.
    let calls = calls.until(Instant::now() + gateway.dashboard_deadline);
    let user = gateway.users.get_user(&caller.token, &id);
    let (user, orders, goods) = client::within(gateway.dashboard_deadline, async {
        tokio::join!(
            calls.make("users", user),
            calls.make("orders", orders),
            calls.make("products", goods)
        )
    })
    .await;
    // An admin may request any user; for one that does not exist the answer is 404, not a partial dashboard.
    if user.as_ref().is_err_and(CallError::is_not_found) {
        return Err(Problem::not_found().into());
    }

    let mut errors = Vec::new();
    let user = part("user", user, &mut errors).map(User::from);
    let orders = part("orders", orders, &mut errors);
    let recommended = part("recommended", goods, &mut errors)
        .map(|goods| recommend(goods, orders.as_deref().unwrap_or_default()));
    Ok(Parts {
        user,
        orders,
        recommended,
        errors,
    })
}

/// An order, as far as a recommendation needs it.
trait Bought {
    fn products(&self) -> impl Iterator<Item = Uuid>;
}

impl Bought for Order {
    fn products(&self) -> impl Iterator<Item = Uuid> {
        self.items.iter().map(|item| item.product_id)
    }
}

/// A product, as far as a recommendation needs it.
trait ForSale {
    fn id(&self) -> Uuid;
    fn available(&self) -> i64;
}

impl ForSale for Product {
    fn id(&self) -> Uuid {
        self.id
    }

    fn available(&self) -> i64 {
        self.available
    }
}

fn part<T>(
    name: &'static str,
    result: Result<T, CallError>,
    errors: &mut Vec<PartError>,
) -> Option<T> {
    result
        .map_err(|error| {
            log_failure(name, &error.to_string());
            errors.push(PartError::new(name, error));
        })
        .ok()
}

impl PartError {
    /// For the documents.
    fn example() -> Self {
        Self {
            part: "recommended",
            title: "Timeout".to_owned(),
            detail: "products did not answer in time".to_owned(),
        }
    }

    fn new(part: &'static str, error: CallError) -> Self {
        let (title, detail) = match error {
            CallError::Unavailable { peer, .. } | CallError::Rejected { peer, .. } => (
                "Unavailable".into(),
                format!("{peer} is unavailable at the moment"),
            ),
            CallError::Timeout { peer } => {
                ("Timeout".into(), format!("{peer} did not answer in time"))
            }
            CallError::Problem(problem) => (problem.title, problem.detail.unwrap_or_default()),
            CallError::Status(status) if status.code() == Code::Unavailable => (
                "Unavailable".into(),
                "the service behind this part is unavailable at the moment".into(),
            ),
            CallError::Status(_)
            | CallError::Decode { .. }
            | CallError::Aborted { .. }
            | CallError::Stalled { .. }
            | CallError::Unsendable { .. } => (
                "Failed".into(),
                "the service behind this part could not answer".into(),
            ),
        };
        Self {
            part,
            title,
            detail,
        }
    }
}

/// Products that are available and not in these orders, in the catalogue's order.
fn recommend<P: ForSale>(goods: Vec<P>, orders: &[impl Bought]) -> Vec<P> {
    let bought: HashSet<Uuid> = orders.iter().flat_map(Bought::products).collect();
    goods
        .into_iter()
        .filter(|product| product.available() > 0 && !bought.contains(&product.id()))
        .take(RECOMMENDED)
        .collect()
}
