//! Versions of one event: old ones are read as the newest, twins are one, and an unknown one is named.

use envelope::{Event, EventData, KAFKA_PREFIX, RawEvent, TraceContext, Versions};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::borrowed;

/// An event with members `$field: $of`, that may follow an earlier version.
macro_rules! version {
    ($name:ident, $type:literal, {$($field:ident: $of:ty),*} $(, after $earlier:ty)?) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        struct $name {
            tank: String,
            $($field: $of),*
        }

        impl EventData for $name {
            const TYPE: &'static str = $type;
            const SOURCE: &'static str = "/services/tanks";

            fn subject(&self) -> String {
                self.tank.clone()
            }

            $(fn versions() -> Versions<Self> {
                Versions::after::<$earlier>()
            })?
        }
    };
}

version!(FilledV1, "test.tank.filled.v1", { gallons: u64 });
version!(FilledV2, "test.tank.filled.v2", { litres: u64 }, after FilledV1);
version!(FilledV3, "test.tank.filled.v3", { millilitres: u64, by: Option<String> }, after FilledV2);
version!(FilledV10, "test.tank.filled.v10", { drops: u64 });
version!(Emptied, "test.tank.emptied.v7", { litres: u64 });
version!(Unversioned, "test.tank.filled", { litres: u64 });

impl From<FilledV1> for FilledV2 {
    fn from(FilledV1 { tank, gallons }: FilledV1) -> Self {
        let litres = gallons * 4;
        Self { tank, litres }
    }
}

impl From<FilledV2> for FilledV3 {
    fn from(FilledV2 { tank, litres }: FilledV2) -> Self {
        Self {
            tank,
            millilitres: litres * 1000,
            by: None,
        }
    }
}

fn tank() -> String {
    "north".to_owned()
}

fn arrived<T: EventData>(event: &Event<T>) -> RawEvent {
    let message = event.to_binary(KAFKA_PREFIX).unwrap();
    RawEvent::from_binary(KAFKA_PREFIX, borrowed(&message.headers), &message.body).unwrap()
}

fn v1() -> Event<FilledV1> {
    Event::new(FilledV1 {
        tank: tank(),
        gallons: 2,
    })
}

#[test]
fn an_old_event_is_brought_to_the_newest_version_step_by_step() {
    let versions = FilledV3::versions();
    let names = [
        "test.tank.filled.v3",
        "test.tank.filled.v2",
        "test.tank.filled.v1",
    ];
    assert_eq!(versions.types(), names);
    // Only through v2 does a v1 get there: two gallons, eight litres.
    let newest = FilledV3 {
        tank: tank(),
        millilitres: 8000,
        by: None,
    };
    assert_eq!(versions.read(&arrived(&v1())).unwrap(), newest);
    let v2 = Event::new(FilledV2 {
        tank: tank(),
        litres: 8,
    });
    assert_eq!(versions.read(&arrived(&v2)).unwrap(), newest);
    assert_eq!(
        versions
            .read(&arrived(&Event::new(newest.clone())))
            .unwrap(),
        newest
    );
}

#[test]
fn an_old_version_is_checked_like_any() {
    let versions = FilledV3::versions();
    let mut forged = v1();
    forged.source = "/services/mallory".to_owned();
    let error = versions.read(&arrived(&forged)).unwrap_err().to_string();
    assert_eq!(
        error,
        r#"a test.tank.filled.v1 comes from /services/tanks only, not from "/services/mallory""#
    );
    let mut misshapen = arrived(&v1());
    misshapen.data = serde_json::value::to_raw_value(&serde_json::json!({"tank": "x"})).unwrap();
    let error = versions.read(&misshapen).unwrap_err().to_string();
    assert!(
        error.starts_with("the data is no test.tank.filled.v1: missing field `gallons`"),
        "{error}"
    );
}

#[test]
fn members_that_are_not_known_pass_through() {
    let mut newer = arrived(&v1());
    newer.data = serde_json::value::to_raw_value(
        &serde_json::json!({"tank": "north", "gallons": 2, "pump": {"id": 4}}),
    )
    .unwrap();
    assert_eq!(FilledV3::versions().read(&newer).unwrap().millilitres, 8000);
    // And whoever only carries an event on carries all of it.
    let again = arrived_raw(&newer);
    assert_eq!(again.data.get(), newer.data.get());
}

fn arrived_raw(event: &RawEvent) -> RawEvent {
    RawEvent::from_structured(&event.to_structured().unwrap()).unwrap()
}

#[test]
fn a_version_that_is_not_known_is_named() {
    let versions = FilledV3::versions();
    let v10 = arrived(&Event::new(FilledV10 {
        tank: tank(),
        drops: 1,
    }));
    // By number: as text, 10 comes before 3.
    assert_eq!(
        versions.read(&v10).unwrap_err().to_string(),
        "test.tank.filled.v10 is newer than test.tank.filled.v3, the newest version that is read here"
    );
    let only_v3 = ["test.tank.filled.v3"];
    let retired = arrived(&v1()).unknown_version(&only_v3).unwrap();
    assert_eq!(
        retired.to_string(),
        "test.tank.filled.v1 is not read here any more; the newest version is test.tank.filled.v3"
    );
    // A later form of versions, and a number that is too large, are no other events.
    for version in ["v4.1", "v4-beta", "v99999999999"] {
        let mut event = arrived(&v1());
        event.event_type = format!("test.tank.filled.{version}");
        let newer = event.unknown_version(&only_v3).unwrap().to_string();
        assert!(newer.contains("is newer than"), "{newer}");
    }
    // Other events are none of the reader's business.
    let emptied = arrived(&Event::new(Emptied {
        tank: tank(),
        litres: 1,
    }));
    let unversioned = arrived(&Event::new(Unversioned {
        tank: tank(),
        litres: 1,
    }));
    for other in [emptied, unversioned] {
        assert!(
            other.unknown_version(&versions.types()).is_none(),
            "{}",
            other.event_type
        );
        let error = versions.read(&other).unwrap_err().to_string();
        assert!(error.ends_with("not a test.tank.filled.v3"), "{error}");
    }
}

#[test]
fn twins_are_one_event_with_two_ids() {
    let older = v1()
        .with_correlation(Uuid::now_v7())
        .with_sequence(7)
        .with_trace(TraceContext {
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-00000000000000ff-01".to_owned()),
            tracestate: None,
        });
    let newer = FilledV2::from(older.data.clone());
    let (older, newer) = older.with_twin(newer);
    assert_ne!(older.id, newer.id);
    let (older, newer) = (arrived(&older), arrived(&newer));
    // The id that a reader from before there were twins goes by.
    assert_eq!((older.logical_id, newer.logical_id), (older.id, older.id));
    assert_eq!(older.twins, ["test.tank.filled.v2"]);
    assert_eq!(newer.twins, ["test.tank.filled.v1"]);
    let same = |event: &RawEvent| {
        (
            event.subject.clone(),
            event.time,
            event.correlation_id,
            event.causation_id,
            event.sequence,
            event.trace.clone(),
        )
    };
    assert_eq!(same(&older), same(&newer));
    for event in [&older, &newer] {
        assert_eq!(
            &arrived_raw(event).twins,
            &event.twins,
            "in structured mode"
        );
        assert_eq!(arrived_raw(event).logical_id, older.id);
    }
    // A reader of one of them misses nothing.
    assert!(newer.unknown_version(&["test.tank.filled.v1"]).is_none());
    assert!(older.unknown_version(&["test.tank.filled.v2"]).is_none());
    assert!(newer.unknown_version(&["test.tank.filled.v0"]).is_some());
}

/// For who consumes one event and has no list of others that pass.
#[test]
fn a_version_that_is_not_read_passes_if_its_twin_is_read() {
    let versions = FilledV3::versions();
    let decoded = versions.decode(&arrived(&v1())).unwrap().unwrap();
    assert_eq!(decoded.data.millilitres, 8000);
    assert_eq!(decoded.event_type, "test.tank.filled.v1");

    let drops = || FilledV10 {
        tank: tank(),
        drops: 1,
    };
    let (older, newer) = v1().with_twin(drops());
    let decoded = versions.decode(&arrived(&older)).unwrap().unwrap();
    assert_eq!(decoded.logical_id, older.id);
    assert_eq!(versions.decode(&arrived(&newer)).unwrap(), None);
    // Alone, or as the twin of what is not read either, it would be missed.
    let alone = arrived(&Event::new(drops()));
    let mut of_another = alone.clone();
    of_another.twins = vec!["test.tank.filled.v9".to_owned()];
    // Another event does not pass by calling itself a twin.
    let mut emptied = arrived(&Event::new(Emptied {
        tank: tank(),
        litres: 1,
    }));
    emptied.twins = vec!["test.tank.filled.v1".to_owned()];
    for event in [alone, of_another, emptied] {
        versions.decode(&event).unwrap_err();
    }
}

#[test]
fn an_event_without_a_twin_says_nothing_of_twins() {
    let message = v1().to_binary(KAFKA_PREFIX).unwrap();
    let named = |name: &str| message.headers.iter().any(|(header, _)| header == name);
    assert!(!named("ce_logicalid") && !named("ce_twins"));
    let event = arrived(&v1());
    assert_eq!((event.logical_id, event.twins.len()), (event.id, 0));
}
