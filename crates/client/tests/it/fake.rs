//! A peer that a test can slow, break, kill and bring back, over HTTP/1.1 and gRPC.

use std::collections::HashSet;
use std::future::pending;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tonic::{Code, Status};

use crate::PATIENT;

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Answers `"ok"`, and as a gRPC health service.
    Well,
    /// Answers after this long.
    Slow(Duration),
    /// Never answers.
    Hang,
    /// Answers with this status.
    Http(u16),
    /// Answers 503 and when to come back.
    Busy,
    /// Answers with this gRPC status.
    Grpc(Code),
    /// Answers a head and a part of the body, and breaks the connection off.
    BreakOff,
}

/// A peer. It dies with this.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    task: AbortHandle,
}

/// What it saw.
pub(crate) struct Seen {
    mode: Mutex<Mode>,
    requests: AtomicUsize,
    headers: Mutex<Vec<HeaderMap>>,
    /// Requests that are inside now, and the most that ever were.
    inside: AtomicUsize,
    inside_max: AtomicUsize,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap()).await
    }

    /// Where another one was. Somebody's connection may have got its port meanwhile, which it keeps for a while.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let bound = async {
            loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => return listener,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let listener = tokio::time::timeout(PATIENT, bound).await;
        Self::on(listener.expect("the port comes free")).await
    }

    pub(crate) async fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            mode: Mutex::new(Mode::Well),
            requests: AtomicUsize::new(0),
            headers: Mutex::default(),
            inside: AtomicUsize::new(0),
            inside_max: AtomicUsize::new(0),
        });
        let task = tokio::spawn(serve(listener, router(&seen).await)).abort_handle();
        Self {
            address,
            seen,
            task,
        }
    }

    pub(crate) fn be(&self, mode: Mode) {
        *self.seen.mode.lock() = mode;
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// The most requests that were ever inside at once.
    pub(crate) fn inside_max(&self) -> usize {
        self.seen.inside_max.load(Ordering::SeqCst)
    }

    /// A header of each request so far.
    pub(crate) fn header(&self, name: &str) -> Vec<Option<String>> {
        let text = |headers: &HeaderMap| Some(headers.get(name)?.to_str().unwrap().to_owned());
        self.seen.headers.lock().iter().map(text).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a request out, however it ends.
struct Inside(Arc<Seen>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn router(seen: &Arc<Seen>) -> Router {
    let (_, health) = tonic_health::server::health_reporter();
    tonic::service::Routes::new(health)
        .into_axum_router()
        .route("/", any(|| async { axum::Json("ok") }))
        .layer(from_fn_with_state(Arc::clone(seen), act))
}

async fn act(State(seen): State<Arc<Seen>>, request: Request, next: Next) -> Response {
    seen.requests.fetch_add(1, Ordering::SeqCst);
    seen.headers.lock().push(request.headers().clone());
    let inside = seen.inside.fetch_add(1, Ordering::SeqCst) + 1;
    seen.inside_max.fetch_max(inside, Ordering::SeqCst);
    let _inside = Inside(Arc::clone(&seen));
    let mode = *seen.mode.lock();
    match mode {
        Mode::Well => next.run(request).await,
        Mode::Slow(delay) => {
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Mode::Hang => pending().await,
        Mode::Http(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Mode::Busy => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "60")]).into_response(),
        Mode::Grpc(code) => Status::new(code, "as told").into_http(),
        Mode::BreakOff => {
            let frames = [Ok("\"o"), Err(std::io::Error::other("as told"))];
            Body::from_stream(tokio_stream::iter(frames)).into_response()
        }
    }
}

/// In one task with all of its connections, so that they end with it.
async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// How many of `fakes` there are requests at.
pub(crate) fn total(fakes: &[&Fake]) -> usize {
    fakes.iter().map(|fake| fake.requests()).sum()
}

/// Their addresses as configuration writes them.
pub(crate) fn list(fakes: &[&Fake]) -> String {
    let urls: HashSet<_> = fakes
        .iter()
        .map(|f| format!("http://{}", f.address))
        .collect();
    urls.into_iter().collect::<Vec<_>>().join(",")
}
