//! Models of the lock-free parts, checked by [loom](https://docs.rs/loom) in every interleaving.
//!
//! Each module includes the file that it checks, beside a `sync` with loom's atomics in place of std's. The
//! alternative, `--cfg loom`, needs a build of all dependencies of its own and is then run by nobody.

mod circuit_breaker;
mod retry_budget;
