//! Where a message is in its topic. Kafka's own: it is public as `kafka::Position`, and stands here since a delivery names it.

use std::fmt;

/// A partition of a topic, and the offset of a message in it. As text `3@1042`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}
