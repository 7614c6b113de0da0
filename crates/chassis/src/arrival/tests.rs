//! Bodies without a socket.

use futures::FutureExt;
use http_body_util::{BodyExt, StreamBody};

use super::*;

fn body(pieces: Vec<&'static str>) -> Body {
    let frames = pieces.into_iter().map(|piece| {
        let data = Frame::data(Bytes::from_static(piece.as_bytes()));
        Ok::<_, axum::Error>(data)
    });
    let trailers = Frame::trailers(axum::http::HeaderMap::new());
    let frames: Vec<_> = frames.chain([Ok(trailers)]).collect();
    Body::new(StreamBody::new(futures::stream::iter(frames)))
}

#[tokio::test]
async fn a_body_in_pieces_is_one_with_its_trailers() {
    let arrivals = Arrivals::default();
    for pieces in [
        vec![],
        vec![""],
        vec!["one"],
        vec!["", "o", "", "n", "e", ""],
    ] {
        let whole: String = pieces.concat();
        let (body, mut extensions) = (body(pieces), Extensions::new());
        let arrived = arrivals.arrive(body, &mut extensions, Kind::Open).await;
        let Ok(Arrived::Whole(mut body)) = arrived else {
            panic!("it was there");
        };
        if !whole.is_empty() {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(data, whole, "in one");
        }
        assert!(body.frame().await.unwrap().unwrap().is_trailers());
        assert!(body.frame().await.is_none());
    }
}

/// A request with a body of so many bytes from this address, which has arrived.
async fn arrived(arrivals: &Arrivals, last: u8, bytes: usize) -> Extensions {
    let mut extensions = Extensions::new();
    let origin = Some(Origin::from(std::net::IpAddr::from([10, 0, 0, last])));
    extensions.insert(Sender { origin, line: None });
    let body = Body::from(vec![b'x'; bytes]);
    let arrived = arrivals.arrive(body, &mut extensions, Kind::Open).await;
    assert!(matches!(arrived, Ok(Arrived::Whole(_))));
    extensions
}

/// How many of them were told to make room.
fn ended<F: Future<Output = Option<()>> + Unpin>(waiting: &mut [F]) -> usize {
    let now = waiting.iter_mut().filter_map(|one| one.now_or_never());
    now.filter(Option::is_none).count()
}

#[tokio::test]
async fn whole_bodies_count_until_their_turn_and_the_heaviest_sender_makes_room() {
    let arrivals = Arrivals::default();
    #[expect(clippy::async_yields_async, reason = "what waits is looked at later")]
    let wait = async |last: u8, bytes: usize| {
        let mut extensions = arrived(&arrivals, last, bytes).await;
        let held = Held::take(&mut extensions);
        let mut waits = Box::pin(held.until(std::future::pending::<()>()));
        assert!((&mut waits).now_or_never().is_none());
        waits
    };
    // More requests than the other's, and far fewer bytes.
    let mut neighbours = Vec::new();
    for _ in 0..100 {
        neighbours.push(wait(1, SMALL_BYTES_MAX + 1).await);
    }
    let part = WAITING_BYTES_MAX / 16;
    let mut heavy = Vec::new();
    for _ in 0..17 {
        heavy.push(wait(2, part).await);
        assert!(arrivals.bytes() <= WAITING_BYTES_MAX);
    }
    assert_eq!((ended(&mut heavy), ended(&mut neighbours)), (2, 0));
    drop((heavy, neighbours));
    assert_eq!(arrivals.bytes(), 0);
    // Whose turn has come, and whoever is small, is not counted.
    let mut extensions = arrived(&arrivals, 1, part).await;
    assert_eq!(arrivals.bytes(), part);
    let begins = Held::take(&mut extensions).until(std::future::ready(1));
    assert_eq!((begins.await, arrivals.bytes()), (Some(1), 0));
    let _small = arrived(&arrivals, 1, SMALL_BYTES_MAX).await;
    assert_eq!(arrivals.bytes(), 0);
}

/// A conversation of this address: its body has begun, and does not go on.
async fn conversation(
    arrivals: &Arrivals,
    last: u8,
) -> Result<(Body, Arc<Seat>, Extensions), Absent> {
    let mut extensions = Extensions::new();
    let origin = Some(Origin::from(std::net::IpAddr::from([10, 0, 0, last])));
    extensions.insert(Sender { origin, line: None });
    let silent = futures::stream::pending::<Result<Bytes, std::io::Error>>();
    let body = Body::from_stream(silent);
    match arrivals.arrive(body, &mut extensions, Kind::Open).await? {
        Arrived::Conversation(body, seat) => Ok((body, seat, extensions)),
        _ => panic!("its sender pauses"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_waits_for_its_work_to_begin_makes_room_for_another() {
    let arrivals = Arrivals::default();
    let (mut bodies, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..CONVERSATIONS_MAX {
        let (body, seat, mut extensions) = conversation(&arrivals, 1).await.unwrap();
        let held = Held::take(&mut extensions);
        let mut waits = Box::pin(held.until(std::future::pending::<()>()));
        assert!((&mut waits).now_or_never().is_none());
        bodies.push((body, seat));
        waiting.push(waits);
    }
    assert_eq!(ended(&mut waiting), 0);
    assert!(conversation(&arrivals, 2).await.is_ok());
    assert_eq!(ended(&mut waiting[..1]), 1, "the one that waits longest");
    assert_eq!(ended(&mut waiting[1..]), 0);
    let mut seats = bodies.iter().map(|(_, seat)| seat);
    assert!(!seats.any(|seat| seat.has_ended()), "no sender has stopped");
}
