//! One SMTP conversation (RFC 5321) with a time limit for each phase.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::{Address, Message};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::dial::dial;
use super::limits::SmtpLimits;
use super::phase::Phase;
use super::refusal::failed;
use super::server::{Server, Tls};
use crate::mailer::MailError;

/// A connection after greeting, encryption and login, as the URL requires.
pub(super) struct Conversation(AsyncSmtpConnection);

impl Conversation {
    /// Connects. Errors here are not the fault of the mail.
    pub(super) async fn open(server: &Server, limits: &SmtpLimits) -> Result<Self, MailError> {
        let (reach, greet) = (limits.smtp_connect_timeout, limits.smtp_greeting_timeout);
        let connect = connect(server, reach);
        let mut connection = within(reach + greet, Phase::Greeting, connect).await??;
        let starttls = match &server.tls {
            Tls::Opportunistic(parameters) if connection.can_starttls() => Some(parameters),
            Tls::Required(parameters) => Some(parameters),
            _ => None,
        };
        if let Some(parameters) = starttls {
            let upgrade = connection.starttls(parameters.clone(), &server.hello);
            within(greet, Phase::StartTls, upgrade)
                .await?
                .map_err(MailError::Greeting)?;
        }
        if let Some(credentials) = &server.credentials {
            let login = connection.auth(DEFAULT_MECHANISMS, credentials);
            within(greet, Phase::Login, login)
                .await?
                .map_err(MailError::Greeting)?;
        }
        Ok(Self(connection))
    }

    /// Sends one mail. `Ok` means that the server has accepted it.
    pub(super) async fn hand_over(
        &mut self,
        mail: &Message,
        limits: &SmtpLimits,
    ) -> Result<(), MailError> {
        let step = limits.smtp_command_timeout;
        let (envelope, text) = (mail.envelope(), mail.formatted());
        let is_wide = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
        let wide = envelope
            .from()
            .into_iter()
            .chain(envelope.to())
            .any(is_wide);
        let parameters = self.parameters(wide, text.is_ascii())?;
        let command = Mail::new(envelope.from().cloned(), parameters);
        answered(step, Phase::Sender, self.0.command(command)).await?;
        for to in envelope.to() {
            let command = Rcpt::new(to.clone(), Vec::new());
            answered(step, Phase::Recipient, self.0.command(command)).await?;
        }
        answered(step, Phase::Data, self.0.command(Data)).await?;
        self.text(&text, limits).await
    }

    /// The extensions that the server must support for this mail (RFC 6531, RFC 6152).
    fn parameters(&self, wide: bool, ascii: bool) -> Result<Vec<MailParameter>, MailError> {
        let mut parameters = Vec::new();
        let server = self.0.server_info();
        if wide {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                return Err(MailError::Unsupported("SMTPUTF8"));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !ascii {
            if !server.supports_feature(Extension::EightBitMime) {
                return Err(MailError::Unsupported("8BITMIME"));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }

    /// Sends the text and the final dot, and waits for the answer. lettre does all of it in one call, so the end of the
    /// text is detected by the iterator that provides the text.
    async fn text(&mut self, text: &[u8], limits: &SmtpLimits) -> Result<(), MailError> {
        let written = Notify::new();
        let end = std::iter::from_fn(|| {
            written.notify_one();
            None
        });
        let sending = self.0.message_iter(std::iter::once(text).chain(end));
        let too_long = async {
            let step = limits.smtp_command_timeout;
            if let Err(silence) = within(step, Phase::Text, written.notified()).await {
                return silence;
            }
            sleep(limits.smtp_accept_timeout).await;
            MailError::Silent {
                phase: Phase::Accept,
                limit: limits.smtp_accept_timeout,
            }
        };
        tokio::select! {
            answer = sending => answer.map(drop).map_err(|error| failed(error, Phase::Accept)),
            silence = too_long => Err(silence),
        }
    }

    /// Whether the server still responds.
    pub(super) async fn is_alive(&mut self, limits: &SmtpLimits) -> bool {
        timeout(limits.smtp_command_timeout, self.0.test_connected())
            .await
            .unwrap_or(false)
    }

    /// Ends the session.
    pub(super) async fn end(mut self, limits: &SmtpLimits) {
        // The result does not matter, since the session ends in any case.
        let _ = timeout(limits.smtp_command_timeout, self.0.abort()).await;
    }
}

/// Connects, and reads the greeting and the answer to EHLO.
async fn connect(server: &Server, reach: Duration) -> Result<AsyncSmtpConnection, MailError> {
    let Server {
        host, port, hello, ..
    } = server;
    let connected = if let Tls::Wrapper(parameters) = &server.tls {
        // Only lettre can put TLS around a new connection of its own.
        let tls = Some(parameters.clone());
        let address = (host.as_str(), *port);
        AsyncSmtpConnection::connect_tokio1(address, Some(reach), hello, tls, None).await
    } else {
        let stream = dial(host, *port, reach).await;
        let stream = stream.map_err(MailError::Unreachable)?;
        AsyncSmtpConnection::connect_with_transport(Box::new(stream), hello).await
    };
    connected.map_err(MailError::Greeting)
}

async fn within<T>(
    limit: Duration,
    phase: Phase,
    step: impl Future<Output = T>,
) -> Result<T, MailError> {
    timeout(limit, step)
        .await
        .map_err(|_| MailError::Silent { phase, limit })
}

/// A command of a mail, until its answer.
async fn answered<T>(
    limit: Duration,
    phase: Phase,
    command: impl Future<Output = Result<T, Error>>,
) -> Result<T, MailError> {
    let answer = within(limit, phase, command).await?;
    answer.map_err(|error| failed(error, phase))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use clap::Parser as _;
    use lettre::transport::smtp::client::AsyncTokioStream;
    use lettre::transport::smtp::extension::ClientId;
    use tokio::io::{
        AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream,
        ReadBuf,
    };

    use super::*;

    /// A connection in memory.
    #[derive(Debug)]
    struct Wire(DuplexStream);

    impl AsyncRead for Wire {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    impl AsyncTokioStream for Wire {
        fn peer_addr(&self) -> io::Result<SocketAddr> {
            Ok(SocketAddr::from(([127, 0, 0, 1], 25)))
        }
    }

    #[derive(clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        smtp: SmtpLimits,
    }

    /// Accepts everything up to DATA, and does not read the text.
    async fn reads_no_text(wire: DuplexStream) {
        let mut wire = BufReader::new(wire);
        let mut line = String::new();
        wire.write_all(b"220 mail.example\r\n").await.unwrap();
        while !line.starts_with("DATA") {
            line.clear();
            wire.read_line(&mut line).await.unwrap();
            let reply: &[u8] = match line.starts_with("DATA") {
                true => b"354 go on\r\n",
                false => b"250 mail.example\r\n",
            };
            wire.write_all(reply).await.unwrap();
        }
        std::future::pending().await
    }

    /// TCP's buffers hold most mails, so that this needs a connection with smaller ones.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_read_the_text_costs_the_time_of_a_command() {
        let (ours, theirs) = tokio::io::duplex(64);
        let server = tokio::spawn(reads_no_text(theirs));
        let limits = Arguments::parse_from(["test"]).smtp;
        let hello = ClientId::Domain("shop".into());
        let connection =
            AsyncSmtpConnection::connect_with_transport(Box::new(Wire(ours)), &hello).await;
        let mail = Message::builder()
            .from("a@shop.example".parse().unwrap())
            .to("b@shop.example".parse().unwrap())
            .body("x".repeat(10_000))
            .unwrap();
        let error = Conversation(connection.unwrap())
            .hand_over(&mail, &limits)
            .await
            .unwrap_err();
        let silent = MailError::Silent {
            phase: Phase::Text,
            limit: limits.smtp_command_timeout,
        };
        assert_eq!(error.to_string(), silent.to_string());
        server.abort();
    }
}
