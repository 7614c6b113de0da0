//! A mail is sent once.

use std::sync::Arc;
use std::time::Duration;

use contracts::jobs::EmailJob;
use envelope::Event;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::app::{TestApp, World};
use crate::mail_server::{MailServer, OK};

fn job() -> Event<EmailJob> {
    job_to("ada@example.com")
}

pub(crate) fn job_to(email: &str) -> Event<EmailJob> {
    Event::new(EmailJob::Welcome {
        user_id: Uuid::now_v7(),
        email: email.into(),
        name: "Ada".into(),
    })
}

/// Eight copies of one job, more than there are workers, while the mail server takes its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_a_job_that_meet_are_one_mail() {
    let server = MailServer::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    server.turn(move |_| {
        let gate = Arc::clone(&waiting);
        async move {
            gate.acquire().await.unwrap().forget();
            OK
        }
    });
    let app = TestApp::with_mail_server(&server.url()).await;
    let job = job();
    for _ in 0..8 {
        app.asks_for(&job).await;
    }
    server.is_tried(1).await;
    app.until("the others to be sent away", || async {
        let tried: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM mq_message WHERE queue = 'email.jobs' AND attempts > 0",
        )
        .fetch_one(&app.world.queue_db)
        .await
        .unwrap();
        tried == 8
    })
    .await;
    gate.add_permits(8);
    app.until_idle().await;
    assert_eq!(server.taken().len(), 1);
    assert_eq!(
        server.is_tried(1).await.len(),
        1,
        "the others did not even ask"
    );
    app.stop().await;
}

/// A mail server that takes its time: the worker is alive, and holds its claim for longer than it was made for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_hand_over_is_not_taken_for_a_dead_worker() {
    // It is extended every two seconds, and a busy machine may be late by four.
    const LEASE: Duration = Duration::from_secs(6);
    // By at least one extension and at most two, by the database's clock.
    const HELD: &str = "SELECT claimed_until > created_at + interval '9 s' FROM deliveries LIMIT 1";
    let server = MailServer::start().await;
    let mut world = World::new().await;
    world.lease = LEASE;
    let db = world.db.clone();
    server.turn(move |_| {
        let db = db.clone();
        async move {
            loop {
                let held: bool = sqlx::query_scalar(HELD).fetch_one(&db).await.unwrap();
                if held {
                    return OK;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let app = world.run(Some(&server.url())).await;
    let job = job();
    for _ in 0..3 {
        app.asks_for(&job).await;
    }
    server.takes(1).await;
    app.until_idle().await;
    assert_eq!(server.is_tried(1).await.len(), 1);
    app.stop().await;
}

/// The database is away just when there is a yes to record: that is no reason to send again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_mail_is_recorded_and_not_sent_again_however_long_that_takes() {
    let server = MailServer::start().await;
    let app = TestApp::with_mail_server(&server.url()).await;
    let db = app.world.db.clone();
    server.turn(move |_| {
        let db = db.clone();
        async move {
            sqlx::query("ALTER TABLE deliveries RENAME TO away")
                .execute(&db)
                .await
                .unwrap();
            OK
        }
    });
    app.asks_for(&job()).await;
    server.takes(1).await;
    app.until("attempts to record it", || async {
        let failed: i64 = sqlx::query_scalar(
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()",
        )
        .fetch_one(&app.world.db)
        .await
        .unwrap();
        failed >= 3
    })
    .await;
    server.turn(|_| async { OK });
    sqlx::query("ALTER TABLE away RENAME TO deliveries")
        .execute(&app.world.db)
        .await
        .unwrap();
    app.until_idle().await;
    assert_eq!(server.is_tried(1).await.len(), 1);
    assert_eq!(
        app.count(
            "SELECT count(*) FROM deliveries WHERE state = 'sent'",
            &app.world.db
        )
        .await,
        1
    );
    app.stop().await;
}

/// The queue delivers again what it has no word of: the mail is out already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_comes_again_later_is_no_mail() {
    let server = MailServer::start().await;
    let app = TestApp::with_mail_server(&server.url()).await;
    let job = job();
    for _ in 0..3 {
        app.asks_for(&job).await;
        app.until_idle().await;
    }
    // The same job in another version, one that is read and one that is not read yet.
    let twin = Event {
        id: Uuid::now_v7(),
        ..job.clone()
    };
    let newer = Event {
        event_type: "agora.email.requested.v9".into(),
        twins: vec![job.event_type.clone()],
        ..twin.clone()
    };
    for version in [twin, newer] {
        app.asks_for(&version).await;
        app.until_idle().await;
    }
    let parked = "SELECT count(*) FROM mq_message WHERE queue = 'email.jobs.dead'";
    assert_eq!(app.count(parked, &app.world.queue_db).await, 0);
    assert_eq!(server.taken().len(), 1);
    let state: (String, i32) =
        sqlx::query_as("SELECT state, attempts FROM deliveries WHERE job_id = $1")
            .bind(job.id)
            .fetch_one(&app.world.db)
            .await
            .unwrap();
    assert_eq!(state, ("sent".into(), 1));
    app.stop().await;
}

/// The worker dies between the server's yes and its record: the one moment in which a mail may repeat. Both
/// have one `Message-ID`, and a mail that was under way is never lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_after_the_yes_repeats_under_the_same_id() {
    let server = MailServer::start().await;
    server.turn(|_| async {
        // The worker is killed while it waits for this.
        std::future::pending().await
    });
    let app = TestApp::with_mail_server(&server.url()).await;
    let job = job();
    app.asks_for(&job).await;
    server.is_tried(1).await;
    let world = app.crash().await;
    server.turn(|_| async { OK });
    // The dead worker's leases run out, in the delivery log and in the queue.
    sqlx::query("UPDATE deliveries SET claimed_until = now()")
        .execute(&world.db)
        .await
        .unwrap();
    sqlx::query("UPDATE mq_message SET visible_at = now()")
        .execute(&world.queue_db)
        .await
        .unwrap();
    let url = server.url();
    let app = world.run(Some(&url)).await;
    server.takes(1).await;
    app.until_idle().await;
    let tried = server.is_tried(2).await;
    assert_eq!(tried.len(), 2);
    assert_eq!(tried[0].mail, tried[1].mail, "the same mail, to the byte");
    assert_eq!(
        tried[0].mail.header("Message-ID"),
        format!("<{}@agora.example>", job.id)
    );
    app.stop().await;
}

/// Jobs that wait for the database are claimed with one statement; the one at fault is parked, and its neighbours are sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_are_claimed_together_do_not_share_a_fault() {
    let server = MailServer::start().await;
    // Who has to be tried again is parked.
    let once = ["--email-max-attempts", "1"];
    let app = TestApp::with_arguments(&server.url(), &once).await;
    let mut hold = app.world.db.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE deliveries IN EXCLUSIVE MODE")
        .execute(&mut *hold)
        .await
        .unwrap();
    app.asks_for(&job()).await;
    // No text of PostgreSQL holds a NUL.
    app.asks_for(&job_to("ada\0@example.com")).await;
    app.asks_for(&job()).await;
    app.asks_for(&job()).await;
    let tried = "SELECT count(*) FROM mq_message WHERE queue = 'email.jobs' AND attempts = 1";
    app.until("all to be tried", || async {
        app.count(tried, &app.world.queue_db).await == 4
    })
    .await;
    hold.rollback().await.unwrap();
    server.takes(3).await;
    let parked = "SELECT count(*) FROM mq_message WHERE queue = 'email.jobs.dead'";
    app.until("the one at fault to be parked", || async {
        app.count(parked, &app.world.queue_db).await == 1
    })
    .await;
    app.stop().await;
}

/// Another worker's claim holds while its lease does, and no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_respected_until_it_runs_out() {
    let server = MailServer::start().await;
    let app = TestApp::with_mail_server(&server.url()).await;
    let job = job();
    sqlx::query(
        "INSERT INTO deliveries (job_id, user_id, template, recipient, state, claim, claimed_until, attempts)
         VALUES ($1, $2, 'OrderConfirmed', 'ada@example.com', 'claimed', gen_random_uuid(), now() + interval '1 hour', 1)",
    )
    .bind(job.id)
    .bind(job.data.user_id())
    .execute(&app.world.db)
    .await
    .unwrap();
    app.asks_for(&job).await;
    app.until("two tries", || async {
        sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM mq_message WHERE attempts >= 2)")
            .fetch_one(&app.world.queue_db)
            .await
            .unwrap()
    })
    .await;
    assert!(server.taken().is_empty());
    sqlx::query("UPDATE deliveries SET claimed_until = now()")
        .execute(&app.world.db)
        .await
        .unwrap();
    server.takes(1).await;
    app.until_idle().await;
    app.stop().await;
}
