//! The door for services: `agora.products.v1.CatalogService`.

mod serving;

use std::collections::{HashMap, HashSet};

use chassis::auth::{self, Verifier};
use chassis::grpc::Methods;
use chassis::limits::Limits;
use chassis::{Fatal, ServiceInfo};
use contracts::products::v1 as wire;
use contracts::products::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use sqlx::PgPool;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::domain::{Price, Product};
use crate::error::Error;
use crate::store;
use crate::store::prices::Prices;

pub(crate) use serving::Serving;

/// The most ids in one call.
pub(crate) const IDS_MAX: usize = 100;

/// The largest request, in bytes: [`IDS_MAX`] ids are less than 4 KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The routes of the catalogue, its health and its reflection, behind the token check.
///
/// # Errors
/// If the descriptors that were compiled in cannot be decoded.
pub(crate) fn router(
    service: ServiceInfo,
    pool: PgPool,
    verifier: Verifier,
    limits: Limits,
) -> Result<(axum::Router, Serving), Fatal> {
    let catalog =
        CatalogServiceServer::new(Catalog::new(pool)).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let methods = Methods::of(&[
        wire::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ])?;
    let router = Routes::new(catalog)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        // For older tools, e.g. grpcurl.
        .add_service(reflection().build_v1alpha()?)
        .into_axum_router()
        .layer(auth::layer(verifier))
        .layer(chassis::grpc::standard(service, methods, limits));
    Ok((router, Serving(reporter)))
}

/// The catalogue's interface for other services.
#[derive(Debug)]
struct Catalog {
    pool: PgPool,
    prices: Prices,
}

impl Catalog {
    fn new(pool: PgPool) -> Self {
        let prices = Prices::new(pool.clone());
        Self { pool, prices }
    }
}

#[tonic::async_trait]
impl CatalogService for Catalog {
    /// Needs an authenticated caller: `orders` passes on the token of the user who places the order.
    async fn quote(
        &self,
        request: Request<wire::QuoteRequest>,
    ) -> Result<Response<wire::QuoteResponse>, Status> {
        let _caller = auth::grpc_caller(&request)?;
        let ids = parse_ids("product_ids", &request.get_ref().product_ids)?;
        let found = self.prices.of(&ids).await.map_err(Error::from)?;
        let mut found: HashMap<Uuid, Price> =
            found.into_iter().map(|p| (p.product_id, p)).collect();
        let mut answer = wire::QuoteResponse::default();
        for id in ids {
            match found.remove(&id) {
                Some(price) => answer.prices.push(price.into()),
                None => answer.unknown_product_ids.push(id.to_string()),
            }
        }
        Ok(Response::new(answer))
    }

    /// Public, like browsing.
    async fn get_products(
        &self,
        request: Request<wire::GetProductsRequest>,
    ) -> Result<Response<wire::GetProductsResponse>, Status> {
        let ids = parse_ids("ids", &request.get_ref().ids)?;
        let found = store::products(&self.pool, &ids)
            .await
            .map_err(Error::from)?;
        let mut found: HashMap<Uuid, Product> = found.into_iter().map(|p| (p.id, p)).collect();
        let products = ids
            .iter()
            .filter_map(|id| found.remove(id))
            .map(Into::into)
            .collect();
        Ok(Response::new(wire::GetProductsResponse { products }))
    }
}

/// Parses 1 to [`IDS_MAX`] UUIDs; a repeated id counts once. All errors are reported at once.
fn parse_ids(field: &str, ids: &[String]) -> Result<Vec<Uuid>, Status> {
    let refuse =
        |description: String| chassis::grpc::invalid(vec![(field.to_owned(), description)]);
    if ids.is_empty() {
        return Err(refuse("must name at least one product".to_owned()));
    }
    if ids.len() > IDS_MAX {
        return Err(refuse(format!(
            "must name at most {IDS_MAX} products, not {}",
            ids.len()
        )));
    }
    let (mut parsed, mut seen, mut violations) =
        (Vec::with_capacity(ids.len()), HashSet::new(), Vec::new());
    for (at, id) in ids.iter().enumerate() {
        match Uuid::try_parse(id) {
            Ok(id) if seen.insert(id) => parsed.push(id),
            Ok(_) => {}
            Err(_) => violations.push((format!("{field}[{at}]"), "must be a UUID".to_owned())),
        }
    }
    if violations.is_empty() {
        Ok(parsed)
    } else {
        Err(chassis::grpc::invalid(violations))
    }
}

impl From<Price> for wire::Price {
    fn from(price: Price) -> Self {
        let Price {
            product_id,
            unit_price,
            currency,
        } = price;
        Self {
            product_id: product_id.to_string(),
            unit_price,
            currency,
        }
    }
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
            id: id.to_string(),
            name,
            description,
            price,
            currency,
            available,
        }
    }
}
