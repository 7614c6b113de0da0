//! Delivery of a mail: to a mail server, or to a directory.

mod broken;
mod files;
mod smtp;

use std::time::Duration;

use async_trait::async_trait;
use lettre::Message;
use lettre::address::AddressError;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox};

use crate::domain::Mail;

pub(crate) use broken::Broken;
pub(crate) use files::Files;
pub(crate) use smtp::Smtp;
pub use smtp::SmtpLimits;

/// Delivers mails. After `Ok` the mail was accepted and must not be sent again.
#[async_trait]
pub(crate) trait Mailer: Send + Sync + 'static {
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// Why a mail was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    /// The recipient's address is invalid.
    #[error("{address:?} is not an address: {source}")]
    Address {
        address: String,
        source: AddressError,
    },
    /// The mail cannot be composed.
    #[error("the mail cannot be written: {0}")]
    Compose(#[from] lettre::error::Error),
    /// The mail server was not reachable.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(#[source] std::io::Error),
    /// The mail server did not greet as one, or refused the login.
    #[error("the mail server cannot be talked to: {0}")]
    Greeting(#[source] smtp::Error),
    /// The mail server refused this mail.
    #[error("the mail server did not take it: {0}")]
    Refused(#[source] smtp::Error),
    /// The mail server takes no mail at all from us: it wants another login, or another sender.
    #[error("the mail server takes no mail from us: {0}")]
    Unwelcome(#[source] smtp::Error),
    /// The connection broke, or the server's response was not SMTP.
    #[error("the mail server was lost: {0}")]
    Broken(#[source] smtp::Error),
    /// The mail server lacks an extension that this mail needs.
    #[error("the mail server has no {0}, which this mail needs")]
    Unsupported(&'static str),
    /// The mail server did not respond in time.
    #[error("the mail server did not answer within {limit:?} to {phase}")]
    Silent { phase: smtp::Phase, limit: Duration },
    /// It was broken on purpose, by a rule of faults.
    #[error("the mail server was broken on purpose")]
    OnPurpose,
    /// The file could not be written.
    #[error("the mail was not written to {path}: {source}")]
    File {
        path: String,
        source: std::io::Error,
    },
}

impl MailError {
    /// Whether at present no mail at all can be delivered.
    pub(crate) fn is_away(&self) -> bool {
        use smtp::Phase::{Greeting, Login, StartTls};
        match self {
            Self::Unreachable(_)
            | Self::Greeting(_)
            | Self::Unwelcome(_)
            | Self::File { .. }
            | Self::OnPurpose => true,
            // It takes connections and says nothing. Later phases may be slow because of one mail.
            Self::Silent { phase, .. } => matches!(phase, Greeting | StartTls | Login),
            Self::Address { .. }
            | Self::Compose(_)
            | Self::Refused(_)
            | Self::Broken(_)
            | Self::Unsupported(_) => false,
        }
    }

    /// Whether a retry of the same mail may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Compose(_) | Self::Unsupported(_) => false,
            Self::Refused(error) => !error.is_permanent(),
            Self::Unreachable(_)
            | Self::Greeting(_)
            | Self::Unwelcome(_)
            | Self::Broken(_)
            | Self::Silent { .. }
            | Self::File { .. }
            | Self::OnPurpose => true,
        }
    }
}

/// The mail in the form of RFC 5322, with the same bytes each time.
fn message(mail: &Mail, from: &Mailbox) -> Result<Message, MailError> {
    let address = mail.to.email.parse().map_err(|source| MailError::Address {
        address: mail.to.email.clone(),
        source,
    })?;
    let name = Some(mail.to.name.clone()).filter(|name| !name.is_empty());
    let builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(name, address))
        .subject(&mail.subject)
        .message_id(Some(mail.message_id()))
        .date(mail.date.into())
        // RFC 3834: suppresses automatic answers such as vacation notices.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .header(ContentType::TEXT_PLAIN);
    // Plain if it is ASCII, otherwise quoted-printable: in both forms an order's id can be read and searched for, while
    // base64, which is sometimes shorter, would hide it.
    let body = match mail.body.is_ascii() {
        true => Body::new(mail.body.clone()),
        false => {
            Body::new_with_encoding(mail.body.clone(), ContentTransferEncoding::QuotedPrintable)
                .unwrap_or_else(|_| Body::new(mail.body.clone()))
        }
    };
    Ok(builder.body(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Recipient;
    use chrono::DateTime;
    use uuid::Uuid;

    fn mail(email: &str, name: &str) -> Mail {
        Mail {
            job_id: Uuid::from_u128(7),
            to: Recipient {
                email: email.into(),
                name: name.into(),
            },
            subject: "Your order 0190163d is confirmed".into(),
            body: format!("Hello {name},\n\nOrder: 0190163d-8694-739b-aea5-966c26f8ad91\n"),
            date: DateTime::UNIX_EPOCH,
        }
    }

    fn text(mail: &Mail) -> String {
        let from = "Agora <hello@agora.example>".parse().unwrap();
        String::from_utf8(message(mail, &from).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_mail_is_plain_text_under_its_own_id() {
        let text = text(&mail("ada@example.com", "Ada"));
        for line in [
            "From: Agora <hello@agora.example>",
            "To: Ada <ada@example.com>",
            "Subject: Your order 0190163d is confirmed",
            "Message-ID: <00000000-0000-0000-0000-000000000007@agora.example>",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "Hello Ada,",
            "Order: 0190163d-8694-739b-aea5-966c26f8ad91",
        ] {
            assert!(
                text.lines().any(|l| l == line),
                "{line} is missing in\n{text}"
            );
        }
    }

    #[test]
    fn an_order_can_be_found_in_a_mail_in_any_language() {
        for name in ["Ágnes Müller", "Софья Ковалевская", "高木 貞治"] {
            let text = text(&mail("a@example.com", name));
            assert!(
                text.contains("\r\nOrder: 0190163d-8694-739b-aea5-966c26f8ad91\r\n"),
                "{text}"
            );
            assert!(text.is_ascii(), "any mail server takes it");
        }
    }

    #[test]
    fn what_is_no_address_never_becomes_one() {
        let from = "Agora <hello@agora.example>".parse().unwrap();
        for address in [
            "",
            "ada",
            "ada@example.com\r\nBcc: all@example.com",
            "a@b, c@d",
        ] {
            let error = message(&mail(address, "Ada"), &from).unwrap_err();
            assert!(
                matches!(error, MailError::Address { .. }) && !error.may_pass(),
                "{error}"
            );
        }
    }

    #[test]
    fn a_server_that_is_silent_before_any_mail_is_away() {
        use smtp::Phase::{Accept, Data, Greeting, Login, Recipient, Sender, StartTls, Text};
        let limit = Duration::from_secs(1);
        let is_away = |phase| MailError::Silent { phase, limit }.is_away();
        assert!([Greeting, StartTls, Login].into_iter().all(is_away));
        let of_one_mail = [Sender, Recipient, Data, Text, Accept];
        assert!(!of_one_mail.into_iter().any(is_away));
    }
}
