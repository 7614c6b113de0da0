//! The page on containers, where nobody has switches and only an administrator looks at the observatory.

use scenarios::Marketplace;
use scenarios::browser::Browser;
use scenarios::compose::Compose;
use serde_json::Value;

use super::{DESK, assert_calm_but, buys, look_as, sees_all};
use crate::journey::{WALK, Watcher};

/// What the list calls the steps of a journey.
const NAMES: &str = "return [...document.querySelectorAll('agora-steps tbody button')].map((step) => step.textContent)";
/// The trace of the newest order.
const NEWEST: &str = "return document.querySelector(\"agora-orders li:first-child a[href^='#/journey/']\").hash.split('/').pop()";

/// One buys by mouse, sees each hop of the purchase once, and is told what cannot be broken from here, why, and what to paste
/// instead.
pub(crate) fn sells_shows_and_says(compose: &mut Compose) {
    let watcher = Watcher::of(compose);
    watcher.followed();
    let (email, password) = compose.administrator();
    let browser = Browser::open(&compose.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/map']");
    browser.until_text("main", "for administrators here");
    look_as(&browser, &email, &password);
    browser.until_some("agora-map .node.service");

    browser.click("#views a[href='#/shop']");
    buys(&browser);
    let trace_id = browser.run(NEWEST, &[]);
    let trace = watcher.whole(trace_id.as_str().expect("a trace"), WALK.len());
    browser.click("agora-orders li:first-child a");
    browser.until_some("agora-diagram .arrow.message");
    browser.click("a[href$='?list']");
    let steps = steps(&trace);
    browser.until_count("agora-steps tbody tr", steps.len() as u64);
    assert_eq!(listed(&browser), steps, "{trace:#}");
    browser.until_count("agora-steps .error", 0);

    browser.click("#views a[href='#/break']");
    browser.until_text("agora-break .note", "holds no key to their containers");
    browser.until_text("agora-break .note", "docker compose stop kafka");
    browser.until_count("agora-switch", 0);
    browser.until_text("agora-edge", "without ALLOW_FAULTS");
    browser.until_count("agora-edge button:enabled", 0);
    sees_all(&browser);
    // Nobody has signed in to look yet, and there is no demo customer here: the page signs a guest up.
    assert_calm_but(
        &browser,
        &[("/observatory/", "401"), ("/api/sessions", "401")],
    );
}

/// What a list of the trace has to show: both ends of a call are one step.
fn steps(trace: &Value) -> Vec<String> {
    let hops = trace["hops"].as_array().expect("hops");
    let is_call = |id: &Value| {
        hops.iter()
            .any(|hop| hop["id"] == *id && hop["side"] == "client")
    };
    let is_other_end = |hop: &Value| hop["side"] == "server" && is_call(&hop["parent"]);
    let mut names: Vec<String> = hops
        .iter()
        .filter(|hop| !is_other_end(hop))
        .map(named)
        .collect();
    names.sort();
    names
}

/// Of a message, what it says; of a method, its service without the package.
fn named(hop: &Value) -> String {
    let says = hop["detail"]["ce_type"].as_str();
    let name = says.or(hop["name"].as_str()).expect("a name");
    let is_method = says.is_none() && hop["kind"] == "grpc";
    let short = name.rsplit('.').next().filter(|_| is_method);
    short.unwrap_or(name).to_owned()
}

fn listed(browser: &Browser) -> Vec<String> {
    let mut names: Vec<String> =
        serde_json::from_value(browser.run(NAMES, &[])).expect("the names of steps");
    names.sort();
    names
}
