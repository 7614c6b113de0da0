//! Dead letters on the admin port.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Method;
use chassis::admin::{
    self, Clients, DEAD_LETTERS_MAX, DeadLetterOffice, DeadLetters, Listed, Pace, Redriven, Which,
};
use chassis::http::Options;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

use crate::support::server::{Answer, Server};

/// Notes what it is asked for, and answers when it may.
struct Office {
    asked: Mutex<Vec<(Which, Option<Pace>)>>,
    /// A permit for each answer; closed: it is away.
    may_answer: Semaphore,
    begun: Notify,
    ended: Notify,
}

impl Office {
    fn new(answers: usize) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            may_answer: Semaphore::new(answers),
            begun: Notify::new(),
            ended: Notify::new(),
        })
    }

    async fn ask(&self, which: &Which, pace: Option<Pace>) -> Result<(), String> {
        self.asked.lock().push((which.clone(), pace));
        self.begun.notify_one();
        let permit = self.may_answer.acquire().await;
        permit
            .map_err(|_| "Kafka does not answer".to_owned())?
            .forget();
        self.ended.notify_one();
        Ok(())
    }
}

#[async_trait]
impl DeadLetterOffice for Office {
    async fn list(&self, which: &Which) -> Result<Listed, String> {
        self.ask(which, None).await?;
        Ok(Listed {
            dead_letters: vec![json!({"id": "facts.dlq@0/7"})],
            more: true,
        })
    }

    async fn redrive(&self, which: &Which, pace: Pace) -> Result<Redriven, String> {
        self.ask(which, Some(pace)).await?;
        Ok(Redriven {
            matched: 3,
            settled: 2,
            gone: 1,
            bodyless: 0,
            more: false,
        })
    }
}

async fn port(letters: DeadLetters) -> Server {
    let controls = admin::controls("test", Clients::new(), letters, None);
    Server::plain(controls, Options::default()).await
}

async fn with_office(answers: usize) -> (Server, Arc<Office>) {
    let (letters, office) = (DeadLetters::default(), Office::new(answers));
    let server = port(letters.clone()).await;
    // A service says where they are after the port was opened.
    letters.are_in(office.clone());
    (server, office)
}

impl Server {
    async fn redrive(&self, body: &Value) -> Answer {
        let path = "/dead-letters/redrive";
        self.post(path, "application/json", body.to_string()).await
    }
}

#[tokio::test]
async fn a_service_that_parks_nothing_has_none() {
    let server = port(DeadLetters::default()).await;
    let none = json!({"dead_letters": [], "more": false});
    assert_eq!(server.get("/dead-letters").await.json(), none);
    let redriven = server.redrive(&json!({"all": true})).await.json();
    assert_eq!(redriven["matched"], 0);
    server.stop().await;
}

#[tokio::test]
async fn letters_are_listed_by_all_conditions() {
    let (server, office) = with_office(2).await;
    let answer = server.get("/dead-letters").await;
    let listed = json!({"dead_letters": [{"id": "facts.dlq@0/7"}], "more": true});
    assert_eq!(answer.json(), listed);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let query = "source=facts&group=billing&id=7&type=t.v1&reason=no%20such&older_than=15m&newer_than=7d&limit=5";
    server.get(&format!("/dead-letters?{query}")).await.json();
    let text = |text: &str| Some(text.to_owned());
    let time_max = Duration::from_secs(10);
    let all = Which {
        limit: 100,
        time_max,
        ..Which::default()
    };
    let some = Which {
        source: text("facts"),
        group: text("billing"),
        id: text("7"),
        event_type: text("t.v1"),
        reason: text("no such"),
        older_than: Some(Duration::from_secs(900)),
        newer_than: Some(Duration::from_secs(7 * 86400)),
        limit: 5,
        time_max,
    };
    assert_eq!(*office.asked.lock(), [(all, None), (some, None)]);
    server.stop().await;
}

#[tokio::test]
async fn letters_are_sent_again_by_all_conditions() {
    let (server, office) = with_office(3).await;
    let body = json!({
        "source": "facts", "group": "billing", "id": "7", "type": "t.v1", "reason": "no such",
        "older_than": "15m", "newer_than": "7d", "limit": 5, "dry_run": true, "rate": 0,
    });
    let answer = server.redrive(&body).await.json();
    assert_eq!(
        answer,
        json!({"matched": 3, "settled": 2, "gone": 1, "bodyless": 0, "more": false, "dry_run": true})
    );
    assert_eq!(server.redrive(&json!({"all": true})).await.status, 200);
    assert_eq!(server.redrive(&json!({"limit": 1})).await.status, 200);
    let asked = office.asked.lock().clone();
    let paces: Vec<_> = asked.iter().map(|(_, pace)| pace.unwrap()).collect();
    let pace = |dry_run, rate| Pace {
        dry_run,
        per_second: NonZeroU32::new(rate),
    };
    assert_eq!(paces, [pace(true, 0), pace(false, 100), pace(false, 100)]);
    assert_eq!(asked[0].0.older_than, Some(Duration::from_secs(900)));
    assert_eq!(asked[0].0.event_type.as_deref(), Some("t.v1"));
    let limits: Vec<_> = asked.iter().map(|(which, _)| which.limit).collect();
    assert_eq!(limits, [5, DEAD_LETTERS_MAX, 1]);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_a_problem_and_nothing_is_done() {
    let (server, office) = with_office(0).await;
    for query in [
        "limit=0",
        "limit=1001",
        "limit=all",
        "older_than=soon",
        "reason=",
        "colour=red",
    ] {
        let problem = server
            .get(&format!("/dead-letters?{query}"))
            .await
            .problem(400);
        let name = query.split('=').next().unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(name) || query == "limit=all", "{detail}");
    }
    // Nobody sends everything again by leaving something out.
    for body in [
        json!({}),
        json!({"dry_run": true}),
        json!({"all": false, "rate": 5}),
        json!({"older_than": "0s"}),
    ] {
        let problem = server.redrive(&body).await.problem(422);
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("which letters?"), "{detail}");
    }
    let wrong = json!({"older_than": "soon", "newer_than": "later", "limit": 0});
    let problem = server.redrive(&wrong).await.problem(422);
    let pointers = problem["errors"].as_array().unwrap().iter();
    let pointers: Vec<_> = pointers.map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/older_than", "/newer_than", "/limit"]);
    let blank = json!({"source": "", "group": " ", "id": "", "type": "", "reason": ""});
    let problem = server.redrive(&blank).await.problem(422);
    let pointers = problem["errors"].as_array().unwrap().iter();
    let pointers: Vec<_> = pointers.map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/source", "/group", "/id", "/type", "/reason"]);
    let typo = server.redrive(&json!({"all": true, "dryrun": true})).await;
    assert_eq!(typo.problem(422)["errors"][0]["pointer"], "/dryrun");
    // No page in a browser can do it: a form cannot send JSON.
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let form = server.post("/dead-letters/redrive", content_type, "{\"all\": true}");
        form.await.problem(415);
    }
    let read = server.send(Method::GET, "/dead-letters/redrive", &[], "");
    read.await.problem(405);
    assert!(office.asked.lock().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn an_engine_that_is_away_is_503() {
    let (server, office) = with_office(0).await;
    office.may_answer.close();
    for answer in [
        server.get("/dead-letters").await,
        server.redrive(&json!({"all": true})).await,
    ] {
        assert_eq!(answer.problem(503)["detail"], "Kafka does not answer");
        assert!(answer.header("retry-after").is_some());
    }
    server.stop().await;
}

/// On RabbitMQ a letter that somebody looks at is not there for anybody else.
#[tokio::test]
async fn requests_take_turns_and_do_not_wait_for_ever() {
    let (server, office) = with_office(0).await;
    let (first, second) = tokio::join!(server.get("/dead-letters"), async {
        office.begun.notified().await;
        let second = server.redrive(&json!({"all": true})).await;
        office.may_answer.add_permits(1);
        second
    });
    second.problem(503);
    assert_eq!(first.status, 200);
    assert_eq!(office.asked.lock().len(), 1);
    server.stop().await;
}

/// A redrive that stops between two of its steps sends a letter twice.
#[tokio::test]
async fn a_caller_who_goes_away_stops_nothing() {
    let (server, office) = with_office(0).await;
    let all = json!({"all": true});
    tokio::select! {
        _ = server.redrive(&all) => panic!("it has no answer yet"),
        () = office.begun.notified() => {}
    }
    // Answered after the server has seen that the caller is gone: that came first.
    assert_eq!(server.get("/clients").await.status, 200);
    office.may_answer.add_permits(2);
    crate::support::in_time(office.ended.notified()).await;
    assert_eq!(server.get("/dead-letters").await.status, 200);
    server.stop().await;
}
