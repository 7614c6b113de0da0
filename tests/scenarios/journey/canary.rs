//! No secret is in the picture, and no page of others changes it.

use std::collections::HashMap;

use contracts::users::v1 as pb;
use contracts::users::v1::user_service_client::UserServiceClient;
use scenarios::browser::Browser;
use scenarios::collector::Collector;
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, Shop, wait};
use serde_json::json;
use tonic::transport::Channel;

use super::WALK;
use super::stream::Stream;
use super::watcher::{SERVICES, Watcher, buy};
use crate::page;

/// What is shown of each step of a journey's list, after a click on it; each click draws the list anew.
const EVERY_DETAIL: &str = "return [...document.querySelectorAll('agora-steps button')].map((_, n) => { \
    document.querySelector(`agora-steps [data-n='${n}']`).click(); \
    return document.querySelector('agora-detail').outerHTML; })";

/// Every input has a secret of its own; none of them is in a ring, in a trace, in the state, in what follows them live, in
/// exported spans, in what the terminal prints or in the log.
pub(crate) fn no_secret_is_in_the_picture() {
    let secrets = Secrets::new();
    let collector = Collector::start();
    let marketplace = start(&secrets, &collector);
    let shop = marketplace.shop();
    let watcher = Watcher::of(&marketplace);
    watcher.followed();
    let gateway = marketplace.endpoint("gateway");
    let hops = Stream::open(&gateway, "/observatory/hops");
    let states = Stream::open(&gateway, "/observatory/state/events");

    let (trace_id, token) = shops(&shop, &secrets);
    asks_for_what_is_not_there(&shop, &secrets);
    calls_users(&marketplace.endpoint("users"), &secrets);
    watcher.whole(&trace_id, WALK.len());

    let mut shown = shown_of(&marketplace, &watcher, &trace_id);
    let is_mailed = |text: &str| text.contains(&trace_id) && text.contains(r#""kind":"mail""#);
    shown.insert("live hops".to_owned(), hops.until("the mail", is_mailed));
    let are_two = |text: &str| text.matches("data:").count() >= 2;
    shown.insert("live states".to_owned(), states.until("two", are_two));
    shown.insert("the spans".to_owned(), exported(&collector, &trace_id));
    shown.insert("the log".to_owned(), marketplace.log());

    let signature = token.rsplit('.').next().expect("a signature");
    let database = marketplace.database("orders");
    let all = secrets.all.values().map(String::as_str);
    let all = all.chain([signature, password_in(&database)]);
    for secret in all {
        for (place, text) in &shown {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
    }
    no_other_page_presses_a_switch(&marketplace);
}

/// What can be read of a purchase afterwards, by its place: in rings, dead letters, traces, state and terminal.
fn shown_of(marketplace: &Embedded, watcher: &Watcher, trace_id: &str) -> HashMap<String, String> {
    let mut shown = HashMap::new();
    let mut show = |place: &str, text: String| shown.insert(place.to_owned(), text);
    for service in SERVICES {
        let ring = Stream::open(&marketplace.admin(service), "/hops").kept("event:hop");
        show(&format!("the hops of {service}"), ring);
        let letters = watcher.get(&format!("dead-letters/{service}")).text;
        show(&format!("the dead letters of {service}"), letters);
    }
    for path in ["traces?limit=200", &format!("traces/{trace_id}"), "state"] {
        show(path, watcher.get(path).text);
    }
    for form in ["--mermaid", "--json"] {
        let printed = marketplace.agora(&["trace", trace_id, form]);
        assert!(printed.contains("order-events"), "{printed}");
        show(form, printed);
    }
    shown
}

/// The spans that were exported once those of the purchase are among them.
fn exported(collector: &Collector, trace_id: &str) -> String {
    wait::until("the spans of the purchase", || {
        let spans = collector.of_trace(trace_id);
        let mut names = spans.iter().map(|span| span.name.as_str());
        names.any(|name| name == "send").then_some(())
    });
    collector.text()
}

/// What a page shows, keeps and copies of somebody's purchase has none of their secrets.
pub(crate) fn is_in_no_page(market: &mut Embedded) {
    let secrets = Secrets::new();
    let shop = market.shop();
    let (trace_id, token) = shops(&shop, &secrets);
    Watcher::of(market).whole(&trace_id, WALK.len());

    let browser = Browser::open(&market.endpoint("gateway"), page::DESK);
    browser.click("#sign-in");
    browser.until_text(".who", "Signed in as");
    let whole = || {
        browser
            .run("return document.documentElement.outerHTML", &[])
            .to_string()
    };
    browser.go(&format!("/#/journey/{trace_id}"));
    browser.until_some("agora-diagram .arrow.message");
    browser.click("[aria-label='One step on']");
    browser.until_text("agora-detail", "gateway");
    let diagram = whole();
    let copied = page::play::copied(&browser);
    browser.click("a[href$='?list']");
    browser.until_text("agora-steps", "agora.order.placed");
    let list = whole();
    let details = browser.run(EVERY_DETAIL, &[]).to_string();
    assert!(details.contains("data.order_id"), "{details}");
    let kept =
        "return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])";
    let kept = browser.run(kept, &[]).to_string();

    let shown = [diagram, list, details, copied, kept];
    let all = secrets.all.values().map(String::as_str);
    // The page signs in by itself, and keeps the token only.
    for secret in all.chain([token.as_str(), "shopping-for-olives"]) {
        assert!(shown.iter().all(|text| !text.contains(secret)), "{secret}");
    }
}

/// One for each input, by its name.
struct Secrets {
    all: HashMap<&'static str, String>,
}

impl Secrets {
    const INPUTS: [&str; 16] = [
        "password",
        "mail",
        "name",
        "key",
        "agent",
        "cookie",
        "query",
        "variable",
        "operation",
        "segment",
        "path",
        "metadata",
        "user-id",
        "admin-token",
        "observatory-token",
        "smtp-password",
    ];

    fn new() -> Self {
        let secret = |input: &str| format!("canary-{input}-{}", uuid::Uuid::new_v4().simple());
        let all = Self::INPUTS.map(|input| (input, secret(input)));
        Self { all: all.into() }
    }

    fn of(&self, input: &str) -> &str {
        &self.all[input]
    }
}

/// A marketplace whose settings have secrets, too. Nobody is at its mail server: what fails is told with its reason.
fn start(secrets: &Secrets, collector: &Collector) -> Embedded {
    let smtp = format!("smtp://agora:{}@127.0.0.1:1", secrets.of("smtp-password"));
    Embedded::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint),
        ("ADMIN_TOKEN", secrets.of("admin-token")),
        ("OBSERVATORY_TOKEN", secrets.of("observatory-token")),
        ("SMTP_URL", &smtp),
    ])
}

/// Signs up, signs in and buys: the purchase's trace, and the token.
fn shops(shop: &Shop, secrets: &Secrets) -> (String, String) {
    let email = format!("{}@example.com", secrets.of("mail"));
    let password = secrets.of("password");
    let user = json!({ "email": email, "name": secrets.of("name"), "password": password });
    let _ = shop.post("/api/users", None, &user).expect(201);
    let token = shop.sign_in(&email, password);
    let product = shop.product();
    let headers = [
        ("idempotency-key", secrets.of("key")),
        ("user-agent", secrets.of("agent")),
        ("cookie", secrets.of("cookie")),
    ];
    let (trace_id, _) = buy(shop, &token, &product, &headers);
    (trace_id, token)
}

/// Whatever the answers are.
fn asks_for_what_is_not_there(shop: &Shop, secrets: &Secrets) {
    let _ = shop.get(&format!("/api/products?q={}", secrets.of("query")), None);
    let segment = secrets.of("segment");
    for path in ["products", "orders", "users", "dashboard"] {
        let _ = shop.get(&format!("/api/{path}/{segment}"), None);
    }
    let _ = shop.get(&format!("/{}", secrets.of("path")), None);
    let asked = json!({
        "query": "query Q($q: String) { products(search: $q) { products { id } } }",
        "operationName": secrets.of("operation"),
        "variables": { "q": secrets.of("variable") },
    });
    let _ = shop.post("/graphql", None, &asked);
    let named = json!({ "query": "{ __typename }", "variables": { "q": secrets.of("variable") } });
    let _ = shop.post("/graphql", None, &named).expect(200);
}

/// Over gRPC, with a secret in the metadata and one in the message.
fn calls_users(door: &str, secrets: &Secrets) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let user = pb::GetUserRequest {
        user_id: secrets.of("user-id").to_owned(),
    };
    let mut request = tonic::Request::new(user);
    let secret = secrets.of("metadata").parse().expect("ASCII");
    request.metadata_mut().insert("x-canary", secret);
    let refused = runtime.block_on(async {
        let channel = Channel::from_shared(door.to_owned()).expect("a URL");
        let channel = channel.connect().await.expect("the users' door");
        UserServiceClient::new(channel).get_user(request).await
    });
    assert!(refused.is_err(), "there is no such user");
}

fn password_in(url: &str) -> &str {
    let (_, rest) = url.split_once("://").expect("a URL");
    let (account, _) = rest.split_once('@').expect("an account");
    account.split_once(':').expect("a password").1
}

fn no_other_page_presses_a_switch(marketplace: &Embedded) {
    let shop = marketplace.shop();
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
