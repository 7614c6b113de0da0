//! The page at `/` in a real browser: bought from by mouse and by keyboard alone, on a wide screen and a narrow one, light and
//! dark, and read by a checker of accessibility.
//!
//! | where | what |
//! |---|---|
//! | `page/accessible.rs` | what axe-core finds |
//! | `page/doors.rs` | the console of GraphQL and the reference of the documents |
//! | `page/breaks.rs` | switches, edges, loads and messages of *Break it* |
//! | `page/containers.rs` | the page on containers: a purchase, its journey, and what cannot be switched there |
//! | `page/hostile.rs` | names and headers that are markup |
//! | `page/play.rs` | slow motion, the scrubber and *Copy* |
//! | `page/tour.rs` | the stops of the tour |

pub(crate) mod accessible;
pub(crate) mod breaks;
pub(crate) mod containers;
pub(crate) mod doors;
pub(crate) mod hostile;
pub(crate) mod play;
pub(crate) mod tour;

use scenarios::browser::{Browser, Screen};
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, Shop, wait};
use serde_json::json;
use thirtyfour::Key;

/// Where axe-core is: `.ci/run` installs it.
pub(crate) const AXE: &str = "AGORA_AXE";

pub(crate) const DESK: Screen = Screen {
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
/// Opens the last step of a journey's list that is about the event of a purchase.
const OPEN_DELIVERED: &str = "[...document.querySelectorAll('agora-steps button')] \
    .findLast((step) => step.textContent.startsWith('agora.order.placed')).click()";
/// What stands in the picture of the map.
const MAP_WORDS: &str =
    "return document.querySelector('agora-map .card.scroll')?.textContent ?? null";
/// Presses of the tabulator from one end of the page to the other: each good has a button.
const TABS_MAX: usize = 80;

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

/// An answer that a browser notes, and that was provoked: a part of its address, and the beginning of its status.
type Provoked = (&'static str, &'static str);

/// Nothing was refused, nothing failed, nobody else was asked.
fn assert_calm(browser: &Browser) {
    assert_calm_but(browser, &[]);
}

/// The same, but for what was provoked.
fn assert_calm_but(browser: &Browser, provoked: &[Provoked]) {
    // Where there is no observatory, asking for it is answered with 404, which a browser notes.
    let absent: &[Provoked] = &[("/observatory/", "404")];
    let known = [absent, provoked].concat();
    let is_known = |it: &String| {
        let is_it = |(path, status): &Provoked| {
            it.contains(path) && it.contains(&format!("status of {status}"))
        };
        known.iter().any(is_it)
    };
    let complaints = browser.complaints().into_iter().filter(|it| !is_known(it));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<String>::new());
    let ours = format!("{}/", browser.origin());
    let others = browser
        .asked()
        .into_iter()
        .filter(|it| !it.starts_with(&ours));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new());
}

/// Signs in, buys one thing and sees it confirmed.
fn buys(browser: &Browser) {
    browser.click("#sign-in");
    // What is drawn anew then moves what is clicked next.
    browser.until_text(".who", "Signed in as");
    browser.click("li:nth-child(1) > agora-good > button");
    browser.click("#buy");
    until_confirmed(browser);
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
    browser.until_count("agora-orders li:first-child a[href^='#/journey/']", 1);
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
    buys(&browser);
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
    // The event that was delivered, with what may be shown of it.
    let _ = browser.run(OPEN_DELIVERED, &[]);
    browser.until_text("agora-detail", "ce_type");
    browser.until_text("agora-detail", "data.order_id");

    browser.click("#views a[href='#/map']");
    browser.until_count("agora-map .node.service", 5);
    browser.until_some("agora-map .node.engine");
    // A short history beside each number.
    browser.until_some("agora-map #of-edges + .scroll agora-spark polyline");
    browser.until_some("agora-map #of-waiting + .scroll agora-spark polyline");
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
    assert_calm_but(&browser, &[("/api/orders", "5")]);
}

/// Signs somebody in for the observatory, beside the shop.
fn look_as(browser: &Browser, email: &str, password: &str) {
    for (field, text) in [("email", email), ("password", password)] {
        let field = format!("agora-watcher input[name={field}]");
        let _ = browser.run(
            "document.querySelector(arguments[0]).value = ''",
            &[field.as_str().into()],
        );
        browser.write(&field, text);
    }
    browser.click("agora-watcher button");
}

/// Where the gateway can be reached from elsewhere, the observatory is for administrators, who sign in for it beside the shop.
/// Where nobody has switches, as with Docker Compose, the page says what to paste instead.
pub(crate) fn asks_for_an_administrator(_: &mut Embedded) {
    let nobody = ("SWITCHES_URL", "http://127.0.0.1:9");
    let market = Embedded::start(&[("BIND_HOST", "0.0.0.0"), nobody]);
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/map']");
    browser.until_text("main", "for administrators here");
    accessible::check(&browser, "the sign-in of an administrator");
    look_as(&browser, "demo@agora.example", "shopping-for-olives");
    browser.until_text("agora-watcher .problem", "no administrator");
    accessible::check(&browser, "its refusal");
    let (email, password) = market.administrator();
    look_as(&browser, &email, &password);
    browser.until_count("agora-map .node.service", 5);
    // A reload asks nobody again, and who shops is somebody else.
    browser.reload();
    browser.until_count("agora-map .node.service", 5);
    browser.click("#views a[href='#/break']");
    browser.until_text("agora-break .note", "docker compose stop kafka");
    browser.until_count("agora-switch", 0);
    browser.click("#views a[href='#/tour']");
    browser.until_text("#stop-kafka", "only `agora up` can switch");
    browser.until_count("#stop-kafka button:enabled", 0);
    browser.click("#views a[href='#/shop']");
    browser.until_text(".who", "Sign in as the demo customer");
    // Who has not signed in yet is asked to.
    assert_calm_but(
        &browser,
        &[("/observatory/", "401"), ("/observatory/", "403")],
    );
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
    let said = pressed.expect(200).json;
    assert_eq!(said["on"], on, "{said}");
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
    // The map has it, too, with those who miss it and what waits for it.
    browser.click("#views a[href='#/map']");
    browser.until_some("agora-map .node.engine.bad");
    wait::until("the map to say so", || {
        let drawn = browser.run(MAP_WORDS, &[]);
        let words = drawn.as_str()?;
        (words.contains("kafka✕ away: ") && words.contains("in outbox")).then_some(())
    });
    browser.click("#views a[href='#/shop']");
    browser.until_count(PENDING, 1);
    set(market, "kafka", true);
    until_confirmed(&browser);
    assert_calm(&browser);
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
    buys(&browser);
    browser.click("agora-orders li:first-child a");
    browser.until_some(".arrow.message");
    let moving = "return document.getAnimations().length";
    assert_eq!(browser.run(moving, &[]), 0);
    // Slow motion becomes single steps.
    browser.click("[aria-label='One step on']");
    browser.until_text("agora-detail", "gateway");
    assert_calm(&browser);
}
