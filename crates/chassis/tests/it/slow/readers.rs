//! Readers that do not read, and those that only take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use chassis::http::{Options, READER_PATIENCE};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::support::{eventually, h2, in_time};

const BIG: usize = 1 << 20;

/// Counts answers that are on their way.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `/big` is one piece of a megabyte, `/endless` has no end, nor has `/huge` with pieces of four megabytes.
async fn server(patience: Duration) -> (Server, Arc<AtomicUsize>) {
    let open = Arc::new(AtomicUsize::new(0));
    let [big, endless, huge] = [(); 3].map(|()| Arc::clone(&open));
    let body = move |endless: bool, size: usize, count: Counted| {
        let pieces = futures::stream::iter((0..).take(if endless { usize::MAX } else { 1 }));
        Body::from_stream(pieces.map(move |_| {
            let _counted = &count;
            Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; size]))
        }))
    };
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route(
            "/big",
            get(move || async move { body(false, BIG, Counted::begin(&big)) }),
        )
        .route(
            "/endless",
            get(move || async move { body(true, BIG, Counted::begin(&endless)) }),
        )
        .route(
            "/huge",
            get(move || async move { body(true, 4 * BIG, Counted::begin(&huge)) }),
        );
    let options = Options {
        reader_patience: patience,
        ..Options::default()
    };
    (Server::plain(router, options).await, open)
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_and_its_neighbours_stay() {
    let (server, open) = server(Duration::from_millis(300)).await;
    // No window at all, one byte, one piece: whatever it took, it takes no more.
    for window in [0, 1, 16 * 1024] {
        let mut client = h2::connect_with_window(server.address, window).await;
        let response = in_time(client.begin("/big")).await.unwrap();
        let mut body = response.into_body();
        // The server lets go of the answer.
        eventually("it is dropped", || async {
            open.load(Ordering::SeqCst) == 0
        })
        .await;
        let ended = async {
            loop {
                match body.data().await {
                    // Read and not released: the window stays as it is.
                    Some(Ok(_)) => {}
                    ended => break ended,
                }
            }
        };
        let ended = in_time(ended).await;
        assert!(
            ended.is_some_and(|ended| ended.is_err_and(|error| error.is_reset())),
            "window {window}"
        );
        assert_eq!(client.get("/").await, 200, "the connection stays");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_read_is_cut_off() {
    let (server, open) = server(Duration::from_millis(300)).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // A part of the head: it has begun, and may be over before anybody looks.
    in_time(raw.0.read_exact(&mut [0; 12])).await.unwrap();
    eventually("it is dropped", || async {
        open.load(Ordering::SeqCst) == 0
    })
    .await;
    let mut rest = Vec::new();
    in_time(raw.0.read_to_end(&mut rest)).await.ok();
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "the client sees that it is not whole"
    );
}

/// One address may have 32 MiB of answers unread, whatever protocol it speaks: eight of these over HTTP/2, and over HTTP/1.1,
/// where the kernel takes some of each, a few more.
#[tokio::test]
async fn unread_answers_of_an_address_are_bounded_in_bytes() {
    const MANY: usize = 24;
    let (server, open) = server(READER_PATIENCE).await;
    let at_most = |most: usize| {
        let open = Arc::clone(&open);
        async move {
            eventually("some are ended", || async {
                open.load(Ordering::SeqCst) <= most
            })
            .await
        }
    };

    let mut client = h2::connect_with_window(server.address, 0).await;
    let mut unread = Vec::new();
    for _ in 0..MANY {
        unread.push(in_time(client.begin("/huge")).await.unwrap());
    }
    at_most(8).await;
    assert_eq!(open.load(Ordering::SeqCst), 8, "the others are waited for");
    assert_eq!(client.get("/").await, 200, "the connection stays");
    drop((client, unread));
    at_most(0).await;

    let mut unread = Vec::new();
    for _ in 0..MANY {
        let mut raw = Raw::connect(server.address).await;
        raw.send("GET /huge HTTP/1.1\r\nhost: x\r\n\r\n").await;
        // The head: it has begun.
        raw.0.read_exact(&mut [0; 12]).await.unwrap();
        unread.push(raw);
    }
    at_most(16).await;
    assert!(
        open.load(Ordering::SeqCst) >= 8,
        "the others are waited for"
    );
    let mut reads = Raw::connect(server.address).await;
    reads.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(reads.response().await.ends_with("here"));
}

/// An answer whose bytes count until they are let go.
struct Page {
    text: Vec<u8>,
    _counted: Counted,
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// A client over HTTP/2 opens all of its windows, asks, and reads nothing from its socket: h2 takes over each answer to its end.
#[tokio::test]
async fn answers_that_wait_in_open_streams_are_bounded_in_bytes() {
    const PAGE: usize = 256 * 1024;
    const MANY: u32 = 240;
    const WIDEST: u32 = (1 << 31) - 1;
    let (held, made) = (Arc::new(AtomicUsize::new(0)), Arc::<AtomicUsize>::default());
    let (holds, makes) = (Arc::clone(&held), Arc::clone(&made));
    let page = move || async move {
        makes.fetch_add(1, Ordering::SeqCst);
        Bytes::from_owner(Page {
            text: vec![b'x'; PAGE],
            _counted: Counted::begin(&holds),
        })
    };
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/page", get(page));
    let server = Server::plain(router, Options::default()).await;

    let mut raw = Raw::connect(server.address).await;
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE, and the window of the connection, which begins with 65,535.
    let wide = [&[0, 4][..], &WIDEST.to_be_bytes()].concat();
    sent.extend(frame(4, 0, 0, &wide));
    sent.extend(frame(8, 0, 0, &(WIDEST - 65_535).to_be_bytes()));
    // GET http://x/page, without the compression of HPACK; the whole request is in one frame.
    let head = [&[0x82, 0x86, 0x04, 5][..], b"/page", &[0x01, 1], b"x"].concat();
    for number in 0..MANY {
        sent.extend(frame(1, 0x5, 2 * number + 1, &head));
    }
    raw.send(sent).await;
    // 32 MiB are 128 of them; the kernels take some more.
    eventually("the connection made room", || async {
        made.load(Ordering::SeqCst) > 128 && held.load(Ordering::SeqCst) == 0
    })
    .await;
    assert_eq!(server.get("/").await.text(), "here");
    raw.0.shutdown().await.ok();
}

#[tokio::test]
async fn a_reader_that_takes_its_time_gets_it_all() {
    // Each piece comes long before our patience is over, all of them long after.
    let patience = Duration::from_secs(4);
    let (server, _open) = server(patience).await;
    let mut client = h2::connect_with_window(server.address, 32 * 1024).await;
    let response = in_time(client.begin("/big")).await.unwrap();
    let mut body = response.into_body();
    let (begun, mut read) = (tokio::time::Instant::now(), 0);
    while let Some(data) = in_time(body.data()).await {
        let size = data.expect("no reset").len();
        read += size;
        tokio::time::sleep(Duration::from_millis(80)).await;
        body.flow_control().release_capacity(size).unwrap();
    }
    assert_eq!(read, BIG);
    assert!(begun.elapsed() > patience, "slower than the patience");
}

#[tokio::test]
async fn an_answer_that_is_slow_to_come_is_not_its_readers_fault() {
    let patience = Duration::from_millis(200);
    let later = || async {
        let parts = futures::stream::iter(["one", "two"]).then(|part| async move {
            tokio::time::sleep(Duration::from_millis(600)).await;
            Ok::<_, std::io::Error>(part)
        });
        Body::from_stream(parts)
    };
    let options = Options {
        reader_patience: patience,
        ..Options::default()
    };
    let server = Server::plain(Router::new().route("/later", get(later)), options).await;
    assert_eq!(server.get("/later").await.text(), "onetwo");
    let mut client = h2::connect(server.address).await;
    let mut body = in_time(client.begin("/later")).await.unwrap().into_body();
    let mut text = Vec::new();
    while let Some(data) = in_time(body.data()).await {
        text.extend_from_slice(&data.unwrap());
    }
    assert_eq!(text, b"onetwo");
}

#[tokio::test]
async fn what_came_before_an_answer_broke_is_sent() {
    // All of it is there at once, so nothing makes the server send the head before it sees the error.
    let broken = || async {
        let parts = [Ok("one"), Err(std::io::Error::other("broke"))];
        Body::from_stream(futures::stream::iter(parts))
    };
    let router = Router::new().route("/broken", get(broken));
    let server = Server::plain(router, Options::default()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("GET /broken HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = raw.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("one"),
        "{answer:?}"
    );
    assert!(!answer.ends_with("0\r\n\r\n"), "and it is not whole");
}
