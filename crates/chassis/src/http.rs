//! An HTTP door: the server ([`serve`]) and what every request passes through ([`standard`]).

pub mod body_limit;
mod form;
mod observe;
mod server;
mod standard;

pub use observe::RouteLabel;
pub use server::{HEADER_READ_TIMEOUT, Options, serve};
pub use standard::standard;
