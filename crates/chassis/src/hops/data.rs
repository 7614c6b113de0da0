//! What a record shows of an event's data: what a program has made, and no text of people.
//!
//! Events have addresses, names and reasons in them, and a crate that knows no event cannot tell which text is harmless. So
//! the allow-list is one of forms: numbers, truth values, times, and ids that are UUIDs of version 7. Those of version 4 are
//! random, as keys and tokens are. Of everything else the field's name is shown.

use serde_json::Value;

use super::cut;

/// Data longer than this is not read: it would cost more than it shows.
const BYTES_READ_MAX: usize = 4 * 1024;
/// The most values of one message. With [`DETAILS`](super::DETAILS) they are as many as an observatory keeps of a hop.
const VALUES_MAX: usize = 12;
/// The longest name of a value, in bytes; what is nested so deeply that its name is longer is left out.
const NAME_BYTES_MAX: usize = 64;
/// Stands for a value that is not shown.
const LEFT_OUT: &str = "(text, not shown)";

/// The values that are shown, as `data.items.0.quantity`; none of what is no JSON object.
pub(super) fn shown(payload: &[u8]) -> Vec<(String, String)> {
    let mut values = Vec::new();
    if payload.len() <= BYTES_READ_MAX
        && let Ok(data @ Value::Object(_)) = serde_json::from_slice::<Value>(payload)
    {
        add(&mut values, "data".to_owned(), &data);
    }
    values
}

/// Adds a value, or those within it. Each level makes the name longer, so the depth is bounded as the name is.
fn add(values: &mut Vec<(String, String)>, name: String, value: &Value) {
    if values.len() >= VALUES_MAX || name.len() > NAME_BYTES_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            let plain = members.iter().filter(|(member, _)| is_plain(member));
            // What is long is nested, and would leave no place for what it belongs to.
            let (nested, flat): (Vec<_>, Vec<_>) =
                plain.partition(|(_, value)| value.is_object() || value.is_array());
            for (member, value) in flat.into_iter().chain(nested).take(VALUES_MAX) {
                add(values, format!("{name}.{member}"), value);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().take(VALUES_MAX).enumerate() {
                add(values, format!("{name}.{place}"), item);
            }
        }
        Value::String(text) if is_id(text) || is_time(text) => values.push((name, text.clone())),
        Value::String(_) => values.push((name, LEFT_OUT.to_owned())),
        made => values.push((name, cut(&made.to_string()).to_owned())),
    }
}

/// Whether it is a field's name. A key of a map may be anything, a secret included.
fn is_plain(member: &str) -> bool {
    !member.is_empty() && member.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Whether it is a UUID of version 7, with its dashes.
fn is_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, b)| match place {
            8 | 13 | 18 | 23 => b == b'-',
            14 => b == b'7',
            _ => b.is_ascii_hexdigit(),
        })
}

fn is_time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(data: &Value) -> Vec<(String, String)> {
        shown(data.to_string().as_bytes())
    }

    #[test]
    fn what_programs_make_is_shown_and_no_text() {
        let values = of(&json!({
            "order_id": "0190163d-8694-739b-aea5-966c26f8ad91",
            "at": "2026-11-28T12:00:00Z",
            "items": [{"quantity": 2}],
            "paid": true,
            "email": "canary@example.com",
            "token": "5f0c1d0e-7d5b-4c55-9f0e-2f6d3c1b7a90",
            "canary-of-a-map": 1,
        }));
        let values: Vec<(&str, &str)> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert!(values.contains(&("data.order_id", "0190163d-8694-739b-aea5-966c26f8ad91")));
        assert!(values.contains(&("data.at", "2026-11-28T12:00:00Z")));
        assert!(values.contains(&("data.items.0.quantity", "2")));
        assert!(values.contains(&("data.paid", "true")));
        assert!(values.contains(&("data.email", LEFT_OUT)));
        assert!(values.contains(&("data.token", LEFT_OUT)));
        assert_eq!(values.len(), 6, "{values:?}");
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(of(&json!({ "deep": nested })), []);
        let many: Vec<u32> = (0..500).collect();
        let values = of(&json!({ "many": many, "of": 7 }));
        assert_eq!(values.len(), VALUES_MAX);
        assert_eq!(values[0], ("data.of".to_owned(), "7".to_owned()));
        assert_eq!(of(&json!({ "n": "x".repeat(BYTES_READ_MAX) })), []);
        for garbage in ["", "7", "[1]", "{\"a\":", "\"text\""] {
            assert_eq!(shown(garbage.as_bytes()), [], "{garbage}");
        }
    }
}
