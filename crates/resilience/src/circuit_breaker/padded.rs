//! Keeps what many cores write off the lines that they all read.

/// A value with cache lines of its own. 128 bytes, since current processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Padded<T>(pub(super) T);
