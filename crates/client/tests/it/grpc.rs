//! The gRPC channel, against the standard health service.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::{CallError, Force, GrpcChannel, authorized};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use tonic_types::{ErrorDetails, StatusExt};

use crate::fake::{Fake, Mode, list};
use crate::{PATIENT, SHORT, absent, peer, peer_at, silent, undisturbed};

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
    let (address, socket) = absent();
    let channel = channel(address);
    let start = Instant::now();
    let status = check(channel.clone(), "t0k3n").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(matches!(
        CallError::from_status("peer", status),
        CallError::Unavailable { .. }
    ));
    assert!(start.elapsed() < PATIENT / 2);

    tokio::spawn(serve_health(socket.listen(64).unwrap()));
    assert_eq!(check(channel, "t0k3n").await.unwrap(), 1);
}

#[test]
fn when_to_come_back_is_not_lost() {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(Duration::from_secs(7)));
    let status = tonic::Status::with_error_details(Code::Unavailable, "busy", details);
    let error = CallError::from_status("peer", status);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.is_unavailable());
}

#[tokio::test]
async fn a_silent_peer_costs_the_timeout_and_no_more() {
    let address = silent().await;
    let status = undisturbed(async || {
        let channel = GrpcChannel::new(peer(address, SHORT), |_| true);
        check(channel, "t0k3n").await.unwrap_err()
    })
    .await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(matches!(
        CallError::from_status("peer", status),
        CallError::Timeout { .. }
    ));
}

fn over(fakes: &[&Fake], config: &str, repeatable: fn(&str) -> bool) -> GrpcChannel {
    GrpcChannel::new(peer_at(&list(fakes), config), repeatable)
}

#[tokio::test]
async fn one_of_two_that_dies_and_comes_back_fails_no_repeatable_call() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    let channel = over(&[&one, &two], "", |_| true);
    let address = two.address;
    for _ in 0..50 {
        check(channel.clone(), "t0k3n").await.unwrap();
    }
    assert!(one.requests() > 0 && two.requests() > 0);
    drop(two);
    for _ in 0..100 {
        check(channel.clone(), "t0k3n").await.unwrap();
    }
    let two = Fake::at(address).await;
    let back = async {
        while two.requests() == 0 {
            let mut calls = JoinSet::new();
            for _ in 0..32 {
                calls.spawn(check(channel.clone(), "t0k3n"));
            }
            for call in calls.join_all().await {
                call.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENT, back).await.unwrap();
}

#[tokio::test]
async fn only_methods_that_were_declared_are_repeated() {
    let peer = Fake::start().await;
    peer.be(Mode::Grpc(Code::Unavailable));
    let attempts = async |repeatable: fn(&str) -> bool| {
        let channel = over(&[&peer], "retries=1", repeatable);
        let before = peer.requests();
        let status = check(channel, "t0k3n").await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "as told")
        );
        peer.requests() - before
    };
    assert_eq!(
        attempts(|path| path == "/grpc.health.v1.Health/Check").await,
        2
    );
    assert_eq!(attempts(|_| false).await, 1);
    assert_eq!(
        peer.header("grpc-previous-rpc-attempts")[..2],
        [None, Some("1".to_owned())]
    );
    for left in peer.header("grpc-timeout") {
        assert!(left.is_some_and(|left| left.ends_with('u')));
    }
}

#[tokio::test]
async fn a_refusal_is_a_status_with_retry_info_and_the_same_error_again() {
    let peer = Fake::start().await;
    let channel = over(&[&peer], "", |_| true);
    channel.monitor().force(None, Force::Open).unwrap();
    let status = check(channel, "t0k3n").await.unwrap_err();
    assert_eq!((status.code(), peer.requests()), (Code::Unavailable, 0));
    let info = status.get_details_retry_info().unwrap();
    assert_eq!(info.retry_delay, Some(Duration::from_secs(1)));
    let error = CallError::from_status("peer", status);
    assert!(matches!(error, CallError::Rejected { .. }), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_stream_holds_its_place_until_it_ends() {
    let peer = Fake::start().await;
    let channel = over(&[&peer], "bulkhead=1", |_| true);
    let in_flight = || channel.monitor().snapshot()["bulkhead"]["in_flight"].clone();
    let mut client = HealthClient::new(channel.clone());
    let watch = client.watch(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(in_flight(), 1);
    let refused = check(channel.clone(), "t0k3n").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    drop(watch);
    assert_eq!(in_flight(), 0);
    check(channel.clone(), "t0k3n").await.unwrap();
    assert_eq!(in_flight(), 0);
}

#[tokio::test]
async fn endpoints_are_asked_for_their_health_over_grpc() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    two.be(Mode::Grpc(Code::Unavailable));
    let channel = over(&[&one, &two], "health=grpc", |_| true);
    let unhealthy = async {
        loop {
            let seen = channel.monitor().snapshot();
            let endpoints = seen["endpoints"].as_array().unwrap().clone();
            if endpoints.iter().any(|e| e["state"] == "unhealthy") {
                return endpoints;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let endpoints = tokio::time::timeout(PATIENT, unhealthy).await.unwrap();
    let bad = endpoints
        .iter()
        .find(|e| e["state"] == "unhealthy")
        .unwrap();
    assert_eq!(bad["address"], two.address.to_string());
}
