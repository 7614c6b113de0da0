//! The mail server says no, says nothing, or is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpSocket;

use crate::app::TestApp;
use crate::mail_server::{MailServer, OK};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_goes_out_by_smtp() {
    let server = MailServer::start().await;
    let app = TestApp::with_mail_server(&server.url()).await;
    let user = app.knows("Ada").await;
    let order = app.confirms(user).await;
    let received = server.takes(1).await.remove(0);
    app.until_idle().await;
    assert_eq!(received.to, ["ada@example.com"]);
    assert_eq!(
        received.mail.subject(),
        format!("Your order {order} is confirmed")
    );
    assert!(received.mail.body.contains(&order.to_string()));
    assert!(
        received
            .mail
            .header("Message-ID")
            .ends_with("@agora.example>")
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_mail_server_delays_mail_and_nothing_else() {
    // Connections are refused for as long as nobody listens, and nobody else can have the port meanwhile.
    let port = TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = port.local_addr().unwrap();
    let app = TestApp::with_mail_server(&format!("smtp://{address}")).await;
    let user = app.knows("Ada").await;
    let orders = [app.confirms(user).await, app.confirms(user).await];
    app.until("each to be tried twice", || async {
        app.count(
            "SELECT count(*) FROM deliveries WHERE attempts >= 2 AND last_error IS NOT NULL",
            &app.world.db,
        )
        .await
            == 2
    })
    .await;
    assert_eq!(
        crate::running::status(app.admin, "/readyz").await,
        200,
        "facts are still read"
    );
    assert_eq!(app.queued("email.jobs").await, 2);

    let server = MailServer::on(port.listen(128).unwrap());
    let mails = server.takes(2).await;
    app.until_idle().await;
    for order in orders {
        assert_eq!(
            mails
                .iter()
                .filter(|mail| mail.mail.subject().contains(&order.to_string()))
                .count(),
            1
        );
    }
    assert_eq!(server.taken().len(), 2);
    assert_eq!(
        app.count(
            "SELECT count(*) FROM deliveries WHERE state = 'sent' AND last_error IS NULL",
            &app.world.db
        )
        .await,
        2
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_busy_is_asked_again() {
    let server = MailServer::start().await;
    let tries = Arc::new(AtomicUsize::new(0));
    server.turn(move |_| {
        let try_no = tries.fetch_add(1, Ordering::SeqCst);
        async move { if try_no < 2 { "451 4.3.0 busy" } else { OK } }
    });
    let app = TestApp::with_mail_server(&server.url()).await;
    let user = app.knows("Ada").await;
    app.confirms(user).await;
    server.takes(1).await;
    app.until_idle().await;
    let tried = server.is_tried(3).await;
    assert_eq!(tried.len(), 3);
    assert!(
        tried.iter().all(|one| one.mail == tried[0].mail),
        "the same mail each time"
    );
    app.stop().await;
}

/// It would be refused to every mail, so none is parked for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_our_sender_delays_mail_and_parks_none() {
    let server = MailServer::start().await;
    server.is_closed(Some("553 5.1.8 sender refused"));
    let app = TestApp::with_mail_server(&server.url()).await;
    let user = app.knows("Ada").await;
    app.confirms(user).await;
    app.until("it to be tried twice", || async {
        app.count(
            "SELECT count(*) FROM deliveries WHERE attempts >= 2 AND last_error LIKE '%sender refused%'",
            &app.world.db,
        )
        .await
            == 1
    })
    .await;
    server.is_closed(None);
    server.takes(1).await;
    app.until_idle().await;
    app.stop().await;
}

/// Refused for good: parked with the server's words, and the neighbour's mail goes out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_is_refused_is_parked_with_its_reason() {
    let server = MailServer::start().await;
    server.turn(|received| async move {
        if received.to == ["gone@example.com"] {
            "550 5.1.1 no such mailbox"
        } else {
            OK
        }
    });
    let app = TestApp::with_mail_server(&server.url()).await;
    let (gone, ada) = (app.knows("Gone").await, app.knows("Ada").await);
    app.confirms(gone).await;
    let order = app.confirms(ada).await;
    let taken = server.takes(1).await;
    assert!(taken[0].mail.subject().contains(&order.to_string()));
    app.until("it to be parked", || async {
        app.count(
            "SELECT count(*) FROM mq_message WHERE queue = 'email.jobs.dead'",
            &app.world.queue_db,
        )
        .await
            == 1
    })
    .await;
    let reason: String = sqlx::query_scalar(
        "SELECT header ->> 1 FROM mq_message, jsonb_array_elements(headers) AS header
         WHERE queue = 'email.jobs.dead' AND header ->> 0 = 'dlq_reason'",
    )
    .fetch_one(&app.world.queue_db)
    .await
    .unwrap();
    assert!(reason.contains("no such mailbox"), "{reason}");
    app.until_idle().await;
    app.stop().await;
}
