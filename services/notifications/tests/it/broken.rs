//! Deliveries that are broken on purpose, over the admin port.

use std::net::SocketAddr;

use serde_json::Value;

use crate::app::World;
use crate::running::{ask, get};

async fn json(admin: SocketAddr, path: &str) -> Value {
    let (_, body) = get(admin, path).await.unwrap();
    serde_json::from_str(&body).unwrap()
}

async fn set(admin: SocketAddr, rules: &str) {
    let (status, body) = ask(admin, "PUT", "/faults", rules).await.unwrap();
    assert_eq!(status, 200, "{body}");
}

/// Jobs wait while the mail server fails, and go out when it is mended; who delivers is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_is_broken_on_purpose_delays_mails_and_loses_none() {
    let mut world = World::new().await;
    world.arguments = vec!["--allow-faults"];
    let app = world.run(None).await;
    let user = app.knows("Ada").await;
    let fail = r#"{"rules": [{"target": "mail", "kind": "fail"}]}"#;
    set(app.admin, fail).await;
    app.confirms(user).await;
    app.until("a delivery to fail", || async {
        json(app.admin, "/faults").await["rules"][0]["broken"].as_u64() > Some(0)
    })
    .await;
    assert_eq!(app.mails().len(), 0);
    let mail = &json(app.admin, "/clients").await["clients"]["mail"]["endpoints"][0];
    assert!(mail["failures"].as_u64() > Some(0), "{mail}");

    set(app.admin, r#"{"rules": []}"#).await;
    app.until_mails(1).await;
    app.until_idle().await;
    assert_eq!(app.mails().len(), 1);
    app.stop().await;
}
