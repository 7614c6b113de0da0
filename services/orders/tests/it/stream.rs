//! A reader of server-sent events that hides nothing.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

use crate::app::PATIENCE;

/// An event that has come whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// An answer that goes on.
pub(crate) struct Events {
    answer: http::Response<Incoming>,
    text: String,
    retry: Option<String>,
}

impl Events {
    pub(crate) fn new(answer: http::Response<Incoming>) -> Self {
        Self {
            answer,
            text: String::new(),
            retry: None,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.answer.headers()[name].to_str().unwrap()
    }

    /// What it said of when to come again.
    pub(crate) fn retry(&self) -> Option<&str> {
        self.retry.as_deref()
    }

    /// The next event; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        while let Some(block) = self.block().await {
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.strip_prefix(':')?.trim_start().to_owned())
            };
            if let Some(retry) = field("retry") {
                self.retry = Some(retry);
            }
            if let Some(data) = field("data") {
                return Some(Event {
                    id: field("id").unwrap_or_default(),
                    event: field("event").unwrap_or_default(),
                    data: serde_json::from_str(&data).unwrap(),
                });
            }
        }
        None
    }

    /// Waits for a comment.
    pub(crate) async fn comment(&mut self) {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if block.starts_with(':') {
                return;
            }
            assert!(!block.contains("data:"), "an event: {block}");
        }
    }

    /// All events until the end.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }

    /// What comes until an empty line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let frame = timeout(PATIENCE, self.answer.body_mut().frame());
            let frame = frame.await.expect("something, or the end")?;
            let data = frame.expect("no error").into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}
