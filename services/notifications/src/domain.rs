//! Which mail goes to which recipient. No I/O, and nothing about SMTP.

use chrono::{DateTime, Utc};
use contracts::jobs::EmailJob;
use envelope::Event;
use uuid::Uuid;

use crate::templates;

/// The domain part of every `Message-ID`.
const MESSAGE_ID_DOMAIN: &str = "agora.example";

/// A recipient of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) email: String,
    pub(crate) name: String,
}

/// A complete mail. The same job always produces the same mail, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The id of the job, which identifies the mail permanently: see [`Mail::message_id`].
    pub(crate) job_id: Uuid,
    pub(crate) to: Recipient,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// The time at which the job was created.
    pub(crate) date: DateTime<Utc>,
}

impl Mail {
    /// The mail of a job.
    pub(crate) fn compose(job: &Event<EmailJob>, to: Recipient) -> Self {
        // Users choose their names: a name must not be able to add a line to a header or to the text.
        let name = to.name.replace(char::is_control, " ").trim().to_owned();
        let text = templates::render(&job.data, &name);
        let to = Recipient { name, ..to };
        Self {
            job_id: job.logical_id,
            to,
            subject: text.subject,
            body: text.body,
            date: job.time,
        }
    }

    /// Derived from the job's id, so that mail programs recognise a mail that was sent twice as one.
    pub(crate) fn message_id(&self) -> String {
        format!("<{}@{MESSAGE_ID_DOMAIN}>", self.job_id)
    }
}

/// The recipient in the job itself, if it has one. For a mail about an order the recipient is looked up when it is
/// sent, since `user-events` may be behind.
pub(crate) fn named_in(job: &EmailJob) -> Option<Recipient> {
    match job {
        EmailJob::Welcome { email, name, .. } => Some(Recipient {
            email: email.clone(),
            name: name.clone(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_always_makes_the_same_mail_and_a_name_adds_no_line() {
        let job = EmailJob::Welcome {
            user_id: Uuid::from_u128(1),
            email: "ada@example.com".into(),
            name: "Ada\r\nBcc: all@example.com".into(),
        };
        let job = Event::new(job);
        let compose = || Mail::compose(&job, named_in(&job.data).unwrap());
        let mail = compose();
        assert_eq!(mail, compose());
        assert_eq!(mail.message_id(), format!("<{}@agora.example>", job.id));
        assert_eq!(mail.to.name, "Ada  Bcc: all@example.com");
        assert!(mail.body.starts_with("Hello Ada  Bcc"), "{}", mail.body);
    }
}
