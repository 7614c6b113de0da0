//! The catalogue, as services ask for it (gRPC).

use client::{CallError, GrpcChannel, Monitor, Peer, authorized};
use uuid::Uuid;

use crate::products::v1::{
    GetProductsRequest, Product, QuoteRequest, QuoteResponse,
    catalog_service_client::CatalogServiceClient,
};

/// The methods that can be done twice. All of them read.
const REPEATABLE: &[&str] = &["Quote", "GetProducts"];

fn is_repeatable(path: &str) -> bool {
    path.strip_prefix("/agora.products.v1.CatalogService/")
        .is_some_and(|method| REPEATABLE.contains(&method))
}

/// A client of `agora.products.v1.CatalogService`.
#[derive(Debug, Clone)]
pub struct Catalog {
    grpc: CatalogServiceClient<GrpcChannel>,
    peer: &'static str,
    monitor: Monitor,
}

impl Catalog {
    /// Most ids in one call.
    pub const IDS_MAX: usize = 100;

    /// A client for `peer`; nothing is connected yet.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        let channel = GrpcChannel::new(peer, is_repeatable);
        Self {
            peer: channel.peer().name,
            monitor: channel.monitor(),
            grpc: CatalogServiceClient::new(channel),
        }
    }

    /// What can be seen and forced from outside.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// What each product costs; unknown ones are named in the answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn quote(
        &self,
        token: &str,
        product_ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<QuoteResponse, CallError> {
        let request = QuoteRequest {
            product_ids: texts(product_ids),
        };
        let answer = self.grpc.clone().quote(authorized(request, token)).await;
        self.finish(answer)
    }

    /// The products among `ids` that exist, in that order. Open, as browsing is: no token.
    ///
    /// # Errors
    /// See [`CallError`]; INVALID_ARGUMENT for none at all and for more than [`Catalog::IDS_MAX`].
    pub async fn get_products(
        &self,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Vec<Product>, CallError> {
        let request = GetProductsRequest { ids: texts(ids) };
        let answer = self.grpc.clone().get_products(request).await;
        Ok(self.finish(answer)?.products)
    }

    fn finish<T>(&self, answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, CallError> {
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| CallError::from_status(self.peer, status))
    }
}

fn texts(ids: impl IntoIterator<Item = Uuid>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}
