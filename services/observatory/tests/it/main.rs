//! The observatory alone: its admin ports are fakes, good ones and bad ones.

mod hostile;
mod support;
mod switches;
mod traces;
