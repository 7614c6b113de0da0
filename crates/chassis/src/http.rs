//! An HTTP door: the server ([`serve`]) and the layers around every request ([`standard`]).

pub mod body_limit;
mod counted;
mod form;
pub mod intake;
mod observe;
mod server;
mod standard;
pub mod streams;

pub use observe::Mark;
pub use server::{HEADER_READ_TIMEOUT, Options, READER_PATIENCE, Unfinished, serve};
pub use standard::{Standard, standard};
