//! What cannot be handled, on the admin port.

use contracts::queues::EMAIL_JOBS;
use contracts::topics::ORDER_EVENTS;
use envelope::{AMQP_PREFIX, Event, EventData, KAFKA_PREFIX};
use messaging::Message;
use serde_json::Value;

use crate::app::{DEAD_LETTERS, TestApp, confirmed};
use crate::once::job_to;
use crate::running::{ask, get};

/// The event with a body that nobody can read.
fn unreadable<T: EventData>(event: &Event<T>, prefix: &str) -> Message {
    Message {
        key: Some(event.subject.clone()),
        headers: event.to_binary(prefix).unwrap().headers,
        payload: "{}".into(),
    }
}

async fn listed(app: &TestApp, query: &str) -> Vec<Value> {
    let (status, body) = get(app.admin, &format!("/dead-letters{query}"))
        .await
        .unwrap();
    assert_eq!(status, 200, "{body}");
    let listed: Value = serde_json::from_str(&body).unwrap();
    listed["dead_letters"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_of_topics_and_of_queues_are_told_shown_and_sent_again() {
    let app = TestApp::start().await;
    assert!(listed(&app, "").await.is_empty());
    let user = app.knows("Ada").await;
    let fact = confirmed(user);
    app.publish_raw(ORDER_EVENTS, unreadable(&fact, KAFKA_PREFIX))
        .await;
    let job = job_to("ada@example.com");
    app.enqueue_raw(EMAIL_JOBS, unreadable(&job, AMQP_PREFIX))
        .await;

    app.until("both to be told", || async {
        let (status, ready) = get(app.admin, "/readyz").await.unwrap();
        // Told, and ready all the same.
        status == 200
            && [DEAD_LETTERS, "email.jobs.dead"]
                .iter()
                .all(|place| ready.contains(&format!("1 dead letters, most in {place}")))
    })
    .await;
    app.until("both to be counted", || async {
        let (_, metrics) = get(app.admin, "/metrics").await.unwrap();
        let gauge = |place| format!("messaging_dead_letters{{source=\"{place}\"}} 1");
        [DEAD_LETTERS, "email.jobs.dead"]
            .iter()
            .all(|place| metrics.contains(&gauge(place)))
    })
    .await;

    let all = listed(&app, "").await;
    let events = all
        .iter()
        .map(|letter| letter["event_id"].as_str().unwrap());
    let mut events: Vec<_> = events.collect();
    events.sort_unstable();
    let mut sent = [fact.id.to_string(), job.id.to_string()];
    sent.sort();
    assert_eq!(events, sent);
    let jobs = listed(&app, "?source=email.jobs").await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0]["event_id"], *job.id.to_string());

    let body = r#"{"source": "email.jobs"}"#;
    let (status, answer) = ask(app.admin, "POST", "/dead-letters/redrive", body)
        .await
        .unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"settled\":1"), "{answer}");
    // It fails as before.
    app.until("the second parking", || async {
        let jobs = listed(&app, "?source=email.jobs").await;
        jobs.iter().any(|letter| letter["redriven"] == 1)
    })
    .await;
    app.stop().await;
}
