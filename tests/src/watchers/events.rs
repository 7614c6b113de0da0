//! Server-sent events as the observatory sends them: a name, and data on one line.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::{expect, here};
use crate::net::Http1;

/// A stream of them.
pub(super) struct Stream {
    body: Incoming,
    events: Events,
    /// Kept for as long as the stream is read.
    _connection: Http1,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    data: String,
}

impl Stream {
    pub(super) async fn open(gateway: SocketAddr, path: &str) -> Result<Self, String> {
        let mut connection = Http1::open(here(), gateway).await?;
        let accept = [("accept", "text/event-stream")];
        let answer = connection.follow(path, &accept).await?;
        expect(path, 200, &answer)?;
        Ok(Self {
            body: answer.into_body(),
            events: Events::default(),
            _connection: connection,
        })
    }

    /// The events that the next piece completes, which may be none.
    pub(super) async fn next(&mut self) -> Result<Vec<Event>, String> {
        let frame = self.body.frame().await.ok_or("a stream has ended")?;
        let frame = frame.map_err(|error| format!("a stream broke: {error}"))?;
        Ok(frame
            .data_ref()
            .map(|piece| self.events.push(piece))
            .unwrap_or_default())
    }
}

impl Event {
    pub(super) fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.data).map_err(|error| format!("{}: {error}", self.data))
    }
}

/// What came of events that are not complete yet.
#[derive(Debug, Default)]
struct Events {
    rest: Vec<u8>,
    name: String,
}

impl Events {
    fn push(&mut self, piece: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(piece);
        let lines = self.rest.iter().rposition(|byte| *byte == b'\n');
        let rest = self.rest.split_off(lines.map_or(0, |end| end + 1));
        let lines = std::mem::replace(&mut self.rest, rest);
        let mut events = Vec::new();
        for line in String::from_utf8_lossy(&lines).lines() {
            match line.split_once(':') {
                Some(("event", name)) => self.name = name.trim_start().to_owned(),
                Some(("data", data)) => events.push(Event {
                    name: self.name.clone(),
                    data: data.to_owned(),
                }),
                _ => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let text =
            ":\n\nevent:hop\ndata:{\"name\":\"é: 1\"}\n\nevent:dropped\ndata:{\"count\":2}\n\n";
        let event = |name: &str, data: &str| Event {
            name: name.to_owned(),
            data: data.to_owned(),
        };
        let all = [
            event("hop", "{\"name\":\"é: 1\"}"),
            event("dropped", "{\"count\":2}"),
        ];
        for size in 1..=text.len() {
            let mut events = Events::default();
            let pieces = text.as_bytes().chunks(size);
            let came: Vec<_> = pieces.flat_map(|piece| events.push(piece)).collect();
            assert_eq!(came, all, "pieces of {size} bytes");
        }
    }
}
