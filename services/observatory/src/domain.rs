//! The recorded traces, in bounded memory, and their causal order. No I/O; no input is trusted.

pub(crate) mod causality;
mod details;
pub(crate) mod hop;
pub(crate) mod trace;
pub(crate) mod traces;
