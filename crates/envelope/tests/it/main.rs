//! The envelope as its users see it: what goes out comes back in, other people's CloudEvents code agrees,
//! and bad input names what is missing.

#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod bad_input;
mod causality;
mod chain;
mod modes;
mod peer;
mod round_trip;
mod versions;

use envelope::{Event, EventData};
use serde::{Deserialize, Serialize};

/// A payload with what JSON makes difficult: nesting, optional and non-ASCII text, large integers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) order_id: String,
    pub(crate) note: Option<String>,
    pub(crate) amounts: Vec<i64>,
}

impl EventData for Placed {
    const TYPE: &'static str = "agora.test.placed.v1";
    const SOURCE: &'static str = "/services/orders";

    fn subject(&self) -> String {
        self.order_id.clone()
    }
}

pub(crate) fn placed() -> Event<Placed> {
    let data = Placed {
        order_id: "order-1".to_owned(),
        note: Some("für \"Ähm\" 50%".to_owned()),
        amounts: vec![1, -2],
    };
    Event::new(data)
}

/// Headers as a consumer hands them over: borrowed bytes.
pub(crate) fn borrowed(
    headers: &[(String, String)],
) -> impl Iterator<Item = (&str, &[u8])> + Clone {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
}
