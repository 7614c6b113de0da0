//! The time limits for the mail server, for each phase.

use std::time::Duration;

use chassis::config::positive_duration;
use clap::Args;

/// The defaults are far below RFC 5321's (4.5.3.2: minutes for each step): if a server does not greet in time, the mail
/// is retried later. Only the last step keeps the RFC's ten minutes, since a timeout there risks a second copy of the
/// mail: the server may accept it afterwards.
#[derive(Args, Clone, Copy, Debug)]
pub struct SmtpLimits {
    /// How long it may take until the mail server's port is reached, each of its addresses
    #[arg(long, env = "SMTP_CONNECT_TIMEOUT", default_value = "5s", value_parser = positive_duration)]
    pub smtp_connect_timeout: Duration,
    /// How long the mail server may take for TLS, greeting, EHLO and login together
    #[arg(long, env = "SMTP_GREETING_TIMEOUT", default_value = "15s", value_parser = positive_duration)]
    pub smtp_greeting_timeout: Duration,
    /// How long the mail server may take for each command (MAIL, RCPT, DATA) and to read the mail
    #[arg(long, env = "SMTP_COMMAND_TIMEOUT", default_value = "30s", value_parser = positive_duration)]
    pub smtp_command_timeout: Duration,
    /// How long the mail server may take to accept a mail that it has read. Not too short: a server that says yes
    /// after that has taken a mail that will be sent once more
    #[arg(long, env = "SMTP_ACCEPT_TIMEOUT", default_value = "10m", value_parser = positive_duration)]
    pub smtp_accept_timeout: Duration,
    /// How long a mail may take until its place among EMAIL_WORKERS goes to another one
    #[arg(long, env = "SMTP_SLOW_AFTER", default_value = "2s", value_parser = positive_duration)]
    pub smtp_slow_after: Duration,
    /// Mails that may wait for a slow mail server besides EMAIL_WORKERS
    #[arg(long, env = "SMTP_WAITING", default_value = "60", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub smtp_waiting: u32,
}
