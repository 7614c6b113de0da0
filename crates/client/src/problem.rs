//! The error document of a peer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An RFC 9457 problem document as a peer sent it. Absent members are empty: a proxy, or a peer that crashes, may send
/// fewer of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProblemBody {
    /// A URI that names the kind of problem; `about:blank` if the status is sufficient.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// An explanation of this occurrence.
    pub detail: Option<String>,
    /// The request that failed.
    pub instance: Option<String>,
    /// The trace id, to find the request in logs.
    pub trace_id: Option<String>,
    /// The errors in the body, one for each field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// The `Retry-After` header, where it was given in seconds.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// One error in a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemField {
    /// The place of the error, as a JSON pointer such as `/items/0/quantity`.
    pub pointer: String,
    /// An explanation of the error, for a person.
    pub detail: String,
}
