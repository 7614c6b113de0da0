//! Sends the mail of each job, once.
//!
//! The steps are claim, send, record. If two copies of a job (the queue delivers at least once) try to claim it, one
//! sends, and the other is retried later and finds the mail sent. If a worker dies before the record, its claim
//! expires, and the next worker sends the mail again, with the same `Message-ID`: between the acceptance by the mail
//! server and our record there is a gap that cannot be closed.
//!
//! A worker that lives remembers what was accepted until it is recorded. While the database is away, leases of jobs and claims run
//! out, and a job may come again before its record is there. If it comes to another replica, that one sends it again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backoff::Backoff;
use chassis::health::Dependency;
use contracts::jobs::EmailJob;
use envelope::{Event, EventData as _, Versions};
use messaging::{Delivery, Handler, HandlerError};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::domain::{self, Mail};
use crate::error::Error;
use crate::mailer::Mailer;
use crate::store::deliveries::{Claim, Deliveries};

/// Shorter leases would have to be extended too often for a database.
pub(crate) const LEASE_MIN: Duration = Duration::from_millis(100);
/// The most mails that are remembered as accepted, many times as many as are on their way at a time. For one more all are
/// forgotten.
const ACCEPTED_MAX: usize = 10_000;
/// Pauses between attempts to record what was sent: the first, and the longest.
const RECORD_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The handler that sends the mail of each job.
pub(crate) struct EmailJobs {
    /// How a job of any version is read.
    versions: Versions<EmailJob>,
    deliveries: Deliveries,
    mailer: Arc<dyn Mailer>,
    /// The health of the mailer.
    mail: Dependency,
    /// The jobs whose mails were accepted and are not recorded yet; up to [`ACCEPTED_MAX`], since one that another replica sees to
    /// in the end stays.
    accepted: Mutex<HashSet<Uuid>>,
}

impl EmailJobs {
    pub(crate) fn new(deliveries: Deliveries, mailer: Arc<dyn Mailer>, mail: Dependency) -> Self {
        Self {
            versions: EmailJob::versions(),
            deliveries,
            mailer,
            mail,
            accepted: Mutex::default(),
        }
    }

    async fn work(&self, delivery: &Delivery) -> Result<(), Error> {
        let event = outbox::event_in(delivery)?;
        let Some(job) = self.versions.decode(&event)? else {
            // It comes in a version that is read here, too.
            return Ok(());
        };
        if self.is_accepted(job.logical_id) {
            self.note_sent(&job).await;
            return Ok(());
        }
        let named = domain::named_in(&job.data);
        match self.deliveries.claim(&job, named).await? {
            Claim::Sent => Ok(()),
            Claim::Theirs => Err(Error::Claimed),
            Claim::Unknown => Err(Error::UnknownRecipient(job.data.user_id())),
            Claim::Ours(claim, recipient) => {
                self.send(&job, &Mail::compose(&job, recipient), claim)
                    .await
            }
        }
    }

    async fn send(&self, job: &Event<EmailJob>, mail: &Mail, claim: Uuid) -> Result<(), Error> {
        let span = tracing::info_span!(
            target: chassis::hops::TARGET,
            "mail",
            otel.name = "send",
            otel.kind = "client",
            peer.service = "mail",
            network.protocol.name = "smtp",
            error.type = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        );
        // Of a job that is published in two versions one mail is sent.
        let job_id = job.logical_id;
        let sending = self.mailer.send(mail).instrument(span.clone());
        let answer = tokio::select! {
            answer = sending => answer,
            never = self.hold(job_id, claim) => match never {},
        };
        match &answer {
            Ok(()) => span.record("otel.status_code", "OK"),
            Err(error) if error.is_away() => span.record("error.type", "away"),
            Err(_) => span.record("error.type", "mail"),
        };
        drop(span);
        let template = job.data.template();
        match answer {
            Ok(()) => {
                self.mail.up();
                self.remember(job_id);
                self.note_sent(job).await;
                Ok(())
            }
            Err(error) => {
                if error.is_away() {
                    self.mail.down(error.to_string());
                }
                metrics::counter!("mails_failed_total", "template" => template).increment(1);
                // If this fails, the claim expires by itself later.
                if let Err(error) = self
                    .deliveries
                    .release(job_id, claim, &error.to_string())
                    .await
                {
                    tracing::debug!(%error, "a claim was not given back");
                }
                Err(error.into())
            }
        }
    }

    fn is_accepted(&self, job_id: Uuid) -> bool {
        self.accepted.lock().contains(&job_id)
    }

    fn remember(&self, job_id: Uuid) {
        let mut accepted = self.accepted.lock();
        if accepted.len() >= ACCEPTED_MAX {
            accepted.clear();
        }
        accepted.insert(job_id);
    }

    /// Records that a job's mail was accepted, and tells of it: once, if its job has come again meanwhile.
    async fn note_sent(&self, job: &Event<EmailJob>) {
        let (job_id, template) = (job.logical_id, job.data.template());
        self.record(job_id).await;
        let is_first = self.accepted.lock().remove(&job_id);
        if is_first {
            metrics::counter!("mails_sent_total", "template" => template).increment(1);
            tracing::info!(%job_id, order_id = job.data.order_id().map(tracing::field::display), "mail sent");
        }
    }

    /// Extends the claim repeatedly while the mail is being sent.
    async fn hold(&self, job_id: Uuid, claim: Uuid) -> std::convert::Infallible {
        let every = self.deliveries.extended_every();
        let mut next = Instant::now() + every;
        loop {
            sleep_until(next).await;
            // Whatever this one waits for.
            next = Instant::now() + every;
            if let Err(error) = self.deliveries.extend(job_id, claim).await {
                tracing::debug!(%error, "a claim was not extended");
            }
        }
    }

    /// Records that the mail was sent. It retries for ever, since an error here would cause the mail to be sent again.
    async fn record(&self, job_id: Uuid) {
        let mut backoff = Backoff::new(RECORD_BACKOFF.0, RECORD_BACKOFF.1);
        while let Err(error) = self.deliveries.sent(job_id).await {
            tracing::info!(%job_id, %error, "a mail was sent and that is not recorded yet");
            tokio::time::sleep(backoff.next()).await;
        }
    }
}

#[async_trait]
impl Handler for EmailJobs {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let span = chassis::trace::consumer_span("email.jobs process", &delivery.message.headers);
        span.record("messaging.system", delivery.system);
        span.record("attempt", delivery.attempt);
        let worked = self.work(delivery).instrument(span.clone()).await;
        if worked.is_err() {
            span.record("error.type", "job");
            span.record("otel.status_code", "ERROR");
        }
        worked.map_err(|error| error.into_handler_error(delivery.attempt))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chassis::health::Health;
    use futures::FutureExt as _;
    use messaging::Message;
    use sqlx::PgPool;

    use super::*;
    use crate::mailer::MailError;

    /// Accepts every mail. With the first one the delivery log goes away.
    struct Accepting {
        log: PgPool,
        mails: AtomicUsize,
    }

    #[async_trait]
    impl Mailer for Accepting {
        async fn send(&self, _: &Mail) -> Result<(), MailError> {
            if self.mails.load(Ordering::SeqCst) == 0 {
                let away = sqlx::raw_sql("ALTER TABLE deliveries RENAME TO away");
                away.execute(&self.log).await.expect("a log");
            }
            self.mails.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_job_that_comes_again_before_its_record_is_no_second_mail() {
        let database = embedded::testing::fresh_database();
        let pool = PgPool::connect(&database.url).await.expect("a database");
        crate::store::prepare(&pool).await.expect("tables");
        let mailer = Arc::new(Accepting {
            log: pool.clone(),
            mails: AtomicUsize::new(0),
        });
        let deliveries = Deliveries::new(pool.clone(), Duration::from_secs(60));
        let mail = Health::new("notifications").optional("mail");
        let jobs = EmailJobs::new(deliveries, mailer.clone(), mail);
        let job = Event::new(EmailJob::Welcome {
            user_id: Uuid::now_v7(),
            email: "ada@example.com".to_owned(),
            name: "Ada".to_owned(),
        });
        let job = job.to_binary(envelope::KAFKA_PREFIX).expect("a message");
        let message = Message {
            key: None,
            headers: job.headers,
            payload: job.body,
        };
        let delivery = Delivery::new(message, "email.jobs", 1);

        // Its consumer loses the job while there is nowhere to record it.
        let mut handled = jobs.handle(&delivery);
        while mailer.mails.load(Ordering::SeqCst) == 0 {
            assert!(handled.as_mut().now_or_never().is_none());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(handled);
        let back =
            "ALTER TABLE away RENAME TO deliveries; UPDATE deliveries SET claimed_until = now()";
        sqlx::raw_sql(back).execute(&pool).await.expect("a log");
        jobs.handle(&delivery).await.expect("a record");
        assert_eq!(mailer.mails.load(Ordering::SeqCst), 1);
        let state: String = sqlx::query_scalar("SELECT state FROM deliveries")
            .fetch_one(&pool)
            .await
            .expect("a row");
        assert_eq!(state, "sent");
        assert!(jobs.accepted.lock().is_empty(), "it is recorded");
    }
}
