//! The page at `/` in a real browser: bought from by mouse and by keyboard alone, on a wide screen and a narrow one, light and
//! dark, and read by a checker of accessibility.

mod doors;

pub(crate) use doors::console_and_reference;

use std::time::Duration;

use scenarios::browser::{Browser, Screen};
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, Shop, wait};
use serde_json::{Value, json};
use thirtyfour::Key;

/// Where axe-core is: `.ci/run` installs it.
pub(crate) const AXE: &str = "AGORA_AXE";

const DESK: Screen = Screen {
    width: 1280,
    dark: false,
    calm: false,
};
const PHONE_AT_NIGHT: Screen = Screen {
    width: 390,
    dark: true,
    calm: false,
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
    // Nor when the orders are drawn anew, as they are when the mail was sent.
    let drawn = "document.querySelector('agora-orders').show(); return document.activeElement.matches('agora-orders a')";
    assert_eq!(browser.run(drawn, &[]), true);
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

/// Where the gateway can be reached from elsewhere, the observatory is for administrators, who sign in for it beside the shop.
pub(crate) fn asks_for_an_administrator(_: &mut Embedded) {
    let market = Embedded::start(&[("BIND_HOST", "0.0.0.0")]);
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    let look_as = |email: &str, password: &str| {
        for (field, text) in [("email", email), ("password", password)] {
            let field = format!("agora-watcher input[name={field}]");
            let _ = browser.run(
                "document.querySelector(arguments[0]).value = ''",
                &[field.as_str().into()],
            );
            browser.write(&field, text);
        }
        browser.click("agora-watcher button");
    };
    browser.click("#views a[href='#/map']");
    browser.until_text("main", "for administrators here");
    look_as("demo@agora.example", "shopping-for-olives");
    browser.until_text("agora-watcher .problem", "no administrator");
    let (email, password) = market.administrator();
    look_as(&email, &password);
    browser.until_count("agora-map .node.service", 5);
    // A reload asks nobody again, and who shops is somebody else.
    browser.reload();
    browser.until_count("agora-map .node.service", 5);
    browser.click("#views a[href='#/shop']");
    browser.until_text(".who", "Sign in as the demo customer");
}

/// The script of axe-core.
fn checker() -> String {
    let path = std::env::var(AXE).expect("asked for before");
    std::fs::read_to_string(path).expect("axe-core")
}

/// Every view, light and dark, with nothing that a checker of WCAG's levels A and AA finds.
pub(crate) fn is_accessible(market: &mut Embedded) {
    let axe = checker();
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

/// Stops of the tour that take seconds; `.ci/long` plays all of them (`AGORA_LONG=1`).
const SHORT_STOPS: [&str; 7] = [
    "purchase", "twice", "kafka", "race", "versions", "token", "poison",
];

/// Until a stop of the tour says what came of it: some of them wait for a minute themselves before they give up.
const STOP_PATIENCE: Duration = Duration::from_secs(180);

/// Every stop of the tour does what it says: those that take seconds, or all.
pub(crate) fn tour_happens(market: &mut Embedded) {
    let tour: Value = serde_json::from_str(gateway::TOUR).expect("JSON");
    let all = tour["stops"].as_array().expect("stops").iter();
    let all: Vec<_> = all.filter_map(|stop| stop["id"].as_str()).collect();
    let is_long = std::env::var("AGORA_LONG").is_ok_and(|value| value == "1");
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/tour']");
    browser.until_count("agora-tour article", all.len() as u64);
    for stop in all
        .iter()
        .filter(|stop| is_long || SHORT_STOPS.contains(stop))
    {
        browser.until_count(&format!("#stop-{stop} button:enabled"), 1);
        browser.click(&format!("#stop-{stop} button"));
        let said = format!("#stop-{stop} [role=status]:is(.ok, .error)");
        wait::until_within(STOP_PATIENCE, &said, || {
            (browser.count(&said) == 1).then_some(())
        });
        let end = browser.text(&format!("#stop-{stop}"));
        assert!(end.contains("It happened"), "{end}");
    }
    browser.until_count("agora-banner .banner[hidden]", 1);
    // Some of it is refused on purpose, which a browser notes.
    let complaints = browser.complaints();
    let is_meant = |it: &&String| {
        ["401", "503", "504", "/observatory/"]
            .iter()
            .any(|known| it.contains(known))
    };
    let others = complaints.iter().filter(|it| !is_meant(it));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// What `agora up` can take away, with what is hit by itself: pools and consumers that look for what is not there.
const SWITCHES: [(&str, bool); 11] = [
    ("kafka", true),
    ("queue", true),
    ("database-users", true),
    ("database-orders", true),
    ("database-products", true),
    ("database-notifications", true),
    ("mail", false),
    ("users", false),
    ("orders", false),
    ("products", false),
    ("notifications", false),
];

/// Each switch takes something away, says what it hit, and is in the banner; one gives it back, or all are mended at once.
pub(crate) fn switches_take_away_and_give_back(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/break']");
    let broken = |name: &str| format!("#switch-{name}.broken");
    for (name, is_hit) in SWITCHES {
        browser.click(&format!("#switch-{name} button"));
        browser.until_count(&broken(name), 1);
        if is_hit {
            wait::until(&format!("{name} hits something"), || {
                let hit = browser.text(&format!("#switch-{name} strong"));
                (hit != "hit 0").then_some(())
            });
        }
    }
    browser.until_text(
        "agora-banner",
        &format!("Broken on purpose: {}", SWITCHES.len()),
    );
    browser.until_text("agora-banner", "Kafka: away (hit ");
    browser.click("#switch-kafka button");
    browser.until_count(&broken("kafka"), 0);
    browser.until_text(
        "agora-banner",
        &format!("Broken on purpose: {}", SWITCHES.len() - 1),
    );
    browser.click("agora-banner button");
    browser.until_count("agora-switch.broken", 0);
    browser.until_count("agora-banner .banner[hidden]", 1);
    sees_all(&browser);
    whole(market);
}

/// Waits until all services are ready again, and sell: the scenarios after this one have the same marketplace.
fn whole(market: &Embedded) {
    for service in ["users", "orders", "products", "notifications", "gateway"] {
        let admin = Shop::new(&market.admin(service));
        wait::until(&format!("{service} is ready"), || {
            (admin.get("/readyz", None).status == 200).then_some(())
        });
    }
    let shop = market.shop();
    let customer = wait::until("a customer signs up", || {
        let body = json!({"email": format!("{}@example.org", uuid::Uuid::new_v4().simple()), "name": "Ada", "password": "correct horse battery"});
        let answer = shop.try_post("/api/users", None, &[], &body).ok()?;
        (answer.status == 201).then(|| body["email"].as_str().map(str::to_owned))?
    });
    let token = shop.sign_in(&customer, "correct horse battery");
    wait::until("orders answers", || {
        (shop.get("/api/orders", Some(&token)).status == 200).then_some(())
    });
}

/// Presses a switch of the marketplace without a page.
fn set(market: &Embedded, switch: &str, on: bool) {
    let switches = Shop::new(&market.endpoint("switches"));
    let pressed = switches.post(&format!("/switches/{switch}"), None, &json!({"on": on}));
    assert_eq!(pressed.expect(200).json["on"], on);
}

/// A reload in the middle of a purchase that takes long: the order is still there, and is confirmed before one's eyes.
pub(crate) fn a_reload_in_the_middle_loses_nothing(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#sign-in");
    browser.until_text(".who", "Signed in as");
    browser.click("li:nth-child(1) > agora-good > button");
    set(market, "kafka", false);
    browser.click("#buy");
    const PENDING: &str = "agora-orders li:first-child [data-status=pending]";
    browser.until_count(PENDING, 1);
    browser.reload();
    browser.until_count(PENDING, 1);
    browser.until_text("agora-banner", "Kafka: away");
    set(market, "kafka", true);
    until_confirmed(&browser);
}

/// Two tabs at once: each has its own basket, both see what is broken, and either mends it.
pub(crate) fn two_tabs_see_one_shop(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#sign-in");
    browser.until_text(".who", "Signed in as");
    browser.click("li:nth-child(1) > agora-good > button");
    browser.until_count("agora-basket .lines li", 1);
    let first = browser.open_tab();
    browser.until_count("li:nth-child(2) > agora-good > button", 1);
    assert_eq!(browser.count("agora-basket .lines li"), 0);
    browser.click("#views a[href='#/break']");
    browser.click("#switch-mail button");
    browser.until_count("#switch-mail.broken", 1);
    let second = browser.to_tab(first);
    browser.until_text("agora-banner", "Mail server");
    browser.click("#buy");
    // Mail is in nobody's way.
    until_confirmed(&browser);
    browser.click("agora-banner button");
    browser.until_count("agora-banner .banner[hidden]", 1);
    let _ = browser.to_tab(second);
    browser.until_count("#switch-mail.broken", 0);
    browser.until_count("agora-banner .banner[hidden]", 1);
    assert_calm(&browser);
}

/// Dark is dark and light is light, and whoever wants little to move sees a journey whole at once.
pub(crate) fn looks_as_it_is_asked_to(market: &mut Embedded) {
    let brightness = |browser: &Browser| {
        let colour = "const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g); \
            return (Number(r) + Number(g) + Number(b)) / 3";
        browser.run(colour, &[]).as_f64().expect("a colour")
    };
    let calm_at_night = Screen {
        width: 1280,
        dark: true,
        calm: true,
    };
    let light = Browser::open(&market.endpoint("gateway"), DESK);
    assert!(brightness(&light) > 200.0);
    drop(light);
    let browser = Browser::open(&market.endpoint("gateway"), calm_at_night);
    assert!(brightness(&browser) < 60.0);
    browser.click("#sign-in");
    browser.click("li:nth-child(1) > agora-good > button");
    browser.click("#buy");
    until_confirmed(&browser);
    browser.click("agora-orders li:first-child a");
    browser.until_some(".arrow.message");
    let moving = "return document.getAnimations().length";
    assert_eq!(browser.run(moving, &[]), 0);
    // Slow motion becomes single steps.
    browser.click("[aria-label='One step on']");
    browser.until_text("agora-detail", "gateway");
    assert_calm(&browser);
}
