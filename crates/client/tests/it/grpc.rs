//! The gRPC channel, against the standard health service.

use std::net::SocketAddr;
use std::time::Instant;

use client::{CallError, GrpcChannel, authorized};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::{PATIENT, SHORT, nobody, peer, silent};

/// A health service that lets in only who has the token.
async fn serve_health(listener: TcpListener) {
    let (_, health) = tonic_health::server::health_reporter();
    let guarded =
        tonic::service::interceptor::InterceptedService::new(health, |request: Request<()>| {
            match request.metadata().get("authorization") {
                Some(token) if token == "Bearer t0k3n" => Ok(request),
                _ => Err(Status::unauthenticated("who are you?")),
            }
        });
    Server::builder()
        .add_service(guarded)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .unwrap();
}

async fn check(channel: GrpcChannel, token: &str) -> Result<i32, Status> {
    let answer = HealthClient::new(channel)
        .check(authorized(HealthCheckRequest::default(), token))
        .await?;
    Ok(answer.into_inner().status)
}

fn channel(address: SocketAddr) -> GrpcChannel {
    GrpcChannel::new(peer(address, PATIENT), |_| true)
}

#[tokio::test]
async fn the_token_travels_with_each_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let channel = channel(listener.local_addr().unwrap());
    tokio::spawn(serve_health(listener));
    assert_eq!(check(channel.clone(), "t0k3n").await.unwrap(), 1);
    assert_eq!(
        check(channel.clone(), "other").await.unwrap_err().code(),
        Code::Unauthenticated
    );
    // Not sendable at all is as bad as wrong.
    assert_eq!(
        check(channel, "new\nline").await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn an_absent_peer_is_unavailable_at_once_and_found_when_it_comes() {
    let address = nobody().await;
    let channel = channel(address);
    let start = Instant::now();
    let status = check(channel.clone(), "t0k3n").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(matches!(
        CallError::from_status("peer", status),
        CallError::Unavailable { .. }
    ));
    assert!(start.elapsed() < PATIENT / 2);

    tokio::spawn(serve_health(TcpListener::bind(address).await.unwrap()));
    assert_eq!(check(channel, "t0k3n").await.unwrap(), 1);
}

#[tokio::test]
async fn a_silent_peer_costs_the_timeout_and_no_more() {
    let channel = GrpcChannel::new(peer(silent().await, SHORT), |_| true);
    let status = check(channel, "t0k3n").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(matches!(
        CallError::from_status("peer", status),
        CallError::Timeout { .. }
    ));
}
