//! Switches on the port of the process that runs a system.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request};
use chassis::admin::{self, About, Absent, Switch, SwitchState, Switches};
use chassis::http::Options;
use futures::FutureExt;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::support::eventually;
use crate::support::server::Server;

/// A switch that can be broken itself.
#[derive(Clone)]
struct Lamp {
    name: &'static str,
    usual: bool,
    absent: bool,
    stuck: bool,
    /// It never says where it is.
    mute: bool,
    on: Arc<Mutex<bool>>,
    hit: Arc<AtomicU64>,
    /// A press of it waits for a place here, and takes it.
    gate: Arc<Semaphore>,
    /// Presses that wait or have waited.
    pressed: Arc<AtomicU64>,
}

fn lamp(name: &'static str, usual: bool) -> Lamp {
    Lamp {
        name,
        usual,
        absent: false,
        stuck: false,
        mute: false,
        on: Arc::new(Mutex::new(usual)),
        hit: Arc::default(),
        gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        pressed: Arc::default(),
    }
}

#[async_trait]
impl Switch for Lamp {
    fn about(&self) -> About {
        About {
            name: self.name,
            kind: "lamp",
            title: format!("the {}", self.name),
            usual: self.usual,
            absent: self.absent.then(|| Absent {
                why: "it is not ours".to_owned(),
                command: Some("turn it off".to_owned()),
            }),
        }
    }

    async fn state(&self) -> SwitchState {
        if self.mute {
            std::future::pending::<()>().await;
        }
        SwitchState {
            on: *self.on.lock(),
            hit: self.hit.load(Ordering::Relaxed),
        }
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        self.pressed.fetch_add(1, Ordering::Relaxed);
        self.gate.acquire().await.unwrap().forget();
        if self.stuck {
            return Err("it is stuck".to_owned());
        }
        *self.on.lock() = on;
        Ok(())
    }
}

async fn port(lamps: &[Lamp]) -> Server {
    let switches = Switches::new();
    lamps.iter().for_each(|lamp| switches.add(lamp.clone()));
    Server::plain(admin::switches("test", switches), Options::default()).await
}

async fn set(server: &Server, name: &str, body: Value) -> (u16, Value) {
    let path = format!("/switches/{name}");
    let answer = server
        .post(&path, "application/json", body.to_string())
        .await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn a_switch_says_where_it_is_and_what_it_hit() {
    let kafka = lamp("kafka", true);
    let mut given = lamp("database", true);
    given.absent = true;
    let server = port(&[kafka.clone(), given]).await;
    let listed = server.get("/switches").await.json();
    let (first, second) = (&listed["switches"][0], &listed["switches"][1]);
    let whole = json!({"name": "kafka", "kind": "lamp", "title": "the kafka", "on": true, "usual": true, "hit": 0, "absent": null});
    assert_eq!(*first, whole);
    assert_eq!(
        second["absent"],
        json!({"why": "it is not ours", "command": "turn it off"})
    );

    let (status, set_to) = set(&server, "kafka", json!({"on": false})).await;
    assert_eq!((status, &set_to["on"]), (200, &json!(false)));
    kafka.hit.store(3, Ordering::Relaxed);
    assert_eq!(
        server.get("/switches").await.json()["switches"][0]["hit"],
        3
    );

    let (status, refused) = set(&server, "database", json!({"on": false})).await;
    assert_eq!(
        (status, &refused["detail"]),
        (409, &json!("it is not ours"))
    );
    let (status, unknown) = set(&server, "mars", json!({"on": false})).await;
    assert_eq!(
        (status, &unknown["detail"]),
        (404, &json!("the switches are kafka, database"))
    );
    assert_eq!(set(&server, "kafka", json!({"on": "no"})).await.0, 422);
    server.stop().await;
}

#[tokio::test]
async fn mending_brings_each_to_its_usual_position() {
    let (kafka, load) = (lamp("kafka", true), lamp("load", false));
    let mut stuck = lamp("queue", true);
    stuck.stuck = true;
    let server = port(&[stuck.clone(), kafka.clone(), load.clone()]).await;
    assert_eq!(set(&server, "kafka", json!({"on": false})).await.0, 200);
    assert_eq!(set(&server, "load", json!({"on": true})).await.0, 200);
    let mended = server.send(Method::DELETE, "/switches", &[], "").await;
    assert_eq!(mended.status, 204);
    assert!(*kafka.on.lock() && !*load.on.lock());

    // One that cannot be mended is told, and keeps none of the others broken.
    *stuck.on.lock() = false;
    *kafka.on.lock() = false;
    let answer = server.send(Method::DELETE, "/switches", &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["detail"]),
        (409, &json!("it is stuck"))
    );
    assert!(*kafka.on.lock());
    server.stop().await;
}

/// Whoever asked for it may be told to wait no longer, as a page is, or may be closed.
#[tokio::test]
async fn a_caller_that_goes_away_in_the_middle_leaves_nothing_broken() {
    let (mut slow, kafka) = (lamp("queue", true), lamp("kafka", true));
    slow.gate = Arc::new(Semaphore::new(0));
    *slow.on.lock() = false;
    *kafka.on.lock() = false;
    let switches = Switches::new();
    switches.add(slow.clone());
    switches.add(kafka.clone());
    let request = Request::delete("/switches").header("host", "localhost");
    let mending = admin::switches("test", switches).oneshot(request.body(Body::empty()).unwrap());
    let begun = eventually("the first is being mended", || async {
        slow.pressed.load(Ordering::Relaxed) == 1
    });
    tokio::select! {
        ended = mending => panic!("it must not end: {ended:?}"),
        () = begun => {}
    }
    slow.gate.add_permits(1);
    eventually("all is mended", || async {
        *slow.on.lock() && *kafka.on.lock()
    })
    .await;
}

#[tokio::test]
async fn one_that_does_not_say_where_it_is_is_mended_all_the_same() {
    let (mut mute, kafka) = (lamp("queue", true), lamp("kafka", true));
    mute.mute = true;
    *mute.on.lock() = false;
    *kafka.on.lock() = false;
    let server = port(&[mute.clone(), kafka.clone()]).await;
    let mended = server.send(Method::DELETE, "/switches", &[], "").await;
    assert_eq!(mended.status, 204);
    assert!(*mute.on.lock() && *kafka.on.lock());
    server.stop().await;
}

/// As a database does that is busy: whoever took it away must see that, and be able to give it back.
#[tokio::test(start_paused = true)]
async fn one_that_does_not_say_where_it_is_is_where_it_was_put() {
    let mut mute = lamp("queue", true);
    mute.mute = true;
    let switches = Switches::new();
    switches.add(mute);
    let request = Request::post("/switches/queue")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"on": false}"#));
    let answer = admin::switches("test", switches).oneshot(request.unwrap());
    let body = answer.await.unwrap().into_body().collect().await.unwrap();
    let said: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    assert_eq!((&said["on"], &said["hit"]), (&json!(false), &Value::Null));
}

/// Says once where it was when it was asked, after a press, and nothing from then on.
struct Late {
    on: AtomicBool,
    says: Semaphore,
}

#[async_trait]
impl Switch for Late {
    fn about(&self) -> About {
        lamp("queue", true).about()
    }

    async fn state(&self) -> SwitchState {
        let on = self.on.load(Ordering::Relaxed);
        self.says.acquire().await.unwrap().forget();
        SwitchState { on, hit: 0 }
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        self.on.store(on, Ordering::Relaxed);
        self.says.add_permits(1);
        Ok(())
    }
}

/// A page asks all the time, and its question may be answered when the switch has been pressed.
#[tokio::test(start_paused = true)]
async fn who_was_asked_before_a_press_does_not_say_where_it_is_since() {
    let switches = Switches::new();
    switches.add(Late {
        on: AtomicBool::new(true),
        says: Semaphore::new(0),
    });
    let port = admin::switches("test", switches);
    let list = Request::get("/switches").header("host", "localhost");
    let press = Request::post("/switches/queue")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"on": false}"#));
    let mut listing = Box::pin(port.clone().oneshot(list.body(Body::empty()).unwrap()));
    assert!((&mut listing).now_or_never().is_none(), "it was asked");
    let (listed, pressed) = tokio::join!(listing, port.oneshot(press.unwrap()));
    assert_eq!(listed.unwrap().status(), 200);
    let body = pressed.unwrap().into_body().collect().await.unwrap();
    let said: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    assert_eq!((&said["on"], &said["hit"]), (&json!(false), &Value::Null));
}
