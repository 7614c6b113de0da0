//! Patterns that bound what a slow or dead dependency costs.
//!
//! * [`backoff`]: how long to wait before the next attempt;
//! * [`timeout`]: a [tower](https://docs.rs/tower) layer that gives up on a slow call. It is laid out in
//!   tower's four files: `layer`, `service`, `future`, `error`.
//!
//! Architecture invariant: this crate does no I/O of its own and knows nothing of this system.

pub mod backoff;
pub mod timeout;
