//! Sends to a mail server, with a time limit for each phase of the conversation.
//!
//! lettre's own transport has only one time limit, for the TCP connection. Its lower-level connection sends one command
//! at a time, so the limits are applied to those: `conversation.rs`. A server that is slow to answer does not block
//! other mails: `places.rs`. A refusal is about one mail or about all: `refusal.rs`.

mod conversation;
mod dial;
mod idle;
mod limits;
mod phase;
mod places;
mod refusal;
mod server;

use async_trait::async_trait;
use chassis::Fatal;
use lettre::message::Mailbox;

use super::{MailError, Mailer, message};
use crate::domain::Mail;

use conversation::Conversation;
use idle::Idle;
use places::Places;
use server::Server;

pub(super) use lettre::transport::smtp::Error;
pub use limits::SmtpLimits;
pub(crate) use phase::Phase;

/// Sends mails to a mail server.
pub(crate) struct Smtp {
    server: Server,
    from: Mailbox,
    limits: SmtpLimits,
    places: Places,
    idle: Idle,
}

impl Smtp {
    /// A client of the server at `url`, which is not contacted yet. `workers` conversations run at a time, in addition
    /// to those in which the server is slow.
    pub(crate) fn new(
        url: &str,
        from: Mailbox,
        workers: u32,
        limits: SmtpLimits,
    ) -> Result<Self, Fatal> {
        Ok(Self {
            server: Server::parse(url)?,
            from,
            places: Places::new(workers, limits.smtp_waiting, limits.smtp_slow_after),
            idle: Idle::new(workers as usize),
            limits,
        })
    }

    /// Whether a client can be made of a server at `url`.
    pub(crate) fn takes(url: &str) -> bool {
        Server::parse(url).is_ok()
    }

    async fn converse(&self, mail: &lettre::Message) -> Result<(), MailError> {
        let mut conversation = match self.idle.take(&self.limits).await {
            Some(conversation) => conversation,
            None => Conversation::open(&self.server, &self.limits).await?,
        };
        match conversation.hand_over(mail, &self.limits).await {
            Ok(()) => {
                self.idle.put(conversation);
                Ok(())
            }
            Err(error) => {
                // After a refusal the session is ended politely; after a timeout that would only be another timeout.
                if matches!(error, MailError::Refused(_) | MailError::Unwelcome(_)) {
                    conversation.end(&self.limits).await;
                }
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(mail, &self.from)?;
        self.places.occupy(self.converse(&message)).await
    }
}
