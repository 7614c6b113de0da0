//! The gateway alone, over real sockets. Its neighbours are faked at the wire.
#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod allocations;
mod auth;
mod bad_requests;
mod dashboard;
mod documents;
mod events;
mod graphql;
mod judging;
mod lifecycle;
mod limits;
mod observatory;
mod page;
mod proxy;
mod slow_clients;
mod streaming;
mod support;
mod trace;
mod upstream_faults;
mod users;
mod versions;
