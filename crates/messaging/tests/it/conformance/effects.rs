//! At least once, made exactly once where it matters: by an inbox in the transaction of the effect.

use std::sync::Arc;

use envelope::{Event, EventData, KAFKA_PREFIX};
use messaging::{Handler as _, Message};
use outbox::{Consumers, EventHandler, Failure, Outbox, Reads, Received, Transaction};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::Engine;
use super::observed::until;
use crate::support::{Recorder, transient};

#[derive(Debug, Serialize, Deserialize)]
struct Paid {
    account: String,
}

impl EventData for Paid {
    const TYPE: &'static str = "test.paid.v1";
    const SOURCE: &'static str = "/services/test";
    fn subject(&self) -> String {
        self.account.clone()
    }
}

/// Counts the payments of each account, in a table that forgets no second one.
struct Payments;

impl EventHandler for Payments {
    type Fact = Paid;

    fn reads() -> Reads<Paid> {
        Reads::new().event(|paid: Paid| paid)
    }

    async fn apply(&self, tx: &mut Transaction, paid: Vec<Received<Paid>>) -> Result<(), Failure> {
        for Received { fact, .. } in paid {
            sqlx::query("INSERT INTO payment (account) VALUES ($1)")
                .bind(fact.account)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }
}

async fn books() -> PgPool {
    let database = embedded::testing::fresh_database();
    let pool = PgPoolOptions::new().max_connections(8);
    let pool = pool.connect(&database.url).await.unwrap();
    outbox::install(&pool).await.unwrap();
    sqlx::raw_sql("CREATE TABLE payment (account text NOT NULL)")
        .execute(&pool)
        .await
        .unwrap();
    pool
}

fn payment(account: usize) -> Message {
    let event = Event::new(Paid {
        account: format!("account-{account}"),
    });
    let binary = event.to_binary(KAFKA_PREFIX).unwrap();
    Message {
        key: Some(event.subject),
        headers: binary.headers,
        payload: binary.body,
    }
}

/// Each message is published three times, and the first try of each first copy fails *after* its effect.
pub(crate) async fn a_message_that_comes_three_times_has_one_effect<E: Engine>() {
    const EVENTS: usize = 30;
    chassis::metrics::install();
    let (engine, books) = (E::start().await, books().await);
    let consumers = Consumers::new(books.clone(), Outbox::new());
    let payments = consumers.idempotent("payments", Payments);
    let handler = Recorder::with(move |delivery| {
        let payments = Arc::clone(&payments);
        async move {
            payments.handle(&delivery).await?;
            if delivery.attempt == 1 && delivery.header("copy") == Some("0") {
                return Err(transient("the answer got lost"));
            }
            Ok(())
        }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    let events: Vec<_> = (0..EVENTS).map(payment).collect();
    for copy in 0..3 {
        for event in &events {
            let event = event.clone();
            engine
                .publish(event.with_header("copy", copy.to_string()))
                .await;
        }
    }
    handler.wait_done(3 * EVENTS).await;
    running.stop().await;
    assert!(handler.seen().len() >= 4 * EVENTS, "each came four times");
    let consumer = ["consumer=payments".to_owned()].into();
    let repeated = |count: f64| count >= (3 * EVENTS) as f64;
    until("inbox_repeated_total", &consumer, repeated).await;
    let (accounts, effects): (i64, i64) =
        sqlx::query_as("SELECT count(DISTINCT account), count(*) FROM payment")
            .fetch_one(&books)
            .await
            .unwrap();
    assert_eq!((accounts, effects), (EVENTS as i64, EVENTS as i64));
}
