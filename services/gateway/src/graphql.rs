//! GraphQL: the whole shop as one graph, for whoever wants to say what of it an answer has.
//!
//! A request passes the same doors as all (limits, deadline, trace, tokens); a request without a token is allowed, the
//! fields decide. What it may cost is found out before any of it is executed ([`tokens`], [`weight`]); what the fields of one
//! level need is asked for in one call to each service ([`loader`]).

mod answer;
mod api;
mod asking;
mod calls;
mod console;
mod door;
mod fetches;
mod idle;
mod live;
mod loader;
mod mutation;
mod page;
mod persisted;
mod query;
mod refusal;
mod request;
mod schema;
mod seen;
mod services;
mod settings;
mod socket;
mod subscription;
mod tokens;
mod types;
mod weight;

pub(crate) use door::router;
pub use schema::sdl;
pub(crate) use services::Services;
pub(crate) use settings::Settings;
