//! Load and poison as switches, pressed as the page presses them: through the gateway.

use serde_json::{Value, json};

use crate::support::{Market, Place, until};

/// Asks as a page of the gateway's own origin.
fn ask(market: &Market, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let gateway = market.endpoint("gateway");
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent = config.build().new_agent();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{gateway}{path}"))
        .header("origin", gateway)
        .header("content-type", "application/json");
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut answer = agent
        .run(request.body(body).expect("a request"))
        .expect("an answer");
    let text = answer.body_mut().read_to_string().expect("text");
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

fn press(market: &Market, switch: &str, on: bool) -> Value {
    let path = format!("/observatory/switches/{switch}");
    let (status, pressed) = ask(market, "POST", &path, Some(&json!({ "on": on })));
    assert_eq!(status, 200, "{pressed}");
    pressed
}

/// How many pieces of everything there are.
fn stock(market: &Market) -> i64 {
    let (_, page) = ask(market, "GET", "/api/products?page_size=100", None);
    let goods = page["products"].as_array().expect("goods");
    goods
        .iter()
        .filter_map(|good| good["available"].as_i64())
        .sum()
}

#[test]
fn load_is_a_switch_that_gives_back_what_it_bought() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let before = stock(&market);
    assert_eq!(press(&market, "load-20", true)["on"], true);
    // Pressed twice it is the same load.
    until("orders to be accepted", || {
        let pressed = press(&market, "load-20", true);
        (pressed["hit"].as_u64() > Some(10)).then_some(())
    });
    let off = press(&market, "load-20", false);
    assert_eq!(off["on"], false, "{off}");
    assert!(off["hit"].as_u64() > Some(10), "{off}");
    until("all goods to be back", || {
        (stock(&market) == before).then_some(())
    });
    // A look may come too late on a busy machine.
    let switches = until("the switches", || {
        let (_, state) = ask(&market, "GET", "/observatory/state", None);
        state["switches"].as_array().cloned()
    });
    let names: Vec<_> = switches
        .iter()
        .filter(|switch| switch["kind"] == "load")
        .map(|switch| &switch["name"])
        .collect();
    assert_eq!(names, ["load-20", "load-100"]);
    market.stop();
}

#[test]
fn a_poison_message_is_parked_and_comes_back() {
    const LETTERS: &str = "/observatory/dead-letters/products";
    let place = Place::new();
    let mut market = Market::start(&place);
    let pressed = press(&market, "poison", true);
    assert_eq!((&pressed["on"], &pressed["hit"]), (&json!(true), &json!(1)));
    let letter = |redriven: u64| {
        until("the message to be parked", || {
            let (status, listed) = ask(&market, "GET", LETTERS, None);
            // A look may come too late on a busy machine.
            if status != 200 {
                return None;
            }
            let letters = listed["dead_letters"].as_array()?;
            let found = letters.iter().find(|letter| letter["redriven"] == redriven);
            found.cloned()
        })
    };
    let parked = letter(0);
    assert_eq!(parked["event_type"], "agora.order.placed.v1", "{parked}");
    assert_eq!(parked["source"], "order-events");
    let reason = parked["reason"].as_str().expect("a reason");
    assert!(reason.contains("must be at least 1"), "{reason}");
    assert!(parked["trace_id"].is_string(), "{parked}");

    let which = json!({ "id": parked["event_id"] });
    let redrive = format!("{LETTERS}/redrive");
    let (status, sent) = ask(&market, "POST", &redrive, Some(&which));
    assert_eq!((status, &sent["settled"]), (200, &json!(1)), "{sent}");
    let again = letter(1);
    assert_eq!(again["event_id"], parked["event_id"]);

    // Whoever mends all takes it away, too.
    let (status, _) = ask(&market, "DELETE", "/observatory/faults", None);
    assert_eq!(status, 204);
    until("the letter to be taken away", || {
        let (status, left) = ask(&market, "GET", LETTERS, None);
        (status == 200 && left["dead_letters"] == json!([])).then_some(())
    });
    until("the switch to be off", || {
        let (_, state) = ask(&market, "GET", "/observatory/state", None);
        let mut switches = state["switches"].as_array()?.iter();
        let poison = switches.find(|switch| switch["name"] == "poison")?;
        (poison["on"] == false).then_some(())
    });
    market.stop();
}
