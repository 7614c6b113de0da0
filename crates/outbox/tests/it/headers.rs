//! What a row holds of the headers of its event.

use envelope::{Event, TraceContext};
use sqlx::types::Json;
use uuid::Uuid;

use crate::fixture::{Counted, Service, topic};

/// As relays of the version before ask for rows: while both versions run, they get what this one has told.
const CLAIM: &str =
    "SELECT headers FROM outbox_claim(1, $1, '{}', '{}', '{}', 10, 1000000) ORDER BY id";
const HALF_AS_LARGE: &str =
    "SELECT pg_column_size(headers) * 2 < pg_column_size(outbox_headers(headers, key)) FROM outbox";
const READ: &str = "SELECT outbox_headers(headers, key) FROM outbox";
/// Keys of a thousand bytes, which a row holds once and its headers by one character.
const LONG_KEYS: &str = "INSERT INTO outbox (lane, destination, key, headers, payload)
     SELECT 0, 'topic:counts', repeat('k', 1000), '\"=|=|1|/test|test.v1|=||||||||\"', '' FROM generate_series(1, 5)";
const CLAIM_BYTES: &str =
    "SELECT count(*) FROM outbox_claim_as_stored(1, '{0}', '{}', '{}', '{}', 10, $1)";
/// One value too few, one too many, and not a text at all.
const STAY: &str = r#"SELECT outbox_headers(stored, 'key') = stored
     FROM (VALUES ('"=|=|1||||||||||"'::jsonb), ('"=|=|1||||||||||||"'), ('[["a", "b"]]')) AS given (stored)"#;

#[tokio::test]
async fn a_row_holds_half_of_what_a_relay_of_the_version_before_reads() {
    let service = Service::start().await;
    let id = Uuid::now_v7();
    let counted = |n| {
        let key = id.to_string();
        Event::new(Counted { key, n })
    };
    let trace = TraceContext {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: None,
    };
    let cause = counted(1);
    let event = counted(2)
        .with_trace(trace)
        .caused_by(&cause)
        .with_correlation(id)
        .with_sequence(2);
    let mut tx = service.outbox.begin(&service.pool).await.unwrap();
    tx.tell(&topic(), &event).unwrap();
    tx.commit().await.unwrap();

    let mut relay = service.pool.begin().await.unwrap();
    let Json(read): Json<Vec<(String, String)>> = sqlx::query_scalar(CLAIM)
        .bind((0..16).collect::<Vec<i16>>())
        .fetch_one(&mut *relay)
        .await
        .unwrap();
    let told = event.to_binary(envelope::KAFKA_PREFIX).unwrap();
    assert_eq!(read, told.headers);
    let is_half_as_large: bool = sqlx::query_scalar(HALF_AS_LARGE)
        .fetch_one(&mut *relay)
        .await
        .unwrap();
    assert!(is_half_as_large);
}

/// The names are in two places, of which one is SQL.
#[tokio::test]
async fn all_headers_that_an_event_can_have_get_their_names_back() {
    let service = Service::start().await;
    let counted = |n| {
        let key = "a".to_owned();
        Event::new(Counted { key, n })
    };
    let trace = TraceContext {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: Some("vendor=1".to_owned()),
    };
    let cause = counted(1);
    let mut event = counted(2)
        .with_trace(trace)
        .caused_by(&cause)
        .with_sequence(2);
    event.logical_id = Uuid::now_v7();
    event.twins = vec!["test.counted.v2".to_owned()];
    let mut tx = service.outbox.begin(&service.pool).await.unwrap();
    tx.tell(&topic(), &event).unwrap();
    tx.commit().await.unwrap();

    let Json(read): Json<Vec<(String, String)>> = sqlx::query_scalar(READ)
        .fetch_one(&service.pool)
        .await
        .unwrap();
    let told = event.to_binary(envelope::KAFKA_PREFIX).unwrap();
    assert_eq!(read, told.headers);
    assert_eq!(read.len(), 14);
}

/// The limit is one of memory, where a message has its key in its headers again.
#[tokio::test]
async fn keys_count_as_bytes_of_a_pass() {
    let service = Service::start().await;
    sqlx::raw_sql(LONG_KEYS)
        .execute(&service.pool)
        .await
        .unwrap();
    for (bytes_max, taken) in [(1_000, 1), (3_000, 2), (1_000_000, 5)] {
        let claimed: i64 = sqlx::query_scalar(CLAIM_BYTES)
            .bind(i64::from(bytes_max))
            .fetch_one(&service.pool)
            .await
            .unwrap();
        assert_eq!(claimed, taken, "{bytes_max} bytes");
    }
}

/// The function reads what `headers.rs` reads, and no more.
#[tokio::test]
async fn no_list_is_made_of_what_has_another_number_of_values() {
    let service = Service::start().await;
    let stay: Vec<bool> = sqlx::query_scalar(STAY)
        .fetch_all(&service.pool)
        .await
        .unwrap();
    assert_eq!(stay, [true; 3]);
}
