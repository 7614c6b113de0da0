//! A journey is played: slow motion, the scrubber, and *Copy*.

use scenarios::browser::Browser;
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, wait};
use thirtyfour::Key;

use super::{DESK, assert_calm, buys};

/// How much of the diagram is drawn, of 1; what is behind is cut off.
const DRAWN: &str = "const cut = document.querySelector('#so-far rect'); \
    return cut.getAttribute('height') / cut.ownerSVGElement.viewBox.baseVal.height";
/// The step that is chosen in the list.
const CHOSEN: &str =
    "return document.querySelector('agora-steps tr.chosen button')?.dataset.n ?? null";
const SCRUBBER: &str = "agora-player input";
/// A page may write to the clipboard, but a test cannot read it: what is copied is kept beside it.
const KEEP_COPIED: &str =
    "navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }";

pub(crate) fn plays_a_journey(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    buys(&browser);
    browser.click("agora-orders li:first-child a");
    browser.until_some("agora-diagram .arrow.message");
    in_slow_motion(&browser);
    by_the_scrubber(&browser);
    let copied = copied(&browser);
    assert!(copied.contains("order-events"), "{copied}");

    browser.click("a[href$='?list']");
    browser.until_text("agora-steps", "agora.order.placed");
    let chosen = || {
        browser
            .run(CHOSEN, &[])
            .as_str()
            .and_then(|n| n.parse::<u32>().ok())
    };
    let first = wait::until("a step to be chosen in the list", || {
        play_on(&browser);
        chosen()
    });
    wait::until("another one", || {
        play_on(&browser);
        (chosen()? != first).then_some(())
    });
    browser.click("#play");
    browser.until_text("#play", "Slow motion");
    is_opened_by_its_id(&browser);
    assert_calm(&browser);
}

/// As somebody does who has the id from a problem document.
fn is_opened_by_its_id(browser: &Browser) {
    let shown = browser.run("return location.hash.match(/[0-9a-f]{32}/)[0]", &[]);
    let trace_id = shown.as_str().expect("an id");
    browser.click("#views a[href='#/journey']");
    browser.write("#trace-id", trace_id);
    browser.press(Key::Enter);
    browser.until_text("agora-journey", &format!("trace {trace_id}"));
    browser.until_some("agora-diagram .arrow.message");
}

/// The diagram is drawn bit by bit, until it is stopped.
fn in_slow_motion(browser: &Browser) {
    let drawn = || browser.run(DRAWN, &[]).as_f64().unwrap_or(1.0);
    until_plays(browser);
    wait::until("a part of the diagram, and more of it", || {
        play_on(browser);
        let (first, then) = (drawn(), drawn());
        (first < then && then < 1.0).then_some(())
    });
    browser.click("#play");
    browser.until_text("#play", "Slow motion");
}

/// Begins it, and waits until it says that it plays.
pub(super) fn until_plays(browser: &Browser) {
    wait::until("slow motion", || {
        play_on(browser);
        (browser.text("#play") == "Stop").then_some(())
    });
}

/// Begins, and again if it is over: it plays for eight seconds, in which a busy machine may not come to ask twice.
fn play_on(browser: &Browser) {
    if browser.text("#play") != "Stop" {
        browser.click("#play");
    }
}

/// By the keyboard: one step to the right is one step on.
fn by_the_scrubber(browser: &Browser) {
    let focus = "document.querySelector(arguments[0]).focus()";
    let _ = browser.run(focus, &[SCRUBBER.into()]);
    browser.press(Key::Right);
    wait::until("the scrubber to say where it is", || {
        let said = "return document.querySelector(arguments[0]).getAttribute('aria-valuetext')";
        let said = browser.run(said, &[SCRUBBER.into()]);
        said.as_str()?.starts_with("Step 2 of ").then_some(())
    });
    browser.until_some("agora-detail:not([hidden])");
}

/// What *Copy* puts onto the clipboard.
pub(crate) fn copied(browser: &Browser) -> String {
    let _ = browser.run(KEEP_COPIED, &[]);
    browser.click("#copy");
    let copied = wait::until("something to be copied", || {
        let copied = browser.run("return window.copied ?? null", &[]);
        copied.as_str().map(str::to_owned)
    });
    assert!(copied.starts_with("sequenceDiagram"), "{copied}");
    copied
}
