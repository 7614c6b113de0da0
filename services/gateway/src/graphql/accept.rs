//! What a client accepts (RFC 9110, section 12.5.1), as far as it names it. Who names nothing, or all, gets what is usual.

use http::{HeaderMap, header};

/// How much the client wants this media type, up to 1; 0 if it does not name it, or refuses it.
pub(super) fn weight(headers: &HeaderMap, media_type: &str) -> f32 {
    let named = named(headers).filter(|(named, _)| named.eq_ignore_ascii_case(media_type));
    named.map(|(_, weight)| weight).fold(0.0, f32::max)
}

/// Whether the client names this media type as one that it takes.
pub(super) fn is_taken(headers: &HeaderMap, media_type: &str) -> bool {
    weight(headers, media_type) > 0.0
}

/// Whether it is the only one that the client takes.
pub(super) fn is_all_that_is_taken(headers: &HeaderMap, media_type: &str) -> bool {
    let mut taken = named(headers)
        .filter(|(_, weight)| *weight > 0.0)
        .peekable();
    taken.peek().is_some() && taken.all(|(named, _)| named.eq_ignore_ascii_case(media_type))
}

/// The media types and ranges that the client names, each with its weight.
fn named(headers: &HeaderMap) -> impl Iterator<Item = (&str, f32)> {
    let values = headers.get_all(header::ACCEPT).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let entries = values.flat_map(|value| value.split(','));
    entries
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            // A weight that cannot be read is none.
            (media_type, parts.find_map(quality).unwrap_or(1.0))
        })
}

/// The weight, if this parameter is one.
fn quality(parameter: &str) -> Option<f32> {
    let (name, value) = parameter.split_once('=')?;
    let weight: f32 = value.trim().parse().ok()?;
    let is_weight = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&weight);
    is_weight.then_some(weight)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const JSON: &str = "application/json";

    fn accepting(lines: &[&'static str]) -> HeaderMap {
        let line = |line: &&'static str| (header::ACCEPT, HeaderValue::from_static(line));
        lines.iter().map(line).collect()
    }

    #[test]
    fn a_type_is_taken_as_much_as_it_says() {
        let cases: [(&[&'static str], f32); 8] = [
            (&["application/json"], 1.0),
            (&["text/html, Application/JSON ; charset=utf-8; Q=0.5"], 0.5),
            (&["text/html", "application/json;q=0.25"], 0.25),
            (&["application/json;q=0"], 0.0),
            (&["application/json;q=many"], 1.0),
            (&["application/json;q=NaN"], 1.0),
            (&["application/json-seq, */*"], 0.0),
            (&[], 0.0),
        ];
        for (lines, expected) in cases {
            let found = weight(&accepting(lines), JSON);
            assert!(
                (found - expected).abs() < f32::EPSILON,
                "{lines:?}: {found}"
            );
        }
    }

    #[test]
    fn what_is_refused_is_not_another_that_is_taken() {
        let only = |lines: &[&'static str]| is_all_that_is_taken(&accepting(lines), JSON);
        assert!(only(&["application/json,", "text/html;q=0.0"]));
        for lines in [
            &["application/json, */*;q=0.1"][..],
            &["application/json;q=0"],
            &[""],
            &[],
        ] {
            assert!(!only(lines), "{lines:?}");
        }
    }
}
