//! Callers that leave a door: by their connection, by one call of it, by their deadline.

use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use chassis::http::Options;
use chassis::limits::Limits;
use chassis::{Shutdown, grpc, listen};
use futures::Stream;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use sqlx::PgPool;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{SLOW, World};
use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::support::{PATIENCE, methods};

/// A door that ends nothing by itself.
fn patient() -> Limits {
    Limits {
        timeout: Duration::from_secs(600),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_the_statement() {
    let world = World::new(4).await;
    let slow = |pool: PgPool| async move {
        sqlx::query(SLOW).execute(&pool).await.ok();
        "never"
    };
    let (by_get, by_post) = (world.pool.clone(), world.pool.clone());
    let router = Router::new()
        .route("/slow", get(move || slow(by_get.clone())))
        .route("/slow", post(move |_: Bytes| slow(by_post.clone())));
    let server = Server::plain(
        chassis::http::standard("abandoned", 1000, patient()).around(router),
        Options::default(),
    )
    .await;

    for request in [
        "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        let mut client = Raw::connect(server.address).await;
        client.send(request).await;
        world.until_busy(1).await;
        drop(client);
        world.until_busy(0).await;
    }

    // HTTP/2: one stream of a connection that lives on is reset.
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Body>();
    let uri: axum::http::Uri = format!("http://{}/slow", server.address).parse().unwrap();
    let (left, stays) = (client.get(uri.clone()), tokio::spawn(client.get(uri)));
    let left = tokio::spawn(left);
    world.until_busy(2).await;
    left.abort();
    world.until_busy(1).await;
    stays.abort();
    world.until_busy(0).await;
    world.pool_is_whole(4).await;
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_that_passes_cancels_the_statement() {
    let world = World::new(1).await;
    let pool = world.pool.clone();
    let router = Router::new().route(
        "/slow",
        get(move || async move {
            sqlx::query(SLOW).execute(&pool).await.ok();
            "never"
        }),
    );
    let server = Server::plain(
        chassis::http::standard("abandoned", 1000, patient()).around(router),
        Options::default(),
    )
    .await;
    let headers = [("x-request-timeout-ms", "300")];
    let answer = server
        .send(axum::http::Method::GET, "/slow", &headers, "")
        .await;
    answer.problem(504);
    world.until_busy(0).await;
    world.pool_is_whole(1).await;
    server.stop().await;
}

/// The health service as a stand-in for any: both of its methods wait for a slow statement.
struct Slow(PgPool);

#[tonic::async_trait]
impl Health for Slow {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        sqlx::query(SLOW).execute(&self.0).await.ok();
        Err(Status::internal("never"))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let pool = self.0.clone();
        Ok(Response::new(Box::pin(futures::stream::once(async move {
            sqlx::query(SLOW).execute(&pool).await.ok();
            Err(Status::internal("never"))
        }))))
    }
}

#[tokio::test]
async fn a_grpc_client_that_leaves_cancels_the_statement() {
    let world = World::new(4).await;
    let listener = listen::bind("127.0.0.1", 0, "--grpc-port", "GRPC_PORT")
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::manual();
    let router = tonic::service::Routes::new(HealthServer::new(Slow(world.pool.clone())))
        .into_axum_router()
        .layer(grpc::standard("abandoned", methods(), patient()));
    let served = tokio::spawn(grpc::serve(
        listener,
        router,
        grpc::Options::default(),
        shutdown.clone(),
    ));
    let channel = async || {
        Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap()
    };

    // One call of a connection that lives on.
    let mut client = HealthClient::new(channel().await);
    let mut other = client.clone();
    let left = tokio::spawn(async move { client.check(HealthCheckRequest::default()).await });
    world.until_busy(1).await;
    left.abort();
    world.until_busy(0).await;

    // A stream.
    let stream = other.watch(HealthCheckRequest::default()).await.unwrap();
    world.until_busy(1).await;
    drop(stream);
    world.until_busy(0).await;

    // The whole connection.
    let mut client = HealthClient::new(channel().await);
    let left = tokio::spawn(async move { client.check(HealthCheckRequest::default()).await });
    world.until_busy(1).await;
    left.abort();
    world.until_busy(0).await;

    world.pool_is_whole(4).await;
    shutdown.trigger();
    tokio::time::timeout(PATIENCE, served)
        .await
        .expect("it stops")
        .unwrap()
        .unwrap();
}
