//! Why an attempt failed, and how the failure counts for breaker, balancer and retry.
//!
//! One rule applies throughout: an outcome counts against a peer only if the peer had its full time and our own request
//! was complete. A caller's behaviour (a short deadline, a stalled or broken body, an invalid request) must never count
//! against the services behind us; otherwise one caller could open a peer's breaker for all others. See
//! `docs/adr/0017-…`.

use std::io::{self, ErrorKind};
use std::time::Duration;

use http::{Response, StatusCode};
use resilience::balance::BalanceError;
use resilience::classify::{Classify, HttpAnswers, Outcome, grpc_status};
use resilience::retry::Failed;
use tonic::Code;

use crate::pushback::{is_final, is_pushback, is_quota};

/// Why an endpoint returned no answer. The texts are for logs.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The connection was refused. The endpoint has not seen the request.
    #[error("no connection: {0}")]
    Refused(String),
    /// The endpoint has not seen the request, or guarantees that it has not processed it.
    #[error("no connection: {0}")]
    Unsent(String),
    /// This process has no port or no descriptor left for a connection. No endpoint was asked.
    #[error("no socket: {0}")]
    NoSocket(String),
    /// The endpoint may have seen the request, and may even have processed it.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// tonic's own timeout fired before ours.
    #[error("no answer in time")]
    Late,
    /// The request's own body ended with an error.
    #[error("the body of the request broke off: {0}")]
    Aborted(String),
    /// The answer is longer than its reader takes. It is as long as was asked for, so this is nobody's failure.
    #[error("the answer is too long: {0}")]
    TooLong(String),
}

/// Why an attempt failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum AttemptError {
    /// No answer within the attempt's time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The request's own body did not go on for this long.
    #[error("the body of the request did not come within {0:?}")]
    Stalled(Duration),
    /// The peer has no endpoint to call.
    #[error("there are no endpoints")]
    NoEndpoints,
    /// The endpoint failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<BalanceError<Failure>> for AttemptError {
    fn from(error: BalanceError<Failure>) -> Self {
        match error {
            BalanceError::NoEndpoints => Self::NoEndpoints,
            BalanceError::Inner(failure) => Self::Failed(failure),
        }
    }
}

/// Judges the outcome of one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judge {
    /// Whether the attempt has the full time of our own configuration. If not, its caller has a shorter deadline, it is
    /// a retry with the remaining time, or this process came to look at it far too late, and a timeout says nothing
    /// about the peer.
    pub(crate) is_full: bool,
    /// Whether the peer was ever reached. As long as it was not, a refused connection means that it has not started
    /// yet.
    pub(crate) was_reached: bool,
}

impl Judge {
    /// The outcome for the endpoint that was called, and for the load of the peer.
    pub(crate) fn endpoint<T>(self, result: Result<&Response<T>, &AttemptError>) -> Outcome {
        match result {
            // The endpoint works; it says that the client's own request is at fault.
            Ok(answer) if is_final(answer.headers()) => Outcome::Success,
            Ok(answer) if !self.is_full && is_for_want_of_time(answer) => Outcome::Ignored,
            // The endpoint works; it only limits this caller.
            Ok(answer) if is_quota(answer) => Outcome::Success,
            Ok(answer) => HttpAnswers.classify(Ok::<_, &Failure>(answer)),
            Err(AttemptError::TimedOut(_)) if self.is_full => Outcome::Failure,
            Err(AttemptError::Failed(failure)) => self.failure(failure),
            // No endpoint was called. Discovery reports by itself that there are none.
            Err(_) => Outcome::Ignored,
        }
    }

    /// The outcome for the peer as a whole. `None` if the attempt says nothing, in which case the outcome of an earlier
    /// attempt still stands. A refusal with a retry delay does not count towards opening the breaker: the peer is up
    /// and sheds by itself the load that it cannot take, often of one kind of call, while a breaker would refuse all
    /// other kinds as well. (The balancer does count it: another endpoint may have capacity.)
    pub(crate) fn peer<T>(self, result: Result<&Response<T>, &AttemptError>) -> Option<Outcome> {
        match (self.endpoint(result), result) {
            (Outcome::Failure, Ok(answer)) if is_pushback(answer.headers()) => {
                Some(Outcome::Ignored)
            }
            (Outcome::Ignored, _) => None,
            (outcome, _) => Some(outcome),
        }
    }

    fn failure(self, failure: &Failure) -> Outcome {
        match failure {
            Failure::Aborted(_) | Failure::TooLong(_) | Failure::NoSocket(_) => Outcome::Ignored,
            Failure::Late if !self.is_full => Outcome::Ignored,
            Failure::Refused(_) if !self.was_reached => Outcome::Ignored,
            _ => Outcome::Failure,
        }
    }
}

/// The balancer's classifier.
impl<T> Classify<Response<T>, Failure> for Judge {
    fn classify(&self, result: Result<&Response<T>, &Failure>) -> Outcome {
        match result {
            Ok(answer) => self.endpoint(Ok(answer)),
            Err(failure) => self.failure(failure),
        }
    }
}

/// Whether an answer may be caused by the short time that the peer was given: the peer, or a dependency of it, ran out
/// of time.
fn is_for_want_of_time<T>(answer: &Response<T>) -> bool {
    matches!(
        answer.status(),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    ) || grpc_status(answer).is_some_and(|status| {
        matches!(
            Code::from(i32::from(status)),
            Code::DeadlineExceeded | Code::Unavailable
        )
    })
}

/// Classifies an error for the retry policy: whether the request was sent and whether it may have been processed.
pub(crate) fn sort(error: &AttemptError) -> Failed {
    match error {
        AttemptError::TimedOut(_) => Failed::Broken,
        AttemptError::NoEndpoints | AttemptError::Stalled(_) => Failed::Final,
        AttemptError::Failed(failure) => match failure {
            Failure::Refused(_) | Failure::Unsent(_) | Failure::NoSocket(_) => Failed::Unsent,
            Failure::Broken(_) | Failure::Late => Failed::Broken,
            Failure::Aborted(_) | Failure::TooLong(_) => Failed::Final,
        },
    }
}

/// The failure that an injected fault produces: a peer that cannot be reached.
pub(crate) fn injected<T>() -> Result<Response<T>, Failure> {
    Err(Failure::Unsent("a fault was injected".to_owned()))
}

impl Failure {
    /// Classifies an error of hyper or tonic, however many other errors wrap it.
    pub(crate) fn from_connection(error: &(dyn std::error::Error + 'static)) -> Self {
        let cause = crate::error::root_cause(error);
        let mut link = Some(error);
        while let Some(error) = link {
            if is_unsent(error) {
                return match io_cause(error) {
                    Some(io) if io.kind() == ErrorKind::ConnectionRefused => Self::Refused(cause),
                    Some(io) if is_for_want_of_sockets(io) => Self::NoSocket(cause),
                    _ => Self::Unsent(cause),
                };
            }
            if error.is::<tonic::TimeoutExpired>() {
                return Self::Late;
            }
            if error
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_user)
            {
                return Self::Aborted(cause);
            }
            link = error.source();
        }
        Self::Broken(cause)
    }
}

fn is_unsent(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<tonic::ConnectError>() {
        return true;
    }
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return error.is_connect();
    }
    // hyper had taken the request, but it was still queued when the connection closed.
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return error.is_canceled();
    }
    // A server that shuts down announces which streams it still processes and refuses the others.
    error.downcast_ref::<h2::Error>().is_some_and(|error| {
        error.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away()
                && error.is_remote()
                && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}

/// The operating system's error, if there is one.
fn io_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        link = error.source();
    }
    None
}

/// Whether it is this process, or its host, that has no descriptor or port left.
fn is_for_want_of_sockets(error: &io::Error) -> bool {
    /// The same on every Unix; std has no kind for them.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    error.kind() == ErrorKind::AddrNotAvailable
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

#[cfg(test)]
mod tests;
