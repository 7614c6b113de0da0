//! The delivery log on a real database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::*;

/// Tries to claim a mail; returns its job, too.
async fn try_to_claim(deliveries: &Deliveries, n: usize) -> (Uuid, sqlx::Result<Claim>) {
    let job = Event::new(EmailJob::OrderCancelled {
        user_id: Uuid::now_v7(),
        order_id: Uuid::now_v7(),
    });
    let recipient = Recipient {
        email: format!("customer-{n}@example.com"),
        name: "Ada".to_owned(),
    };
    (job.id, deliveries.claim(&job, Some(recipient)).await)
}

/// Claims a mail; returns its job.
async fn claim(deliveries: &Deliveries, n: usize) -> Uuid {
    let (job_id, claimed) = try_to_claim(deliveries, n).await;
    assert!(matches!(claimed, Ok(Claim::Ours(..))), "{claimed:?}");
    job_id
}

#[tokio::test]
async fn those_who_claim_together_wait_for_a_database_that_hangs_together() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let database = embedded::testing::fresh_database();
    let pool = PgPool::connect(&database.url).await.expect("a database");
    crate::store::prepare(&pool).await.expect("tables");
    let options: PgConnectOptions = database.url.parse().expect("a URL");
    let limited = options.options([("statement_timeout", PATIENCE.as_millis().to_string())]);
    // How often somebody began to wait: a statement has a connection, a new one or one of before.
    let waited = Arc::new(AtomicUsize::new(0));
    let [anew, again] = [(); 2].map(|()| Arc::clone(&waited));
    let limited = PgPoolOptions::new()
        .after_connect(move |_, _| {
            anew.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        })
        .before_acquire(move |_, _| {
            again.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(true) })
        })
        .connect_lazy_with(limited);
    let deliveries = Deliveries::new(limited, Duration::from_secs(60));
    let mut hangs = pool.begin().await.expect("a transaction");
    let lock = sqlx::query("LOCK TABLE deliveries").execute(&mut *hangs);
    lock.await.expect("a lock");
    for (_, claimed) in join_all((0..10).map(|n| try_to_claim(&deliveries, n))).await {
        claimed.expect_err("no answer");
    }
    // For the statement under way, and for their own; a connection may be made anew in between.
    let waited = waited.load(Ordering::SeqCst);
    assert!((1..=4).contains(&waited), "{waited} times");

    // One that never says that it is late, either: a lease does not last until then.
    let deliveries = Deliveries::new(pool.clone(), 2 * PATIENCE);
    let asked = async {
        let (job_id, claimed) = try_to_claim(&deliveries, 0).await;
        let extended = deliveries.extend(job_id, Uuid::now_v7()).await;
        [claimed.map(|_| ()), extended]
    };
    let answers = tokio::time::timeout(db::ANSWER_TIMEOUT / 2, asked).await;
    for answer in answers.expect("an end with the lease") {
        let error = answer.expect_err("no answer");
        assert!(db::is_unavailable(&error), "{error:?}");
    }
}

/// The first five of a connection have plans of their own whatever they are.
#[tokio::test]
async fn a_record_of_one_mail_is_not_planned_each_time() {
    const PLANNED: &str = "SELECT custom_plans FROM pg_prepared_statements
         WHERE statement LIKE 'UPDATE deliveries SET state = ''sent''%'";
    let database = embedded::testing::fresh_database();
    let pool = PgPool::connect(&database.url).await.expect("a database");
    crate::store::prepare(&pool).await.expect("tables");
    let pool = db::connect(&database.url, 1, "notifications").expect("a pool");
    let deliveries = Deliveries::new(pool.clone(), Duration::from_secs(60));
    for _ in 0..12 {
        deliveries.sent(Uuid::now_v7()).await.expect("a record");
    }
    let planned: i64 = sqlx::query_scalar(PLANNED)
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(planned, 5);
}

/// The page of a job's row.
async fn page(pool: &PgPool, job_id: Uuid) -> i32 {
    let page = "SELECT (ctid::text::point)[0]::integer FROM deliveries WHERE job_id = $1";
    let page = sqlx::query_scalar(page).bind(job_id).fetch_one(pool);
    page.await.expect("a row")
}

/// Of a row that stays in its page no index is written, and the log has only what changed of it.
#[tokio::test]
async fn a_row_stays_in_its_page_when_its_mail_is_sent() {
    let database = embedded::testing::fresh_database();
    let pool = PgPool::connect(&database.url).await.expect("a database");
    crate::store::prepare(&pool).await.expect("tables");
    let deliveries = Deliveries::new(pool.clone(), Duration::from_secs(60));
    for round in 0..15 {
        // As many as are on their way at a time.
        let mut claimed = Vec::new();
        for n in 0..10 {
            let job_id = claim(&deliveries, n).await;
            claimed.push((job_id, page(&pool, job_id).await));
        }
        for (job_id, written) in claimed {
            deliveries.sent(job_id).await.expect("a record");
            assert_eq!(page(&pool, job_id).await, written, "round {round}");
        }
    }
}
