//! The page at `/` in a real browser: bought from by mouse and by keyboard alone, on a wide screen and a narrow one, light and
//! dark, and read by a checker of accessibility.

use scenarios::browser::{Browser, Screen};
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, wait};
use serde_json::Value;
use thirtyfour::Key;

/// Where axe-core is: `.ci/run` installs it.
pub(crate) const AXE: &str = "AGORA_AXE";

const DESK: Screen = Screen {
    width: 1280,
    dark: false,
};
const PHONE_AT_NIGHT: Screen = Screen {
    width: 390,
    dark: true,
};

/// The newest order, confirmed.
const CONFIRMED: &str = "agora-orders li:first-child [data-status=confirmed]";
/// Presses of the tabulator from one end of the page to the other: each good has a button.
const TABS_MAX: usize = 80;

/// WCAG 2.2, levels A and AA; returns what is wrong, with the element.
const CHECK: &str = "const done = arguments[arguments.length - 1];
    const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    axe.run(document, { runOnly }).then(
        ({ violations, passes }) => done({ passes: passes.length, violations: violations.flatMap(({ id, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`)) }),
        (error) => done(String(error)));";

fn sees_all(browser: &Browser) {
    let least =
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(
        browser.run(least, &[]),
        0,
        "something is wider than the screen"
    );
}

/// Waits until what was in the basket is bought, and confirmed. Others may have been bought before.
fn until_confirmed(browser: &Browser) {
    browser.until_count("agora-basket .lines li", 0);
    browser.until_count(CONFIRMED, 1);
}

/// Nothing was refused, nothing failed, nobody else was asked.
fn assert_calm(browser: &Browser) {
    // Where there is no observatory, asking for it is answered with 404, which a browser notes.
    let is_known = |it: &String| it.contains("/observatory/") && it.contains("404");
    let complaints = browser.complaints().into_iter().filter(|it| !is_known(it));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<String>::new());
    let ours = format!("{}/", browser.origin());
    let others = browser
        .asked()
        .into_iter()
        .filter(|it| !it.starts_with(&ours));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new());
}

/// One signs in with one click, takes two things, loads the page again in the middle, buys, and sees it confirmed.
pub(crate) fn sells_by_mouse(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#sign-in");
    browser.until_text(".who", "Signed in as");
    browser.click("li:nth-child(1) > agora-good > button");
    browser.click("li:nth-child(2) > agora-good > button");
    browser.until_count("agora-basket .lines li", 2);

    browser.reload();
    browser.until_count("agora-basket .lines li", 2);
    // Who is signed in stays so.
    browser.until_text(".who", "Signed in as");
    browser.click("#buy");
    until_confirmed(&browser);
    assert_eq!(
        browser.count("agora-orders li:first-child a[href^='#/journey/']"),
        1
    );
    sees_all(&browser);
    assert_calm(&browser);
}

/// The same without a mouse, at night, on a screen of 390 pixels.
pub(crate) fn sells_by_keyboard_on_a_phone(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), PHONE_AT_NIGHT);
    browser.until_count("li:nth-child(1) > agora-good > button", 1);
    browser.tab_to("#sign-in", TABS_MAX);
    browser.press(Key::Enter);
    browser.until_text(".who", "Signed in as");
    browser.tab_to("li:nth-child(3) > agora-good > button", TABS_MAX);
    browser.press(Key::Enter);
    browser.tab_to("#buy", TABS_MAX);
    browser.press(Key::Space);
    until_confirmed(&browser);
    // The keyboard is not lost with the button.
    browser.tab_to("agora-orders a", 3);
    browser.press(Key::Enter);
    browser.until_text("h1", "Journey");
    sees_all(&browser);
    assert_calm(&browser);
}

/// A purchase is drawn from end to end, the map knows the services, and a switch says what it hit until all is mended. Where
/// there is no observatory, the views say so.
pub(crate) fn shows_what_happens(market: &mut Embedded) {
    let gateway = market.endpoint("gateway");
    let browser = Browser::open(&gateway, DESK);
    if market.shop().get("/observatory/state", None).status == 404 {
        for view in ["journey", "map", "break"] {
            browser.click(&format!("#views a[href='#/{view}']"));
            browser.until_text("main", "This view needs the observatory");
        }
        return;
    }
    browser.click("#sign-in");
    browser.click("li:nth-child(1) > agora-good > button");
    browser.click("#buy");
    until_confirmed(&browser);
    browser.click("agora-orders li:first-child a");
    // As it comes: the call, the message in its topic, the mail.
    for sign in [
        ".arrow.call",
        ".arrow.answer",
        ".bar.waits",
        ".arrow.message",
    ] {
        browser.until_some(&format!("agora-diagram {sign}"));
    }
    browser.click("[aria-label='One step on']");
    browser.until_text("agora-detail", "gateway");
    browser.click("a[href$='?list']");
    browser.until_text("agora-steps", "agora.order.placed");

    browser.click("#views a[href='#/map']");
    browser.until_count("agora-map .node.service", 5);
    browser.click("#views a[href='#/break']");
    browser.click("[aria-label='gateway → orders'] button:nth-of-type(3)");
    browser.until_text("agora-banner", "gateway → orders: every call failed");
    // The shop asks for the customer's orders, and gets none.
    browser.click("#views a[href='#/shop']");
    browser.until_some("agora-orders .problem a[href^='#/journey/']");
    browser.click("#views a[href='#/break']");
    browser.until_some("agora-edge.broken");
    let hit = || browser.text("agora-edge.broken strong");
    wait::until("the switch has hit something", || {
        (hit() != "hit 0").then_some(())
    });
    browser.click("agora-banner button");
    browser.until_count("agora-edge.broken", 0);
    browser.until_count("agora-banner .banner[hidden]", 1);
    sees_all(&browser);
}

/// Every view, light and dark, with nothing that a checker of WCAG's levels A and AA finds.
pub(crate) fn is_accessible(market: &mut Embedded) {
    let path = std::env::var(AXE).expect("asked for before");
    let axe = std::fs::read_to_string(path).expect("axe-core");
    for screen in [DESK, PHONE_AT_NIGHT] {
        let browser = Browser::open(&market.endpoint("gateway"), screen);
        browser.click("#sign-in");
        browser.click("li:nth-child(1) > agora-good > button");
        browser.click("#buy");
        until_confirmed(&browser);
        let _ = browser.run(&axe, &[]);
        let links = "return [...document.querySelectorAll('#views a')].map((it) => it.getAttribute('href'))";
        let views: Vec<String> =
            serde_json::from_value(browser.run(links, &[])).expect("addresses");
        assert!(views.len() >= 4, "{views:?}");
        for view in views {
            browser.click(&format!("#views a[href='{view}']"));
            browser.until_count(&format!("#views a[href='{view}'][aria-current]"), 1);
            let found = browser.run_later(CHECK);
            assert_eq!(
                found["violations"],
                Value::Array(Vec::new()),
                "{view}, {screen:?}"
            );
            assert!(found["passes"].as_u64() > Some(5), "{found}");
            sees_all(&browser);
        }
        assert_calm(&browser);
    }
}

/// Every stop of the tour that can be made here does what it says. Those that need the observatory say so where there is none.
pub(crate) fn tour_happens(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/tour']");
    browser.until_count("agora-tour article", 6);
    wait::until("the page asks for the observatory", || {
        let asked = browser.asked();
        asked
            .iter()
            .any(|it| it.contains("/observatory/state"))
            .then_some(())
    });
    let stops = "return [...document.querySelectorAll('agora-tour article')] \
        .filter((it) => !it.querySelector('button').disabled).map((it) => it.id)";
    let stops: Vec<String> = serde_json::from_value(browser.run(stops, &[])).expect("ids");
    assert!(stops.len() >= 4, "{stops:?}");
    for stop in stops {
        browser.click(&format!("#{stop} button"));
        browser.until_count(&format!("#{stop} [role=status]:is(.ok, .error)"), 1);
        let end = browser.text(&format!("#{stop}"));
        assert!(end.contains("It happened"), "{end}");
    }
    // One of them is refused on purpose, which a browser notes.
    let complaints = browser.complaints();
    let others = complaints
        .iter()
        .filter(|it| !it.contains("401") && !it.contains("/observatory/"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
}
