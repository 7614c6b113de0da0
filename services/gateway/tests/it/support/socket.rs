//! A client of `graphql-transport-ws`, which hides nothing.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Socket(pub(crate) WebSocketStream<TcpStream>);

impl Socket {
    /// A socket, or the status of the answer.
    pub(crate) async fn try_open(
        gateway: SocketAddr,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let url = format!("ws://{}/graphql", gateway);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().insert(name, value);
        }
        let stream = TcpStream::connect(gateway).await.unwrap();
        match client_async(request, stream).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()[PROTOCOL.0], PROTOCOL.1);
                Ok(Self(socket))
            }
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) async fn open(gateway: SocketAddr) -> Self {
        Self::try_open(gateway, &[PROTOCOL]).await.unwrap()
    }

    /// One that has said who it is.
    pub(crate) async fn of(gateway: SocketAddr, token: &str) -> Self {
        let mut socket = Self::open(gateway).await;
        socket.init(token).await;
        assert_eq!(socket.hears().await, json!({"type": "connection_ack"}));
        socket
    }

    pub(crate) async fn init(&mut self, token: &str) {
        let payload = json!({ "authorization": format!("Bearer {token}") });
        self.says(&json!({ "type": "connection_init", "payload": payload }))
            .await;
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        let payload = json!({ "query": query });
        self.says(&json!({ "type": "subscribe", "id": id, "payload": payload }))
            .await;
    }

    pub(crate) async fn says(&mut self, message: &Value) {
        self.sends(Message::text(message.to_string())).await;
    }

    pub(crate) async fn sends(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// The next frame, whatever it is; pings are answered.
    pub(crate) async fn frame(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        next.expect("a frame").expect("no end").unwrap()
    }

    /// The next message.
    pub(crate) async fn hears(&mut self) -> Value {
        loop {
            match self.frame().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code that it is closed with, whatever comes before.
    pub(crate) async fn closes(&mut self) -> u16 {
        let close = async {
            loop {
                if let Message::Close(frame) = self.frame().await {
                    return frame.unwrap().code.into();
                }
            }
        };
        let close = tokio::time::timeout(PATIENCE, close).await;
        close.expect("it is closed")
    }
}
