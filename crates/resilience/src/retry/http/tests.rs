use std::time::Duration;

use http::{HeaderMap, Method, Request, Response};
use proptest::prelude::*;

use super::*;
use crate::retry::{Policy, Verdict};

const AGAIN: Verdict = Verdict::Retry { after: None };

fn wait(millis: u64) -> Verdict {
    Verdict::Retry {
        after: Some(Duration::from_millis(millis)),
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

fn answer(status: u16, headers: Headers<'_>) -> Response<()> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(()).unwrap()
}

fn request(method: &str, key: Option<&str>) -> Request<&'static str> {
    let mut request = Request::builder().method(method).uri("/v1/orders");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body("body").unwrap()
}

/// The classifier of the tests, whose errors are already a `Failed`.
fn itself(error: &Failed) -> Failed {
    *error
}

fn rest(request: &Request<&'static str>, result: Result<&Response<()>, &Failed>) -> Verdict {
    HttpPolicy::new(itself, clone_body).judge(request, result)
}

fn get(status: u16, headers: Headers<'_>) -> Verdict {
    rest(&request("GET", None), Ok(&answer(status, headers)))
}

#[test]
fn what_can_be_done_twice_is_retried() {
    let away = answer(503, &[]);
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert_eq!(rest(&request(method, None), Ok(&away)), AGAIN, "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "PROPFIND"] {
        let once = rest(&request(method, None), Ok(&away));
        assert_eq!(once, Verdict::Final, "{method}");
        let keyed = rest(&request(method, Some("k-1")), Ok(&away));
        assert_eq!(keyed, AGAIN, "{method} with a key");
    }
    let empty = rest(&request("POST", Some("")), Ok(&away));
    assert_eq!(empty, Verdict::Final, "an empty key is none");
}

#[test]
fn only_what_may_be_gone_in_a_moment_is_retried() {
    for status in 200..600 {
        let expected = match status {
            502..=504 => AGAIN,
            _ => Verdict::Final,
        };
        assert_eq!(get(status, &[]), expected, "{status}");
    }
    assert_eq!(get(200, &[("grpc-status", "14")]), AGAIN);
    for status in (0..17).filter(|status| *status != 14) {
        let status = status.to_string();
        assert_eq!(get(200, &[("grpc-status", &status)]), Verdict::Final);
    }
}

#[test]
fn retry_after_is_honoured() {
    assert_eq!(get(503, &[("retry-after", "1")]), wait(1000));
    assert_eq!(get(429, &[("retry-after", "1")]), wait(1000));
    assert_eq!(get(429, &[]), Verdict::Final);
    assert_eq!(get(503, &[("retry-after", "soon")]), Verdict::Final);
    assert_eq!(get(200, &[("retry-after", "1")]), Verdict::Final);
    let date = [
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("retry-after", "Sun, 06 Nov 1994 08:49:39 GMT"),
    ];
    assert_eq!(get(503, &date), wait(2000));
}

#[test]
fn an_error_is_retried_as_far_as_the_request_may_have_got() {
    let judged = |method, key, failed| rest(&request(method, key), Err(&failed));
    assert_eq!(judged("GET", None, Failed::Unsent), AGAIN);
    assert_eq!(judged("GET", None, Failed::Broken), AGAIN);
    assert_eq!(judged("GET", None, Failed::Final), Verdict::Final);
    assert_eq!(judged("POST", None, Failed::Unsent), AGAIN);
    assert_eq!(judged("POST", None, Failed::Broken), Verdict::Final);
    assert_eq!(judged("POST", Some("k-1"), Failed::Broken), AGAIN);
    assert_eq!(judged("POST", Some("k-1"), Failed::Final), Verdict::Final);
}

#[test]
fn an_answer_that_failed_is_no_success() {
    let policy = HttpPolicy::new(itself, clone_body);
    let rest = |status, headers| {
        let answer = answer(status, headers);
        Policy::<Request<&str>, _, Failed>::is_success(&policy, &answer)
    };
    let policy = GrpcPolicy::new(itself, clone_body, |_: &str| true);
    let grpc = |status| {
        let answer = answer(200, &[("grpc-status", status)]);
        Policy::<Request<&str>, _, Failed>::is_success(&policy, &answer)
    };
    for status in [200, 201, 404, 409] {
        assert!(rest(status, &[]), "{status}");
    }
    for status in [429, 500, 503] {
        assert!(!rest(status, &[]), "{status}");
    }
    assert!(grpc("0") && grpc("5"));
    assert!(!grpc("13") && !grpc("14"));
}

/// A proxy's body: not `Clone`, and known to be complete only if it is empty.
#[derive(Debug, PartialEq)]
struct Stream {
    ended: bool,
}

#[test]
fn a_stream_is_copied_only_when_it_has_ended() {
    let copy_body = |body: &Stream| body.ended.then_some(Stream { ended: true });
    let policy = HttpPolicy::new(itself, copy_body);
    let copy = |request| Policy::<_, Response<()>, Failed>::copy(&policy, request);
    let mut get = Request::new(Stream { ended: true });
    get.extensions_mut().insert("extension");
    *get.version_mut() = http::Version::HTTP_2;
    get.headers_mut()
        .insert("accept", HeaderValue::from_static("*/*"));
    *get.uri_mut() = "http://orders/v1/orders?page=1".parse().unwrap();
    *get.method_mut() = Method::DELETE;
    let copied = copy(&get).unwrap();
    assert_eq!(format!("{copied:?}"), format!("{get:?}"));
    assert_eq!(copied.extensions().get(), Some(&"extension"));
    assert!(copy(&Request::new(Stream { ended: false })).is_none());
}

#[test]
fn the_callee_sees_the_number_of_earlier_attempts() {
    let policy = HttpPolicy::new(itself, clone_body);
    let mut request = request("GET", None);
    for previous in [1, 2] {
        Policy::<_, Response<()>, Failed>::mark(&policy, &mut request, previous);
        let all: Vec<_> = request
            .headers()
            .get_all(PREVIOUS_ATTEMPTS_HEADER)
            .iter()
            .collect();
        assert_eq!(all, [&previous.to_string()]);
    }
}

const READ: &str = "/agora.users.v1.UserService/GetUser";
const WRITE: &str = "/agora.users.v1.UserService/CreateUser";

fn grpc(path: &'static str, result: Result<&Response<()>, &Failed>) -> Verdict {
    let info = |headers: &HeaderMap| {
        let info = headers.get("grpc-status-details-bin")?;
        info.to_str().ok()?.parse().ok().map(Duration::from_millis)
    };
    let policy =
        GrpcPolicy::new(itself, clone_body, |path: &str| path == READ).with_retry_info(info);
    let request = Request::post(path).body("message").unwrap();
    policy.judge(&request, result)
}

fn read(status: u16, headers: Headers<'_>) -> Verdict {
    grpc(READ, Ok(&answer(status, headers)))
}

#[test]
fn grpc_methods_are_retried_only_if_they_are_named() {
    let away = answer(200, &[("grpc-status", "14")]);
    assert_eq!(grpc(READ, Ok(&away)), AGAIN);
    assert_eq!(grpc(WRITE, Ok(&away)), Verdict::Final);
    assert_eq!(grpc(READ, Err(&Failed::Broken)), AGAIN);
    assert_eq!(grpc(WRITE, Err(&Failed::Broken)), Verdict::Final);
    assert_eq!(grpc(WRITE, Err(&Failed::Unsent)), AGAIN);
    assert_eq!(grpc(READ, Err(&Failed::Final)), Verdict::Final);
}

#[test]
fn only_grpc_statuses_that_may_be_gone_are_retried() {
    for status in (0..17).filter(|status| *status != 14) {
        let headers = [("grpc-status", &*status.to_string())];
        assert_eq!(read(200, &headers), Verdict::Final, "{status}");
    }
    assert_eq!(read(200, &[]), Verdict::Final, "messages follow");
    for status in [502, 503, 504] {
        assert_eq!(read(status, &[]), AGAIN, "a proxy's {status}");
    }
    assert_eq!(read(503, &[("retry-after", "1")]), wait(1000));
    assert_eq!(read(500, &[]), Verdict::Final);
}

#[test]
fn a_grpc_server_says_when_to_come_back() {
    let away = |name, value| read(200, &[("grpc-status", "14"), (name, value)]);
    assert_eq!(away("grpc-retry-pushback-ms", "250"), wait(250));
    assert_eq!(away("grpc-retry-pushback-ms", "-1"), Verdict::Final);
    assert_eq!(away("grpc-retry-pushback-ms", "soon"), Verdict::Final);
    assert_eq!(away("grpc-status-details-bin", "70"), wait(70));
    assert_eq!(away("grpc-status-details-bin", "other details"), AGAIN);
    let full = |name, value| read(200, &[("grpc-status", "8"), (name, value)]);
    assert_eq!(full("grpc-retry-pushback-ms", "250"), wait(250));
    assert_eq!(full("grpc-status-details-bin", "70"), wait(70));
    assert_eq!(
        full("grpc-status-details-bin", "other details"),
        Verdict::Final
    );
}

proptest! {
    /// Whatever bytes a server sends, they are parsed or refused; and a wait is only what the bytes said.
    #[test]
    fn no_header_breaks_the_policies(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let mut answer = answer(503, &[]);
            for name in ["retry-after", "date", "grpc-retry-pushback-ms", "grpc-status"] {
                answer.headers_mut().insert(name, value.clone());
            }
            rest(&request("GET", None), Ok(&answer));
            grpc(READ, Ok(&answer));
        }
    }
}
