//! What the observatory shows of a purchase: each hop of it once, in an order that causality allows, and no secret.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use scenarios::embedded::Embedded;
use scenarios::shop::one_line;
use scenarios::{Answer, Marketplace, Shop, wait};
use serde_json::{Value, json};

/// How long a purchase may take until its mail is sent.
const PATIENCE: Duration = Duration::from_secs(60);
/// The services whose hops are followed.
const SERVICES: [&str; 5] = ["gateway", "users", "orders", "products", "notifications"];

/// The hops of ARCHITECTURE's walk, from the order to the mail: service, kind, side, name.
const WALK: [&str; 22] = [
    "gateway http server POST /api/orders",
    "gateway http client POST /v1/orders",
    "orders http server POST /v1/orders",
    "orders grpc client agora.products.v1.CatalogService/Quote",
    "products grpc server agora.products.v1.CatalogService/Quote",
    "orders db client transaction",
    "orders outbox internal order-events",
    "orders kafka producer order-events publish",
    "products kafka consumer order-events process",
    "products db client transaction",
    "products outbox internal stock-events",
    "products kafka producer stock-events publish",
    "orders kafka consumer stock-events process",
    "orders db client transaction",
    "orders outbox internal order-events",
    "orders kafka producer order-events publish",
    "notifications kafka consumer order-events process",
    "notifications db client transaction",
    "notifications outbox internal email.jobs",
    "notifications queue producer email.jobs publish",
    "notifications queue consumer email.jobs process",
    "notifications mail client send",
];

pub(crate) fn shows_each_hop_once(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let watcher = Watcher::of(marketplace);
    watcher.followed();
    let product = shop.catalogue()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let customer = shop.customer();
    let (trace_id, order_id) = buy(&shop, &customer.token, &product, &[]);
    let trace = watcher.whole(&trace_id, WALK.len());
    let hops = trace["hops"].as_array().expect("hops");

    let mut shown: Vec<String> = hops.iter().map(told).collect();
    shown.sort();
    let mut walk = WALK.map(str::to_owned).to_vec();
    walk.sort();
    assert_eq!(shown, walk, "{trace:#}");
    assert_order(hops);
    assert_eq!(hops[0]["from"], "client");
    assert!(hops.iter().all(|hop| hop["outcome"] == "ok"), "{trace:#}");
    assert_eq!(trace["dropped"], 0);

    // Found by what it is about, too.
    let found = watcher.get(&format!("traces?mentions={order_id}")).json;
    assert_eq!(found["traces"][0]["trace_id"], trace_id.as_str(), "{found}");
    assert_eq!(found["traces"][0]["hops"], WALK.len());
    // Who watches is no part of the picture.
    let all = watcher.get("traces?limit=200").text;
    assert!(!all.contains("observatory"), "{all}");
}

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

/// Whoever may look at the observatory, whether or not the gateway is on the loopback: an administrator.
struct Watcher {
    shop: Shop,
    token: String,
}

impl Watcher {
    fn of(marketplace: &dyn Marketplace) -> Self {
        let shop = marketplace.shop();
        let (email, password) = marketplace.administrator();
        let token = shop.sign_in(&email, &password);
        Self { shop, token }
    }

    fn ask(&self, path: &str) -> Answer {
        let path = format!("/observatory/{path}");
        self.shop.get(&path, Some(&self.token))
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(path).expect(200)
    }

    /// Waits until the hops of all services are followed.
    fn followed(&self) {
        wait::until("all hops to be followed", || {
            let answer = self.ask("state");
            let replicas = answer.json["services"].as_array()?;
            let is_followed = |service: &&str| {
                let mut of_service = replicas
                    .iter()
                    .filter(|replica| replica["name"] == **service);
                of_service.any(|replica| replica["followed"] == true)
            };
            SERVICES.iter().all(is_followed).then_some(())
        });
    }

    /// The trace, once it has so many hops and all of them are over.
    fn whole(&self, trace_id: &str, hops: usize) -> Value {
        let begun = Instant::now();
        wait::until_within(2 * PATIENCE, &format!("{hops} hops of a purchase"), || {
            let answer = self.ask(&format!("traces/{trace_id}"));
            let known = answer.json["hops"].as_array()?;
            let is_over = known.iter().all(|hop| hop["ended_at"].is_u64());
            assert!(
                begun.elapsed() < PATIENCE,
                "{:#?}",
                known.iter().map(told).collect::<Vec<_>>()
            );
            (known.len() >= hops && is_over).then(|| answer.json.clone())
        })
    }
}

/// Buys one piece in a trace of its own: the trace's id and the order's.
pub(crate) fn buy(
    shop: &Shop,
    token: &str,
    product: &str,
    headers: &[(&str, &str)],
) -> (String, String) {
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let mut all = vec![("traceparent", parent.as_str())];
    all.extend(headers);
    let answer = shop.try_post("/api/orders", Some(token), &all, &one_line(product, 1));
    (trace, answer.expect("an answer").expect(201).id())
}

fn told(hop: &Value) -> String {
    ["service", "kind", "side", "name"]
        .map(|field| hop[field].as_str().unwrap_or("?"))
        .join(" ")
}

/// Nothing stands, or begins, before what it follows from.
fn assert_order(hops: &[Value]) {
    let mut seen: HashMap<&str, u64> = HashMap::new();
    for hop in hops {
        let started = hop["started_at"].as_u64().expect("a start");
        if let Some(parent) = hop["parent"].as_str().filter(|_| !seen.is_empty()) {
            let of_parent = seen.get(parent);
            let of_parent = of_parent.unwrap_or_else(|| panic!("{hop} before its parent"));
            assert!(*of_parent <= started, "{hop}");
        }
        seen.insert(hop["id"].as_str().expect("an id"), started);
    }
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
