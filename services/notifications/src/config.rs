//! The service's settings: flags and environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use chassis::config;
use clap::Parser;
use lettre::message::Mailbox;
use messaging::args::{KafkaArgs, QueueArgs};
use outbox::OutboxArgs;

use crate::housekeeping::Retention;
use crate::mailer::{Smtp, SmtpLimits};

/// Turns facts into jobs, and jobs into mail.
#[derive(Clone, Parser)]
#[command(name = "notifications", version)]
pub struct Config {
    /// What every service can be told.
    #[command(flatten)]
    pub service: config::Service,
    /// Where recipients and the delivery log are kept.
    #[command(flatten)]
    pub database: config::Database,
    /// Where facts come from.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How jobs leave for the queue.
    #[command(flatten)]
    pub outbox: OutboxArgs,
    /// Where jobs are.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// Port of /livez, /readyz and /metrics; 0 takes any free one
    #[arg(long, env = "ADMIN_PORT", default_value_t = 8094)]
    pub admin_port: u16,

    /// Mail server, such as smtp://127.0.0.1:1025 or smtps://user:password@mail.example
    #[arg(long, env = "SMTP_URL", hide_env_values = true, value_parser = smtp_url)]
    pub smtp_url: Option<String>,
    /// Directory that mails are written to as .eml files, when there is no SMTP_URL
    #[arg(long, env = "MAIL_DIR", required_unless_present = "smtp_url")]
    pub mail_dir: Option<PathBuf>,
    /// Who mails are from
    #[arg(long, env = "MAIL_FROM", default_value = "Agora <hello@agora.example>", value_parser = mailbox)]
    pub mail_from: Mailbox,
    /// How long the mail server may take.
    #[command(flatten)]
    pub smtp: SmtpLimits,

    /// Mails that are sent at the same time
    #[arg(long, env = "EMAIL_WORKERS", default_value = "16", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub email_workers: u32,
    /// How long a mail that a dead worker was sending waits for another worker; never below 100 ms
    #[arg(long, env = "EMAIL_LEASE", default_value = "15s", value_parser = config::duration)]
    pub email_lease: Duration,
    /// Tries before a mail that cannot be sent is parked in email.jobs.dead; 40 are about two hours
    #[arg(long, env = "EMAIL_MAX_ATTEMPTS", default_value = "40", value_parser = clap::value_parser!(u32).range(1..))]
    pub email_max_attempts: u32,

    /// How long handled events are remembered: longer than Kafka keeps them, else one that is delivered
    /// again counts twice
    #[arg(long, env = "INBOX_RETENTION", default_value = "192h", value_parser = config::duration)]
    pub inbox_retention: Duration,
    /// How long the delivery log is kept
    #[arg(long, env = "DELIVERY_RETENTION", default_value = "90d", value_parser = config::duration)]
    pub delivery_retention: Duration,
}

/// Without `smtp_url`, which may contain a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("service", &self.service)
            .field("database", &self.database)
            .field("queue", &self.queue)
            .field("smtp", &self.smtp_url.is_some())
            .field("mail_dir", &self.mail_dir)
            .finish_non_exhaustive()
    }
}

fn smtp_url(text: &str) -> Result<String, String> {
    match Smtp::takes(text) {
        true => Ok(text.to_owned()),
        false => Err(
            "it takes a URL such as smtp://127.0.0.1:1025 or smtps://user:password@mail.example, with ?tls=required for STARTTLS"
                .to_owned(),
        ),
    }
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|_| {
        "it takes an address such as hello@shop.example or Shop <hello@shop.example>".to_owned()
    })
}

impl Config {
    /// The retention periods of stored data.
    pub(crate) fn retention(&self) -> Retention {
        Retention {
            inbox: self.inbox_retention,
            deliveries: self.delivery_retention,
        }
    }
}

#[cfg(test)]
mod tests {
    use backoff::Backoff;

    use super::*;

    const ENGINES: [&str; 5] = [
        "notifications",
        "--database-url",
        "postgres://u:p@127.0.0.1/notifications",
        "--queue-database-url",
        "postgres://u:p@127.0.0.1/queue",
    ];

    fn parse(more: &[&str]) -> Result<Config, String> {
        config::try_from_args(ENGINES.iter().chain(more))
    }

    #[test]
    fn the_defaults_are_those_of_the_public_face() {
        let config = parse(&["--mail-dir", "mail"]).unwrap();
        assert_eq!(config.admin_port, 8094);
        assert_eq!(config.mail_from.to_string(), "Agora <hello@agora.example>");
        assert_eq!((config.email_workers, config.email_max_attempts), (16, 40));
    }

    #[test]
    fn the_tries_of_a_mail_take_about_as_long_as_is_said() {
        let config = parse(&["--mail-dir", "mail"]).unwrap();
        let options = crate::email_jobs(&config, config.email_lease);
        let delay = |tries| {
            let backoff = Backoff::new(options.backoff, options.backoff_cap);
            backoff.after(tries).ceiling()
        };
        let longest: Duration = (0..options.max_attempts - 1).map(delay).sum();
        // Equal jitter: a delay is three quarters of its longest, on average.
        let usual = longest * 3 / 4;
        let minutes = usual.as_secs() / 60;
        assert!((105..135).contains(&minutes), "{minutes} minutes");
    }

    #[test]
    fn mail_needs_somewhere_to_go() {
        let line = parse(&[]).unwrap_err();
        assert!(
            line.contains("MAIL_DIR") && line.contains("SMTP_URL"),
            "{line}"
        );
        assert!(parse(&["--smtp-url", "smtp://127.0.0.1:1025"]).is_ok());
    }

    #[test]
    fn a_bad_value_is_named_and_a_password_is_not() {
        for (flag, value) in [
            ("--mail-from", "nobody"),
            ("--email-workers", "0"),
            ("--smtp-command-timeout", "60"),
            ("--smtp-accept-timeout", "0"),
        ] {
            let line = parse(&["--mail-dir", "mail", flag, value]).unwrap_err();
            assert!(line.contains(flag) && line.contains(value), "{line}");
        }
        // All that no client can be made for, before any port is bound.
        for url in [
            "http://user:hunter2@mail.example",
            "smtp://user:hunter2@mail.example?tls=perhaps",
            "smtp://user:hunter2%ff@mail.example",
        ] {
            let line = parse(&["--smtp-url", url]).unwrap_err();
            assert!(
                line.contains("SMTP_URL") && line.contains("smtps://") && !line.contains("hunter2"),
                "{line}"
            );
        }
        let config = parse(&["--smtp-url", "smtps://user:hunter2@mail.example"]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
