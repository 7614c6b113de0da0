//! The observatory alone: its admin ports are fakes, good ones and bad ones.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod connections;
mod hostile;
mod support;
mod switches;
mod traces;
