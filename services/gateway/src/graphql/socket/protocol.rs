//! The messages of `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), and the close codes.

use async_graphql::{Response, ServerError};
use axum::extract::ws::{CloseFrame, Message};
use serde::{Deserialize, Serialize};

use crate::graphql::request::Asked;

/// Longest id of an operation, in bytes. It is repeated in each message, and in a reason to close, which has 123 at most.
const ID_BYTES_MAX: usize = 64;

/// A message of a client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromClient {
    ConnectionInit { payload: Option<Init> },
    Ping,
    Pong,
    Subscribe { id: String, payload: Box<Asked> },
    Complete { id: String },
}

/// The payload of `connection_init`; unknown members are ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Init {
    /// `Bearer` and a token.
    #[serde(default, alias = "Authorization")]
    pub(super) authorization: Option<String>,
}

impl FromClient {
    /// # Errors
    /// How the socket is to be closed, with the reason.
    pub(super) fn read(text: &str) -> Result<Self, Close> {
        // serde would read `["ping"]` as well.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Close::bad_request("a message is a JSON object"));
        }
        let message = serde_json::from_str(text);
        let message = message.map_err(|failed| Close::bad_request(&failed.to_string()))?;
        match &message {
            Self::Subscribe { id, .. } | Self::Complete { id } if id.is_empty() => {
                Err(Close::bad_request("an id must not be empty"))
            }
            Self::Subscribe { id, .. } | Self::Complete { id } if id.len() > ID_BYTES_MAX => {
                Err(Close::bad_request("an id has at most 64 bytes"))
            }
            _ => Ok(message),
        }
    }
}

/// A message to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToClient<'a> {
    ConnectionAck,
    Pong,
    Next {
        id: &'a str,
        payload: Box<Response>,
    },
    /// The operation was not executed; no message follows.
    Error {
        id: &'a str,
        payload: Vec<ServerError>,
    },
    Complete {
        id: &'a str,
    },
}

impl ToClient<'_> {
    /// The encoded message; empty if it cannot be encoded, which does not happen.
    pub(super) fn write(&self) -> Message {
        Message::text(serde_json::to_string(self).unwrap_or_default())
    }
}

/// Why a socket is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    code: u16,
    reason: String,
}

impl Close {
    fn new(code: u16, reason: &str) -> Self {
        // A control frame has 125 bytes, two of which are the code.
        let end = reason.floor_char_boundary(123);
        let reason = reason[..end].to_owned();
        Self { code, reason }
    }

    /// Nothing was subscribed to for a long time. To clients it is no failure.
    pub(super) fn idle() -> Self {
        Self::new(
            1000,
            "nothing is subscribed to: come again when something is",
        )
    }

    /// Somebody with fewer streams needs the place.
    pub(super) fn make_room() -> Self {
        Self::new(
            1013,
            "as many streams are open as there may be: come again later",
        )
    }

    /// The service stops; the client can reconnect to another instance.
    pub(super) fn going_away() -> Self {
        Self::new(1001, "the service stops: come again")
    }

    /// An invalid WebSocket frame, or one that is far too long.
    pub(super) fn unreadable() -> Self {
        Self::new(1002, "a frame that is not read here")
    }

    /// More messages than this client may send.
    pub(super) fn too_often() -> Self {
        Self::new(1008, "too many messages: slow down")
    }

    pub(super) fn too_long(bytes_max: usize) -> Self {
        Self::new(1009, &format!("a message has at most {bytes_max} bytes"))
    }

    /// The token cannot be checked at the moment.
    pub(super) fn try_again() -> Self {
        Self::new(1013, "access tokens cannot be checked: come again")
    }

    pub(super) fn bad_request(reason: &str) -> Self {
        Self::new(4400, reason)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(4403, "Forbidden")
    }

    pub(super) fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    pub(super) fn duplicate(id: &str) -> Self {
        Self::new(4409, &format!("Subscriber for {id} already exists"))
    }

    pub(super) fn too_many_inits() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }
}

impl From<Close> for Message {
    fn from(close: Close) -> Self {
        let (code, reason) = (close.code, close.reason.into());
        Self::Close(Some(CloseFrame { code, reason }))
    }
}
