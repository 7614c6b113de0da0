//! Engines that are taken away and given back.

use std::net::SocketAddr;
use std::time::Duration;

use embedded::Refusal;
use embedded::kafka::MockKafka;
use embedded::postgres::{DatabaseLink, closed_databases};
use embedded::testing::fresh_database;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// The longest wait for what comes soon.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_database_that_is_cut_ends_its_sessions_and_refuses_new_ones() {
    let database = fresh_database();
    let (server, name) = database.url.rsplit_once('/').expect("a name");
    let link = DatabaseLink::new(&format!("{server}/postgres"), name).expect("a link");
    let mut session = PgConnection::connect(&database.url)
        .await
        .expect("a session");
    let before = link.refused().await.expect("a count");

    link.cut().await.expect("to be cut");
    let lost = sqlx::query("SELECT 1").execute(&mut session).await;
    assert!(lost.is_err(), "the session goes on");
    let refused = PgConnection::connect(&database.url)
        .await
        .expect_err("a refusal");
    let code = refused.as_database_error().and_then(|error| error.code());
    assert_eq!(code.as_deref(), Some("55000"), "{refused}");
    // One that was ended and one that was refused. A session's end is noted when its process has ended.
    let end = tokio::time::Instant::now() + PATIENCE;
    while link.refused().await.expect("a count") < before + 2 {
        assert!(tokio::time::Instant::now() < end, "nothing was counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let closed = closed_databases(&format!("{server}/postgres"))
        .await
        .expect("a list");
    assert!(closed.iter().any(|closed| closed == name), "{closed:?}");
    link.mend().await.expect("to be mended");
    link.mend().await.expect("to be mended once more");
    PgConnection::connect(&database.url)
        .await
        .expect("a session");
}

#[tokio::test]
async fn a_database_whose_sessions_cannot_be_ended_is_not_cut() {
    let database = fresh_database();
    let (server, name) = database.url.rsplit_once('/').expect("a name");
    let (_, at) = server.rsplit_once('@').expect("an address");
    let mut session = PgConnection::connect(&database.url)
        .await
        .expect("a session");
    // It may close its database, but not end a session of the superuser.
    let owner = format!(
        "CREATE ROLE {name} LOGIN PASSWORD 'owner' IN ROLE pg_read_all_stats; ALTER DATABASE {name} OWNER TO {name}"
    );
    sqlx::raw_sql(AssertSqlSafe(owner))
        .execute(&mut session)
        .await
        .expect("an owner");
    let link = DatabaseLink::new(&format!("postgres://{name}:owner@{at}/postgres"), name);
    link.expect("a link").cut().await.expect_err("a refusal");
    PgConnection::connect(&database.url)
        .await
        .expect("a session");
}

#[tokio::test]
async fn who_comes_to_a_port_without_a_server_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    drop(listener);
    let refusal = Refusal::at(at).await.expect("the port");
    for _ in 0..3 {
        // Reset while it connects, or as soon as it is connected.
        if let Ok(mut connection) = TcpStream::connect(at).await {
            assert!(connection.read_u8().await.is_err());
        }
    }
    assert_eq!(refusal.end().await, 3);
    TcpListener::bind(at).await.expect("the port is free");
}

#[tokio::test]
async fn who_comes_to_a_kafka_that_is_down_is_counted() {
    let kafka = MockKafka::start(&[("letters", 1)]).expect("a cluster");
    let at: SocketAddr = kafka.bootstrap_servers().parse().expect("an address");
    kafka.down();
    kafka.settle();
    let refusal = Refusal::at(at).await.expect("its port");
    let asked = |patience| {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", at.to_string())
            .create()
            .expect("a consumer");
        tokio::task::spawn_blocking(move || consumer.fetch_metadata(Some("letters"), patience))
    };
    let down = asked(Duration::from_millis(500)).await.expect("no panic");
    assert!(down.is_err(), "a cluster that is down must not answer");
    assert!(refusal.end().await > 0);
    kafka.up();
    let up = asked(PATIENCE).await.expect("no panic").expect("an answer");
    assert_eq!(up.topics()[0].partitions().len(), 1);
}
