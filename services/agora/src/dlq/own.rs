//! Removes dead letters that were caused on purpose.

use std::time::Duration;

use messaging::MessagingError;
use messaging::dead_letters::{Act, DeadLetter, Filter, Sweep};
use messaging::kafka::KafkaConfig;
use uuid::Uuid;

use super::stores::Stores;
use crate::failure::Failure;

/// How long to look for one of them.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Drops the dead letters of these events, which were consumed from `source`, without keeping a copy, since they were caused on
/// purpose. Returns the events that had a letter.
pub(crate) async fn take_away(
    database: &str,
    brokers: &KafkaConfig,
    source: &str,
    events: Vec<Uuid>,
) -> Result<Vec<Uuid>, Failure> {
    let stores = Stores::of(database, brokers)?;
    let mut away = Vec::new();
    for event in events {
        let sweep = Sweep {
            filter: Filter {
                source: Some(source.to_owned()),
                id: Some(event.to_string()),
                ..Filter::default()
            },
            limit: 1,
            per_second: None,
            time_max: Some(LOOK_MAX),
        };
        let mut keep = |_: &DeadLetter| Ok::<(), MessagingError>(());
        let act = Act::Drop(&mut keep);
        let swept = stores.sweep(&sweep, act, &mut |_, _| {}).await?;
        if swept.settled > 0 {
            away.push(event);
        }
    }
    Ok(away)
}
