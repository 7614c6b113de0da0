//! The pictures of the README, from a shop that runs: `cargo run -p scenarios --example pictures -- http://127.0.0.1:8080`.
//!
//! Buys one thing by the page, and takes its journey and the map while the shop is at work. Needs Chromium with its driver.

use std::path::Path;

use scenarios::browser::{Browser, Screen};

const SCREEN: Screen = Screen {
    width: 1280,
    dark: false,
    calm: false,
};

fn main() {
    let shop = std::env::args().nth(1);
    let shop = shop.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let browser = Browser::open(&shop, SCREEN);
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    let keep = |name: &str| {
        let file = images.join(name);
        std::fs::write(&file, browser.picture()).expect("docs/images can be written");
    };

    browser.click("#sign-in");
    browser.click("li:nth-child(1) > agora-good > button");
    browser.click("#buy");
    browser.until_count("agora-basket .lines li", 0);
    browser.until_some("agora-orders li:first-child [data-mailed]");
    browser.click("agora-orders li:first-child a");
    browser.until_some("agora-diagram .arrow.message");
    keep("journey.png");

    browser.click("#views a[href='#/map']");
    browser.until_some("agora-map .node.service");
    browser.until_some("agora-map .node.engine");
    keep("map.png");
}
