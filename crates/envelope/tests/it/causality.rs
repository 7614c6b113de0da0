//! How one event leads to another.

use envelope::{Event, RawEvent, TraceContext};
use uuid::Uuid;

use crate::{Placed, placed};

fn trace(parent: &str) -> TraceContext {
    TraceContext {
        traceparent: Some(parent.to_owned()),
        tracestate: None,
    }
}

#[test]
fn a_first_event_correlates_with_itself() {
    let event = placed();
    assert_eq!((event.correlation_id, event.causation_id), (event.id, None));
    assert_eq!(event.id.get_version_num(), 7);
    assert_eq!(
        (event.event_type.as_str(), event.subject.as_str()),
        ("agora.test.placed.v1", "order-1")
    );
}

#[test]
fn an_effect_names_its_cause_and_keeps_the_correlation_and_the_trace() {
    let saga = Uuid::now_v7();
    let cause = placed()
        .with_correlation(saga)
        .with_trace(trace("00-cause"));
    let effect: Event<Placed> = placed().caused_by(&cause).with_sequence(2);
    assert_eq!(
        (effect.correlation_id, effect.causation_id),
        (saga, Some(cause.id))
    );
    assert_eq!(
        (effect.trace, effect.sequence),
        (trace("00-cause"), Some(2))
    );
}

#[test]
fn a_trace_of_its_own_is_kept() {
    let cause = placed().with_trace(trace("00-cause"));
    assert_eq!(
        placed().with_trace(trace("00-own")).caused_by(&cause).trace,
        trace("00-own")
    );
}

#[test]
fn a_raw_event_can_be_a_cause() {
    let cause = RawEvent::from_structured(&placed().to_structured().unwrap()).unwrap();
    assert_eq!(placed().caused_by(&cause).causation_id, Some(cause.id));
}
