//! A mail server.

use std::time::Duration;

use async_trait::async_trait;
use chassis::Fatal;
use lettre::message::Mailbox;
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{MailError, Mailer, message};
use crate::domain::Mail;

/// Steps of a conversation (connect, greet, sender, recipient, …) that together may take this many times
/// the timeout of one: a server that drips an answer letter by letter must not hold a worker for ever.
const STEPS: u32 = 10;

/// Hands mails to a mail server.
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    timeout: Duration,
}

impl Smtp {
    /// A client of the server at `url`, which is not contacted yet: at most `connections` at a time,
    /// each step of a conversation within `timeout`.
    pub(crate) fn new(
        url: &str,
        from: Mailbox,
        connections: u32,
        timeout: Duration,
    ) -> Result<Self, Fatal> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            // Its text may hold the URL, and that a password.
            .map_err(|_| Fatal::new("SMTP_URL (or --smtp-url) cannot be used: it takes smtp://host:port, with ?tls=required for STARTTLS, or smtps://"))?
            .timeout(Some(timeout))
            .pool_config(PoolConfig::new().max_size(connections))
            .build();
        Ok(Self {
            transport,
            from,
            timeout,
        })
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(mail, &self.from)?;
        let all = self.timeout * STEPS;
        match tokio::time::timeout(all, self.transport.send(message)).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_) => Err(MailError::Timeout(all.as_secs())),
        }
    }
}

/// Whether trying again may help: not when the server refuses this mail for good (5xx), and not when it
/// cannot be sent to this kind of server at all. To log in is our own affair, not the mail's (53x).
pub(super) fn may_pass(error: &Error) -> bool {
    let login = error
        .status()
        .is_some_and(|code| (530..540).contains(&u16::from(code)));
    login || !(error.is_permanent() || error.is_client())
}
