//! The atomics of the files that loom checks; its models put loom's in their place (`tests/loom`).

pub(super) use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
