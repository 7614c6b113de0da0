//! An event in its third version: each upcaster takes one step, and whatever goes wrong on the way names the version it met.

use envelope::{EnvelopeError, Event, EventData, KAFKA_PREFIX, RawEvent, Versions};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::borrowed;

const SOURCE: &str = "/services/things";

/// A measure whose unit changes with each version, and the steps that were taken to read it.
macro_rules! thing {
    ($name:ident, $type:literal, $unit:ident $(, after $earlier:ty)?) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        struct $name {
            id: String,
            $unit: u64,
            #[serde(default)]
            steps: Vec<String>,
        }

        impl EventData for $name {
            const TYPE: &'static str = $type;
            const SOURCE: &'static str = SOURCE;

            fn subject(&self) -> String {
                self.id.clone()
            }

            $(fn versions() -> Versions<Self> {
                Versions::after::<$earlier>()
            })?
        }

        impl $name {
            fn of($unit: u64) -> Self {
                Self { id: "thing-1".to_owned(), $unit, steps: Vec::new() }
            }
        }
    };
}

thing!(ThingV1, "test.thing.v1", metres);
thing!(ThingV2, "test.thing.v2", centimetres, after ThingV1);
thing!(ThingV3, "test.thing.v3", millimetres, after ThingV2);
thing!(ThingV4, "test.thing.v4", micrometres);

impl From<ThingV1> for ThingV2 {
    fn from(v1: ThingV1) -> Self {
        Self {
            id: v1.id,
            centimetres: v1.metres * 100,
            steps: and(v1.steps, "v1 to v2"),
        }
    }
}

impl From<ThingV2> for ThingV3 {
    fn from(v2: ThingV2) -> Self {
        Self {
            id: v2.id,
            millimetres: v2.centimetres * 10,
            steps: and(v2.steps, "v2 to v3"),
        }
    }
}

fn and(mut steps: Vec<String>, step: &str) -> Vec<String> {
    steps.push(step.to_owned());
    steps
}

fn arrived<T: EventData>(event: &Event<T>) -> RawEvent {
    let message = event.to_binary(KAFKA_PREFIX).unwrap();
    RawEvent::from_binary(KAFKA_PREFIX, borrowed(&message.headers), &message.body).unwrap()
}

/// Data that no version of the event has.
fn broken() -> Box<RawValue> {
    to_raw_value(&serde_json::json!({"id": "thing-1"})).unwrap()
}

#[test]
fn each_version_takes_the_steps_from_its_own_on_and_no_other() {
    let versions = ThingV3::versions();
    let taken = |event: &RawEvent| {
        let thing = versions.read(event).unwrap();
        (thing.millimetres, thing.steps)
    };
    let steps = |steps: &[&str]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
    let v1 = arrived(&Event::new(ThingV1::of(2)));
    assert_eq!(taken(&v1), (2_000, steps(&["v1 to v2", "v2 to v3"])));
    let v2 = arrived(&Event::new(ThingV2::of(200)));
    assert_eq!(taken(&v2), (2_000, steps(&["v2 to v3"])));
    let v3 = arrived(&Event::new(ThingV3::of(2_000)));
    assert_eq!(taken(&v3), (2_000, steps(&[])));
}

/// Whichever twin a consumer of the third version meets first, the inbox sees one id.
#[test]
fn twins_keep_their_logical_id_through_the_chain() {
    let versions = ThingV3::versions();
    let read = |event: RawEvent| versions.decode(&event).unwrap().unwrap();

    // The first migration: none of its events is of the newest version any more.
    let older = Event::new(ThingV1::of(2)).with_sequence(7);
    let (older, newer) = older.with_twin(ThingV2::of(200));
    let logical_id = older.id;
    let (older, newer) = (read(arrived(&older)), read(arrived(&newer)));
    assert_ne!(older.id, newer.id);
    for event in [older, newer] {
        assert_eq!(
            (event.logical_id, event.sequence, event.data.millimetres),
            (logical_id, Some(7), 2_000),
            "{}",
            event.event_type
        );
    }

    // The second one.
    let (older, newer) = Event::new(ThingV2::of(200)).with_twin(ThingV3::of(2_000));
    let logical_id = older.id;
    for event in [read(arrived(&older)), read(arrived(&newer))] {
        assert_eq!(event.logical_id, logical_id, "{}", event.event_type);
        assert_eq!(event.data.millimetres, 2_000);
    }
}

#[test]
fn a_version_beyond_the_chain_is_named_with_the_newest_that_is_read() {
    let versions = ThingV3::versions();
    let v4 = arrived(&Event::new(ThingV4::of(2_000_000)));
    let reason = "test.thing.v4 is newer than test.thing.v3, the newest version that is read here";
    // What a consumer of this event alone parks it with, and what one with a list of types does.
    for error in [
        versions.decode(&v4).unwrap_err(),
        v4.unknown_version(&versions.types()).unwrap(),
    ] {
        assert!(
            matches!(error, EnvelopeError::NewerVersion { .. }),
            "{error:?}"
        );
        assert_eq!(error.to_string(), reason);
    }
}

/// An error names the version at which the chain was entered, and not the newest: that one was never written.
#[test]
fn what_breaks_in_the_chain_says_at_which_version() {
    let versions = ThingV3::versions();
    for (mut event, version, field) in [
        (arrived(&Event::new(ThingV1::of(2))), "v1", "metres"),
        (arrived(&Event::new(ThingV2::of(200))), "v2", "centimetres"),
        (
            arrived(&Event::new(ThingV3::of(2_000))),
            "v3",
            "millimetres",
        ),
    ] {
        let mut forged = event.clone();
        forged.source = "/services/mallory".to_owned();
        let error = versions.read(&forged).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                r#"a test.thing.{version} comes from {SOURCE} only, not from "/services/mallory""#
            )
        );

        event.data = broken();
        let error = versions.read(&event).unwrap_err().to_string();
        let expected = format!("the data is no test.thing.{version}: missing field `{field}`");
        assert!(error.starts_with(&expected), "{error}");
    }
}

/// A version in the middle cannot be taken out alone: what was before it is not read any more either, and says so.
#[test]
fn without_its_middle_step_the_chain_ends_there() {
    let only_newest = Versions::<ThingV3>::only();
    for event in [
        arrived(&Event::new(ThingV1::of(2))),
        arrived(&Event::new(ThingV2::of(200))),
    ] {
        let error = only_newest.read(&event).unwrap_err();
        assert!(
            matches!(error, EnvelopeError::RetiredVersion { .. }),
            "{error:?}"
        );
        assert_eq!(
            error.to_string(),
            format!(
                "{} is not read here any more; the newest version is test.thing.v3",
                event.event_type
            )
        );
    }
}
