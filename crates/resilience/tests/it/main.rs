//! Each pattern by its public names, on paused time.
#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod balance;
mod bulkhead;
mod circuit_breaker;
mod crowd;
mod deadline;
mod fault;
mod load_shed;
mod outage;
mod retry;
mod timeout;
