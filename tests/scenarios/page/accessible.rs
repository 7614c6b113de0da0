//! What a checker of accessibility finds: nothing.

use scenarios::Marketplace;
use scenarios::browser::Browser;
use scenarios::embedded::Embedded;
use serde_json::Value;

use super::{AXE, DESK, PHONE_AT_NIGHT, assert_calm, buys, play, sees_all};

/// WCAG 2.2, levels A and AA; returns what is wrong, with the element.
const CHECK: &str = "const done = arguments[arguments.length - 1];
    const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    axe.run(document, { runOnly }).then(
        ({ violations, passes }) => done({ passes: passes.length, violations: violations.flatMap(({ id, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`)) }),
        (error) => done(String(error)));";

/// Nothing is wrong with what is seen now.
pub(super) fn check(browser: &Browser, what: &str) {
    // Gone with each load of the page.
    if browser.run("return typeof axe", &[]) == "undefined" {
        let path = std::env::var(AXE).expect("asked for before");
        let axe = std::fs::read_to_string(path).expect("axe-core");
        let _ = browser.run(&axe, &[]);
    }
    let found = browser.run_later(CHECK);
    assert_eq!(found["violations"], Value::Array(Vec::new()), "{what}");
    assert!(found["passes"].as_u64() > Some(5), "{what}: {found}");
}

/// Every view, light and dark, with nothing that a checker of WCAG's levels A and AA finds.
pub(crate) fn views(market: &mut Embedded) {
    for screen in [DESK, PHONE_AT_NIGHT] {
        let browser = Browser::open(&market.endpoint("gateway"), screen);
        buys(&browser);
        let links = "return [...document.querySelectorAll('#views a')].map((it) => it.getAttribute('href'))";
        let views: Vec<String> =
            serde_json::from_value(browser.run(links, &[])).expect("addresses");
        assert!(views.len() >= 4, "{views:?}");
        for view in views {
            browser.click(&format!("#views a[href='{view}']"));
            browser.until_count(&format!("#views a[href='{view}'][aria-current]"), 1);
            check(&browser, &format!("{view}, {screen:?}"));
            sees_all(&browser);
        }
        assert_calm(&browser);
    }
}

/// What is only there once somebody has done something: a journey in each form, what is broken, a stop of the tour.
pub(crate) fn in_use(market: &mut Embedded) {
    for screen in [DESK, PHONE_AT_NIGHT] {
        let browser = Browser::open(&market.endpoint("gateway"), screen);
        let check = |what: &str| {
            check(&browser, &format!("{what}, {screen:?}"));
            sees_all(&browser);
        };
        buys(&browser);
        browser.click("agora-orders li:first-child a");
        browser.until_some("agora-diagram .arrow.message");
        check("a diagram");
        browser.click("[aria-label='One step on']");
        browser.until_text("agora-detail", "gateway");
        check("a detail");
        play::until_plays(&browser);
        check("slow motion");
        browser.click("#play");
        browser.until_text("#play", "Slow motion");
        browser.click("a[href$='?list']");
        browser.until_text("agora-steps", "agora.order.placed");
        check("a list");

        browser.click("#views a[href='#/break']");
        browser.click("#switch-mail button");
        browser.until_text("agora-banner", "Mail server");
        check("what is broken");
        browser.click("agora-banner button");
        browser.until_count("agora-banner .banner[hidden]", 1);

        browser.click("#views a[href='#/tour']");
        browser.click("#stop-twice button");
        browser.until_some("#stop-twice [role=status].ok");
        check("a stop of the tour");
        assert_calm(&browser);
    }
}
