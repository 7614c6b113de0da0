//! The attributes as text, the form that both modes share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{EnvelopeError, Event, RawEvent, TraceContext};

pub(crate) const SPEC_VERSION: &str = "1.0";
pub(crate) const JSON: &str = "application/json";
pub(crate) const CONTENT_TYPE: &str = "datacontenttype";

/// Names that extensions may not have: the event has fields for them, or the format does.
const RESERVED: [&str; 17] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    CONTENT_TYPE,
    "dataschema",
    "data",
    "data_base64",
    "correlationid",
    "causationid",
    "logicalid",
    "sequence",
    "twins",
    "traceparent",
    "tracestate",
];

/// Attributes in the order in which they are written; `datacontenttype` is left to the mode.
pub(crate) fn write<T>(event: &Event<T>) -> Result<Vec<(&str, String)>, EnvelopeError> {
    let mut out = vec![
        ("specversion", SPEC_VERSION.to_owned()),
        ("id", event.id.to_string()),
        ("source", event.source.clone()),
        ("type", event.event_type.clone()),
        ("subject", event.subject.clone()),
        (
            "time",
            event.time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        ),
        ("correlationid", event.correlation_id.to_string()),
    ];
    out.extend(event.causation_id.map(|id| ("causationid", id.to_string())));
    out.extend(event.sequence.map(|n| ("sequence", n.to_string())));
    if event.logical_id != event.id {
        out.push(("logicalid", event.logical_id.to_string()));
    }
    if !event.twins.is_empty() {
        out.push(("twins", event.twins.join(",")));
    }
    out.extend(event.trace.traceparent.clone().map(|v| ("traceparent", v)));
    out.extend(event.trace.tracestate.clone().map(|v| ("tracestate", v)));
    for (name, value) in &event.extensions {
        if !is_extension_name(name) {
            return Err(EnvelopeError::malformed(
                name,
                value,
                "extensions are named in a-z and 0-9, and not as an attribute",
            ));
        }
        out.push((name, value.clone()));
    }
    let empty: Vec<_> = [
        ("source", &event.source),
        ("type", &event.event_type),
        ("subject", &event.subject),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.is_empty().then_some(name))
    .collect();
    if empty.is_empty() {
        Ok(out)
    } else {
        Err(EnvelopeError::Missing(empty))
    }
}

fn is_extension_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && !RESERVED.contains(&name)
}

/// Attributes by their names, in the memory of the message where they can be: of most of them no text is kept.
pub(crate) type Attributes<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// Builds an event from attributes as text. Unknown attributes are kept as extensions.
pub(crate) fn read(
    mut found: Attributes<'_>,
    data: Option<Box<RawValue>>,
) -> Result<RawEvent, EnvelopeError> {
    found.remove(CONTENT_TYPE);
    let missing = missing(&found, data.is_none());
    let mut take = |name: &str| found.remove(name).filter(|value| !value.is_empty());
    let version = take("specversion");
    if let Some(other) = version.filter(|version| version != SPEC_VERSION) {
        return Err(EnvelopeError::SpecVersion(other.into_owned()));
    }
    let (id, source, event_type, subject) =
        (take("id"), take("source"), take("type"), take("subject"));
    let (time, correlation, causation) = (take("time"), take("correlationid"), take("causationid"));
    let (sequence, logical, twins) = (take("sequence"), take("logicalid"), take("twins"));
    let trace = TraceContext {
        traceparent: take("traceparent").map(Cow::into_owned),
        tracestate: take("tracestate").map(Cow::into_owned),
    };

    let (Some(id), Some(source), Some(event_type), Some(subject), Some(data)) =
        (id, source, event_type, subject, data)
    else {
        return Err(EnvelopeError::Missing(missing));
    };
    if !missing.is_empty() {
        return Err(EnvelopeError::Missing(missing));
    }

    let id = uuid("id", &id)?;
    Ok(Event {
        id,
        logical_id: logical.map_or(Ok(id), |held| uuid("logicalid", &held))?,
        source: source.into_owned(),
        event_type: event_type.into_owned(),
        subject: subject.into_owned(),
        time: time.map_or_else(|| Ok(time_of(id)), |held| parse_time(&held))?,
        correlation_id: correlation.map_or(Ok(id), |held| uuid("correlationid", &held))?,
        causation_id: causation
            .map(|held| uuid("causationid", &held))
            .transpose()?,
        sequence: sequence.map(|held| parse_sequence(&held)).transpose()?,
        twins: twins.map_or_else(Vec::new, |held| {
            held.split(',').map(|twin| twin.trim().to_owned()).collect()
        }),
        trace,
        extensions: owned(found),
        data,
    })
}

fn owned(found: Attributes<'_>) -> BTreeMap<String, String> {
    let pairs = found.into_iter();
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// The names of those that an event must have and that are not there, in the order of the specification.
fn missing(found: &Attributes<'_>, is_without_data: bool) -> Vec<&'static str> {
    let is_missing = |name: &&str| found.get(*name).is_none_or(|value| value.is_empty());
    let names = ["specversion", "id", "source", "type", "subject"];
    let missing = names.into_iter().filter(is_missing);
    missing.chain(is_without_data.then_some("data")).collect()
}

fn uuid(attribute: &str, held: &str) -> Result<Uuid, EnvelopeError> {
    Uuid::try_parse(held).map_err(|_| EnvelopeError::malformed(attribute, held, "a UUID is needed"))
}

fn parse_time(held: &str) -> Result<DateTime<Utc>, EnvelopeError> {
    DateTime::parse_from_rfc3339(held)
        .map(|time| time.to_utc())
        .map_err(|_| EnvelopeError::malformed("time", held, "an RFC 3339 time is needed"))
}

fn parse_sequence(held: &str) -> Result<u64, EnvelopeError> {
    held.parse()
        .map_err(|_| EnvelopeError::malformed("sequence", held, "a whole number from 0 is needed"))
}

/// `time` is optional in CloudEvents. A UUID v7 contains a time as well, which is the same at each redelivery; the time
/// of arrival is not.
fn time_of(id: Uuid) -> DateTime<Utc> {
    id.get_timestamp()
        .map(|at| at.to_unix())
        .and_then(|(seconds, nanos)| DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos))
        .unwrap_or_else(Utc::now)
}
