//! Stops that only buy and read.

use serde_json::json;

use super::guide::{Call, Guide, available, hex, text, until};
use super::{must, say};

/// The most pieces of one line of an order.
const PIECES_MAX: i64 = 1_000;
/// For how long a token is good that is to be seen to expire, in seconds.
const BRIEF_S: u32 = 3;

pub(super) async fn purchase(guide: &Guide) -> Result<(), String> {
    let good = guide.plenty().await?;
    let order = guide.bought(&good).await?;
    let name = text(&good, "name");
    say(
        &format!("One {name}: the order is {}.", order.text("status")),
        Some(&order.trace),
    );
    let decided = guide.decided(&order.text("id")).await?;
    say(&format!("It is {}.", text(&decided, "status")), None);
    must(decided["status"] == "confirmed", "the order is confirmed")
}

pub(super) async fn twice(guide: &Guide) -> Result<(), String> {
    let good = guide.plenty().await?;
    let key = hex(32);
    let first = guide.buy(&good, 1, &key).await?.good()?;
    say(
        &format!("First answer: order {}.", first.text("id")),
        Some(&first.trace),
    );
    let second = guide.buy(&good, 1, &key).await?.good()?;
    let replayed = second.header("idempotency-replayed").unwrap_or("missing");
    let id = second.text("id");
    say(
        &format!("Second answer: order {id}, Idempotency-Replayed: {replayed}."),
        Some(&second.trace),
    );
    must(
        first.text("id") == id && replayed == "true",
        "both answers are about one order",
    )
}

pub(super) async fn race(guide: &Guide) -> Result<(), String> {
    let goods = guide.goods().await?;
    let good = goods.iter().rfind(|good| available(good) / 2 < PIECES_MAX);
    let good = good.ok_or("there is a good of which two can take too much")?;
    let pieces = available(good) / 2 + 1;
    let (name, left) = (text(good, "name"), available(good));
    say(
        &format!("{left} of {name} are left. Two orders for {pieces} each."),
        None,
    );
    let (one, other) = (hex(32), hex(32));
    let (one, other) = tokio::join!(
        guide.buy(good, pieces, &one),
        guide.buy(good, pieces, &other)
    );
    let mut won = Vec::new();
    for order in [one?.good()?, other?.good()?] {
        let id = order.text("id");
        let decided = guide.decided(&id).await?;
        let (status, reason) = (text(&decided, "status"), text(&decided, "reason"));
        say(
            &format!("Order {id} is {status}. {reason}"),
            Some(&order.trace),
        );
        if decided["status"] == "confirmed" {
            won.push(id);
        }
    }
    // The order is cancelled, so that the pieces are for sale again.
    for id in &won {
        let path = format!("/api/orders/{id}/cancel");
        guide.call(Call::post(&path, json!({}))).await?.good()?;
        say(
            "The one that was confirmed is cancelled: its goods go back.",
            None,
        );
    }
    must(won.len() == 1, "exactly one is confirmed")
}

pub(super) async fn versions(guide: &Guide) -> Result<(), String> {
    let order = guide.bought(&guide.plenty().await?).await?;
    let (total, currency) = (&order.json["total_amount"], order.text("currency"));
    say(
        &format!("Version 1: a total of {total}, and the currency {currency}."),
        Some(&order.trace),
    );
    let id = order.text("id");
    let old = guide
        .call(Call::get(&format!("/api/orders/{id}")))
        .await?
        .good()?;
    let [deprecation, sunset] = ["deprecation", "sunset"].map(|name| old.header(name));
    let missing = "missing";
    say(
        &format!(
            "It says: Deprecation {}, Sunset {}.",
            deprecation.unwrap_or(missing),
            sunset.unwrap_or(missing)
        ),
        None,
    );
    let new = guide
        .call(Call::get(&format!("/api/v2/orders/{id}")))
        .await?
        .good()?;
    let now = &new.json["total"];
    say(
        &format!("Version 2 of the same order: a total of {now}."),
        Some(&new.trace),
    );
    must(
        now["amount"] == *total && now["currency"] == *currency,
        "both tell the same total",
    )?;
    let only_the_old = deprecation.is_some() && new.header("deprecation").is_none();
    must(only_the_old, "only the old one says that it goes")
}

pub(super) async fn token(guide: &Guide) -> Result<(), String> {
    let brief = guide.brief(BRIEF_S).await?;
    let token = brief.text("access_token");
    let ask = || guide.call_with(&token, Call::get("/api/users/me"));
    let me = ask().await?.good()?;
    let (seconds, name) = (&brief.json["expires_in"], me.text("name"));
    say(
        &format!("A token that is good for {seconds} s: you are {name}."),
        Some(&me.trace),
    );
    let refused = until("the token expires", || async {
        ask().await.ok().filter(|answer| answer.status != 200)
    });
    let refused = refused.await?;
    say(
        &format!("{}: {}.", refused.status, refused.text("title")),
        Some(&refused.trace),
    );
    must(refused.status == 401, "it is refused with 401")?;
    let again = guide.call(Call::get("/api/users/me")).await?.good()?;
    say("Another one, and the same call works.", Some(&again.trace));
    Ok(())
}
