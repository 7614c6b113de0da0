//! An HTTP door: the server ([`serve`]) and the layer around every request ([`standard`], and [`outer`] for public
//! doors).

pub mod body_limit;
mod form;
pub mod intake;
mod observe;
mod server;
mod standard;
pub mod streams;

pub use server::{HEADER_READ_TIMEOUT, Options, READER_PATIENCE, serve};
pub use standard::{outer, outer_unseen, standard, unseen};
