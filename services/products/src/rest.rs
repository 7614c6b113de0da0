//! The door for people: browsing, open to anyone. Tokens are not looked at, so a catalogue can be read
//! while nobody can sign in.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chassis::extract::{Path, Query};
use chassis::page::{self, PageSize};
use chassis::problem::Problem;
use contracts::rest::products as wire;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::{Product, Search};
use crate::error::Error;
use crate::store;

/// Largest request body, in bytes. Nothing here reads one.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// `GET /v1/products` and `GET /v1/products/{id}`.
pub(crate) fn router(pool: PgPool) -> Router {
    Router::new()
        .route("/v1/products", get(list))
        .route("/v1/products/{id}", get(one))
        .with_state(pool)
}

/// What `GET /v1/products` understands.
#[derive(Debug, Deserialize)]
struct ListQuery {
    page_size: Option<String>,
    page_token: Option<String>,
    q: Option<String>,
}

/// What a page token says: where the page before ended, and in which list. A token of another search is
/// refused: it would skip whatever that search found earlier.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    after: Uuid,
    q: String,
}

async fn list(
    State(pool): State<PgPool>,
    Query(query): Query<ListQuery>,
) -> Result<Json<wire::ProductPage>, Problem> {
    let size = PageSize::parse(query.page_size.as_deref())?;
    let search = Search::parse(query.q.as_deref().unwrap_or_default()).map_err(Error::from)?;
    let after = query
        .page_token
        .as_deref()
        .map(|token| position(token, &search))
        .transpose()?;

    // One more than asked for: whether there is another page is known without counting.
    let mut found = store::page(&pool, &search, after, size.limit_with_next())
        .await
        .map_err(Error::from)?;
    let more = found.len() > size.get() as usize;
    found.truncate(size.get() as usize);
    let next_page_token = found.last().filter(|_| more).map(|last| {
        page::encode(&Cursor {
            after: last.id,
            q: search.as_str().to_owned(),
        })
    });
    let products = found.into_iter().map(wire::Product::from).collect();
    Ok(Json(wire::ProductPage {
        products,
        next_page_token,
    }))
}

/// Where the page begins that a token asks for.
fn position(token: &str, search: &Search) -> Result<Uuid, Error> {
    let cursor: Cursor = page::decode(token)?;
    if cursor.q != search.as_str() {
        return Err(Error::OtherSearch);
    }
    Ok(cursor.after)
}

/// The id is read as text: what is no UUID is the id of nothing, which is 404 and not 400.
async fn one(
    State(pool): State<PgPool>,
    Path(id): Path<String>,
) -> Result<Json<wire::Product>, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| Error::NotFound)?;
    let product = store::product(&pool, id)
        .await
        .map_err(Error::from)?
        .ok_or(Error::NotFound)?;
    Ok(Json(product.into()))
}

impl From<Product> for wire::Product {
    fn from(product: Product) -> Self {
        let Product {
            id,
            name,
            description,
            price,
            currency,
            available,
        } = product;
        Self {
            id,
            name,
            description,
            price,
            currency,
            available,
        }
    }
}
