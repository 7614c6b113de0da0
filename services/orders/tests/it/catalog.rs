//! The products service, as far as orders needs it: it names prices, late or not at all if it is told so.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use contracts::products::v1 as wire;
use contracts::products::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// Serves prices until it is dropped.
pub(crate) struct FakeCatalog {
    pub(crate) address: SocketAddr,
    shelf: Arc<Shelf>,
    server: tokio::task::JoinHandle<()>,
}

/// What the fake knows and was asked.
struct Shelf {
    prices: Mutex<HashMap<String, (i64, &'static str)>>,
    /// What every call fails with, if anything.
    failure: Mutex<Option<Status>>,
    /// The products of each call, in the order in which calls arrived.
    calls: watch::Sender<Vec<Vec<String>>>,
    /// Calls are answered while this is true.
    open: watch::Sender<bool>,
}

impl FakeCatalog {
    pub(crate) async fn start() -> Self {
        let shelf = Arc::new(Shelf {
            prices: Mutex::default(),
            failure: Mutex::default(),
            calls: watch::Sender::default(),
            open: watch::Sender::new(true),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = tonic::transport::Server::builder()
            .add_service(CatalogServiceServer::new(Service(shelf.clone())))
            .serve_with_incoming(TcpListenerStream::new(listener));
        Self {
            address,
            shelf,
            server: tokio::spawn(async move { serve.await.unwrap() }),
        }
    }

    /// A new product for this many cents.
    pub(crate) fn product(&self, price: i64) -> Uuid {
        let id = Uuid::now_v7();
        self.set_price(id, price, "EUR");
        id
    }

    pub(crate) fn set_price(&self, id: Uuid, price: i64, currency: &'static str) {
        self.shelf
            .prices
            .lock()
            .insert(id.to_string(), (price, currency));
    }

    /// Every call fails with this from now on; `None` heals it.
    pub(crate) fn fail(&self, status: Option<Status>) {
        *self.shelf.failure.lock() = status;
    }

    /// Keeps every call waiting until the answer is dropped.
    pub(crate) fn hold(&self) -> Hold {
        self.shelf.open.send_replace(false);
        Hold(self.shelf.clone())
    }

    /// Which products were asked for, call by call.
    pub(crate) fn calls(&self) -> Vec<Vec<String>> {
        self.shelf.calls.borrow().clone()
    }

    /// Waits until this many calls have arrived since the start.
    pub(crate) async fn called(&self, times: usize) {
        let mut calls = self.shelf.calls.subscribe();
        let arrived = calls.wait_for(|calls| calls.len() >= times);
        tokio::time::timeout(crate::app::PATIENCE, arrived)
            .await
            .expect("calls in time")
            .unwrap();
    }
}

impl Drop for FakeCatalog {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// While it lives, calls wait.
pub(crate) struct Hold(Arc<Shelf>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.open.send_replace(true);
    }
}

struct Service(Arc<Shelf>);

#[tonic::async_trait]
impl CatalogService for Service {
    async fn quote(
        &self,
        request: Request<wire::QuoteRequest>,
    ) -> Result<Response<wire::QuoteResponse>, Status> {
        let ids = request.into_inner().product_ids;
        self.0.calls.send_modify(|calls| calls.push(ids.clone()));
        self.0
            .open
            .subscribe()
            .wait_for(|open| *open)
            .await
            .unwrap();
        if let Some(status) = self.0.failure.lock().clone() {
            return Err(status);
        }
        let prices = self.0.prices.lock();
        let mut answer = wire::QuoteResponse::default();
        for product_id in ids {
            match prices.get(&product_id) {
                Some((unit_price, currency)) => answer.prices.push(wire::Price {
                    product_id,
                    unit_price: *unit_price,
                    currency: (*currency).to_owned(),
                }),
                None => answer.unknown_product_ids.push(product_id),
            }
        }
        Ok(Response::new(answer))
    }

    async fn get_products(
        &self,
        _: Request<wire::GetProductsRequest>,
    ) -> Result<Response<wire::GetProductsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
