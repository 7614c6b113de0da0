//! No secret is in the picture, and no page of others changes it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use scenarios::Marketplace;
use scenarios::embedded::Embedded;
use serde_json::json;

use super::WALK;
use super::watcher::{SERVICES, Watcher, buy};

/// Every input has a secret of its own; none of them is in a ring, in a trace, in the state or in the log.
pub(crate) fn no_secret_is_in_the_picture(marketplace: &mut Embedded) {
    let shop = marketplace.shop();
    let watcher = Watcher::of(marketplace);
    watcher.followed();
    let secret = |what: &str| format!("canary-{what}-{}", uuid::Uuid::new_v4().simple());
    let [password, mail, name, key, agent, cookie, query] = [
        "password", "mail", "name", "key", "agent", "cookie", "query",
    ]
    .map(secret);
    let email = format!("{mail}@example.com");
    let user = json!({ "email": email, "name": name, "password": password });
    let _ = shop.post("/api/users", None, &user).expect(201);
    let token = shop.sign_in(&email, &password);
    let product = shop.catalogue()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let headers = [
        ("idempotency-key", key.as_str()),
        ("user-agent", agent.as_str()),
        ("cookie", cookie.as_str()),
    ];
    let (trace_id, _) = buy(&shop, &token, &product, &headers);
    let _ = shop
        .get(&format!("/api/products?q={query}"), None)
        .expect(200);
    watcher.whole(&trace_id, WALK.len());

    let database = marketplace.database("orders");
    let (_, database_password) = database
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'))
        .expect("a password");
    let signature = token.rsplit('.').next().expect("a signature").to_owned();
    let secrets = [
        &password, &mail, &name, &key, &agent, &cookie, &query, &signature,
    ];
    let mut shown = HashMap::new();
    for service in SERVICES {
        let ring = ring(&marketplace.admin(service));
        assert!(ring.contains("event:hop"), "{service}: {ring}");
        shown.insert(format!("the hops of {service}"), ring);
    }
    for path in ["traces?limit=200", &format!("traces/{trace_id}"), "state"] {
        let text = watcher.get(path).text;
        shown.insert(path.to_owned(), text);
    }
    shown.insert("the log".to_owned(), marketplace.log());
    for (place, text) in &shown {
        for secret in secrets
            .iter()
            .map(|secret| secret.as_str())
            .chain([database_password])
        {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
    }
    // A page of another site presses no switch.
    let rules = json!({ "rules": [] }).to_string();
    let put = |headers: &[(&str, &str)]| {
        let answer = shop.call(
            "PUT",
            "/observatory/faults/orders",
            headers,
            Some(rules.as_bytes()),
        );
        answer.expect("an answer").status
    };
    let own = marketplace.endpoint("gateway");
    assert_eq!(put(&[]), 403);
    assert_eq!(put(&[("origin", "http://evil.example")]), 403);
    assert_eq!(put(&[("origin", &own), ("host", "evil.example")]), 403);
    assert_eq!(
        put(&[("origin", &own), ("content-type", "text/plain")]),
        403
    );
    assert_eq!(
        put(&[("origin", &own), ("content-type", "application/json")]),
        200
    );
    let mended = shop.call("DELETE", "/observatory/faults", &[("origin", &own)], None);
    assert_eq!(mended.expect("an answer").status, 204);
}

/// What an admin port's ring holds: read until nothing comes for a while.
fn ring(admin: &str) -> String {
    let address = admin.strip_prefix("http://").expect("an address");
    let mut connection = TcpStream::connect(address).expect("a connection");
    let silence = Duration::from_secs(2);
    connection
        .set_read_timeout(Some(silence))
        .expect("a timeout");
    let request = format!("GET /hops HTTP/1.1\r\nhost: {address}\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("to ask");
    let mut text = Vec::new();
    let mut piece = [0; 64 * 1024];
    while let Ok(read @ 1..) = connection.read(&mut piece) {
        text.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&text).into_owned()
}
