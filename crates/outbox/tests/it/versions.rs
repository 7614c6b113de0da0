//! A consumer and the versions of one event: it knows the newest, takes twins once, and parks what it does not know.

use std::sync::Arc;

use envelope::{Event, EventData, KAFKA_PREFIX, Versions};
use messaging::{Delivery, Handler as _, HandlerError, Message};
use outbox::{Consumers, EventHandler, Failure, IdempotentConsumer, Reads, Received, Transaction};
use serde::{Deserialize, Serialize};

use crate::fixture::Service;

/// A payload with one member beside its key.
macro_rules! payload {
    ($name:ident, $version:literal, $amount:ident $(, after $earlier:ty)?) => {
        #[derive(Clone, Serialize, Deserialize)]
        struct $name {
            key: String,
            $amount: i64,
        }

        impl EventData for $name {
            const TYPE: &'static str = concat!("test.paid.", $version);
            const SOURCE: &'static str = "/services/test";

            fn subject(&self) -> String {
                self.key.clone()
            }

            $(fn versions() -> Versions<Self> {
                Versions::after::<$earlier>()
            })?
        }
    };
}

payload!(PaidV1, "v1", euros);
payload!(PaidV2, "v2", cents, after PaidV1);
payload!(PaidV3, "v3", tenths);

impl From<PaidV1> for PaidV2 {
    fn from(PaidV1 { key, euros }: PaidV1) -> Self {
        let cents = euros * 100;
        Self { key, cents }
    }
}

/// Adds up what was paid, as it reads it.
struct Sum<T>(std::marker::PhantomData<T>);

trait Amount: EventData + Send + Sync {
    fn cents(&self) -> i64;
}

impl Amount for PaidV1 {
    fn cents(&self) -> i64 {
        self.euros * 100
    }
}

impl Amount for PaidV2 {
    fn cents(&self) -> i64 {
        self.cents
    }
}

impl<T: Amount> EventHandler for Sum<T> {
    type Fact = T;

    fn reads() -> Reads<T> {
        Reads::new().event(|paid: T| paid)
    }

    async fn apply(&self, tx: &mut Transaction, paid: Vec<Received<T>>) -> Result<(), Failure> {
        for Received { fact, .. } in paid {
            sqlx::query("INSERT INTO counter VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = counter.n + $2")
                .bind(fact.subject())
                .bind(fact.cents())
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }
}

/// A replica of the one group that there is, of either age.
fn replica<T: Amount>(service: &Service) -> Arc<IdempotentConsumer<Sum<T>>> {
    let consumers = Consumers::new(service.pool.clone(), service.outbox.clone());
    consumers.idempotent("sum", Sum(std::marker::PhantomData))
}

fn paid(key: &str) -> Event<PaidV1> {
    Event::new(PaidV1 {
        key: key.to_owned(),
        euros: 3,
    })
}

fn delivery<T: EventData>(event: &Event<T>) -> Delivery {
    let message = event.to_binary(KAFKA_PREFIX).unwrap();
    let message = Message {
        key: Some(event.subject.clone()),
        headers: message.headers,
        payload: message.body,
    };
    Delivery::new(message, "payments", 1)
}

/// One payment in both versions.
fn twins(key: &str) -> [Delivery; 2] {
    let older = paid(key);
    let newer = PaidV2::from(older.data.clone());
    let (older, newer) = older.with_twin(newer);
    [delivery(&older), delivery(&newer)]
}

async fn sum(service: &Service, key: &str) -> i64 {
    sqlx::query_scalar("SELECT coalesce(sum(n), 0)::bigint FROM counter WHERE key = $1")
        .bind(key)
        .fetch_one(&service.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_old_event_reaches_a_handler_that_knows_the_new_version_only() {
    let service = Service::start().await;
    let consumer = replica::<PaidV2>(&service);
    consumer.handle(&delivery(&paid("a"))).await.unwrap();
    let newest = Event::new(PaidV2 {
        key: "a".to_owned(),
        cents: 1,
    });
    consumer.handle(&delivery(&newest)).await.unwrap();
    assert_eq!(sum(&service, "a").await, 301);
}

#[tokio::test]
async fn of_twins_one_takes_effect_whichever_comes_first_and_however_often() {
    let service = Service::start().await;
    let consumer = replica::<PaidV2>(&service);
    for (key, first, second) in [("older first", 0, 1), ("newer first", 1, 0)] {
        let twins = twins(key);
        for n in [first, second, second, first, second] {
            consumer.handle(&twins[n]).await.unwrap();
            assert_eq!(sum(&service, key).await, 300, "{key}");
        }
    }
    for (key, first, second) in [("older in one batch", 0, 1), ("newer in one batch", 1, 0)] {
        let twins = twins(key);
        let batch = [first, second, first, second].map(|n| twins[n].clone());
        consumer.handle_batch(&batch).await.unwrap();
        consumer.handle_batch(&batch).await.unwrap();
        assert_eq!(sum(&service, key).await, 300, "{key}");
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM inbox")
        .fetch_one(&service.pool)
        .await
        .unwrap();
    assert_eq!(rows, 4, "one for each payment");
}

/// While a group is deployed anew, both ages of it read the same topic.
#[tokio::test]
async fn old_and_new_replicas_of_a_group_share_what_they_took() {
    let service = Service::start().await;
    let (old, new) = (replica::<PaidV1>(&service), replica::<PaidV2>(&service));
    for (key, old_first) in [("old first", true), ("new first", false)] {
        let twins = twins(key);
        for is_old in [old_first, !old_first, old_first] {
            for twin in &twins {
                if is_old {
                    old.handle(twin).await.unwrap();
                } else {
                    new.handle(twin).await.unwrap();
                }
                // Not before its own version has come, and never twice.
                assert!([0, 300].contains(&sum(&service, key).await), "{key}");
            }
            assert_eq!(sum(&service, key).await, 300, "{key}");
        }
    }
}

#[tokio::test]
async fn a_version_that_is_not_known_yet_is_parked_and_tells_why() {
    let service = Service::start().await;
    let v3 = PaidV3 {
        key: "a".to_owned(),
        tenths: 1,
    };
    let unknown = Event::new(v3.clone());
    let consumer = replica::<PaidV2>(&service);
    let error = consumer.handle(&delivery(&unknown)).await.unwrap_err();
    assert!(matches!(error, HandlerError::Permanent(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "test.paid.v3 is newer than test.paid.v2, the newest version that is read here"
    );
    // Published in a version that is read as well, it is not missed.
    let older = PaidV2 {
        key: "a".to_owned(),
        cents: 5,
    };
    let (older, newer) = Event::new(older).with_twin(v3);
    for twin in [delivery(&newer), delivery(&older), delivery(&newer)] {
        consumer.handle(&twin).await.unwrap();
    }
    assert_eq!(sum(&service, "a").await, 5);
}
