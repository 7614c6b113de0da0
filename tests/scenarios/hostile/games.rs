//! Games with what HTTP/2 gives a client: streams, windows and resets, many at once.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::Request;
use proptest::prelude::*;
use proptest::sample::select;

use super::client::Client;

/// Streams of a game: many more are [`scenarios::hostile::Way`]'s.
const STREAMS: usize = 64;
/// Of them, those that take a hash each. Fewer than may wait for one.
const HASHES: usize = 24;

/// One game on one connection. It has no answer to look at: others must not notice.
#[derive(Debug, Clone)]
pub(super) struct Game {
    pub(super) kind: Kind,
    /// At most this many streams, as many as the server allows.
    pub(super) streams: usize,
    /// How long they are held.
    pub(super) hold: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list is asked for, and its window stays shut.
    Unread { window: u32 },
    /// A body is announced and does not come.
    Bodiless(&'static str),
    /// Each stream is reset as soon as it is open: what is behind the door is asked over HTTP/1.1 or over gRPC, where all
    /// calls share a connection.
    Resets(&'static str),
    /// gRPC calls without their messages.
    EmptyCalls(&'static str),
    /// Sign-ins, all at once, that have no time for their hash.
    Hurried { ms: &'static str },
    /// A connection and nothing else.
    Silence,
}

pub(super) fn game() -> BoxedStrategy<Game> {
    let posts = select(&["/api/users", "/api/orders", "/api/sessions"][..]);
    let reset = select(&["/api/products?page_size=100", "/api/users/me"][..]);
    let calls = select(&["Authenticate", "GetUser", "GetUserOrders", "ListUsers"][..]);
    let kind = prop_oneof![
        3 => prop_oneof![Just(0_u32), 1..2_000_u32].prop_map(|window| Kind::Unread { window }),
        3 => posts.prop_map(Kind::Bodiless),
        2 => reset.prop_map(Kind::Resets),
        3 => calls.prop_map(Kind::EmptyCalls),
        2 => select(&["5", "20", "50"][..]).prop_map(|ms| Kind::Hurried { ms }),
        1 => Just(Kind::Silence),
    ];
    (kind, 1..STREAMS, 0..4_500_u64)
        .prop_map(|(kind, streams, hold)| Game {
            kind,
            streams: match kind {
                Kind::Hurried { .. } => streams.min(HASHES),
                _ => streams,
            },
            hold: Duration::from_millis(hold),
        })
        .boxed()
}

impl Client {
    /// Plays; how many streams there were.
    pub(super) async fn play(&self, game: &Game) -> Result<usize, String> {
        let (door, path, window) = match game.kind {
            Kind::Unread { window } => (self.gateway, "/api/orders?page_size=100", window),
            Kind::Bodiless(path) => (self.gateway, path, 65_535),
            Kind::Resets(path) => (self.gateway, path, 65_535),
            Kind::EmptyCalls(path) => (self.users, path, 65_535),
            Kind::Hurried { .. } => (self.gateway, "/api/sessions", 65_535),
            Kind::Silence => (self.gateway, "", 65_535),
        };
        let send = self.http2(door, window).await?;
        let request = self.game(game.kind, path);
        let streams = match request {
            Some(request) => self.streams(send.clone(), game, &request).await,
            None => Vec::new(),
        };
        tokio::time::sleep(game.hold).await;
        Ok(streams.len())
    }

    async fn streams(
        &self,
        mut send: SendRequest<Bytes>,
        game: &Game,
        request: &Request<()>,
    ) -> Vec<impl Sized + use<>> {
        let whole = matches!(game.kind, Kind::Unread { .. } | Kind::Resets(_));
        let mut held = Vec::new();
        for _ in 0..game.streams {
            // At the limit of the server, or it has closed.
            let ready = tokio::time::timeout(Duration::from_millis(200), send.ready());
            let Ok(Ok(ready)) = ready.await else {
                break;
            };
            send = ready;
            let Ok((answer, mut stream)) = send.send_request(request.clone(), whole) else {
                break;
            };
            if let Kind::Resets(_) = game.kind {
                stream.send_reset(Reason::CANCEL);
            }
            if let Kind::Hurried { .. } = game.kind {
                let _ = stream.send_data(self.sign_in().into(), true);
            }
            held.push((answer, stream));
        }
        held
    }

    fn game(&self, kind: Kind, path: &str) -> Option<Request<()>> {
        let request = match kind {
            Kind::Silence => return None,
            Kind::Unread { .. } | Kind::Resets(_) => {
                Request::get(format!("http://{}{path}", self.gateway))
            }
            Kind::Bodiless(_) => Request::post(format!("http://{}{path}", self.gateway))
                .header("content-type", "application/json")
                .header("content-length", "200"),
            Kind::Hurried { ms } => Request::post(format!("http://{}{path}", self.gateway))
                .header("content-type", "application/json")
                .header("x-request-timeout-ms", ms),
            Kind::EmptyCalls(_) => {
                let path = format!("agora.users.v1.UserService/{path}");
                Request::post(format!("http://{}/{path}", self.users))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
            }
        };
        request.header("authorization", self.bearer()).body(()).ok()
    }
}
