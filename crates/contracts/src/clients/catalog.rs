//! The catalogue, as services ask for it (gRPC).

use client::{CallError, GrpcChannel, Peer, authorized, grpc_channel};
use uuid::Uuid;

use crate::products::v1::{
    GetProductsRequest, Product, QuoteRequest, QuoteResponse,
    catalog_service_client::CatalogServiceClient,
};

/// A client of `agora.products.v1.CatalogService`.
#[derive(Debug, Clone)]
pub struct Catalog {
    grpc: CatalogServiceClient<GrpcChannel>,
    peer: &'static str,
}

impl Catalog {
    /// A client for `peer`; nothing is connected yet.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self {
            peer: peer.name,
            grpc: CatalogServiceClient::new(grpc_channel(peer)),
        }
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

    /// The products among `ids` that exist, in that order.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_products(
        &self,
        token: &str,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Vec<Product>, CallError> {
        let request = GetProductsRequest { ids: texts(ids) };
        let request = authorized(request, token);
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
