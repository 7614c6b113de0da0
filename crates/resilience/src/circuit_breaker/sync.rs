//! The atomics of the files that loom checks; the models replace them by loom's (`tests/loom`).

pub(super) use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
