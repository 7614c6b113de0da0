//! The error document of a peer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An RFC 9457 problem document as a peer sent it. Members that are absent are empty: a proxy or a crash
/// in between may answer with less.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProblemBody {
    /// A URI that names the kind of problem; `about:blank` if the status says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: Option<String>,
    /// The request that it happened to.
    pub instance: Option<String>,
    /// The trace to look for in logs.
    pub trace_id: Option<String>,
    /// What is wrong with the body, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// The `Retry-After` header, where it was given in seconds.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemField {
    /// Where: a JSON pointer such as `/items/0/quantity`.
    pub pointer: String,
    /// What is wrong, for a person.
    pub detail: String,
}
