//! One who watches an order by GraphQL, over either transport, and goes on by `after`: the protocols have no resume of
//! their own.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;

use crate::reader::End;
use crate::shop::Shop;
use crate::wait;

/// The longest silence: several heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const QUERY: &str = "subscription($id: ID!, $after: Long) {
    orderChanged(id: $id, after: $after) { sequence status } }";

/// How it gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Server-sent events (`graphql-sse`).
    Events,
    /// A WebSocket (`graphql-transport-ws`).
    Socket,
}

/// A status that an order got, and its place in the order's history.
pub type Change = (u64, String);

/// A subscription, over as many connections as it takes.
#[derive(Debug)]
pub struct Subscriber {
    over: Over,
    order_id: String,
    token: Option<String>,
    seen: Mutex<Vec<Change>>,
}

impl Subscriber {
    /// One who has seen nothing yet.
    #[must_use]
    pub fn new(over: Over, order_id: &str, token: Option<&str>) -> Self {
        Self {
            over,
            order_id: order_id.to_owned(),
            token: token.map(str::to_owned),
            seen: Mutex::default(),
        }
    }

    /// All changes so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Change> {
        self.seen.lock().clone()
    }

    /// Waits until this many changes have come; somebody else reads them.
    pub fn until(&self, changes: usize) {
        wait::until(&format!("{changes} changes"), || {
            (self.seen.lock().len() >= changes).then_some(())
        });
    }

    /// Reads one connection to its end, from where the one before stopped. An error is [`End::Refused`] with its code, a socket
    /// that is closed for a reason of its protocol with that.
    pub fn read(&self, shop: &Shop) -> End {
        match self.over {
            Over::Events => self.read_events(shop),
            Over::Socket => self.read_socket(shop),
        }
    }

    /// Reads until there is nothing more to come, over as many connections as it takes.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn read_all(&self, shop: &Shop) {
        wait::until("the end of the subscription", || {
            (self.read(shop) == End::Over).then_some(())
        });
    }

    fn body(&self) -> Value {
        let after = self.seen.lock().last().map(|(sequence, _)| *sequence);
        let variables = json!({ "id": self.order_id, "after": after });
        json!({ "query": QUERY, "variables": variables })
    }

    fn bearer(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {token}"))
    }

    /// What the payload of a `next` or an `error` says; its end, if it is one.
    fn note(&self, payload: &Value) -> Option<End> {
        let errors = if payload.is_array() {
            payload
        } else {
            &payload["errors"]
        };
        if let Some(code) = errors[0]["extensions"]["code"].as_str() {
            return Some(End::Refused(code.to_owned()));
        }
        let change = &payload["data"]["orderChanged"];
        let status = change["status"].as_str();
        match (change["sequence"].as_u64(), status) {
            (Some(sequence), Some(status)) => {
                self.seen.lock().push((sequence, status.to_owned()));
                None
            }
            _ => Some(End::Broken(format!("no change: {payload}"))),
        }
    }

    fn read_events(&self, shop: &Shop) -> End {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_per_read(Some(SILENCE_MAX))
            .build();
        let agent = ureq::Agent::new_with_config(agent);
        let mut request = agent
            .post(format!("{}/graphql", shop.base))
            .header("accept", "text/event-stream");
        if let Some(bearer) = self.bearer() {
            request = request.header("authorization", bearer);
        }
        let answer = match request.send_json(self.body()) {
            Ok(answer) if answer.status() == 200 => answer,
            Ok(answer) => return End::Refused(answer.status().as_str().to_owned()),
            Err(error) => return End::Refused(error.to_string()),
        };
        let mut event = String::new();
        for line in BufReader::new(answer.into_body().into_reader()).lines() {
            let line = match line {
                Ok(line) => line,
                Err(error) => return End::Broken(error.to_string()),
            };
            match line.split_once(':') {
                Some(("event", name)) => name.trim().clone_into(&mut event),
                Some(("data", data)) if event == "next" => {
                    let payload = serde_json::from_str(data.trim()).expect("JSON");
                    if let Some(end) = self.note(&payload) {
                        return end;
                    }
                }
                Some(("data", _)) if event == "complete" => return End::Over,
                _ => {}
            }
        }
        End::Whole
    }

    fn read_socket(&self, shop: &Shop) -> End {
        let at = shop.base.trim_start_matches("http://");
        let mut request = format!("ws://{at}/graphql")
            .into_client_request()
            .expect("an address");
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let stream = match TcpStream::connect(at) {
            Ok(stream) => stream,
            Err(error) => return End::Refused(error.to_string()),
        };
        stream
            .set_read_timeout(Some(SILENCE_MAX))
            .expect("a time limit");
        let mut socket = match tungstenite::client(request, stream) {
            Ok((socket, _)) => socket,
            Err(error) => return End::Refused(error.to_string()),
        };
        let init = self
            .bearer()
            .map_or_else(|| json!({}), |bearer| json!({ "authorization": bearer }));
        let said = [
            json!({ "type": "connection_init", "payload": init }),
            json!({ "type": "subscribe", "id": "1", "payload": self.body() }),
        ];
        for message in said {
            // One that is refused at the first message is told so all the same.
            let _ = socket.send(Message::text(message.to_string()));
        }
        loop {
            let text = match socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(Some(frame))) if u16::from(frame.code) < 4400 => {
                    return End::Whole;
                }
                Ok(Message::Close(Some(frame))) => {
                    return End::Refused(u16::from(frame.code).to_string());
                }
                Ok(_) => continue,
                Err(error) => return End::Broken(error.to_string()),
            };
            let message: Value = serde_json::from_str(&text).expect("JSON");
            let end = match message["type"].as_str() {
                Some("next" | "error") => self.note(&message["payload"]),
                Some("complete") => Some(End::Over),
                _ => None,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }
}
