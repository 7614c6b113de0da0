//! Stops with a poison message or an overload.

use std::time::Instant;

use futures::future::join_all;
use serde_json::{Value, json};

use super::broken::calm;
use super::guide::{Call, Guide, text, until};
use super::{must, say};

/// The service that cannot handle the message.
const SERVICE: &str = "products";
const LOADS: [&str; 2] = ["load-100", "load-20"];
/// With this delay 120 orders a second exceed the bulkhead; and the rest of an attempt's 3 s is enough for an order, so that no
/// breaker opens.
const DELAY_MS: u64 = 2_700;

pub(super) async fn poison(guide: &Guide) -> Result<(), String> {
    let seen = parked_twice(guide).await;
    // Undone whatever the result.
    guide.set("poison", false).await?;
    let id = seen?;
    let left = guide.letters(SERVICE).await?;
    must(
        left.iter().all(|letter| letter["event_id"] != id),
        "the letter is taken away",
    )?;
    say("It is taken away.", None);
    Ok(())
}

/// Sends the message, waits until it is parked, redrives it and waits until it is parked again; returns the id of its event.
async fn parked_twice(guide: &Guide) -> Result<Value, String> {
    let known = guide.letters(SERVICE).await?;
    let is_known = |letter: &Value| known.iter().any(|of| of["event_id"] == letter["event_id"]);
    guide.press("poison", true).await?;
    say("An order of no piece of anything is on order-events.", None);
    let parked = until("the message is parked", || async {
        let letters = guide.letters(SERVICE).await.ok()?;
        letters.into_iter().find(|letter| !is_known(letter))
    })
    .await?;
    let (reason, trace) = (text(&parked, "reason"), text(&parked, "trace_id"));
    say(
        &format!("Parked at attempt {}: {reason}", parked["attempts"]),
        Some(&trace),
    );
    let order = guide.bought(&guide.plenty().await?).await?;
    let decided = guide.decided(&order.text("id")).await?;
    say(
        &format!("An order behind it is {}.", text(&decided, "status")),
        Some(&order.trace),
    );
    must(decided["status"] == "confirmed", "its neighbours go on")?;
    let which = json!({ "id": parked["event_id"] });
    guide.redrive(SERVICE, which).await?;
    say("Sent again, to products alone.", None);
    let again = until("it is parked again", || async {
        let letters = guide.letters(SERVICE).await.ok()?;
        let is_again = |letter: &Value| {
            letter["event_id"] == parked["event_id"]
                && letter["redriven"].as_u64() > parked["redriven"].as_u64()
        };
        letters.into_iter().find(is_again)
    })
    .await?;
    let redriven = &again["redriven"];
    say(
        &format!("Parked again, after it was sent again {redriven} time(s): nobody has mended it."),
        None,
    );
    Ok(parked["event_id"].clone())
}

/// The gateway's calls to orders that its bulkhead refused.
async fn shed(guide: &Guide) -> Option<u64> {
    guide.edge("orders", "shed").await
}

pub(super) async fn shedding(guide: &Guide) -> Result<(), String> {
    let before = shed(guide).await.unwrap_or_default();
    let seen = overloaded(guide, before).await;
    // Undone whatever the result.
    guide.heal("gateway", "orders").await?;
    let off = load(guide, false).await;
    seen.and(off)?;
    say(
        "The load is off and the delay is mended. What was bought is given back.",
        None,
    );
    calm(guide).await
}

async fn load(guide: &Guide, on: bool) -> Result<(), String> {
    let set = join_all(LOADS.map(|load| guide.set(load, on))).await;
    set.into_iter().collect()
}

async fn overloaded(guide: &Guide, before: u64) -> Result<(), String> {
    until("what was bought before is given back", || async {
        load(guide, true).await.ok()
    })
    .await?;
    let rule = json!({"target": "orders", "kind": "delay", "delay_ms": DELAY_MS});
    guide.fault("gateway", rule).await?;
    say(
        &format!(
            "120 orders a second, each of which takes {:.1} s.",
            DELAY_MS as f64 / 1e3
        ),
        None,
    );
    let refused = until("calls find no place", || async {
        shed(guide)
            .await?
            .checked_sub(before)
            .filter(|shed| *shed > 0)
    });
    let refused = refused.await?;
    say(
        &format!(
            "{refused} calls to orders found no place within half a second: 503, with Retry-After."
        ),
        None,
    );
    let since = Instant::now();
    let goods = guide.call(Call::get("/api/products?page_size=1")).await?;
    let ms = since.elapsed().as_millis();
    say(
        &format!("Meanwhile the catalogue answers after {ms} ms."),
        Some(&goods.trace),
    );
    must(goods.status == 200, "the catalogue answers")
}
