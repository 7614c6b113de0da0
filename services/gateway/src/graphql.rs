//! GraphQL: the whole shop as one graph, for clients that choose the fields of their answers.
//!
//! A request passes the same layers as every other (limits, deadline, trace, tokens). A request without a token is allowed;
//! each field decides whether it needs one. The cost of a document is computed before any of it is executed ([`tokens`],
//! [`weight`]); what the fields of one level need is fetched in one call to each service ([`loader`]).

mod accept;
mod answer;
mod apart;
mod api;
mod asking;
mod console;
mod door;
mod emptied;
mod fetches;
mod idle;
mod lifted;
mod live;
mod loader;
mod members;
mod merged;
mod mutation;
mod objects;
mod once;
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
mod typenames;
mod types;
mod uses;
mod weight;

pub(crate) use door::router;
pub use schema::sdl;
pub(crate) use services::Services;
pub(crate) use settings::Settings;
