//! What engines do by their nature: the one place where they may differ. The cases assert both columns of each row.

use messaging::PAYLOAD_MAX_BYTES;
use messaging::kafka::MESSAGE_MAX_BYTES;

/// What an engine can do. What it cannot is asserted as well: no case is skipped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nature {
    engine: &'static str,
    /// What is published while a subscriber is away waits for it, and what it did not finish comes again.
    pub(crate) keeps: bool,
    /// What was acknowledged to its publisher is there after the broker was killed.
    pub(crate) stores: bool,
    /// The messages of one key are handled in their order, also if one of them fails.
    pub(crate) ordered: bool,
    /// Consumers of one name share the messages.
    pub(crate) shares: bool,
    /// What fails for good is kept with its reason.
    pub(crate) parks: bool,
    /// It is kept with its body, however large that is; else without one that is larger than [`payload_max`](Self::payload_max).
    pub(crate) parks_whole: bool,
    /// A consumer can be a process, and what it had in hand when it was killed comes again.
    pub(crate) in_processes: bool,
    /// A stop ends although a handler does not.
    pub(crate) stops_in_time: bool,
    /// Its broker can be away: that is told, waited for, and passes.
    pub(crate) can_be_away: bool,
    /// The largest payload, in bytes.
    pub(crate) payload_max: Option<usize>,
    /// Messages of the case with many: fewer where each one costs a commit, in an unoptimised build. See [`Nature::many`].
    many: usize,
}

/// Messages of the case with many in `.ci/long`, on every engine.
const MANY: usize = 20_000;

impl Nature {
    /// Messages of the case with many.
    pub(crate) fn many(&self) -> usize {
        if std::env::var_os("AGORA_LONG").is_some() {
            MANY
        } else {
            self.many
        }
    }
}

pub(crate) const MEMORY: Nature = Nature {
    engine: "memory",
    keeps: false,
    stores: false,
    ordered: true,
    shares: false,
    parks: false,
    parks_whole: false,
    in_processes: false,
    stops_in_time: false,
    can_be_away: false,
    payload_max: None,
    many: 20_000,
};

const A_QUEUE: Nature = Nature {
    engine: "",
    keeps: true,
    stores: true,
    ordered: false,
    shares: true,
    parks: true,
    parks_whole: true,
    in_processes: true,
    stops_in_time: true,
    can_be_away: true,
    payload_max: Some(PAYLOAD_MAX_BYTES),
    many: 2_000,
};

pub(crate) const POSTGRES: Nature = Nature {
    engine: "PostgreSQL queue",
    ..A_QUEUE
};

pub(crate) const RABBITMQ: Nature = Nature {
    engine: "RabbitMQ",
    ..A_QUEUE
};

pub(crate) const KAFKA: Nature = Nature {
    engine: "Kafka",
    ordered: true,
    parks_whole: false,
    payload_max: Some(MESSAGE_MAX_BYTES),
    many: 20_000,
    ..A_QUEUE
};

/// It lives in the process that uses it, and has no disk. That a member died it notices after half a minute.
pub(crate) const MOCK_KAFKA: Nature = Nature {
    engine: "mock Kafka",
    stores: false,
    in_processes: false,
    ..KAFKA
};

/// The table of the README.
#[cfg(test)]
fn table() -> String {
    type Told = fn(&Nature) -> String;
    const ALL: [Nature; 5] = [MEMORY, POSTGRES, RABBITMQ, KAFKA, MOCK_KAFKA];
    fn word(is: bool) -> String {
        if is { "yes" } else { "**no**" }.to_owned()
    }
    let rows: [(&str, Told); 10] = [
        (
            "what is published to a subscriber that is away waits for it; what it did not finish comes again",
            |nature| word(nature.keeps),
        ),
        (
            "what the publisher was told is stored survives `kill -9` of the broker",
            |nature| word(nature.stores),
        ),
        (
            "one key is handled in its order, also when a message fails",
            |nature| word(nature.ordered),
        ),
        ("consumers of one name share the messages", |nature| {
            word(nature.shares)
        }),
        ("what fails for good is kept with its reason", |nature| {
            word(nature.parks)
        }),
        (
            "it is kept with its body, however large somebody else published it",
            |nature| word(nature.parks_whole),
        ),
        (
            "consumers can be processes; what one had in hand that is killed with `kill -9` comes again",
            |nature| word(nature.in_processes),
        ),
        ("a stop ends although a handler does not", |nature| {
            word(nature.stops_in_time)
        }),
        (
            "a broker that is away is reported, waited for, and used again",
            |nature| word(nature.can_be_away),
        ),
        ("largest payload", |nature| match nature.payload_max {
            Some(PAYLOAD_MAX_BYTES) => "1 MiB".to_owned(),
            Some(MESSAGE_MAX_BYTES) => "1 MB, headers included".to_owned(),
            Some(other) => format!("{other} bytes"),
            None => "**none**".to_owned(),
        }),
    ];
    let head = ALL.map(|nature| nature.engine).join(" | ");
    let mut lines = vec![
        format!("| | {head} |"),
        format!("|{}", "---|".repeat(ALL.len() + 1)),
    ];
    lines.extend(rows.iter().map(|(what, told)| {
        let told = ALL.map(|nature| told(&nature)).join(" | ");
        format!("| {what} | {told} |")
    }));
    lines.join("\n")
}

#[test]
fn the_readme_has_the_table() {
    let readme = include_str!("../../../README.md");
    let table = table();
    assert!(
        readme.contains(&table),
        "README.md needs this table:\n{table}"
    );
}
