//! Converts facts to jobs, and sends the mails of jobs.
//!
//! `events.rs` reads the stream and writes jobs to the queue; `jobs.rs` processes them and sends through `mailer.rs`.
//! *Facts go on the stream, work goes on the queue*: while the mail server is slow, the stream is still read in order
//! and at full speed, since only jobs wait. Read the migrations for the stored data, `templates.rs` for the texts that
//! customers read.

mod audit;
mod config;
mod domain;
mod error;
mod events;
mod housekeeping;
mod jobs;
mod mailer;
mod queues;
mod store;
mod templates;

use std::sync::Arc;
use std::time::Duration;

use chassis::{Base, Fatal, Shutdown, db, trace};
use contracts::identity;
use contracts::queues::{EMAIL_JOBS, USER_CREATED_AUDIT, USER_CREATED_WELCOME};
use contracts::topics::{ORDER_EVENTS, USER_EVENTS};
use messaging::kafka::{self, ConsumerOptions, KafkaConfig};
use messaging::{
    ConsumeOptions, Handler, Queue, Status, show_dead_letters, start_queue, start_stream,
};
use outbox::{Consumers, Outbox};
use sqlx::PgPool;

use audit::Audit;
use events::{Facts, GROUP, SignUps, WELCOME};
use jobs::{EmailJobs, LEASE_MIN};
use mailer::{Broken, Files, Mailer, Smtp};
use store::deliveries::Deliveries;

pub use config::Config;
pub use mailer::SmtpLimits;

/// The service's name, in logs, metrics and spans.
const NAME: &str = "notifications";

/// Sign-ups that are handled at the same time.
const WELCOME_WORKERS: u32 = 2;
/// Sign-ups that are written to the audit trail at the same time.
const AUDIT_WORKERS: u32 = 1;
/// Connections to the queue's database besides the workers': the relay and the claims.
const QUEUE_CONNECTIONS: u32 = 4;
/// Connections to it for the workers of the jobs. They hold none while a mail is sent, and share the statement that
/// acknowledges.
const JOBS_CONNECTIONS_MAX: u32 = 8;
/// The longest pause between two tries to send a mail.
const EMAIL_BACKOFF_MAX: Duration = Duration::from_secs(300);

chassis::listeners! {
    /// The port of notifications; there is no public door.
    pub struct Listeners for Config {}
}

/// Runs the service until `shutdown`.
///
/// # Errors
/// Errors that do not pass by themselves; for all others it waits.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    let service = identity::service(NAME);
    let mut base = Base::start(service, &config.service, listeners.admin, shutdown);
    let kafka = base.health.dependency("kafka");
    let dead_letters = base.health.optional("dead letters");
    let broker = base.health.dependency("queue");
    // Optional, since jobs wait in the queue while it is unavailable.
    let mail = base.health.optional("mail");
    let mailer = Broken::new(mailer(&config)?, base.faults.clone(), &base.clients);
    let queue = open_queue(&config)?;
    let (pool, postgres) = base.database(&config.database)?;
    let prepare = || store::prepare(&pool);
    let prepared = base.prepare(&pool, postgres, db::is_unavailable, prepare);
    if !prepared.await? {
        return base.stop().await;
    }
    let declare = || queues::declare(queue.as_ref());
    db::until_available(&broker, &base.shutdown, queues::is_unavailable, declare).await?;
    if base.shutdown.is_triggered() {
        return base.stop().await;
    }

    let outbox = Outbox::new();
    let (working, sending) = broker.directions();
    let status = Status::new(sending);
    send_jobs(&mut base, &config, &pool, &outbox, &queue, status);
    let consumers = Consumers::of_service(pool.clone(), outbox);
    let stream = config.kafka.config(NAME);
    let options = config
        .kafka
        .consumer(NAME, GROUP, [USER_EVENTS, ORDER_EVENTS], &dead_letters)?;
    show_parked(&base, &stream, &options, &queue)?;
    let facts = consumers.idempotent(GROUP, Facts);
    let status = Status::new(kafka.reporter());
    start_stream(&mut base, "facts", stream, options, facts, status);
    take_sign_ups(&mut base, &queue, &consumers);

    let lease = config.email_lease.max(LEASE_MIN);
    let deliveries = Deliveries::new(pool.clone(), lease);
    let jobs = Arc::new(EmailJobs::new(deliveries, Arc::new(mailer), mail));
    let (options, status) = (email_jobs(&config, lease), Status::new(working));
    // Workers here and in other replicas compete for the jobs.
    start_queue(&mut base, queue, EMAIL_JOBS, options, jobs, status);
    let purge = housekeeping::purge(pool, config.retention(), base.shutdown.token());
    base.tasks.spawn("housekeeping", purge);
    base.run().await
}

/// Jobs are sent through the outbox. Facts can be read and jobs stored without the queue; that it does not take them is
/// reported.
fn send_jobs(
    base: &mut Base,
    config: &Config,
    pool: &PgPool,
    outbox: &Outbox,
    queue: &Arc<dyn Queue>,
    status: Status,
) {
    let options = config.outbox.relay(trace::publish_span);
    outbox::start_relay(base, pool, outbox, queue.clone(), options, status);
}

/// Shows on the admin port what could not be handled, of the stream and of the queues.
fn show_parked(
    base: &Base,
    stream: &KafkaConfig,
    options: &ConsumerOptions,
    queue: &Arc<dyn Queue>,
) -> Result<(), Fatal> {
    let queues = [EMAIL_JOBS, USER_CREATED_WELCOME, USER_CREATED_AUDIT].map(str::to_owned);
    let stores = [
        kafka::dead_letters_of(stream, options)?,
        queue.dead_letters(&queues),
    ];
    show_dead_letters(&base.dead_letters, stores);
    Ok(())
}

/// The queue; if it is in PostgreSQL, with a connection for each worker, up to eight.
fn open_queue(config: &Config) -> Result<Arc<dyn Queue>, Fatal> {
    let jobs = config.email_workers.min(JOBS_CONNECTIONS_MAX);
    let connections = jobs + WELCOME_WORKERS + AUDIT_WORKERS + QUEUE_CONNECTIONS;
    let open = |url: &str| db::connect(url, connections, NAME);
    config.queue.open(NAME, open)
}

/// Consumes this service's queues of sign-ups. Their status is ignored, since the workers of the jobs report the same
/// queue.
fn take_sign_ups(base: &mut Base, queue: &Arc<dyn Queue>, consumers: &Consumers) {
    let welcome: Arc<dyn Handler> = consumers.idempotent(WELCOME, SignUps);
    let audit: Arc<dyn Handler> = Arc::new(Audit);
    for (name, workers, handler) in [
        (USER_CREATED_WELCOME, WELCOME_WORKERS, welcome),
        (USER_CREATED_AUDIT, AUDIT_WORKERS, audit),
    ] {
        let options = ConsumeOptions {
            concurrency: workers as usize,
            ..ConsumeOptions::default()
        };
        let status = Status::ignore();
        start_queue(base, queue.clone(), name, options, handler, status);
    }
}

fn email_jobs(config: &Config, lease: Duration) -> ConsumeOptions {
    ConsumeOptions {
        concurrency: email_jobs_at_once(config) as usize,
        // As long as the claim in the delivery log, so that both expire at the same time when a worker dies.
        visibility: lease,
        max_attempts: config.email_max_attempts,
        backoff_cap: EMAIL_BACKOFF_MAX,
        ..ConsumeOptions::default()
    }
}

/// One job for each worker, plus those that wait for a slow mail server: they hold a message, but not a worker's place.
fn email_jobs_at_once(config: &Config) -> u32 {
    let waiting = match config.smtp_url {
        Some(_) => config.smtp.smtp_waiting,
        None => 0,
    };
    config.email_workers + waiting
}

/// The mail server if one is configured, otherwise the directory.
fn mailer(config: &Config) -> Result<Arc<dyn Mailer>, Fatal> {
    let from = config.mail_from.clone();
    Ok(match (&config.smtp_url, &config.mail_dir) {
        (Some(url), _) => Arc::new(Smtp::new(url, from, config.email_workers, config.smtp)?),
        (None, Some(directory)) => Arc::new(Files::new(directory.clone(), from)),
        (None, None) => {
            return Err(Fatal::new(
                "there is nowhere to send mail: set SMTP_URL or MAIL_DIR",
            ));
        }
    })
}
