//! Why an attempt got no answer, and what follows from it.

use http::Response;
use resilience::balance::BalanceError;
use resilience::circuit_breaker::CircuitBreakerError;
use resilience::classify::{Classify, HttpAnswers, Outcome};
use resilience::retry::Failed;
use resilience::timeout::TimeoutError;

use std::time::Duration;

use crate::ClientConfig;
use crate::pushback::is_pushback;

/// Why an endpoint gave no answer. The texts are for logs.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
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
pub(crate) type AttemptError = TimeoutError<BalanceError<Failure>>;

/// An attempt that had less than this part of its usual time, since the caller is in a hurry, says nothing about
/// the peer when it is late.
pub(crate) const HURRY: u32 = 10;

/// Sorts results for the balancer and the breaker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judge {
    /// How long an attempt usually may take.
    pub(crate) attempt: Duration,
}

impl Judge {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self {
            attempt: config.attempt,
        }
    }

    /// For a bulkhead that follows the peer. A refusal that says when to come back is just what it looks for; a
    /// refusal of our own breaker asked nobody.
    pub(crate) fn load<T>(
        &self,
        result: &Result<Response<T>, CircuitBreakerError<AttemptError>>,
    ) -> Outcome {
        match result {
            Ok(answer) => HttpAnswers.classify(Ok::<_, &Failure>(answer)),
            Err(CircuitBreakerError::Open { .. }) => Outcome::Ignored,
            Err(CircuitBreakerError::Inner(error)) => self.classify(Err::<&Response<T>, _>(error)),
        }
    }
}

impl<T> Classify<Response<T>, Failure> for Judge {
    fn classify(&self, result: Result<&Response<T>, &Failure>) -> Outcome {
        match result {
            Ok(answer) => HttpAnswers.classify(Ok::<_, &Failure>(answer)),
            Err(Failure::Aborted(_)) => Outcome::Ignored,
            Err(_) => Outcome::Failure,
        }
    }
}

/// For the peer's breaker. A refusal that says when to come back is no reason to open it: whoever can say so is
/// there, and sheds the load that it cannot take by itself, often of one kind of call; a breaker would take all others
/// down with it. (The balancer does count it: another endpoint may have room.)
impl<T> Classify<Response<T>, AttemptError> for Judge {
    fn classify(&self, result: Result<&Response<T>, &AttemptError>) -> Outcome {
        match result {
            Ok(answer) => match HttpAnswers.classify(Ok::<_, &Failure>(answer)) {
                Outcome::Failure if is_pushback(answer.headers()) => Outcome::Ignored,
                outcome => outcome,
            },
            Err(TimeoutError::TimedOut(after)) if *after * HURRY < self.attempt => Outcome::Ignored,
            Err(TimeoutError::TimedOut(_)) => Outcome::Failure,
            // Known to discovery; nobody was asked.
            Err(TimeoutError::Inner(BalanceError::NoEndpoints)) => Outcome::Ignored,
            Err(TimeoutError::Inner(BalanceError::Inner(failure))) => {
                self.classify(Err::<&Response<T>, _>(failure))
            }
        }
    }
}

/// For the retry: what the error says about the request's way.
pub(crate) fn sort(error: &AttemptError) -> Failed {
    match error {
        TimeoutError::TimedOut(_) => Failed::Broken,
        TimeoutError::Inner(BalanceError::NoEndpoints) => Failed::Final,
        TimeoutError::Inner(BalanceError::Inner(failure)) => match failure {
            Failure::Unsent(_) => Failed::Unsent,
            Failure::Broken(_) | Failure::Late => Failed::Broken,
            Failure::Aborted(_) | Failure::Unusable(_) => Failed::Final,
        },
    }
}

/// What a fault that was asked for looks like: a peer that refuses the connection.
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
                return Self::Unsent(cause);
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
