//! What counts as a failure of the dependency.

/// The meaning of a call's result for the dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The dependency works.
    Success,
    /// The dependency does not work: it was unreachable, late, overloaded or broken.
    Failure,
    /// The result says nothing about the dependency, e.g. because the caller's own body ended with an error.
    Ignored,
}

/// Classifies the results of calls. A refusal of a single request (HTTP 4xx, gRPC `NOT_FOUND`) is a success of the
/// dependency: it was reachable and answered.
pub trait Classify<T, E> {
    /// The meaning of this result for the dependency.
    fn classify(&self, result: Result<&T, &E>) -> Outcome;
}

/// Every error is a failure, every answer a success; for services whose error type contains all failures.
#[derive(Debug, Clone, Copy, Default)]
pub struct ErrorsAreFailures;

impl<T, E> Classify<T, E> for ErrorsAreFailures {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}

/// Classifies HTTP answers, including gRPC: 5xx except 501, and the gRPC statuses that blame the server (`UNKNOWN`,
/// `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`) are failures, and so is every
/// error. 429 is a failure, too: the dependency is overloaded.
///
/// gRPC puts the status of a call without messages into the head of the answer ("trailers only"), where servers put
/// their errors; a status in the trailers of a stream is not seen here.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpAnswers;

impl<B, E> Classify<http::Response<B>, E> for HttpAnswers {
    fn classify(&self, result: Result<&http::Response<B>, &E>) -> Outcome {
        match result {
            Err(_) => Outcome::Failure,
            Ok(answer) if is_failure(answer) => Outcome::Failure,
            Ok(_) => Outcome::Success,
        }
    }
}

fn is_failure<B>(answer: &http::Response<B>) -> bool {
    let status = answer.status();
    if status.is_server_error() {
        return status != http::StatusCode::NOT_IMPLEMENTED;
    }
    status == http::StatusCode::TOO_MANY_REQUESTS || grpc_status(answer).is_some_and(blames_server)
}

/// The gRPC status in the head of an answer, if there is one.
#[must_use]
pub fn grpc_status<B>(answer: &http::Response<B>) -> Option<u8> {
    answer
        .headers()
        .get("grpc-status")?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// See <https://grpc.io/docs/guides/status-codes/>.
fn blames_server(status: u8) -> bool {
    matches!(status, 2 | 4 | 8 | 13 | 14 | 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(status: u16, grpc: Option<&str>) -> Outcome {
        let mut answer = http::Response::builder().status(status);
        if let Some(grpc) = grpc {
            answer = answer.header("grpc-status", grpc);
        }
        let answer = answer.body(()).unwrap();
        HttpAnswers.classify(Ok::<_, &()>(&answer))
    }

    #[test]
    fn what_the_caller_did_wrong_is_no_failure() {
        for status in [200, 204, 301, 400, 401, 404, 409, 422, 501] {
            assert_eq!(sorted(status, None), Outcome::Success, "{status}");
        }
        for grpc in ["0", "1", "3", "5", "6", "7", "12", "16", "nonsense"] {
            assert_eq!(sorted(200, Some(grpc)), Outcome::Success, "{grpc}");
        }
    }

    #[test]
    fn what_the_dependency_did_wrong_is() {
        for status in [429, 500, 502, 503, 504] {
            assert_eq!(sorted(status, None), Outcome::Failure, "{status}");
        }
        for grpc in ["2", "4", "8", "13", "14", "15"] {
            assert_eq!(sorted(200, Some(grpc)), Outcome::Failure, "{grpc}");
        }
        let error = Err::<&http::Response<()>, _>(&());
        assert_eq!(HttpAnswers.classify(error), Outcome::Failure);
    }
}
