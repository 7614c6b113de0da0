//! Deposits while their producer goes from one version of its event to the next, and one that is a version ahead.
//!
//! ```sh
//! cargo run -p outbox --example versioning
//! cargo run -p outbox --example versioning -- without
//! ```
#![allow(clippy::print_stdout, reason = "the figures")]

use std::sync::Arc;

use async_trait::async_trait;
use envelope::{EnvelopeError, Event, EventData, KAFKA_PREFIX, Versions};
use messaging::{Delivery, Handler, HandlerError, Message};
use outbox::inbox::{self, Receipt};
use outbox::{Consumers, EventHandler, Failure, Outbox, Reads, Received, Transaction, event_in};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

type AnyError = Box<dyn std::error::Error>;

/// Deposits of 1 € in each stage of the migration.
const DEPOSITS: usize = 10;

// region: events
/// Whole euros.
#[derive(Serialize, Deserialize)]
struct DepositedV1 {
    account: String,
    euros: i64,
}

#[derive(Serialize, Deserialize)]
struct DepositedV2 {
    account: String,
    cents: i64,
}

impl EventData for DepositedV1 {
    const TYPE: &'static str = "example.account.deposited.v1";
    const SOURCE: &'static str = "/services/tellers";
    fn subject(&self) -> String {
        self.account.clone()
    }
}

impl EventData for DepositedV2 {
    const TYPE: &'static str = "example.account.deposited.v2";
    const SOURCE: &'static str = "/services/tellers";
    fn subject(&self) -> String {
        self.account.clone()
    }
    fn versions() -> Versions<Self> {
        Versions::after::<DepositedV1>()
    }
}

/// The upcaster: one step, from the version before.
impl From<DepositedV1> for DepositedV2 {
    fn from(v1: DepositedV1) -> Self {
        Self {
            account: v1.account,
            cents: v1.euros * 100,
        }
    }
}
// endregion: events

/// What the consumer below has never heard of.
#[derive(Serialize, Deserialize)]
struct DepositedV3 {
    account: String,
    thousandths: i64,
}

impl EventData for DepositedV3 {
    const TYPE: &'static str = "example.account.deposited.v3";
    const SOURCE: &'static str = "/services/tellers";
    fn subject(&self) -> String {
        self.account.clone()
    }
}

const ADD: &str = "UPDATE account SET cents = cents + $2 WHERE name = $1";

// region: with
/// Knows the newest version, and nothing of others.
struct Ledger;

impl EventHandler for Ledger {
    type Fact = DepositedV2;

    fn reads() -> Reads<DepositedV2> {
        Reads::new().event(|deposited: DepositedV2| deposited)
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        events: Vec<Received<DepositedV2>>,
    ) -> Result<(), Failure> {
        for Received { fact, .. } in events {
            let add = sqlx::query(ADD).bind(fact.account).bind(fact.cents);
            add.execute(&mut **tx).await?;
        }
        Ok(())
    }
}
// endregion: with

// region: without
/// An idempotent consumer too, by the event's id. A second version is a second branch, and what it does not know is
/// somebody else's.
struct Branches(PgPool);

impl Branches {
    async fn take(&self, delivery: &Delivery) -> Result<(), Failure> {
        let event = event_in(delivery)?;
        let (account, cents) = match event.event_type.as_str() {
            DepositedV1::TYPE => {
                let v1 = event.decode::<DepositedV1>()?.data;
                (v1.account, v1.euros * 100)
            }
            DepositedV2::TYPE => {
                let v2 = event.decode::<DepositedV2>()?.data;
                (v2.account, v2.cents)
            }
            _ => return Ok(()),
        };
        let mut tx = self.0.begin().await?;
        if inbox::accept(&mut tx, "ledger", event.id).await? == Receipt::First {
            let add = sqlx::query(ADD).bind(account).bind(cents);
            add.execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }
}
// endregion: without

#[async_trait]
impl Handler for Branches {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let taken = self.take(delivery).await;
        taken.map_err(|failure| failure.into_handler_error(delivery.attempt))
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let database = embedded::testing::fresh_database();
    let pool = PgPool::connect(&database.url).await?;
    outbox::install(&pool).await?;
    sqlx::raw_sql(
        "CREATE TABLE account (name text PRIMARY KEY, cents bigint NOT NULL);
         INSERT INTO account VALUES ('ada', 0)",
    )
    .execute(&pool)
    .await?;
    let (title, consumer): (_, Arc<dyn Handler>) = match std::env::args().nth(1).as_deref() {
        Some("without") => (
            "a branch for each version",
            Arc::new(Branches(pool.clone())),
        ),
        _ => {
            let consumers = Consumers::new(pool.clone(), Outbox::new());
            ("the newest version", consumers.idempotent("ledger", Ledger))
        }
    };
    println!("{title}: deposits of 1 €, each message delivered twice");
    let ahead = Event::new(DepositedV3 {
        account: "ada".to_owned(),
        thousandths: 1000,
    });
    let stages = [
        ("10 in v1", each(|v1| Ok(vec![message(&v1)?]))?),
        ("10 in v1 and v2", each(twins)?),
        ("10 in v2", each(|v1| Ok(vec![message(&newer(&v1))?]))?),
        ("1 in v3", vec![message(&ahead)?]),
    ];
    for (stage, messages) in stages {
        let parked = deliver(consumer.as_ref(), &messages).await?;
        let euros = balance(&pool).await? / 100;
        println!(
            "  {stage:<15}  balance {euros:>2} €, parked {}",
            parked.len()
        );
        for reason in parked {
            println!("    {reason}");
        }
    }
    Ok(())
}

/// The messages of one stage's deposits.
fn each(
    tell: impl Fn(Event<DepositedV1>) -> Result<Vec<Message>, EnvelopeError>,
) -> Result<Vec<Message>, EnvelopeError> {
    let deposits = (0..DEPOSITS).map(|_| {
        tell(Event::new(DepositedV1 {
            account: "ada".to_owned(),
            euros: 1,
        }))
    });
    let messages: Result<Vec<_>, _> = deposits.collect();
    Ok(messages?.concat())
}

fn newer(v1: &Event<DepositedV1>) -> Event<DepositedV2> {
    Event::new(DepositedV2 {
        account: v1.data.account.clone(),
        cents: v1.data.euros * 100,
    })
}

fn twins(v1: Event<DepositedV1>) -> Result<Vec<Message>, EnvelopeError> {
    let v2 = newer(&v1).data;
    // region: twins
    let (v1, v2) = v1.with_twin(v2);
    // endregion: twins
    Ok(vec![message(&v1)?, message(&v2)?])
}

fn message<T: EventData>(event: &Event<T>) -> Result<Message, EnvelopeError> {
    let message = event.to_binary(KAFKA_PREFIX)?;
    Ok(Message {
        key: Some(event.subject.clone()),
        headers: message.headers,
        payload: message.body,
    })
}

/// Delivers each message twice; returns why messages were parked, each once.
async fn deliver(consumer: &dyn Handler, messages: &[Message]) -> Result<Vec<String>, AnyError> {
    let mut parked = Vec::new();
    for message in messages.iter().chain(messages) {
        let delivery = Delivery::new(message.clone(), "account-events", 1);
        match consumer.handle(&delivery).await {
            Ok(()) => {}
            Err(HandlerError::Permanent(reason)) => parked.push(reason.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    parked.dedup();
    Ok(parked)
}

async fn balance(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT cents FROM account")
        .fetch_one(pool)
        .await
}
