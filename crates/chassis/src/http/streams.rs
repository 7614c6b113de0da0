//! Answers that go on for as long as their readers stay, such as server-sent events: how many there may be, and how they
//! end.
//!
//! Such an answer is no work in progress: it waits, mostly. So it takes none of the places of requests
//! ([`crate::limits::Limits::load`], [`Options::max_requests_per_address`](super::Options::max_requests_per_address)), which
//! would be gone for hours; it has places of its own.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::FutureExt;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio_util::sync::WaitForCancellationFutureOwned;
use uuid::Uuid;

use crate::Shutdown;
use crate::problem::Problem;
use crate::proxies::Origin;

/// When to come again if there are too many.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many streams there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub max: usize,
    /// Of one user.
    pub max_per_user: usize,
    /// Of one address.
    pub max_per_address: usize,
}

/// The streams of a service. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Streams {
    shared: Arc<Shared>,
    shutdown: Shutdown,
}

#[derive(Debug)]
struct Shared {
    service: &'static str,
    bounds: Bounds,
    open: Mutex<Open>,
}

/// Who reads: at most two entries for each stream, so the map is bounded as they are.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    of: HashMap<Reader, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    User(Uuid),
    Address(Origin),
}

/// There is no place for one more stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Of anybody.
    #[error("as many streams are open here as there may be: come again later")]
    All,
    /// Of this reader.
    #[error("{0} of your streams are open, and no more may be: close one of them")]
    Reader(usize),
}

impl From<Full> for Problem {
    /// 503 if nobody gets another one, 429 if it is this reader who has too many; with `Retry-After`.
    fn from(full: Full) -> Self {
        match full {
            Full::All => Self::unavailable(RETRY_AFTER, full.to_string()),
            Full::Reader(_) => Self::too_many_requests(RETRY_AFTER).with_detail(full.to_string()),
        }
    }
}

impl Streams {
    /// None yet; all of them end when the shutdown begins.
    #[must_use]
    pub fn new(service: &'static str, bounds: Bounds, shutdown: Shutdown) -> Self {
        let shared = Shared {
            service,
            bounds,
            open: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            shutdown,
        }
    }

    /// A place for one more stream of this user and address. `None` is not counted: a service that is called by other services
    /// only does not count addresses.
    ///
    /// # Errors
    /// [`Full`], if there is none.
    pub fn enter(&self, user: Option<Uuid>, address: Option<Origin>) -> Result<Place, Full> {
        let Bounds {
            max,
            max_per_user,
            max_per_address,
        } = self.shared.bounds;
        let readers = [
            user.map(|user| (Reader::User(user), max_per_user)),
            address.map(|address| (Reader::Address(address), max_per_address)),
        ];
        let mut open = self.shared.open.lock();
        let full = readers.into_iter().flatten().find_map(|(reader, most)| {
            let of = open.of.get(&reader).copied().unwrap_or_default();
            (of >= most).then_some(Full::Reader(most))
        });
        if let Some(full) = full.or((open.all >= max).then_some(Full::All)) {
            metrics::counter!("http_streams_refused_total", "service" => self.shared.service)
                .increment(1);
            return Err(full);
        }
        open.all += 1;
        for (reader, _) in readers.iter().flatten() {
            *open.of.entry(*reader).or_default() += 1;
        }
        metrics::gauge!("http_streams_open", "service" => self.shared.service).increment(1.0);
        Ok(Place {
            streams: self.clone(),
            readers: readers.map(|reader| reader.map(|(reader, _)| reader)),
        })
    }

    /// Completes when the shutdown begins: for those who hold a [`Place`] and no answer.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.shutdown.token().cancelled_owned()
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.lock().all
    }
}

/// The place of a stream, until it is dropped.
#[derive(Debug)]
pub struct Place {
    streams: Streams,
    readers: [Option<Reader>; 2],
}

impl Place {
    /// The same answer, which holds this place until its body has ended or its reader has gone, which ends as if it were
    /// over when the shutdown begins, and which is counted nowhere else.
    #[must_use]
    pub fn hold(self, answer: Response) -> Response {
        let (mut head, body) = answer.into_parts();
        head.extensions.insert(OpenEnded);
        let stop = self.streams.stopping();
        let body = Streamed {
            body,
            stop: Box::pin(stop),
            place: Some(self),
        };
        Response::from_parts(head, Body::new(body))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.streams.shared;
        let mut open = shared.open.lock();
        open.all -= 1;
        for reader in self.readers.iter().flatten() {
            if let Some(of) = open.of.get_mut(reader) {
                *of -= 1;
                if *of == 0 {
                    open.of.remove(reader);
                }
            }
        }
        metrics::gauge!("http_streams_open", "service" => shared.service).decrement(1.0);
    }
}

/// Marks an answer that lasts for as long as its reader stays and whose number its maker limits: it does not count as an
/// unfinished request.
pub(crate) fn open_ended(mut answer: Response) -> Response {
    answer.extensions_mut().insert(OpenEnded);
    answer
}

/// An extension of an answer that lasts for as long as its reader stays and is counted by [`Streams`].
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenEnded;

struct Streamed {
    body: Body,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    place: Option<Place>,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.place.is_none() {
            return Poll::Ready(None);
        }
        // First: a body that always has something must end, too.
        let frame = if this.stop.poll_unpin(cx).is_ready() {
            None
        } else {
            std::task::ready!(Pin::new(&mut this.body).poll_frame(cx))
        };
        if !matches!(frame, Some(Ok(_))) {
            // Where it comes from is told at once that nobody reads on.
            this.body = Body::empty();
            this.place = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.place.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // It may end at any moment.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http_body_util::BodyExt;

    use super::*;

    fn streams() -> Streams {
        let bounds = Bounds {
            max: 4,
            max_per_user: 2,
            max_per_address: 3,
        };
        Streams::new("test", bounds, Shutdown::manual())
    }

    fn from(last: u8) -> Option<Origin> {
        Some(IpAddr::from([10, 0, 0, last]).into())
    }

    #[test]
    fn nobody_has_the_places_of_the_others() {
        let streams = streams();
        let [ann, bob, cas] = [1, 2, 3].map(|n| Some(Uuid::from_u128(n)));
        let first = streams.enter(ann, from(1)).unwrap();
        let _second = streams.enter(ann, from(1)).unwrap();
        assert_eq!(streams.enter(ann, from(1)).unwrap_err(), Full::Reader(2));
        let _third = streams.enter(bob, from(1)).unwrap();
        assert_eq!(streams.enter(bob, from(1)).unwrap_err(), Full::Reader(3));
        let _fourth = streams.enter(bob, from(2)).unwrap();
        assert_eq!(streams.enter(cas, from(3)).unwrap_err(), Full::All);
        drop(first);
        let _again = streams.enter(cas, from(1)).unwrap();
        assert_eq!(streams.open(), 4);
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let streams = streams();
        for n in 0..100 {
            drop(streams.enter(Some(Uuid::from_u128(n)), from(1)).unwrap());
        }
        let open = streams.shared.open.lock();
        assert_eq!((open.all, open.of.len()), (0, 0));
    }

    #[tokio::test]
    async fn it_ends_with_the_shutdown_and_gives_its_place_back() {
        let streams = streams();
        let place = streams.enter(None, None).unwrap();
        let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>("more"));
        let answer = place.hold(Response::new(Body::from_stream(endless)));
        assert!(answer.extensions().get::<OpenEnded>().is_some());
        let mut body = answer.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        streams.shutdown.trigger();
        assert!(body.frame().await.is_none(), "the end, and no error");
        assert_eq!(streams.open(), 0);

        let place = streams.enter(None, None).unwrap();
        let answer = place.hold(Response::new(Body::empty()));
        assert_eq!(streams.open(), 1);
        drop(answer);
        assert_eq!(streams.open(), 0);
    }
}
