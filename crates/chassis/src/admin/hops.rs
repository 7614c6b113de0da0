//! `GET /hops`: a service's records as server-sent events.
//!
//! ```sh
//! curl -N localhost:8091/hops
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use tokio_util::sync::CancellationToken;

use crate::hops::{Reader, Ring};
use crate::http::streams;
use crate::problem::Problem;

/// How often a reader hears something, be it only a comment.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Records of this time are sent together: one write for several, and nobody sees the difference.
const GATHER: Duration = Duration::from_millis(20);
/// About as many bytes are taken from the ring at a time.
const BATCH_BYTES: usize = 64 * 1024;
/// When to come again if there are too many readers.
const RETRY_AFTER: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Hops {
    ring: Arc<Ring>,
    stop: CancellationToken,
}

/// The route. Streams end when `stop` is cancelled.
pub(super) fn router(ring: Arc<Ring>, stop: CancellationToken) -> Router {
    Router::new()
        .route("/hops", get(follow))
        .with_state(Hops { ring, stop })
}

async fn follow(State(hops): State<Hops>, headers: HeaderMap) -> Result<Response, Problem> {
    let reader = hops.ring.enter().ok_or_else(|| {
        Problem::unavailable(
            RETRY_AFTER,
            "as many read these hops as may: come again later",
        )
    })?;
    let after = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok())
        .unwrap_or_else(|| hops.ring.beginning());
    let following = Following {
        reader,
        after,
        stop: hops.stop,
        begun: false,
    };
    let body = Body::from_stream(stream::unfold(following, Following::next));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok(streams::open_ended((headers, body).into_response()))
}

struct Following {
    reader: Reader,
    after: u64,
    stop: CancellationToken,
    begun: bool,
}

impl Following {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !self.begun {
            // Sends the head at once.
            self.begun = true;
            return Some((Ok(Bytes::from_static(b":\n\n")), self));
        }
        let text = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            batch = self.gather() => {
                self.after = batch.last;
                Bytes::from(batch.text)
            }
            () = tokio::time::sleep(HEARTBEAT) => Bytes::from_static(b":\n\n"),
        };
        Some((Ok(text), self))
    }

    async fn gather(&self) -> crate::hops::Batch {
        let ring = self.reader.ring();
        // What is there is read after the pause, with what has come since.
        ring.wait(self.after).await;
        tokio::time::sleep(GATHER).await;
        ring.read(self.after, BATCH_BYTES).await
    }
}
