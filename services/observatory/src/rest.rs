//! The HTTP interface: traces, new hops, the state, the switches.
//!
//! Access: on the loopback interface every client of this machine; elsewhere clients with its token, i.e. the gateway, which
//! admits administrators. It accepts only its own names as `Host`, wherever it listens, and requests that change something
//! need the page's own `Origin`.

mod faults;
mod letters;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use chassis::Shutdown;
use chassis::admin::{self, Access};
use chassis::extract::{self, Path, Query};
use chassis::http::streams::{self, Streams};
use chassis::problem::Problem;
use futures::stream;
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;

use crate::config::Config;
use crate::domain::hop::{self, TraceId};
use crate::domain::traces::Wanted;
use crate::replicas::{Replicas, Service};
use crate::sky::Sky;
use crate::switches::{self, Switches};
use crate::watch::Watch;

/// The most traces of a list.
const TRACES_MAX: usize = 200;
/// The limits of open streams.
const STREAMS: streams::Bounds = streams::Bounds {
    max: 64,
    max_per_user: 64,
    max_per_address: 64,
};
/// The interval of heartbeats on a stream. A state is repeated then: after a silence that is half as long again, the page takes the
/// observatory for away (`SILENT_MS`).
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The most records that are sent at a time, and about the most bytes: each slow reader holds as many.
const BATCH_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// The state of the routes.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) sky: Arc<Sky>,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) switches: Arc<Switches>,
    pub(crate) watch: Watch,
    pub(crate) shutdown: Shutdown,
}

#[derive(Clone)]
struct Shared {
    parts: Parts,
    streams: Streams,
    /// One change of faults at a time.
    editing: Arc<Mutex<()>>,
}

pub(crate) fn router(parts: Parts, config: &Config) -> Router {
    let streams = Streams::new(crate::NAME, STREAMS, parts.shutdown.clone());
    let access = Access {
        hosts: config.http_hosts.clone(),
        token: None,
    };
    let routes = Router::new()
        .route("/v1/traces", get(traces))
        .route("/v1/traces/{id}", get(trace))
        .route("/v1/hops", get(hops))
        .route("/v1/state", get(state))
        .route("/v1/state/events", get(states))
        .route("/v1/faults/{service}", put(faults::set))
        .route(
            "/v1/faults/{service}/{target}",
            put(faults::set_one).delete(faults::mend_one),
        )
        .route("/v1/faults", delete(faults::mend))
        .route("/v1/switches/{name}", post(switch))
        .route("/v1/dead-letters/{service}", get(letters::list))
        .route("/v1/dead-letters/{service}/redrive", post(letters::redrive))
        .with_state(Shared {
            parts,
            streams,
            editing: Arc::default(),
        });
    let routes = match &config.observatory_token {
        Some(token) => admin::for_bearers(routes, token.clone()),
        None => routes,
    };
    admin::for_own_pages(routes, access)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    limit: Option<usize>,
    min_hops: Option<usize>,
    mentions: Option<String>,
}

async fn traces(State(shared): State<Shared>, Query(asked): Query<List>) -> Response {
    let wanted = Wanted {
        limit: asked.limit.unwrap_or(50).min(TRACES_MAX),
        min_hops: asked.min_hops.unwrap_or_default(),
        mentions: asked.mentions.as_deref(),
    };
    fresh(json!({ "traces": shared.parts.sky.list(&wanted) }))
}

async fn trace(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Response, Problem> {
    let trace = shared.parts.sky.whole(trace_id(&id)?);
    let trace = trace.ok_or_else(|| {
        Problem::not_found()
            .with_detail("no such trace is kept: it is too old, or it was never seen")
    })?;
    Ok(fresh(json!(trace)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Follow {
    trace_id: Option<String>,
}

async fn hops(
    State(shared): State<Shared>,
    Query(asked): Query<Follow>,
) -> Result<Response, Problem> {
    let only = asked.trace_id.as_deref().map(trace_id).transpose()?;
    let sky = Arc::clone(&shared.parts.sky);
    let news = sky.news();
    let text = stream::unfold(
        (sky, news, true),
        move |(sky, mut news, is_first)| async move {
            if let Some(trace) = only {
                sky.ask_for(trace);
            }
            if is_first {
                return Some((":\n\n".to_owned(), (sky, news, false)));
            }
            let text = match tokio::time::timeout(HEARTBEAT, batch(&mut news, only)).await {
                Ok(Some(text)) => text,
                Ok(None) => return None,
                Err(_) => ":\n\n".to_owned(),
            };
            Some((text, (sky, news, false)))
        },
    );
    shared.stream(text)
}

/// Waits for a record that is wanted, and returns it with those that are there already.
async fn batch(
    news: &mut tokio::sync::broadcast::Receiver<crate::sky::News>,
    only: Option<TraceId>,
) -> Option<String> {
    let mut text = String::new();
    let mut count = 0;
    loop {
        let received = match text.is_empty() {
            true => news.recv().await,
            // Without waiting for more.
            false => match news.try_recv() {
                Ok(news) => Ok(news),
                Err(tokio::sync::broadcast::error::TryRecvError::Lagged(n)) => {
                    Err(RecvError::Lagged(n))
                }
                Err(_) => return Some(text),
            },
        };
        match received {
            Ok(news) if only.is_some() && news.trace != only => {}
            Ok(news) => {
                text.push_str(&format!("event:{}\ndata:{}\n\n", news.event, news.data));
                count += 1;
            }
            Err(RecvError::Lagged(count)) => {
                text.push_str(&format!("event:dropped\ndata:{{\"count\":{count}}}\n\n"));
            }
            Err(RecvError::Closed) => return None,
        }
        if count >= BATCH_MAX || text.len() >= BATCH_BYTES_MAX {
            return Some(text);
        }
    }
}

async fn state(State(shared): State<Shared>) -> Response {
    let state = shared.parts.watch.state().await;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, state.to_string()).into_response()
}

async fn states(State(shared): State<Shared>) -> Result<Response, Problem> {
    let watch = shared.parts.watch.clone();
    let states = watch.follow();
    let text = stream::unfold(
        (watch, states, true),
        |(watch, mut states, is_first)| async move {
            watch.wanted();
            if !is_first {
                let changed = tokio::time::timeout(HEARTBEAT, states.changed()).await;
                if let Ok(Err(_)) = changed {
                    return None;
                }
            }
            let state = states.borrow_and_update().clone();
            let text = match state {
                Some(state) => format!("event:state\ndata:{state}\n\n"),
                None => ":\n\n".to_owned(),
            };
            Some((text, (watch, states, false)))
        },
    );
    shared.stream(text)
}

async fn switch(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    extract::Json(body): extract::Json<Value>,
) -> Result<Response, Problem> {
    if !switches::is_name(&name) {
        return Err(Problem::not_found());
    }
    match shared.parts.switches.press(&name, &body).await {
        Some(pressed) => {
            let pressed = answer(pressed.map_err(away)?);
            tracing::warn!(
                switch = name,
                status = pressed.status().as_u16(),
                "a switch was pressed"
            );
            Ok(pressed)
        }
        None => Err(Problem::not_found()
            .with_detail("nobody has said where switches are: SWITCHES_URL of the observatory")),
    }
}

/// The process that has the switches is not reachable.
fn away(why: String) -> Problem {
    Problem::unavailable(Duration::from_secs(1), format!("the switches: {why}"))
}

/// Passes on the answer of an admin port.
fn answer((status, text): (StatusCode, String)) -> Response {
    let kind = match status.is_success() {
        true => "application/json",
        false => "application/problem+json",
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text).into_response()
}

impl Shared {
    /// The observed service of this name.
    fn service(&self, name: &str) -> Result<&Service, Problem> {
        let replicas = &self.parts.replicas;
        replicas.service(name).ok_or_else(|| {
            let names: Vec<_> = replicas.services().iter().map(|of| of.name).collect();
            let names = names.join(", ");
            Problem::not_found().with_detail(format!("the observed services are {names}"))
        })
    }

    /// A streamed answer, which takes a place among the streams.
    fn stream(
        &self,
        text: impl futures::Stream<Item = String> + Send + 'static,
    ) -> Result<Response, Problem> {
        use futures::StreamExt;
        let place = self.streams.enter(None, None)?;
        let body = Body::from_stream(text.map(|text| Ok::<_, Infallible>(Bytes::from(text))));
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        Ok(place.hold((headers, body).into_response()))
    }
}

fn trace_id(text: &str) -> Result<TraceId, Problem> {
    hop::id(text, 32).ok_or_else(|| Problem::bad_request("a trace id has 32 hexadecimal digits"))
}

fn fresh(value: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;
    use crate::sky::News;

    #[tokio::test]
    async fn a_slow_reader_holds_few_of_the_longest_records() {
        let (tell, mut news) = broadcast::channel(BATCH_MAX);
        let data: Arc<str> = "x".repeat(8 * 1024).into();
        for _ in 0..BATCH_MAX {
            let record = News {
                event: "hop",
                trace: None,
                data: Arc::clone(&data),
            };
            assert!(tell.send(record).is_ok());
        }
        let text = batch(&mut news, None).await.unwrap();
        assert!(text.len() < 2 * BATCH_BYTES_MAX, "{}", text.len());
    }
}
