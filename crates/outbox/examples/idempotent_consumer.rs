//! 100 deposits, each of which is delivered three times.
//!
//! ```sh
//! cargo run -p outbox --example idempotent_consumer
//! cargo run -p outbox --example idempotent_consumer -- without
//! ```
#![allow(clippy::print_stdout, reason = "the figures")]

use std::sync::Arc;

use async_trait::async_trait;
use envelope::{Event, EventData, KAFKA_PREFIX};
use messaging::memory::MemoryBus;
use messaging::{Delivery, Destination, Handler, HandlerError, Message, Publisher};
use outbox::{Consumers, EventHandler, Failure, Outbox, Reads, Received, Transaction};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

type AnyError = Box<dyn std::error::Error>;

const DEPOSITS: usize = 100;
/// A producer that sends again, a rebalance, a crash before the acknowledgement.
const COPIES: usize = 3;

#[derive(Serialize, Deserialize)]
struct Deposited {
    account: String,
    amount: i64,
}

impl EventData for Deposited {
    const TYPE: &'static str = "example.account.deposited.v1";
    const SOURCE: &'static str = "/services/tellers";
    fn subject(&self) -> String {
        self.account.clone()
    }
}

const ADD: &str = "UPDATE account SET balance = balance + $2 WHERE name = $1";

// region: with
/// The ledger's own part: which events, and what they lead to.
struct Ledger;

impl EventHandler for Ledger {
    type Fact = Deposited;

    fn reads() -> Reads<Deposited> {
        Reads::new().event(|deposited: Deposited| deposited)
    }

    /// Only events that were never seen before come here, and what is done here is committed together with the note
    /// that they were seen.
    async fn apply(
        &self,
        tx: &mut Transaction,
        events: Vec<Received<Deposited>>,
    ) -> Result<(), Failure> {
        for Received { fact, .. } in events {
            let add = sqlx::query(ADD).bind(fact.account).bind(fact.amount);
            add.execute(&mut **tx).await?;
        }
        Ok(())
    }
}
// endregion: with

// region: without
/// Does what each message says.
struct Naive(PgPool);

#[async_trait]
impl Handler for Naive {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let deposited: Deposited =
            serde_json::from_slice(&delivery.message.payload).map_err(HandlerError::permanent)?;
        let add = sqlx::query(ADD)
            .bind(deposited.account)
            .bind(deposited.amount);
        let added = add.execute(&self.0).await;
        added.map(drop).map_err(HandlerError::transient)
    }
}
// endregion: without

/// Counts what was handled, so that `main` knows the end.
struct Counted {
    handler: Arc<dyn Handler>,
    handled: Semaphore,
}

#[async_trait]
impl Handler for Counted {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.handler.handle(delivery).await?;
        self.handled.add_permits(1);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let database = embedded::testing::fresh_database();
    let pool = PgPool::connect(&database.url).await?;
    outbox::install(&pool).await?;
    sqlx::raw_sql(
        "CREATE TABLE account (name text PRIMARY KEY, balance bigint NOT NULL);
         INSERT INTO account VALUES ('ada', 0)",
    )
    .execute(&pool)
    .await?;
    let (title, handler): (_, Arc<dyn Handler>) = match std::env::args().nth(1).as_deref() {
        Some("without") => ("without an inbox", Arc::new(Naive(pool.clone()))),
        _ => {
            // region: consumer
            let consumers = Consumers::new(pool.clone(), Outbox::new());
            let ledger = consumers.idempotent("ledger", Ledger);
            // endregion: consumer
            ("with an inbox", ledger)
        }
    };
    deliver(handler).await?;
    let balance: i64 = sqlx::query_scalar("SELECT balance FROM account")
        .fetch_one(&pool)
        .await?;
    println!("{title}: {DEPOSITS} deposits of 1, each delivered {COPIES} times");
    println!("  balance {balance:>4}");
    Ok(())
}

/// Delivers each deposit as often as there are copies, the copies after all of the others.
async fn deliver(handler: Arc<dyn Handler>) -> Result<(), AnyError> {
    let (bus, shutdown) = (MemoryBus::new(), CancellationToken::new());
    let to = Destination::Topic("account-events".to_owned());
    let counted = Arc::new(Counted {
        handler,
        handled: Semaphore::new(0),
    });
    let consumer = tokio::spawn(bus.subscribe(&to, counted.clone(), shutdown.clone()));
    let deposits: Result<Vec<_>, _> = (0..DEPOSITS)
        .map(|_| {
            let deposited = Deposited {
                account: "ada".to_owned(),
                amount: 1,
            };
            Event::new(deposited).to_binary(KAFKA_PREFIX)
        })
        .collect();
    let deposits = deposits?;
    for _ in 0..COPIES {
        for deposit in &deposits {
            let message = Message {
                key: Some("ada".to_owned()),
                headers: deposit.headers.clone(),
                payload: deposit.body.clone(),
            };
            bus.publish(&to, message).await?;
        }
    }
    let all = u32::try_from(DEPOSITS * COPIES)?;
    counted.handled.acquire_many(all).await?.forget();
    shutdown.cancel();
    consumer.await?;
    Ok(())
}
