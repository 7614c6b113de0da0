//! A mail server that accepts connections and then says nothing.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::app::TestApp;
use crate::mail_server::{MailServer, OK, Silent};
use crate::once::job_to;

/// Wherever it falls silent, a mail waits for the limit of that phase and no longer, and goes out later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_costs_the_limit_of_its_phase() {
    const PHASES: [(Silent, &str); 6] = [
        (Silent::Greeting, "connecting"),
        (Silent::Command("EHLO"), "connecting"),
        (Silent::Command("MAIL"), "MAIL"),
        (Silent::Command("RCPT"), "RCPT"),
        (Silent::Command("DATA"), "DATA"),
        (Silent::Dot, "the final dot"),
    ];
    for (silent, named) in PHASES {
        let server = MailServer::start().await;
        server.is_silent(Some(silent));
        // A busy machine may be late with the word that a mail was taken, which is sent again then.
        let accepted_within = match silent {
            Silent::Dot => "--smtp-accept-timeout=1s",
            _ => "--smtp-accept-timeout=30s",
        };
        let app = TestApp::with_arguments(
            &server.url(),
            &[
                "--smtp-greeting-timeout=100ms",
                "--smtp-connect-timeout=100ms",
                "--smtp-command-timeout=100ms",
                accepted_within,
            ],
        )
        .await;
        let job = job_to("ada@example.com");
        app.asks_for(&job).await;
        app.until(&format!("an end of the silence at {silent:?}"), || async {
            let error: Option<String> =
                sqlx::query_scalar("SELECT last_error FROM deliveries WHERE job_id = $1")
                    .bind(job.id)
                    .fetch_optional(&app.world.db)
                    .await
                    .unwrap()
                    .flatten();
            error.is_some_and(|error| error.contains(&format!("to {named}")))
        })
        .await;
        server.is_silent(None);
        server.takes(1).await;
        app.until_idle().await;
        // After the final dot it may have been taken: the same mail, to the byte, under the same id.
        let tried = server.is_tried(1).await;
        assert!(tried.iter().all(|one| one.mail == tried[0].mail));
        assert_eq!(server.taken().len(), 1, "{silent:?}");
        app.stop().await;
    }
}

/// Twice as many mails as there are workers get no answer, with ten minutes to go: the others go out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_silent_connections_do_not_stop_the_other_mail() {
    const SILENT: usize = 8;
    let server = MailServer::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    server.turn(move |received| {
        let gate = Arc::clone(&waiting);
        async move {
            if received.to == ["silent@example.com"] {
                gate.acquire().await.unwrap().forget();
            }
            OK
        }
    });
    let app = TestApp::with_arguments(&server.url(), &["--smtp-slow-after=50ms"]).await;
    for _ in 0..SILENT {
        app.asks_for(&job_to("silent@example.com")).await;
    }
    server.is_tried(SILENT).await;
    for _ in 0..3 {
        app.asks_for(&job_to("ada@example.com")).await;
    }
    let taken = server.takes(3).await;
    assert!(taken.iter().all(|mail| mail.to == ["ada@example.com"]));
    // They were waited for, and are not sent again.
    gate.add_permits(SILENT);
    app.until_idle().await;
    assert_eq!(server.taken().len(), SILENT + 3);
    assert_eq!(server.is_tried(1).await.len(), SILENT + 3);
    app.stop().await;
}
