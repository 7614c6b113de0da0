//! Why an attempt got no answer, and what follows from it for whom.
//!
//! One rule stands behind everything here: an outcome counts against a peer only if the peer had its full time and our
//! own request was whole. What a caller does (be in a hurry, stall, break off, ask for what cannot be sent) is nobody's
//! fault behind us, or one caller could close a peer for all others. See `docs/adr/0017-…`.

use std::time::Duration;

use http::{Response, StatusCode};
use resilience::balance::BalanceError;
use resilience::classify::{Classify, HttpAnswers, Outcome, grpc_status};
use resilience::retry::Failed;
use tonic::Code;

use crate::pushback::{is_final, is_pushback, is_quota};

/// Why an endpoint gave no answer. The texts are for logs.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody listens there. It has not seen the request.
    #[error("no connection: {0}")]
    Refused(String),
    /// It has not seen the request, or promises that it did nothing with it.
    #[error("no connection: {0}")]
    Unsent(String),
    /// It may have seen it, and even have done it.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// tonic's own clock was faster than ours.
    #[error("no answer in time")]
    Late,
    /// The request's own body broke off.
    #[error("the body of the request broke off: {0}")]
    Aborted(String),
    /// The answer is not what was agreed.
    #[error("the answer cannot be used: {0}")]
    Unusable(String),
}

/// What an attempt fails with.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum AttemptError {
    /// No answer within the attempt's time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The request's own body did not go on for so long.
    #[error("the body of the request did not come within {0:?}")]
    Stalled(Duration),
    /// There is nobody to ask.
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
    /// Whether it has the time that attempts have by our own configuration. If not, its caller is in a hurry or it is
    /// a retry with what was left, and that nothing came in time says nothing of the peer.
    pub(crate) is_full: bool,
    /// Whether the peer was ever reached. Before, a refused connection means that it has not started yet.
    pub(crate) was_reached: bool,
}

impl Judge {
    /// What an attempt says about the endpoint that it went to, and about the load of the peer.
    pub(crate) fn endpoint<T>(self, result: Result<&Response<T>, &AttemptError>) -> Outcome {
        match result {
            // What it refuses is its client's doing, and it says so.
            Ok(answer) if is_final(answer.headers()) => Outcome::Success,
            Ok(answer) if !self.is_full && is_for_want_of_time(answer) => Outcome::Ignored,
            // It is there, and tells this caller from others.
            Ok(answer) if is_quota(answer) => Outcome::Success,
            Ok(answer) => HttpAnswers.classify(Ok::<_, &Failure>(answer)),
            Err(AttemptError::TimedOut(_)) if self.is_full => Outcome::Failure,
            Err(AttemptError::Failed(failure)) => self.failure(failure),
            // Without endpoints, which discovery knows of, nobody was asked.
            Err(_) => Outcome::Ignored,
        }
    }

    /// What an attempt says about the peer as a whole; none if it says nothing, and what an attempt before it said
    /// still stands. A refusal that says when to come back is no reason to cut the peer off: whoever can say so is there,
    /// and sheds the load that it cannot take by itself, often of one kind of call; a breaker would take all others down
    /// with it. (The balancer does count it: another endpoint may have room.)
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
            Failure::Aborted(_) => Outcome::Ignored,
            Failure::Late if !self.is_full => Outcome::Ignored,
            Failure::Refused(_) if !self.was_reached => Outcome::Ignored,
            _ => Outcome::Failure,
        }
    }
}

/// For the balancer.
impl<T> Classify<Response<T>, Failure> for Judge {
    fn classify(&self, result: Result<&Response<T>, &Failure>) -> Outcome {
        match result {
            Ok(answer) => self.endpoint(Ok(answer)),
            Err(failure) => self.failure(failure),
        }
    }
}

/// Whether an answer may be due to the little time that the peer was told to have: it was late itself, or what it
/// needs was late for it.
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

/// For the retry: what the error says about the request's way.
pub(crate) fn sort(error: &AttemptError) -> Failed {
    match error {
        AttemptError::TimedOut(_) => Failed::Broken,
        AttemptError::NoEndpoints | AttemptError::Stalled(_) => Failed::Final,
        AttemptError::Failed(failure) => match failure {
            Failure::Refused(_) | Failure::Unsent(_) => Failed::Unsent,
            Failure::Broken(_) | Failure::Late => Failed::Broken,
            Failure::Aborted(_) | Failure::Unusable(_) => Failed::Final,
        },
    }
}

/// What a fault that was asked for looks like: a peer that cannot be reached.
pub(crate) fn injected<T>() -> Result<Response<T>, Failure> {
    Err(Failure::Unsent("a fault was injected".to_owned()))
}

impl Failure {
    /// Sorts what hyper says, however many wrappers are around it.
    pub(crate) fn from_connection(error: &(dyn std::error::Error + 'static)) -> Self {
        let cause = crate::error::root_cause(error);
        let mut link = Some(error);
        while let Some(error) = link {
            if is_unsent(error) {
                return if is_refused(error) {
                    Self::Refused(cause)
                } else {
                    Self::Unsent(cause)
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
    // Taken by hyper, and still in its queue when the connection closed.
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return error.is_canceled();
    }
    // A server that stops says which streams it still works on, and refuses the others.
    error.downcast_ref::<h2::Error>().is_some_and(|error| {
        error.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away()
                && error.is_remote()
                && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}

/// Whether the system at the other end said that nobody listens.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        link = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
