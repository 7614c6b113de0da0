//! Version 2 of browsing: a price is an amount with its currency.

use axum::Json;
use axum::extract::State;
use chassis::extract::{Path, Query};
use chassis::openapi::{Routes, routes};
use chassis::page::PageParams;
use chassis::problem::Problem;
use contracts::rest::v2 as wire;
use contracts::values::Money;
use sqlx::PgPool;

use super::params::{ListParams, ProductId};
use super::{ListQuery, find, page};
use crate::domain::Product;

/// The routes below `/v2`.
pub(super) fn described() -> Routes<PgPool> {
    Routes::below("/v2").with(routes!(list)).with(routes!(one))
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
            price: Money {
                amount: price,
                currency,
            },
            available,
        }
    }
}
