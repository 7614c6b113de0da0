//! How far a conversation is: limits and failures depend on it.

use std::fmt;

/// The phase of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connecting, until the server's greeting.
    Greeting,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    /// The transfer of the mail's text.
    Text,
    /// After the final dot: from here on the server may have accepted the mail.
    Accept,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "connecting",
            Self::StartTls => "STARTTLS",
            Self::Login => "AUTH",
            Self::Sender => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Text => "the text of the mail",
            Self::Accept => {
                "the final dot; the mail may be taken, and is sent again under the same Message-ID"
            }
        })
    }
}
