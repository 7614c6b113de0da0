//! Kafka, by librdkafka: a publisher, and a member of a consumer group.
//!
//! ```text
//!  consume()          one OS thread                     tokio
//!  ─────────          ─────────────                     ─────
//!  starts ──────────▶ session: polls group events ───▶ one worker for each partition:
//!                     assigned: split its queue,        take a message, call the handler until it
//!                               start a worker          is done or parked, store the offset
//!                     revoked:  stop the workers,
//!                               wait for what they      librdkafka commits stored offsets every
//!                               have in hand            second and before a partition is given up
//! ```
//!
//! Backpressure: a worker takes the next message from librdkafka's own queue of that partition only
//! when it is done with the last, and librdkafka stops fetching a partition whose queue is full.
//! The alternative, one queue for all with a channel for each worker and `pause()` when it fills,
//! throws away what was fetched ahead at each pause.

mod authority;
mod config;
mod consumer;
mod context;
mod count;
mod dead_letters;
mod ending;
mod lag;
mod logging;
mod look;
mod membership;
mod names;
mod partitions;
mod probe;
mod protocol;
mod publisher;
mod record;
mod redrive;
mod refusal;
mod requests;
mod retries;
mod session;
mod settled;
mod unread;
mod worker;

/// What metrics call this engine.
const SYSTEM: &str = "kafka";

pub use config::{Account, ConsumerOptions, KafkaConfig, MESSAGE_MAX_BYTES, Mechanism, ParkIn};
pub use consumer::consume;
pub use count::dead_letters_of;
pub use names::{dead_letter_topic, group_queue, retry_topic};
pub use publisher::KafkaPublisher;
pub use redrive::KafkaDeadLetters;

pub use crate::position::Position;
