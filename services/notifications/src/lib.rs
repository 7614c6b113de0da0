//! Facts become jobs, and jobs become mail.
//!
//! `events.rs` reads the stream and writes jobs to the queue; `jobs.rs` works on them and talks to the mail
//! server through `mailer.rs`. *Facts go on the stream, work goes on the queue*: the stream is read in order
//! and at full speed while the mail server is slow, since only jobs wait for it. Read the migrations for what
//! is kept, `templates.rs` for what customers read.

mod audit;
mod config;
mod domain;
mod error;
mod events;
mod housekeeping;
mod jobs;
mod listeners;
mod mailer;
mod queues;
mod store;
mod templates;

use std::sync::Arc;
use std::time::Duration;

use chassis::admin::Clients;
use chassis::health::Health;
use chassis::tasks::Tasks;
use chassis::{Fatal, Shutdown, admin, db};
use contracts::queues::{EMAIL_JOBS, USER_CREATED_AUDIT, USER_CREATED_WELCOME};
use contracts::topics::{ORDER_EVENTS, USER_EVENTS};
use messaging::kafka::{self, ConsumerOptions, KafkaConfig};
use messaging::{ConsumeOptions, Queue, Status};
use outbox::{Outbox, RelayOptions};

use audit::Audit;
use events::{Desk, Facts, GROUP, SignUps};
use housekeeping::Retention;
use jobs::{EmailJobs, LEASE_MIN};
use mailer::{Files, Mailer, Smtp};

pub use config::Config;
pub use listeners::Listeners;
pub use mailer::SmtpLimits;

/// The service's name, in logs, metrics and spans.
const NAME: &str = "notifications";

/// Sign-ups that are handled at the same time.
const WELCOME_WORKERS: u32 = 2;
/// Sign-ups that are written to the audit trail at the same time.
const AUDIT_WORKERS: u32 = 1;
/// Connections to the queue's database besides one for each worker: the relay and the claims.
const QUEUE_CONNECTIONS: u32 = 4;
/// The longest pause between two tries to send a mail.
const EMAIL_BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Runs the service until `shutdown`.
///
/// # Errors
/// What the service cannot run with. Nothing that can pass by itself: it waits for those.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    let health = Health::new(NAME);
    let (postgres, kafka, broker, mail) = (
        health.dependency("postgres"),
        health.dependency("kafka"),
        health.dependency("queue"),
        // Jobs wait in the queue for it.
        health.optional("mail"),
    );
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn(
        "admin",
        admin::serve(
            listeners.admin,
            config.service.admin_access(),
            health.clone(),
            admin::controls(NAME, Clients::new(), config.service.faults()),
            shutdown.clone(),
        ),
    );

    let mailer = mailer(&config)?;
    let pool = db::connect(
        &config.database.database_url,
        config.database.max_connections,
        NAME,
    )?;
    let connections = config.email_workers + WELCOME_WORKERS + AUDIT_WORKERS + QUEUE_CONNECTIONS;
    let queue = messaging::open_queue(config.queue.amqp_url.as_deref(), NAME, || {
        db::connect(config.queue.database()?, connections, NAME)
    })?;
    db::until_available(&postgres, &shutdown, db::is_unavailable, || {
        store::prepare(&pool)
    })
    .await?;
    db::until_available(&broker, &shutdown, queues::is_unavailable, || {
        queues::declare(queue.as_ref())
    })
    .await?;
    if shutdown.is_triggered() {
        return tasks.join(config.service.shutdown_deadline).await;
    }
    tasks.spawn(
        "database watch",
        db::watch(pool.clone(), postgres, shutdown.clone()),
    );

    // Jobs leave through the outbox. The relay's word is not part of readiness: facts are read, and jobs
    // noted, while the queue is away.
    let outbox = Outbox::new();
    let options = RelayOptions {
        poll: config.outbox.outbox_poll,
        replay_window: config.outbox.outbox_replay_window,
        ..RelayOptions::default()
    };
    let relay = outbox::relay(
        pool.clone(),
        outbox.clone(),
        queue.clone(),
        options,
        Status::ignore(),
        shutdown.token(),
    );
    tasks.spawn("outbox relay", relay);

    // Facts: from the stream, and our copy of the sign-ups.
    let desk = Desk::new(pool.clone(), outbox);
    let stream = KafkaConfig {
        fetch_wait: config.kafka.kafka_fetch_wait,
        ..KafkaConfig::new(&config.kafka.kafka_brokers, NAME).with_account(config.kafka.account())
    };
    let facts = Arc::new(Facts(desk.clone()));
    let options = ConsumerOptions::new(GROUP, [USER_EVENTS, ORDER_EVENTS]);
    let (status, token) = (Status::new(kafka.reporter()), shutdown.token());
    tasks.spawn("facts", async move {
        kafka::consume(&stream, options, facts, status, token).await
    });
    let options = ConsumeOptions {
        concurrency: WELCOME_WORKERS as usize,
        ..ConsumeOptions::default()
    };
    tasks.spawn(
        "sign-ups",
        consume(
            queue.clone(),
            USER_CREATED_WELCOME,
            options,
            Arc::new(SignUps(desk)),
            Status::ignore(),
            &shutdown,
        ),
    );
    let options = ConsumeOptions {
        concurrency: AUDIT_WORKERS as usize,
        ..ConsumeOptions::default()
    };
    tasks.spawn(
        "audit",
        consume(
            queue.clone(),
            USER_CREATED_AUDIT,
            options,
            Arc::new(Audit),
            Status::ignore(),
            &shutdown,
        ),
    );

    // Jobs: workers that compete for them, here and in other replicas.
    let lease = config.email_lease.max(LEASE_MIN);
    let options = ConsumeOptions {
        concurrency: email_jobs_at_once(&config) as usize,
        // As long as the claim in the delivery log: what a dead worker held is free everywhere at once.
        visibility: lease,
        max_attempts: config.email_max_attempts,
        backoff_cap: EMAIL_BACKOFF_MAX,
        ..ConsumeOptions::default()
    };
    let handler = Arc::new(EmailJobs::new(pool.clone(), mailer, mail, lease));
    tasks.spawn(
        "email jobs",
        consume(
            queue,
            EMAIL_JOBS,
            options,
            handler,
            Status::new(broker.reporter()),
            &shutdown,
        ),
    );

    let keep = Retention {
        inbox: config.inbox_retention,
        deliveries: config.delivery_retention,
    };
    tasks.spawn(
        "housekeeping",
        housekeeping::purge(pool, keep, shutdown.token()),
    );

    health.ready();
    tasks.join(config.service.shutdown_deadline).await
}

/// One job for each worker, and those that wait for a slow mail server: they hold a message, but no worker's place.
fn email_jobs_at_once(config: &Config) -> u32 {
    let waiting = match config.smtp_url {
        Some(_) => config.smtp.smtp_waiting,
        None => 0,
    };
    config.email_workers + waiting
}

/// A mail server if one is configured, else a directory.
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

/// Owns what the consumer borrows, so that it can be a task.
fn consume(
    queue: Arc<dyn Queue>,
    name: &'static str,
    options: ConsumeOptions,
    handler: Arc<dyn messaging::Handler>,
    status: Status,
    shutdown: &Shutdown,
) -> impl Future<Output = Result<(), messaging::MessagingError>> + use<> {
    let token = shutdown.token();
    async move { queue.consume(name, options, handler, status, token).await }
}
