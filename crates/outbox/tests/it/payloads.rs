//! Events that a consumer may hear of, beside those that are counted.

use envelope::EventData;
use serde::{Deserialize, Serialize};

use crate::fixture::Counted;

/// Says that it is [`Counted`], from a source that does not own that type.
#[derive(Serialize, Deserialize)]
pub(crate) struct Forged {
    pub(crate) key: String,
    pub(crate) n: u64,
}

impl EventData for Forged {
    const TYPE: &'static str = Counted::TYPE;
    const SOURCE: &'static str = "/services/mallory";
    fn subject(&self) -> String {
        self.key.clone()
    }
}

/// Its effect is the same however often it is made.
#[derive(Serialize, Deserialize)]
pub(crate) struct Renamed {
    pub(crate) key: String,
}

impl EventData for Renamed {
    const TYPE: &'static str = "test.renamed.v1";
    const SOURCE: &'static str = "/services/test";
    fn subject(&self) -> String {
        self.key.clone()
    }
}

/// Of a type that nobody reads.
#[derive(Serialize, Deserialize)]
pub(crate) struct Unheard {}

impl EventData for Unheard {
    const TYPE: &'static str = "test.unheard.v1";
    const SOURCE: &'static str = "/services/test";
    fn subject(&self) -> String {
        "nobody".into()
    }
}
