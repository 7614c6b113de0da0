//! Stops at which something is unavailable, slow or fails. A stop mends what it breaks, also if it fails.

use std::future::Future;
use std::time::Instant;

use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};

use super::guide::{Answer, Call, Guide, text, until};
use super::{must, say};

/// Orders that are placed while Kafka is unavailable.
const ORDERS: usize = 3;
/// Orders at once before a slow mail server, and how slow it is.
const MAILS: usize = 32;
const MAIL_MS: u64 = 3_000;
const QUEUE: &str = "email.jobs";
/// The service that does not answer the gateway.
const PEER: &str = "products";
/// Concurrent requests for dashboards, enough to open the breaker.
const DASHBOARDS: usize = 12;
const AT_ONCE_MS: u128 = 1_000;
/// Calls that succeed first, so that the breaker's window has more successes than failures, and calls of which a share fails.
const CALLS_BEFORE: usize = 40;
const CALLS: usize = 240;
const CALLS_AT_ONCE: usize = 6;
const SHARE_PERCENT: u64 = 30;
/// The client's retry budget, in retries for a hundred calls. Earlier calls and those of others add to it.
const BUDGET_PERCENT: usize = 10;
const BUDGET_OTHERS: usize = 5;

/// Runs `work` while a switch is off.
async fn away<T>(
    guide: &Guide,
    switch: &str,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    guide.set(switch, false).await?;
    let done = work.await;
    guide.set(switch, true).await?;
    done
}

/// Runs `work` while a service has one more rule of faults.
async fn broken<T>(
    guide: &Guide,
    service: &str,
    rule: Value,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let target = text(&rule, "target");
    guide.fault(service, rule).await?;
    let done = work.await;
    guide.heal(service, &target).await?;
    done
}

async fn waiting(guide: &Guide) -> Option<u64> {
    guide.count("outbox", "service", "orders", "waiting").await
}

/// Waits until all of them are decided: all must be confirmed.
async fn confirmed(guide: &Guide, orders: &[Answer]) -> Result<(), String> {
    let decided = orders.iter().map(|order| order.text("id"));
    let decided = decided.map(|id| async move { guide.decided(&id).await });
    let decided = try_join_all(decided).await?;
    must(
        decided.iter().all(|order| order["status"] == "confirmed"),
        "all are confirmed",
    )
}

pub(super) async fn kafka(guide: &Guide) -> Result<(), String> {
    let good = guide.plenty().await?;
    let (orders, [placed, cancelled]) = away(guide, "kafka", async {
        say("Kafka is away.", None);
        let orders = try_join_all((0..ORDERS).map(|_| guide.bought(&good))).await?;
        say(
            &format!(
                "{ORDERS} orders are accepted, each is {}.",
                orders[0].text("status")
            ),
            Some(&orders[0].trace),
        );
        let rows = until("the outbox grows", || async {
            waiting(guide).await.filter(|rows| *rows >= ORDERS as u64)
        });
        say(
            &format!("{} events wait in the outbox of orders.", rows.await?),
            None,
        );
        let path = format!("/api/orders/{}", orders[0].text("id"));
        let order = guide.call(Call::get(&path)).await?.good()?;
        must(order.text("status") == "pending", "the order waits")?;
        let told_twice = placed_and_cancelled(guide, &good).await?;
        Ok((orders, told_twice))
    })
    .await?;
    say("Kafka is back.", None);
    let since = Instant::now();
    confirmed(guide, &orders).await?;
    say(
        &format!(
            "{:.1} s later all of them are confirmed.",
            since.elapsed().as_secs_f32()
        ),
        None,
    );
    until("the outbox drains", || async {
        waiting(guide).await.filter(|rows| *rows == 0)
    })
    .await?;
    say("The outbox is empty.", None);
    in_order(guide, &placed, &cancelled).await
}

/// Places an order and cancels it at once; returns both traces, each of which has an event of the order.
async fn placed_and_cancelled(guide: &Guide, good: &Value) -> Result<[String; 2], String> {
    let order = guide.bought(good).await?;
    let path = format!("/api/orders/{}/cancel", order.text("id"));
    let cancelled = guide.call(Call::post(&path, json!({}))).await?.good()?;
    say(
        "A fourth order is accepted, and cancelled at once: two events of it wait.",
        Some(&cancelled.trace),
    );
    Ok([order.trace, cancelled.trace])
}

/// Waits until both events are published, and checks their order.
async fn in_order(guide: &Guide, first: &str, second: &str) -> Result<(), String> {
    let published = |trace: String| async move {
        until("the event is published", || guide.published(&trace)).await
    };
    let (first, second) = (
        published(first.to_owned()).await?,
        published(second.to_owned()).await?,
    );
    say(
        &format!(
            "Of the fourth order, event {} is published, and then event {}.",
            first.sequence, second.sequence
        ),
        None,
    );
    let is_so = first.sequence < second.sequence && first.ended_at <= second.started_at;
    must(is_so, "the events of an order are published in order")
}

pub(super) async fn stop(guide: &Guide) -> Result<(), String> {
    let good = guide.plenty().await?;
    let order = away(guide, "kafka", async {
        let order = guide.bought(&good).await?;
        say(
            "The order is accepted. Kafka is away, so that nobody can have been told.",
            Some(&order.trace),
        );
        guide.set("orders", false).await?;
        Ok(order)
    })
    .await;
    let asked = async {
        let order = order?;
        say("Service orders is stopped; Kafka is back.", None);
        let id = order.text("id");
        let refused = guide.call(Call::get(&format!("/api/orders/{id}"))).await?;
        Ok::<_, String>((id, refused))
    };
    let asked = asked.await;
    // Started again, whatever the result.
    guide.set("orders", true).await?;
    let (id, refused) = asked?;
    say(
        &format!("Asked for the order, the gateway says {}.", refused.status),
        Some(&refused.trace),
    );
    must(refused.status >= 502, "nobody answers for orders")?;
    say("It is started again.", None);
    let order = guide.decided(&id).await?;
    say(&format!("The order is {}.", text(&order, "status")), None);
    must(order["status"] == "confirmed", "the order is confirmed")?;
    calm(guide).await
}

pub(super) async fn mail(guide: &Guide) -> Result<(), String> {
    let good = guide.plenty().await?;
    let depth = || guide.count("queues", "queue", QUEUE, "depth");
    let rule = json!({"target": "mail", "kind": "delay", "delay_ms": MAIL_MS});
    broken(guide, "notifications", rule, async {
        let orders = try_join_all((0..MAILS).map(|_| guide.bought(&good))).await?;
        let since = Instant::now();
        confirmed(guide, &orders).await?;
        let after = since.elapsed().as_secs_f32();
        say(
            &format!("{MAILS} orders, all confirmed {after:.1} s after the last was accepted."),
            Some(&orders[0].trace),
        );
        let waits = until("the queue grows", || async {
            depth().await.filter(|waits| *waits > 0)
        });
        say(&format!("{} mails wait in the queue.", waits.await?), None);
        until("the queue is worked off", || async {
            depth().await.filter(|waits| *waits == 0)
        })
        .await?;
        say(
            "The queue is empty: every mail was sent, each as slow as before.",
            None,
        );
        Ok(())
    })
    .await
}

/// Requests a dashboard; returns the answer, and how long it took in milliseconds.
async fn dashboard(guide: &Guide) -> Result<(Answer, u128), String> {
    let since = Instant::now();
    let answer = guide
        .call(Call::get(&format!("/api/dashboard/{}", guide.me)))
        .await?
        .good()?;
    Ok((answer, since.elapsed().as_millis()))
}

/// Waits until all breakers are closed, since a half-open one admits only few calls.
pub(super) async fn calm(guide: &Guide) -> Result<(), String> {
    until("the dashboard is whole again", || async {
        let all = try_join_all((0..DASHBOARDS).map(|_| dashboard(guide)))
            .await
            .ok()?;
        let is_whole = |(answer, _): &(Answer, u128)| answer.json["partial"] == false;
        all.iter().all(is_whole).then_some(())
    })
    .await
}

fn told((answer, ms): &(Answer, u128)) -> String {
    let parts = answer.json["errors"].as_array().into_iter().flatten();
    let parts: Vec<_> = parts.filter_map(|part| part["part"].as_str()).collect();
    match parts.as_slice() {
        [] => format!("{ms} ms, whole"),
        parts => format!("{ms} ms, without {}", parts.join(", ")),
    }
}

pub(super) async fn hang(guide: &Guide) -> Result<(), String> {
    let whole = dashboard(guide).await?;
    say(&format!("Before: {}.", told(&whole)), Some(&whole.0.trace));
    let rule = json!({"target": PEER, "kind": "hang"});
    broken(guide, "gateway", rule, async {
        let first = dashboard(guide).await?;
        say(&format!("Hanging: {}.", told(&first)), Some(&first.0.trace));
        try_join_all((0..DASHBOARDS).map(|_| dashboard(guide))).await?;
        let last = dashboard(guide).await?;
        say(
            &format!("After {DASHBOARDS} more: {}.", told(&last)),
            Some(&last.0.trace),
        );
        let is_so = last.0.json["partial"] == true && last.1 < AT_ONCE_MS;
        must(is_so, "the dashboard comes at once, without a part")?;
        until("the breaker is open", || async {
            let state = guide.breaker(PEER).await?;
            (state == "open").then_some(())
        })
        .await?;
        say("The breaker is open.", None);
        Ok(())
    })
    .await?;
    let since = Instant::now();
    calm(guide).await?;
    let after = since.elapsed().as_secs_f32();
    let said = format!(
        "Mended. A probe got an answer, the breaker closed: whole again after {after:.1} s."
    );
    say(&said, None);
    Ok(())
}

/// Requests the products repeatedly; returns how often that failed.
async fn ask(guide: &Guide, calls: usize) -> usize {
    let mut refused = 0;
    for _ in 0..calls / CALLS_AT_ONCE {
        let one = |_| guide.call(Call::get("/api/products?page_size=1"));
        let answers = join_all((0..CALLS_AT_ONCE).map(one)).await;
        let is_refused = |answer: &&Result<Answer, String>| {
            !answer.as_ref().is_ok_and(|answer| answer.status == 200)
        };
        refused += answers.iter().filter(is_refused).count();
    }
    refused
}

pub(super) async fn budget(guide: &Guide) -> Result<(), String> {
    let since = Instant::now();
    must(
        ask(guide, CALLS_BEFORE).await == 0,
        "calls go well before anything is broken",
    )?;
    let left = guide.edge("products", "retries_left").await;
    let left = left.ok_or("the observatory does not say how many retries are paid for")?;
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let rule = json!({"target": "products", "kind": "fail", "percent": SHARE_PERCENT});
    broken(guide, "gateway", rule, async {
        let refused = ask(guide, CALLS).await;
        let failed = usize::try_from(guide.broken("gateway", "products").await?).unwrap_or(usize::MAX);
        let repeated = failed.saturating_sub(refused);
        say(
            &format!("{CALLS} calls: {failed} attempts failed, {repeated} of them were repeated, {refused} reached the caller."),
            None,
        );
        let seconds = usize::try_from(since.elapsed().as_secs()).unwrap_or(usize::MAX);
        let paid = ((CALLS_BEFORE + CALLS) * BUDGET_PERCENT).div_ceil(100);
        let allowed = left + paid + seconds + BUDGET_OTHERS;
        must(refused > 0 && repeated <= allowed, &format!("no more than {allowed} retries are paid for"))
    })
    .await?;
    // If the breaker has opened because of failures in a row, it has to close before the next stop.
    until("products answers again", || async {
        (ask(guide, CALLS_AT_ONCE).await == 0).then_some(())
    })
    .await
}
