//! Keeps data that many cores write away from the cache lines that they all read.

/// A value on its own cache lines. 128 bytes, since current processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Padded<T>(pub(super) T);
