//! Starting, being asked, stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::kafka::{ConsumerOptions, KafkaConfig, consume};
use messaging::{Delivery, Handler, HandlerError, Status};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::app::{PATIENCE, TestApp};
use crate::mail_server::{MailServer, OK};

/// Asks the admin port; 0 when nobody answers.
pub(crate) async fn status(admin: SocketAddr, path: &str) -> u16 {
    get(admin, path).await.map_or(0, |(status, _)| status)
}

/// The status and the body.
pub(crate) async fn get(admin: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    ask(admin, "GET", path, "").await
}

/// The same for any method, with JSON.
pub(crate) async fn ask(
    admin: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(admin).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    Ok((status, body.unwrap_or_default().to_owned()))
}

/// The first messages of a topic.
pub(crate) async fn read_topic(brokers: &str, topic: &str, count: usize) -> Vec<Delivery> {
    #[derive(Default)]
    struct Heard(Mutex<Vec<Delivery>>, tokio::sync::Notify);
    #[async_trait]
    impl Handler for Heard {
        async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
            self.0.lock().push(delivery.clone());
            self.1.notify_one();
            Ok(())
        }
    }
    let heard = Arc::new(Heard::default());
    let mut config = KafkaConfig::new(brokers, "reader");
    config.fetch_wait = Duration::from_millis(10);
    let stop = CancellationToken::new();
    let (handler, token, options) = (
        heard.clone(),
        stop.clone(),
        ConsumerOptions::new("reader", [topic]),
    );
    let reading =
        tokio::spawn(
            async move { consume(&config, options, handler, Status::ignore(), token).await },
        );
    let enough = async {
        while heard.0.lock().len() < count {
            heard.1.notified().await;
        }
    };
    tokio::time::timeout(PATIENCE, enough)
        .await
        .unwrap_or_else(|_| panic!("{topic} has not {count} messages"));
    stop.cancel();
    reading.await.unwrap().unwrap();
    heard.0.lock().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_what_it_depends_on() {
    let app = TestApp::start().await;
    let (status, body) = get(app.admin, "/readyz").await.unwrap();
    assert_eq!(status, 200);
    for dependency in ["postgres", "kafka", "queue"] {
        assert!(body.contains(&format!("\"{dependency}\"")), "{body}");
    }
    let user = app.knows("Ada").await;
    app.confirms(user).await;
    app.until_mails(1).await;
    app.until_idle().await;
    let (_, metrics) = get(app.admin, "/metrics").await.unwrap();
    assert!(metrics.contains("mails_sent_total"), "{metrics}");
    app.stop().await;
}

/// Mails that are being handed over are finished before it stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_finishes_what_is_under_way() {
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
    let user = app.knows("Ada").await;
    app.confirms(user).await;
    server.is_tried(1).await;
    app.begin_stop().await;
    gate.add_permits(1);
    let world = app.stop().await;
    assert_eq!(server.taken().len(), 1);
    let sent: i64 = sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE state = 'sent'")
        .fetch_one(&world.db)
        .await
        .unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM mq_message")
        .fetch_one(&world.queue_db)
        .await
        .unwrap();
    assert_eq!((sent, left), (1, 0));
}

/// A replica beside it: jobs are shared, and each mail is still one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_the_work() {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let user = app.knows("Ada").await;
    for _ in 0..40 {
        app.confirms(user).await;
    }
    app.until_mails(40).await;
    app.until_idle().await;
    assert_eq!(app.mails().len(), 40);
    let attempts = app
        .count("SELECT sum(attempts) FROM deliveries", &app.world.db)
        .await;
    assert_eq!(attempts, 40, "none was tried twice");
    replica.abort();
    app.stop().await;
}
