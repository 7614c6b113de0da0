//! gRPC: the same check, trace and metrics; panics; draining.

mod plain_http;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use chassis::auth::Verifier;
use chassis::limits::Limits;
use chassis::{Shutdown, auth, grpc, listen, trace};
use futures::Stream;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{Notify, Semaphore};
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt;

use crate::support::issuer::{Key, REALM, Source, claims};
use crate::support::{PATIENCE, eventually, log, methods};

/// The health service as a stand-in for any: the name asked for says what to do.
#[derive(Clone, Default)]
struct Fake {
    entered: Arc<Entered>,
    open: Arc<Notify>,
}

struct Entered(Semaphore);

impl Default for Entered {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}

#[tonic::async_trait]
impl Health for Fake {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match request.get_ref().service.as_str() {
            "" => Ok(Response::new(serving())),
            "me" => Err(Status::not_found(
                auth::grpc_caller(&request)?.user_id.to_string(),
            )),
            "trace" => Err(Status::not_found(
                trace::current().traceparent.unwrap_or_default(),
            )),
            "panic" => panic!("secret-5190 of the house"),
            "invalid" => Err(grpc::invalid([
                ("email", "is empty"),
                ("name", "is too long"),
            ])),
            "unavailable" => Err(grpc::unavailable(
                "the database is away",
                Duration::from_millis(1500),
            )),
            "never" => std::future::pending().await,
            "held" => {
                let opened = self.open.notified();
                self.entered.0.add_permits(1);
                opened.await;
                Ok(Response::new(serving()))
            }
            other => Err(Status::unknown(other)),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let items: Vec<_> = match request.get_ref().service.as_str() {
            "fails" => vec![Ok(serving()), Err(Status::data_loss("half-way"))],
            _ => vec![Ok(serving()); 3],
        };
        Ok(Response::new(Box::pin(futures::stream::iter(items))))
    }
}

struct Server {
    address: SocketAddr,
    client: HealthClient<Channel>,
    channel: Channel,
    key: Key,
    source: Arc<Source>,
    fake: Fake,
    shutdown: Shutdown,
    served: tokio::task::JoinHandle<Result<(), chassis::Fatal>>,
}

async fn server(service: &'static str) -> Server {
    log::init();
    let listener = listen::bind("127.0.0.1", 0, "--grpc-port", "GRPC_PORT")
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (key, fake, shutdown) = (Key::new("a", 1), Fake::default(), Shutdown::manual());
    let source = Source::with(&[&key]);
    let router = Routes::new(HealthServer::new(fake.clone()))
        .into_axum_router()
        .layer(auth::layer(Verifier::new(REALM, source.clone())))
        .layer(grpc::standard(service, methods(), Limits::default()));
    let served = tokio::spawn(grpc::serve(
        listener,
        router,
        grpc::Options::default(),
        shutdown.clone(),
    ));
    let channel = Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    Server {
        address,
        client: HealthClient::new(channel.clone()),
        channel,
        key,
        source,
        fake,
        shutdown,
        served,
    }
}

impl Server {
    async fn check(&self, service: &str, metadata: &[(&'static str, &str)]) -> Result<(), Status> {
        let mut request = Request::new(HealthCheckRequest {
            service: service.to_owned(),
        });
        for (name, value) in metadata {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        self.client.clone().check(request).await.map(|_| ())
    }

    async fn stop(self) {
        self.shutdown.trigger();
        tokio::time::timeout(PATIENCE, self.served)
            .await
            .expect("it stops")
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn tokens_are_checked_as_over_http() {
    let server = server("test").await;
    let claims = claims();
    let good = format!("Bearer {}", server.key.sign(&claims));
    let me = server
        .check("me", &[("authorization", &good)])
        .await
        .unwrap_err();
    assert_eq!(
        (me.code(), me.message()),
        (Code::NotFound, claims.sub.to_string().as_str())
    );
    assert!(
        server.check("", &[]).await.is_ok(),
        "open methods need no token"
    );
    assert_eq!(
        server.check("me", &[]).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    for bad in ["Bearer rubbish", "Basic x", "Bearer"] {
        let refused = server
            .check("me", &[("authorization", bad)])
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{bad}");
        let open = server.check("", &[("authorization", bad)]).await;
        assert!(open.is_ok(), "{bad}: {open:?}");
    }
    server.source.down.store(true, Ordering::SeqCst);
    let unknown = format!("Bearer {}", Key::new("b", 2).token());
    let refused = server
        .check("me", &[("authorization", &unknown)])
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        refused.get_details_retry_info().unwrap().retry_delay,
        Some(Duration::from_secs(1))
    );
    server.stop().await;
}

#[tokio::test]
async fn an_incoming_trace_goes_on() {
    let server = server("test").await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{id}-00f067aa0ba902b7-01");
    let seen = server
        .check("trace", &[("traceparent", &parent)])
        .await
        .unwrap_err();
    assert!(
        seen.message().starts_with(&format!("00-{id}-")),
        "{}",
        seen.message()
    );
    assert!(!seen.message().contains("00f067aa0ba902b7"));
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_internal_without_detail() {
    let server = server("test").await;
    let status = server.check("panic", &[]).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("5190"));
    let lines = log::lines_with("secret-5190");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["service"], "test");
    assert!(server.check("", &[]).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn the_callers_deadline_ends_a_call() {
    let server = server("test").await;
    // By hand, since tonic's client keeps its deadline itself, too.
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let call = async |timeout: &str| {
        let name = b"\x0a\x05never";
        let message = [&[0, 0, 0, 0, name.len() as u8], name.as_slice()].concat();
        let request = axum::http::Request::post(format!(
            "http://{}/grpc.health.v1.Health/Check",
            server.address
        ))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", timeout)
        .body(Full::new(Bytes::from(message)));
        client.request(request.unwrap()).await.unwrap()
    };
    let ended = tokio::time::timeout(PATIENCE, call("50m"))
        .await
        .expect("it ends");
    assert_eq!(ended.headers()["grpc-status"], "4");
    assert!(
        tokio::time::timeout(Duration::from_millis(200), call("20S"))
            .await
            .is_err()
    );
    server.stop().await;
}

#[tokio::test]
async fn statuses_carry_their_details() {
    let server = server("test").await;
    let invalid = server.check("invalid", &[]).await.unwrap_err();
    assert_eq!(invalid.code(), Code::InvalidArgument);
    let violations = invalid.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations
        .iter()
        .map(|v| (v.field.as_str(), v.description.as_str()))
        .collect();
    assert_eq!(fields, [("email", "is empty"), ("name", "is too long")]);
    let unavailable = server.check("unavailable", &[]).await.unwrap_err();
    assert_eq!(unavailable.code(), Code::Unavailable);
    assert_eq!(
        unavailable.get_details_retry_info().unwrap().retry_delay,
        Some(Duration::from_millis(1500))
    );
    server.stop().await;
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let server = server("counted").await;
    server.check("", &[]).await.unwrap();
    server.check("invalid", &[]).await.unwrap_err();
    server
        .check("me", &[("authorization", "Bearer rubbish")])
        .await
        .unwrap_err();
    for service in ["", "fails"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut stream = server
            .client
            .clone()
            .watch(request)
            .await
            .unwrap()
            .into_inner();
        while let Ok(Some(_)) = stream.message().await {}
    }
    // A method that nobody serves.
    let mut unknown = tonic::client::Grpc::new(server.channel.clone());
    unknown.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = axum::http::uri::PathAndQuery::from_static("/made.up.Service/Method");
    let answer = unknown
        .unary(Request::new(HealthCheckRequest::default()), path, codec)
        .await
        .unwrap_err();
    assert_eq!(answer.code(), Code::Unimplemented);

    let count = |method: &str, code: &str| {
        format!(r#"grpc_requests_total{{service="counted",method="{method}",code="{code}"}} 1"#)
    };
    for (method, code) in [
        ("grpc.health.v1.Health/Check", "Ok"),
        ("grpc.health.v1.Health/Check", "InvalidArgument"),
        ("grpc.health.v1.Health/Check", "Unauthenticated"),
        ("grpc.health.v1.Health/Watch", "Ok"),
        ("grpc.health.v1.Health/Watch", "DataLoss"),
        ("unknown", "Unimplemented"),
    ] {
        eventually(&format!("{method} {code}"), || async {
            chassis::metrics::render().contains(&count(method, code))
        })
        .await;
    }
    assert!(!chassis::metrics::render().contains("made.up"));
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_answers_every_call_in_flight() {
    let server = server("test").await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.client.clone();
            tokio::spawn(async move {
                client
                    .check(HealthCheckRequest {
                        service: "held".to_owned(),
                    })
                    .await
            })
        })
        .collect();
    server
        .fake
        .entered
        .0
        .acquire_many(20)
        .await
        .unwrap()
        .forget();
    server.shutdown.trigger();
    assert!(!server.served.is_finished());
    server.fake.open.notify_waiters();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().into_inner(), serving());
    }
    server.stop().await;
}
