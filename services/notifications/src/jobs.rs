//! Jobs become mail, once.
//!
//! claim → send → record. Two copies of a job (the queue delivers at least once) meet at the claim: one
//! sends, the other comes back later and finds the mail sent. A worker that dies before the record leaves a
//! claim that runs out, and the next one sends the mail again, under the same `Message-ID`: between the mail
//! server's yes and our record lies the one moment that nobody can close.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backoff::Backoff;
use chassis::health::Dependency;
use contracts::jobs::EmailJob;
use envelope::Event;
use messaging::{Delivery, Handler, HandlerError};
use sqlx::PgPool;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::domain::{self, Mail, Recipient};
use crate::error::Error;
use crate::mailer::Mailer;
use crate::store::{deliveries, deliveries::Claim, recipients};

/// Shorter leases would be extended more often than a database should be asked.
pub(crate) const LEASE_MIN: Duration = Duration::from_millis(100);
/// Pauses between attempts to record what was sent: the first, and the longest.
const RECORD_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Sends the mail of each job.
pub(crate) struct EmailJobs {
    pool: PgPool,
    mailer: Arc<dyn Mailer>,
    /// Whether it takes mails.
    mail: Dependency,
    /// How long a claim outlives its worker, which extends it while it sends.
    lease: Duration,
}

impl EmailJobs {
    pub(crate) fn new(
        pool: PgPool,
        mailer: Arc<dyn Mailer>,
        mail: Dependency,
        lease: Duration,
    ) -> Self {
        Self {
            pool,
            mailer,
            mail,
            lease,
        }
    }

    async fn work(&self, delivery: &Delivery) -> Result<(), Error> {
        let job = outbox::event_in(delivery)?.decode::<EmailJob>()?;
        let recipient = self.recipient(&job.data).await?;
        let mail = Mail::compose(&job, recipient);
        match deliveries::claim(&self.pool, &job, &mail.to.email, self.lease).await? {
            Claim::Sent => Ok(()),
            Claim::Theirs => Err(Error::Claimed),
            Claim::Ours(claim) => self.send(&job, &mail, claim).await,
        }
    }

    async fn recipient(&self, job: &EmailJob) -> Result<Recipient, Error> {
        if let Some(recipient) = domain::named_in(job) {
            return Ok(recipient);
        }
        let user_id = job.user_id();
        recipients::find(&self.pool, user_id)
            .await?
            .ok_or(Error::UnknownRecipient(user_id))
    }

    async fn send(&self, job: &Event<EmailJob>, mail: &Mail, claim: Uuid) -> Result<(), Error> {
        let answer = tokio::select! {
            answer = self.mailer.send(mail) => answer,
            never = self.hold(job.id, claim) => match never {},
        };
        let template = job.data.template();
        match answer {
            Ok(()) => {
                self.mail.up();
                self.record(job.id).await;
                metrics::counter!("mails_sent_total", "template" => template).increment(1);
                tracing::info!(job_id = %job.id, order_id = job.data.order_id().map(tracing::field::display), "mail sent");
                Ok(())
            }
            Err(error) => {
                if error.is_away() {
                    self.mail.down(error.to_string());
                }
                metrics::counter!("mails_failed_total", "template" => template).increment(1);
                // Without this the claim runs out by itself, only later.
                if let Err(error) =
                    deliveries::release(&self.pool, job.id, claim, &error.to_string()).await
                {
                    tracing::debug!(%error, "a claim was not given back");
                }
                Err(error.into())
            }
        }
    }

    /// Keeps the claim while the mail server takes its time.
    async fn hold(&self, job_id: Uuid, claim: Uuid) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            if let Err(error) = deliveries::extend(&self.pool, job_id, claim, self.lease).await {
                tracing::debug!(%error, "a claim was not extended");
            }
        }
    }

    /// The mail is out, so this does not give up: to fail here would be to send it again.
    async fn record(&self, job_id: Uuid) {
        let mut backoff = Backoff::new(RECORD_BACKOFF.0, RECORD_BACKOFF.1);
        while let Err(error) = deliveries::sent(&self.pool, job_id).await {
            tracing::info!(%job_id, %error, "a mail was sent and that is not recorded yet");
            tokio::time::sleep(backoff.next()).await;
        }
    }
}

#[async_trait]
impl Handler for EmailJobs {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let span = chassis::trace::consumer_span("email.jobs process", &delivery.message.headers);
        let worked = self.work(delivery).instrument(span).await;
        worked.map_err(|error| error.into_handler_error(delivery.attempt))
    }
}
