//! Whom a refusal is about: one mail, or us.
//!
//! A refusal for good parks the mail that it is about. One that is about us would so park every mail, and is an outage instead:
//! jobs wait until a setting is mended, here or at the server.
//!
//! | reply | about |
//! |---|---|
//! | 4yz | nobody: it passes (RFC 5321, section 4.2.1) |
//! | 53z | our login (RFC 4954) |
//! | X.1.7, X.1.8, X.7.27 | our sender's address (RFC 3463, RFC 7505), also where a server waits with that until RCPT |
//! | 504, 555 to MAIL | the mail: its parameters are the extensions that this one needs |
//! | any other 5yz to MAIL | our sender's address, which is all else that MAIL has |
//! | any other 5yz | the mail: its recipient or its text |

use std::error::Error as _;

use lettre::transport::smtp::Error;

use super::phase::Phase;
use crate::mailer::MailError;

/// The codes of RFC 3463 and RFC 7505 about a sender's address.
const OF_SENDER: [&str; 3] = ["5.1.7", "5.1.8", "5.7.27"];

/// The failure of a command that was sent in `phase`.
pub(super) fn failed(error: Error, phase: Phase) -> MailError {
    let Some(code) = error.status() else {
        return MailError::Broken(error);
    };
    let said = error.source().map(|said| said.to_string());
    match is_about_us(code.into(), &said.unwrap_or_default(), phase) {
        true => MailError::Unwelcome(error),
        false => MailError::Refused(error),
    }
}

fn is_about_us(code: u16, said: &str, phase: Phase) -> bool {
    let enhanced = said.split_whitespace().next().unwrap_or_default();
    match code {
        530..540 => true,
        500..600 if OF_SENDER.contains(&enhanced) => true,
        504 | 555 => false,
        500..600 => phase == Phase::Sender,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_about_us_or_about_one_mail() {
        use Phase::{Accept, Data, Recipient, Sender};
        for (code, said, phase, is) in [
            (553, "5.1.8 unknown domain", Sender, true),
            (550, "who are you?", Sender, true),
            (501, "", Sender, true),
            (555, "5.5.4 no SMTPUTF8", Sender, false),
            (504, "5.5.4 no 8BITMIME", Sender, false),
            (451, "4.1.8 no answer from DNS", Sender, false),
            (530, "5.7.0 log in first", Sender, true),
            (530, "5.7.0 log in first", Recipient, true),
            (550, "5.1.7 a sender's address", Recipient, true),
            (550, "5.7.27 a sender's domain", Recipient, true),
            (550, "5.1.1 no such mailbox", Recipient, false),
            (550, "no such mailbox, 5.1.8 or not", Recipient, false),
            (554, "5.7.1 no relay", Recipient, false),
            (554, "", Data, false),
            (554, "5.7.1 spam", Accept, false),
        ] {
            let about_us = is_about_us(code, said, phase);
            assert_eq!(about_us, is, "{code} {said} to {phase}");
        }
    }
}
