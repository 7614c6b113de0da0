//! Names, types and headers that are markup come through shop and observatory as text.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use scenarios::browser::Browser;
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, Shop, wait};
use serde_json::{Value, json};

use super::{DESK, PHONE_AT_NIGHT, assert_calm, sees_all, until_confirmed};
use crate::database;

/// What a browser would run and draw, were it taken for markup. Short enough to be a name in the shop.
macro_rules! markup {
    () => {
        "<img src=x onerror=\"window.hit=1;alert(1)\"></script><script>window.hit=1</script>"
    };
}

const MARKUP: &str = markup!();
/// A part of it, as a person reads it.
const READ: &str = "<img src=x onerror=";
/// All goods have that name.
const NAMED: &str = concat!(
    "UPDATE products SET name = '",
    markup!(),
    "', description = '",
    markup!(),
    "'"
);
/// Still longer than what is shown of a name.
const HOP_NAME_BYTES: usize = 400;
const TRACE: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";
const PASSWORD: &str = "correct horse battery";
/// Whether nothing ran, and nothing was made that is not the page's own.
const IS_TEXT: &str = "const own = ['/page/icon.svg', '/page/app.js']; \
    return window.hit === undefined && [...document.querySelectorAll('img, script, iframe')] \
        .every((it) => own.includes(it.getAttribute('src')))";

/// A shop whose goods and customer have such names, and whose observatory looks at a port that says nothing else.
pub(crate) fn markup_is_text(_: &mut Embedded) {
    let port = serve();
    let observed = format!("evil=http://{port}");
    let switches = format!("http://{port}");
    let market = Embedded::start(&[("OBSERVED", &observed), ("SWITCHES_URL", &switches)]);
    database::execute(&market.database("products"), NAMED);
    let shop = market.shop();
    wait::until("goods of that name", || {
        let goods = shop.get("/api/products", None).json;
        (goods["products"][0]["name"] == MARKUP).then_some(())
    });
    wait::until("the trace", || {
        let path = format!("/observatory/traces/{TRACE}");
        (shop.get(&path, None).status == 200).then_some(())
    });

    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    let keep = "sessionStorage.setItem('agora.session', JSON.stringify(arguments[0]))";
    let _ = browser.run(keep, &[session(&shop)]);
    browser.reload();
    sells(&browser);
    drop(browser);
    for screen in [DESK, PHONE_AT_NIGHT] {
        let browser = Browser::open(&market.endpoint("gateway"), screen);
        looks(&browser);
        assert_calm(&browser);
    }
}

/// Somebody whose name is markup, as the page keeps who is signed in.
fn session(shop: &Shop) -> Value {
    let email = format!("{}@example.org", uuid::Uuid::new_v4().simple());
    let user = json!({"email": email, "name": MARKUP, "password": PASSWORD});
    let _ = shop.post("/api/users", None, &user).expect(201);
    let token = shop.sign_in(&email, PASSWORD);
    let user = shop.get("/api/users/me", Some(&token)).expect(200).json;
    json!({"token": token, "user": user, "ends": 9e15})
}

/// Goods, basket, orders and who is signed in.
fn sells(browser: &Browser) {
    browser.until_text(".who", READ);
    browser.until_text("agora-good h3", READ);
    browser.click("li:nth-child(1) > agora-good > button");
    browser.until_text("agora-basket", READ);
    browser.click("#buy");
    until_confirmed(browser);
    browser.until_text("agora-orders", READ);
    is_text(browser, "shop");
    assert_calm(browser);
}

/// Every view of the observatory.
fn looks(browser: &Browser) {
    let list = format!("journey/{TRACE}?list");
    for (view, place) in [
        ("journey", "agora-traces"),
        (list.as_str(), "agora-steps"),
        ("map", "agora-map"),
        ("break", "agora-break"),
        ("tour", "agora-banner"),
    ] {
        browser.go(&format!("/#/{view}"));
        browser.until_text(place, READ);
        is_text(browser, view);
    }
    browser.go("/#/break");
    browser.until_text("#switch-on", READ);
    // What cannot be switched says why, and what to paste.
    browser.until_text("#switch-absent pre", READ);
    browser.go(&format!("/#/journey/{TRACE}"));
    browser.until_some("agora-diagram .arrow");
    browser.click("[aria-label='One step on']");
    browser.until_text("agora-detail", READ);
    is_text(browser, "a diagram");
    let copied = super::play::copied(browser);
    // Neither markup nor a statement of its own.
    assert!(!copied.contains('<') && !copied.contains('"'), "{copied}");
}

fn is_text(browser: &Browser, place: &str) {
    assert_eq!(browser.run(IS_TEXT, &[]), true, "{place}");
    let turned = "return document.body.textContent.includes('\u{202e}')";
    assert_eq!(browser.run(turned, &[]), false, "{place}");
    sees_all(browser);
}

/// An admin port whose names are all markup, for as long as the process lives.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let answers = Arc::new(Answers::new());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            // Who hangs up early hears less.
            std::thread::spawn(move || answers.answer(stream).ok());
        }
    });
    address
}

/// What the port says, by its path.
struct Answers {
    hops: String,
    clients: String,
    faults: String,
    metrics: String,
    ready: String,
    switches: String,
}

impl Answers {
    fn new() -> Self {
        // Right to left from there on, and longer than anybody shows.
        let name = format!("{MARKUP}\u{202e}{}", "x".repeat(10_000));
        // An event that is longer than 64 KiB in all is not read.
        let hops = hops(&name[..HOP_NAME_BYTES]).into_iter().enumerate();
        let hops = hops.map(|(n, hop)| format!("id:{}\nevent:hop\ndata:{hop}\n\n", n + 1));
        let window = json!({"calls": 9, "failures": 9});
        let client = json!({
            "endpoints": [{"calls": 9, "failures": 9}],
            "breaker": {"state": "open", "window": window},
        });
        let rule = json!({"target": name, "kind": name, "percent": 100, "broken": 1});
        let dependency = |name: &str| json!({"name": name, "state": "down"});
        let switch = |of: &str, absent: Value| {
            json!({
                "name": of, "kind": name, "title": name, "on": false, "usual": true, "hit": 1,
                "absent": absent,
            })
        };
        let absent = json!({"why": name, "command": name});
        let label = name.replace('"', "\\\"");
        let metrics = format!(
            "outbox_pending{{database=\"{label}\"}} 3\nmessaging_dead_letters{{source=\"{label}\"}} 3\n\
             messaging_consumer_lag{{messaging_system=\"kafka\",messaging_consumer_group_name=\"{label}\",\
             messaging_destination_name=\"{label}\"}} 3\n"
        );
        let dependencies = [
            dependency(&name),
            dependency("<img/src=x/onerror=window.hit=1>"),
        ];
        Self {
            hops: hops.collect(),
            clients: json!({"clients": {name.as_str(): client}}).to_string(),
            faults: json!({ "rules": [rule] }).to_string(),
            metrics,
            switches: json!({ "switches": [switch("on", Value::Null), switch("absent", absent)] })
                .to_string(),
            ready: json!({ "dependencies": dependencies }).to_string(),
        }
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = BufReader::new(stream.try_clone()?).lines();
        let first = head.next().transpose()?.unwrap_or_default();
        for line in head {
            if line?.is_empty() {
                break;
            }
        }
        let path = first.split(' ').nth(1).unwrap_or_default();
        let nothing = String::new();
        let (status, content_type, body) = match path {
            "/hops" => ("200 OK", "text/event-stream", &self.hops),
            "/clients" => ("200 OK", "application/json", &self.clients),
            "/faults" => ("200 OK", "application/json", &self.faults),
            "/metrics" => ("200 OK", "text/plain", &self.metrics),
            "/switches" => ("200 OK", "application/json", &self.switches),
            "/readyz" => ("503 Service Unavailable", "application/json", &self.ready),
            _ => ("404 Not Found", "text/plain", &nothing),
        };
        // The end of the connection is the end of the body, also of a stream: it is followed again.
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n{body}"
        )
    }
}

/// A request, a message and its delivery.
fn hops(name: &str) -> Vec<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = u64::try_from(now.expect("a clock").as_micros()).expect("a time");
    let hop = |span: u64, parent: Option<u64>, side: &str, kind: &str| {
        json!({
            "phase": "end", "trace_id": TRACE, "span_id": format!("{span:016x}"),
            "parent_span_id": parent.map(|parent| format!("{parent:016x}")),
            "service": name, "from": name, "to": name, "kind": kind, "side": side, "name": name,
            "attempt": 2, "at": now + span, "duration_us": 1, "outcome": name, "status": name, "fault": name,
            "breaker": name, "causation_id": name, "sequence": 1,
            "detail": {"ce_type": name, "content-type": name, name: name},
        })
    };
    vec![
        hop(1, None, "server", "http"),
        hop(2, Some(1), "producer", "kafka"),
        hop(3, Some(2), "consumer", name),
    ]
}
