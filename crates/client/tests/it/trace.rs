//! The trace goes along, over HTTP and gRPC.

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::routing::get;
use client::{CallContext, GrpcChannel, RestClient};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use crate::{PATIENT, logs, peer, serve};

async fn traceparent(headers: HeaderMap) -> axum::Json<Option<String>> {
    axum::Json(
        headers
            .get("traceparent")
            .map(|value| value.to_str().unwrap().to_owned()),
    )
}

#[tokio::test]
async fn a_call_inside_a_span_carries_its_trace() {
    logs::capture();
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let subscriber =
        tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
    let _guard = tracing::subscriber::set_default(subscriber);

    let client = RestClient::new(peer(
        serve(Router::new().route("/", get(traceparent))).await,
        PATIENT,
    ));
    let span = tracing::info_span!("purchase");
    let trace_id = span.context().span().span_context().trace_id().to_string();
    let inside: Option<String> = client
        .get("/", &CallContext::default())
        .instrument(span)
        .await
        .unwrap();
    assert!(
        inside.as_ref().is_some_and(|sent| sent.contains(&trace_id)),
        "{inside:?} is not of {trace_id}"
    );

    let outside: Option<String> = client.get("/", &CallContext::default()).await.unwrap();
    assert!(
        outside.is_some_and(|sent| !sent.contains(&trace_id)),
        "a trace of its own"
    );
}

#[tokio::test]
async fn a_grpc_call_inside_a_span_carries_its_trace() {
    logs::capture();
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let subscriber =
        tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
    let _guard = tracing::subscriber::set_default(subscriber);

    // Says what arrived, as an error: that needs no service.
    let report = |headers: HeaderMap| async move {
        let sent = headers
            .get("traceparent")
            .map(|value| value.to_str().unwrap().to_owned());
        Status::failed_precondition(sent.unwrap_or_default()).into_http::<Body>()
    };
    let address = serve(Router::new().fallback(report)).await;
    let channel = GrpcChannel::new(peer(address, PATIENT), |_| true);
    let span = tracing::info_span!("purchase");
    let trace_id = span.context().span().span_context().trace_id().to_string();
    let mut health = HealthClient::new(channel);
    let status = health
        .check(HealthCheckRequest::default())
        .instrument(span)
        .await
        .unwrap_err();
    assert!(
        status.message().contains(&trace_id),
        "{status:?} is not of {trace_id}"
    );
}
