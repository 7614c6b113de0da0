//! What is known of traces, in bounded memory, and the order that causality allows. No I/O; nothing here trusts what it gets.

pub(crate) mod causality;
pub(crate) mod hop;
pub(crate) mod traces;
