use super::*;

fn fate(key: &str, fate: Fate) -> (Group, Fate) {
    (("topic:events".to_owned(), key.to_owned()), fate)
}

fn away(key: &str) -> (Group, Fate) {
    fate(key, Fate::Unavailable("no answer".to_owned()))
}

#[test]
fn a_lone_key_counts_for_its_broker_after_a_while() {
    let (holds, start) = (Holds::default(), Instant::now());
    holds.record(&[away("a")], start);
    assert_eq!(holds.reason(start + ALONE - Duration::from_millis(1)), None);
    let reason = holds.reason(start + ALONE);
    assert_eq!(reason.as_deref(), Some("topic:events: no answer"));
    holds.record(&[fate("a", Fate::Sent)], start + ALONE);
    assert_eq!(holds.reason(start + ALONE), None);
}

#[test]
fn a_key_that_fails_beside_others_that_are_sent_is_no_outage() {
    let (holds, start) = (Holds::default(), Instant::now());
    holds.record(&[away("a")], start);
    holds.record(&[fate("b", Fate::Sent)], start);
    assert_eq!(holds.reason(start + ALONE), None);
}

#[test]
fn a_row_that_is_rejected_is_no_outage() {
    let (holds, start) = (Holds::default(), Instant::now());
    holds.record(&[fate("a", Fate::Rejected("too large".to_owned()))], start);
    assert_eq!(holds.reason(start + ALONE), None);
}

fn refused(to: &str, key: usize) -> (Group, Fate) {
    let group = (to.to_owned(), key.to_string());
    (group, Fate::Rejected("no such topic".to_owned()))
}

#[test]
fn a_destination_that_refuses_too_many_keys_is_held_as_a_whole_and_others_are_not() {
    let (holds, start) = (Holds::default(), Instant::now());
    let gone: Vec<_> = (1..MAX_KEYS).map(|n| refused("topic:gone", n)).collect();
    holds.record(&gone, start);
    holds.record(&[refused("topic:events", 0)], start);
    let view = holds.view(start, Tries::NothingAgain);
    assert_eq!(view.destinations, [""; 0]);

    holds.record(&[refused("topic:events", 1)], start);
    let view = holds.view(start, Tries::NothingAgain);
    assert_eq!(view.destinations, ["topic:gone"]);
    assert_eq!(view.key_destinations, ["topic:events", "topic:events"]);
    assert_eq!(holds.reason(start + ALONE), None, "no outage");

    // Refused again it stays, though the broker answers; taken, it is over.
    holds.record(&[refused("topic:gone", 1)], start + CAP);
    let view = holds.view(start + CAP, Tries::NothingAgain);
    assert_eq!(view.destinations, ["topic:gone"]);
    // So it does behind an outage, which ends with any answer.
    let (key, after) = (("topic:gone".to_owned(), "1".to_owned()), start + 2 * CAP);
    let away = Fate::Unavailable("no answer".to_owned());
    holds.record(&[(key, away)], after);
    assert!(holds.reason(after).is_some());
    holds.record(&[refused("topic:gone", 1)], after);
    assert_eq!(holds.reason(after), None);
    let view = holds.view(after, Tries::NothingAgain);
    assert_eq!(view.destinations, ["topic:gone"]);
    let sent = ("topic:gone".to_owned(), "1".to_owned());
    holds.record(&[(sent, Fate::Sent)], start + CAP);
    let view = holds.view(start + CAP, Tries::NothingAgain);
    assert_eq!(view.destinations, [""; 0]);
}

#[test]
fn what_may_be_tried_again_is_left_out_of_a_pass_for_the_others() {
    let (holds, start) = (Holds::default(), Instant::now());
    holds.record(&[refused("topic:events", 1)], start);
    let expired = start + BASE;
    let view = holds.view(expired, Tries::Again);
    assert!(view.is_empty() && !view.postponed);
    let view = holds.view(expired, Tries::NothingAgain);
    assert_eq!(view.keys, ["1"]);
    assert!(view.postponed);
}

#[test]
fn where_no_lane_has_rows_nothing_is_held_back() {
    let (holds, start) = (Holds::default(), Instant::now());
    let (mine, others) = (lane::of_worker(0, 2), lane::of_worker(1, 2));
    holds.record(&[away("a"), away("b")], start);
    assert!(!holds.note_empty(mine));
    assert!(holds.reason(start).is_some(), "the other worker has rows");
    // With something tried in every lane, none is known to be empty any more.
    let keys = (0..1_000).map(|n| n.to_string());
    let all: Vec<_> = keys.map(|key| away(&key)).collect();
    holds.record(&all, start);
    assert!(!holds.note_empty(others));
    assert!(holds.reason(start).is_some());
    assert!(holds.note_empty(mine));
    assert_eq!(holds.reason(start + ALONE), None);
    assert!(holds.view(start, Tries::Again).is_empty());
}
