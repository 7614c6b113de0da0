//! A reader of an order's server-sent events, as plain as they come: lines, and where it stopped.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;

use crate::shop::{Customer, Shop};
use crate::wait;

/// The longest silence: several heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An event that came whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What `Last-Event-ID` takes up from.
    pub id: String,
    /// The status.
    pub event: String,
    /// The JSON.
    pub data: Value,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As if it were over.
    Whole,
    /// With an error.
    Broken(String),
    /// There is nothing more to come (204).
    Over,
    /// Another answer, or none.
    Refused(String),
}

/// One who watches an order, over as many connections as it takes.
#[derive(Debug)]
pub struct Reader {
    agent: ureq::Agent,
    path: String,
    token: String,
    seen: Mutex<Vec<Event>>,
}

impl Reader {
    /// A reader that has seen nothing yet.
    #[must_use]
    pub fn new(by: &Customer, order_id: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_per_read(Some(SILENCE_MAX))
            .build();
        Self {
            agent: ureq::Agent::new_with_config(config),
            path: format!("/api/orders/{order_id}/events"),
            token: by.token.clone(),
            seen: Mutex::default(),
        }
    }

    /// All events so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Event> {
        self.seen.lock().clone()
    }

    /// The statuses so far.
    #[must_use]
    pub fn statuses(&self) -> Vec<String> {
        self.seen
            .lock()
            .iter()
            .map(|event| event.event.clone())
            .collect()
    }

    /// Waits until this many events have come; somebody else reads them.
    pub fn until(&self, events: usize) {
        wait::until(&format!("{events} events"), || {
            (self.seen.lock().len() >= events).then_some(())
        });
    }

    /// Reads one connection to its end, from where the one before stopped.
    pub fn read(&self, shop: &Shop) -> End {
        let mut request = ureq::http::Request::get(format!("{}{}", shop.base, self.path))
            .header("authorization", format!("Bearer {}", self.token));
        if let Some(last) = self.seen.lock().last() {
            request = request.header("last-event-id", &last.id);
        }
        let answer = match request
            .body(())
            .map_err(ureq::Error::from)
            .and_then(|r| self.agent.run(r))
        {
            Ok(answer) => answer,
            Err(error) => return End::Refused(error.to_string()),
        };
        match answer.status().as_u16() {
            200 => self.events(BufReader::new(answer.into_body().into_reader())),
            204 => End::Over,
            status => End::Refused(status.to_string()),
        }
    }

    /// Reads until there is nothing more to come, over as many connections as it takes.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn read_all(&self, shop: &Shop) {
        wait::until("the end of the stream", || {
            (self.read(shop) == End::Over).then_some(())
        });
    }

    fn events(&self, lines: impl BufRead) -> End {
        let (mut id, mut event, mut data) = (String::new(), String::new(), String::new());
        for line in lines.lines() {
            let line = match line {
                Ok(line) => line,
                Err(error) => return End::Broken(error.to_string()),
            };
            match line.split_once(':') {
                Some(("id", value)) => id = value.trim_start().to_owned(),
                Some(("event", value)) => event = value.trim_start().to_owned(),
                Some(("data", value)) => data.push_str(value.trim_start()),
                None if line.is_empty() && !data.is_empty() => {
                    let whole = Event {
                        id: std::mem::take(&mut id),
                        event: std::mem::take(&mut event),
                        data: serde_json::from_str(&std::mem::take(&mut data)).expect("JSON"),
                    };
                    self.seen.lock().push(whole);
                }
                _ => {}
            }
        }
        End::Whole
    }
}
