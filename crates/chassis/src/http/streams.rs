//! Answers that go on for as long as their readers stay, such as server-sent events: how many there may be, and how they
//! end.
//!
//! Such an answer is no work in progress: it waits, mostly. So it takes none of the places of requests
//! ([`crate::limits::Limits::load`], [`Options::max_requests_per_address`](super::Options::max_requests_per_address)), which
//! would be gone for hours; it has places of its own. When they are all taken, whoever has the most of them makes room
//! (`readers`).

mod readers;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use futures::FutureExt;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio_util::sync::WaitForCancellationFutureOwned;
use uuid::Uuid;

use crate::Shutdown;
use crate::problem::Problem;
use crate::proxies::Origin;
use crate::stalls::Seat;
use readers::{Reader, Readers};

/// When to come again if there are too many.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// With a negative value it tells callers among the services that a refusal says nothing about this one: how many streams there
/// are is for those to decide who read them. The same as [`crate::grpc::unrepeatable`].
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

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
    readers: Mutex<Readers>,
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
    /// 503 if nobody has more than this reader would have, 429 if it is this reader who has too many; with `Retry-After`.
    fn from(full: Full) -> Self {
        match full {
            Full::All => Self::unavailable(RETRY_AFTER, full.to_string())
                .with_header(PUSHBACK, HeaderValue::from_static("-1")),
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
            readers: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            shutdown,
        }
    }

    /// A place for one more stream of this user and address. `None` is not counted: a service that is called by other services
    /// only does not count addresses. If all places are taken, the oldest stream of whoever has the most of them makes room,
    /// unless this reader would have as many then.
    ///
    /// # Errors
    /// [`Full`], if there is none.
    pub fn enter(&self, user: Option<Uuid>, address: Option<Origin>) -> Result<Place, Full> {
        let service = self.shared.service;
        let reader = Reader { user, address };
        let seat = Arc::<Seat>::default();
        let entered = self
            .shared
            .readers
            .lock()
            .enter(reader, &seat, &self.shared.bounds);
        let entered = entered.inspect_err(|_| {
            metrics::counter!("http_streams_refused_total", "service" => service).increment(1);
        })?;
        if entered.has_displaced {
            metrics::counter!("http_streams_displaced_total", "service" => service).increment(1);
        }
        metrics::gauge!("http_streams_open", "service" => service).increment(1.0);
        Ok(Place {
            streams: self.clone(),
            reader,
            key: entered.key,
            seat,
        })
    }

    /// Completes when the shutdown begins: for those who hold a [`Place`] and no answer.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.shutdown.token().cancelled_owned()
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.readers.lock().all()
    }
}

/// The place of a stream, until it is dropped.
#[derive(Debug)]
pub struct Place {
    streams: Streams,
    reader: Reader,
    key: u64,
    seat: Arc<Seat>,
}

impl Place {
    /// Completes when the stream has to make room for one of somebody who has fewer: for whoever holds the place and no answer.
    /// One task waits for it at a time.
    pub async fn ended(&self) {
        poll_fn(|cx| self.seat.poll_ended(cx)).await;
    }

    /// The same answer, which holds this place until its body has ended or its reader has gone, which ends as if it were
    /// over when the shutdown begins or when it has to make room, and which is counted nowhere else.
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
        // It is not there any more if it had to make room.
        let _ = shared.readers.lock().remove(self.reader, self.key);
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
        let Some(place) = &this.place else {
            return Poll::Ready(None);
        };
        // First: a body that always has something must end, too.
        let ends = place.seat.poll_ended(cx).is_ready() || this.stop.poll_unpin(cx).is_ready();
        let frame = if ends {
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
    use std::net::{IpAddr, Ipv6Addr};

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
        let [ann, bob, cas, dan, eve] = [1, 2, 3, 4, 5].map(|n| Some(Uuid::from_u128(n)));
        let first = streams.enter(ann, from(1)).unwrap();
        let second = streams.enter(ann, from(1)).unwrap();
        assert_eq!(streams.enter(ann, from(1)).unwrap_err(), Full::Reader(2));
        let third = streams.enter(bob, from(1)).unwrap();
        assert_eq!(streams.enter(bob, from(1)).unwrap_err(), Full::Reader(3));
        let fourth = streams.enter(bob, from(2)).unwrap();
        // All are taken: the oldest of the one with the most at the address with the most makes room.
        let fifth = streams.enter(cas, from(3)).unwrap();
        assert!(first.seat.has_ended());
        let _sixth = streams.enter(dan, from(4)).unwrap();
        assert!(second.seat.has_ended());
        assert_eq!(streams.open(), 4);
        assert_eq!(streams.enter(eve, from(5)).unwrap_err(), Full::All);
        assert!(
            ![&third, &fourth, &fifth]
                .iter()
                .any(|one| one.seat.has_ended())
        );
        // Whoever made room is counted no more, and so gives nothing back when it goes.
        drop((first, second));
        assert_eq!(streams.open(), 4);
        drop(third);
        let _again = streams.enter(eve, from(5)).unwrap();
    }

    /// Of two with equally many, none gains anything by coming again.
    #[test]
    fn places_do_not_go_to_and_fro() {
        let streams = streams();
        let mut places: Vec<_> = [1, 2, 1, 2]
            .map(|last| streams.enter(None, from(last)).unwrap())
            .into();
        places.push(streams.enter(None, from(3)).unwrap());
        for _ in 0..3 {
            for last in [1, 2] {
                assert_eq!(streams.enter(None, from(last)).unwrap_err(), Full::All);
            }
        }
        let ended = places.iter().filter(|one| one.seat.has_ended());
        assert_eq!(ended.count(), 1);
    }

    /// One client with a whole site opens each stream from another of its networks.
    #[test]
    fn a_site_is_one_client_however_many_networks_it_has() {
        let streams = streams();
        let enter = |n| {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 1, n, 0, 0, 0, 1);
            streams.enter(None, Some(IpAddr::from(address).into()))
        };
        let site: Vec<_> = (0..4).map(|n| enter(n).unwrap()).collect();
        let ended = || site.iter().filter(|one| one.seat.has_ended()).count();
        assert_eq!(enter(4).unwrap_err(), Full::All);
        let _first = streams.enter(None, from(1)).unwrap();
        assert_eq!(ended(), 1);
        let _second = streams.enter(None, from(1)).unwrap();
        assert_eq!(ended(), 2);
        // Both have two now: neither gains anything by coming again.
        assert_eq!(streams.enter(None, from(1)).unwrap_err(), Full::All);
        assert_eq!(enter(5).unwrap_err(), Full::All);
        assert_eq!(ended(), 2);
    }

    #[test]
    fn who_shares_an_address_with_somebody_greedy_gets_a_place() {
        let streams = streams();
        let [ann, bob] = [1, 2].map(|n| Some(Uuid::from_u128(n)));
        let nobodys: Vec<_> = (0..3)
            .map(|_| streams.enter(None, from(1)).unwrap())
            .collect();
        let _of_ann = streams.enter(ann, from(1)).unwrap();
        assert!(nobodys[0].seat.has_ended());
        assert_eq!(streams.enter(bob, from(1)).map(drop), Ok(()));
        assert!(nobodys[1].seat.has_ended() && !nobodys[2].seat.has_ended());
    }

    #[test]
    fn a_refusal_for_want_of_places_says_nothing_about_the_service() {
        let problem = Problem::from(Full::All);
        assert_eq!(problem.retry_after_s(), Some(RETRY_AFTER.as_secs()));
        let answer = axum::response::IntoResponse::into_response(problem);
        assert_eq!(answer.headers()[PUSHBACK], "-1");
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let streams = streams();
        for n in 0..100 {
            drop(streams.enter(Some(Uuid::from_u128(n)), from(1)).unwrap());
        }
        assert!(streams.shared.readers.lock().is_empty());
    }

    #[tokio::test]
    async fn it_ends_when_it_has_to_make_room() {
        let streams = streams();
        let mut bodies: Vec<_> = (0..3)
            .map(|_| {
                let place = streams.enter(None, from(1)).unwrap();
                let silent = futures::stream::pending::<std::io::Result<Bytes>>();
                let answer = Response::new(Body::from_stream(silent));
                place.hold(answer).into_body()
            })
            .collect();
        let mut oldest = bodies.remove(0);
        let mut end = std::pin::pin!(oldest.frame());
        assert!(end.as_mut().now_or_never().is_none());
        let _others = [2, 3].map(|last| streams.enter(None, from(last)).unwrap());
        assert!(end.await.is_none(), "the end, and no error");
        assert_eq!(streams.open(), 4);
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
