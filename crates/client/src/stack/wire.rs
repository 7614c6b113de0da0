//! What differs between the protocols of calls.

use std::time::Duration;

use http::HeaderMap;
use resilience::deadline::{GRPC_TIMEOUT_HEADER, TIMEOUT_HEADER, wire};

/// The header in which a protocol carries the caller's timeout.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wire {
    /// `x-request-timeout-ms`.
    Http,
    /// `grpc-timeout`.
    Grpc,
}

impl Wire {
    pub(super) fn stamp(self, headers: &mut HeaderMap, left: Duration) {
        match self {
            Self::Http => headers.insert(TIMEOUT_HEADER, wire::http_timeout(left)),
            Self::Grpc => headers.insert(GRPC_TIMEOUT_HEADER, wire::grpc_timeout(left)),
        };
    }
}
