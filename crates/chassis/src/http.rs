//! An HTTP door: the server ([`serve`]) and what every request passes through ([`standard`], and [`outer`] where anybody comes).

pub mod body_limit;
mod form;
pub mod intake;
mod observe;
mod server;
mod standard;
pub mod streams;

pub use server::{HEADER_READ_TIMEOUT, Options, READER_PATIENCE, serve};
pub use standard::{outer, standard};
