//! The REST door for browsing, open to everybody. Tokens are not checked, so that the catalogue can be read even while
//! sign-ins fail.

mod params;
mod v2;

use axum::extract::State;
use axum::{Json, Router};
use chassis::extract::{Path, Query};
use chassis::openapi::{COMMON, DocumentError, Info, Routes, routes};
use chassis::page::{List, PageParams, PageSize};
use chassis::problem::Problem;
use contracts::problems;
use contracts::rest::products as wire;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use params::{ListParams, ProductId};

use crate::domain::{Product, Search};
use crate::error::Error;
use crate::store;

/// The largest request body, in bytes. No route reads one.
pub(crate) const BODY_BYTES_MAX: usize = contracts::limits::PASSED_ON_BODY_BYTES_MAX;

/// `GET /v1/products` and `GET /v1/products/{id}`, and the same in version 2.
pub(crate) fn router(pool: PgPool) -> Router {
    described()
        .router()
        .merge(v2::described().router())
        .with_state(pool)
}

/// The OpenAPI document of version 1 of this service.
///
/// # Errors
/// If the descriptions of the routes are inconsistent, which is a bug of this service.
pub fn document() -> Result<serde_json::Value, DocumentError> {
    described().document(&info("1"))
}

/// The same of version 2.
///
/// # Errors
/// If the descriptions of the routes are inconsistent, which is a bug of this service.
pub fn document_v2() -> Result<serde_json::Value, DocumentError> {
    v2::described().document(&info("2"))
}

fn info(version: &'static str) -> Info {
    Info {
        title: "Products",
        version,
        description: "The catalogue, to browse. Called by the gateway, which passes it on.",
        refusals: COMMON,
        kinds: || problems::all().copied().collect(),
    }
}

fn described() -> Routes<PgPool> {
    Routes::below("/v1").with(routes!(list)).with(routes!(one))
}

/// The query parameters of the list.
#[derive(Debug, Deserialize)]
struct ListQuery {
    page_size: Option<String>,
    page_token: Option<String>,
    /// Instead of a token: the id of the product behind which the page begins, in whatever search.
    after: Option<String>,
    q: Option<String>,
}

/// The paged list of products.
const PRODUCTS: List<Cursor> = List::new("products.1");

/// The content of a page token: where the previous page ended, and in which search. A token of another search is
/// refused, since it would skip products that match this one.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    after: Uuid,
    /// See [`digest`].
    search: u64,
}

/// Identifies a search in a token, which would be too long with the text of one. If two searches have the same number
/// by chance (2⁻⁶⁴), only a client that mixes up its tokens could notice.
fn digest(search: &Search) -> u64 {
    let hash = Sha256::digest(search.as_str());
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}

/// The catalogue, or what a search finds in it.
#[utoipa::path(get, path = "/products", operation_id = "listProducts", tag = "products",
    params(PageParams, ListParams),
    responses((status = 200, description = "A page of products.", body = wire::ProductPage)))]
async fn list(
    State(pool): State<PgPool>,
    Query(query): Query<ListQuery>,
) -> Result<Json<wire::ProductPage>, Problem> {
    let (products, next_page_token) = page(&pool, query).await?;
    let products = products.into_iter().map(wire::Product::from).collect();
    Ok(Json(wire::ProductPage {
        products,
        next_page_token,
    }))
}

/// One page, and the token of the next. Both versions have the same tokens.
async fn page(pool: &PgPool, query: ListQuery) -> Result<(Vec<Product>, Option<String>), Problem> {
    let size = PageSize::parse(query.page_size.as_deref())?;
    let search = Search::parse(query.q.as_deref().unwrap_or_default()).map_err(Error::from)?;
    // An empty token is the same as none, here too.
    let token = query.page_token.as_deref();
    let token = token.filter(|token| !token.is_empty());
    let after = match (token, query.after.as_deref()) {
        (token, None) => position(token, &search)?,
        (None, Some(id)) => Some(Uuid::try_parse(id).map_err(|_| Error::BadAfter)?),
        (Some(_), Some(_)) => return Err(Error::BadAfter.into()),
    };

    // One more than requested, which shows without counting whether there is another page.
    let mut found = store::page(pool, &search, after, size.limit_with_next())
        .await
        .map_err(Error::from)?;
    let more = found.len() > size.get() as usize;
    found.truncate(size.get() as usize);
    let last = found.last().filter(|_| more).map(|last| last.id);
    let next_page_token = last
        .map(|after| {
            PRODUCTS.token(&Cursor {
                after,
                search: digest(&search),
            })
        })
        .transpose()?;
    Ok((found, next_page_token))
}

/// The position where the requested page begins; `None` for the first page.
fn position(token: Option<&str>, search: &Search) -> Result<Option<Uuid>, Error> {
    match PRODUCTS.position(token)? {
        Some(cursor) if cursor.search != digest(search) => Err(Error::OtherSearch),
        cursor => Ok(cursor.map(|cursor| cursor.after)),
    }
}

/// One product.
#[utoipa::path(get, path = "/products/{id}", operation_id = "getProduct", tag = "products",
    params(ProductId),
    responses((status = 200, description = "The product.", body = wire::Product)))]
async fn one(
    State(pool): State<PgPool>,
    Path(id): Path<String>,
) -> Result<Json<wire::Product>, Problem> {
    Ok(Json(find(&pool, &id).await?.into()))
}

async fn find(pool: &PgPool, id: &str) -> Result<Product, Problem> {
    // The id is read as text: an id that is not a UUID belongs to nothing, which is 404 and not 400.
    let id = Uuid::try_parse(id).map_err(|_| Error::NotFound)?;
    let product = store::product(pool, id).await.map_err(Error::from)?;
    Ok(product.ok_or(Error::NotFound)?)
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
