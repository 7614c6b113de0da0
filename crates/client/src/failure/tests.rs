use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::pushback::retry_info;

const FULL: Judge = Judge {
    is_full: true,
    was_reached: true,
};
const HURRIED: Judge = Judge {
    is_full: false,
    ..FULL
};

fn http(status: u16) -> Result<Response<()>, AttemptError> {
    Ok(Response::builder().status(status).body(()).unwrap())
}

fn grpc(code: Code) -> Result<Response<()>, AttemptError> {
    Ok(tonic::Status::new(code, "").into_http())
}

fn failed(failure: fn(String) -> Failure) -> Result<Response<()>, AttemptError> {
    Err(failure("why".to_owned()).into())
}

fn timed_out() -> Result<Response<()>, AttemptError> {
    Err(AttemptError::TimedOut(Duration::from_secs(1)))
}

#[test]
fn a_late_peer_is_at_fault_only_if_it_had_its_full_time() {
    for late in [
        timed_out(),
        Err(Failure::Late.into()),
        http(503),
        http(504),
        grpc(Code::DeadlineExceeded),
        grpc(Code::Unavailable),
    ] {
        assert_eq!(FULL.endpoint(late.as_ref()), Outcome::Failure, "{late:?}");
        assert_eq!(FULL.peer(late.as_ref()), Some(Outcome::Failure), "{late:?}");
        assert_eq!(
            HURRIED.endpoint(late.as_ref()),
            Outcome::Ignored,
            "{late:?}"
        );
        assert_eq!(HURRIED.peer(late.as_ref()), None, "{late:?}");
    }
}

#[test]
fn a_broken_peer_is_at_fault_however_little_time_there_was() {
    for broken in [
        http(500),
        http(502),
        grpc(Code::Internal),
        grpc(Code::Unknown),
        grpc(Code::DataLoss),
        failed(Failure::Broken),
        failed(Failure::Unsent),
        failed(Failure::Refused),
    ] {
        for judge in [FULL, HURRIED] {
            assert_eq!(
                judge.peer(broken.as_ref()),
                Some(Outcome::Failure),
                "{broken:?}"
            );
        }
    }
}

#[test]
fn what_a_caller_sends_or_asks_for_is_nobody_s_fault_behind() {
    for own in [
        failed(Failure::Aborted),
        failed(Failure::TooLong),
        failed(Failure::NoSocket),
        Err(AttemptError::Stalled(Duration::from_secs(1))),
        Err(AttemptError::NoEndpoints),
    ] {
        assert_eq!(FULL.endpoint(own.as_ref()), Outcome::Ignored, "{own:?}");
        assert_eq!(FULL.peer(own.as_ref()), None, "{own:?}");
    }
}

#[test]
fn a_process_without_sockets_is_no_peer_s_fault() {
    for code in [23, 24] {
        assert!(is_for_want_of_sockets(&io::Error::from_raw_os_error(code)));
    }
    assert!(is_for_want_of_sockets(&ErrorKind::AddrNotAvailable.into()));
    for other in [ErrorKind::ConnectionRefused, ErrorKind::TimedOut] {
        assert!(!is_for_want_of_sockets(&other.into()), "{other}");
    }
}

#[test]
fn who_never_was_there_is_not_there_yet() {
    let new = Judge {
        was_reached: false,
        ..FULL
    };
    assert_eq!(new.peer(failed(Failure::Refused).as_ref()), None);
    // Unlike a refusal, these count from the start: the host is there and does not answer.
    assert_eq!(
        new.peer(failed(Failure::Unsent).as_ref()),
        Some(Outcome::Failure)
    );
    assert_eq!(new.peer(timed_out().as_ref()), Some(Outcome::Failure));
}

#[test]
fn what_the_peer_answers_about_the_request_is_a_success() {
    for answer in [
        http(200),
        http(404),
        http(408),
        http(422),
        grpc(Code::NotFound),
    ] {
        for judge in [FULL, HURRIED] {
            assert_eq!(
                judge.peer(answer.as_ref()),
                Some(Outcome::Success),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn a_budget_that_a_caller_has_used_up_is_the_caller_s() {
    let mut details = ErrorDetails::new();
    details.add_quota_failure_violation("sign-in", "too many attempts");
    let exhausted = |details| {
        let status = Status::with_error_details(Code::ResourceExhausted, "", details);
        Ok::<_, AttemptError>(status.into_http::<()>())
    };
    details.set_retry_info(Some(Duration::from_secs(1)));
    let refused = exhausted(details.clone()).unwrap();
    assert_eq!(retry_info(refused.headers()), None, "nor is it asked again");
    for quota in [http(429), exhausted(details)] {
        assert_eq!(FULL.endpoint(quota.as_ref()), Outcome::Success, "{quota:?}");
    }
    let overloaded = exhausted(ErrorDetails::new());
    assert_eq!(FULL.endpoint(overloaded.as_ref()), Outcome::Failure);
}
