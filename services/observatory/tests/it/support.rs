//! A running observatory, and admin ports that are not what they should be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use chassis::Shutdown;
use futures::{Stream, StreamExt, stream};
use observatory::{Config, Listeners};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longest wait for anything, in a test that is about to fail.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running observatory.
pub(crate) struct Observatory {
    pub(crate) at: SocketAddr,
    shutdown: Shutdown,
}

impl Drop for Observatory {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Observatory {
    /// That looks at these: `name=http://…` with semicolons.
    pub(crate) async fn start(observed: &str) -> Self {
        Self::start_with(observed, &[]).await
    }

    /// The same with more flags.
    pub(crate) async fn start_with(observed: &str, more: &[&str]) -> Self {
        let arguments = [
            "observatory",
            "--http-port=0",
            "--admin-port=0",
            "--traces-mib-max=1",
            "--observed",
            observed,
        ];
        let arguments = arguments.iter().chain(more);
        let config: Config = chassis::config::try_from_args(arguments).unwrap();
        let listeners = Listeners::bind(&config).await.unwrap();
        let at = listeners.http.local_addr().unwrap();
        let shutdown = Shutdown::manual();
        tokio::spawn(observatory::run(config, listeners, shutdown.clone()));
        Self { at, shutdown }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &[], "").await
    }

    /// Asks, and reads the answer to its end.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, Value) {
        let mut connection = self.open(method, path, headers, body).await;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TcpStream {
        let mut connection = TcpStream::connect(self.at).await.unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str(&format!("host: {}\r\n", self.at));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    }

    pub(crate) async fn traces(&self) -> Vec<Value> {
        let (status, body) = self.get("/v1/traces?limit=200").await;
        assert_eq!(status, 200, "{body}");
        body["traces"].as_array().unwrap().clone()
    }
}

/// Waits for a condition.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a fake admin port was asked for: method, path, body.
pub(crate) type Asked = Arc<Mutex<Vec<(Method, String, String)>>>;

/// An admin port whose `/hops` is this stream, each time it is asked. Everything else says `others`.
pub(crate) async fn port<S>(
    hops: impl Fn() -> S + Send + Sync + Clone + 'static,
    others: &'static str,
) -> (SocketAddr, Asked)
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let asked = Asked::default();
    let note = Arc::clone(&asked);
    let events = move |_: HeaderMap| {
        let body = hops().map(Ok::<_, std::io::Error>);
        async move {
            let headers = [("content-type", "text/event-stream")];
            (headers, Body::from_stream(body)).into_response()
        }
    };
    let other = move |method: Method, uri: Uri, body: String| {
        note.lock().push((method, uri.path().to_owned(), body));
        async move { Response::new(Body::from(others)) }
    };
    let routes = Router::new()
        .route("/hops", get(events))
        .fallback(any(other));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (at, asked)
}

/// These records, and then silence.
pub(crate) fn records(records: &[Value]) -> impl Stream<Item = Bytes> + Send + use<> {
    let text: String = records
        .iter()
        .enumerate()
        .map(|(at, record)| event(at + 1, record))
        .collect();
    stream::iter([Bytes::from(text)]).chain(stream::pending())
}

pub(crate) fn event(id: usize, record: &Value) -> String {
    format!("id:{id}\nevent:hop\ndata:{record}\n\n")
}

/// A record of a request that begins now.
pub(crate) fn record(trace: u128, span: u64, service: &str) -> Value {
    json!({
        "phase": "start", "trace_id": format!("{trace:032x}"), "span_id": format!("{span:016x}"), "parent_span_id": null,
        "service": service, "from": null, "to": service, "kind": "http", "side": "server", "name": "GET /x",
        "attempt": 1, "at": now(), "status": null, "fault": null, "breaker": null, "causation_id": null, "sequence": null,
        "detail": {},
    })
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_micros()).unwrap()
}

/// Counts the bytes that a fake has sent.
pub(crate) fn counted<S: Stream<Item = Bytes>>(
    stream: S,
    sent: &Arc<AtomicU64>,
) -> impl Stream<Item = Bytes> + use<S> {
    let sent = Arc::clone(sent);
    stream.inspect(move |piece| {
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    })
}
