//! A Kafka cluster in this process: librdkafka's mock brokers, spoken to over TCP by any client.
//!
//! It stores data in memory only, the newest 5 MiB of each partition ([`PARTITION_MAX_BYTES`]). It has no authentication: every
//! process on this machine may read and write. A container would run a real broker, but needs Docker and ten seconds; this one
//! starts in milliseconds.

use std::net::TcpStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::Error;

/// One broker is enough: replication is not what is shown or tested with it.
const BROKERS: i32 = 1;
/// The id of that broker.
const BROKER_ID: i32 = 1;
/// Copies of a partition.
const REPLICATION: i32 = 1;

/// What each partition keeps, in bytes of batches: the newest. librdkafka has no setting for it, so how much memory a
/// cluster may take is decided by its number of partitions.
pub const PARTITION_MAX_BYTES: usize = 5 * 1024 * 1024;

/// Commands that wait for the cluster's thread; whoever has another one waits for a place.
const COMMANDS_MAX: usize = 16;
/// What the thread says of its start: where the cluster is, and that its topics are there.
const OUTCOMES: usize = 2;

/// How long topics may take before the cluster's thread is woken up.
const NUDGE_INTERVAL: Duration = Duration::from_millis(5);

/// A running mock cluster; it ends when this is dropped.
#[derive(Debug)]
pub struct MockKafka {
    bootstrap: String,
    commands: Option<mpsc::SyncSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Down,
    Up,
    Done(mpsc::SyncSender<()>),
}

impl MockKafka {
    /// Starts a cluster with these topics and their numbers of partitions. Other topics are made when they
    /// are first used, with four partitions.
    ///
    /// # Errors
    /// [`Error::Kafka`] when a topic has a bad name or number of partitions, or no port is free.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, Error> {
        let topics: Vec<_> = topics.iter().map(|(t, n)| ((*t).to_owned(), *n)).collect();
        let (commands, inbox) = mpsc::sync_channel(COMMANDS_MAX);
        let (outcome, started) = mpsc::sync_channel(OUTCOMES);
        // The cluster's handle may not change threads, so one thread makes it, keeps it and drops it.
        let thread = std::thread::Builder::new()
            .name("mock-kafka".to_owned())
            .spawn(move || run(&topics, &outcome, &inbox))
            .map_err(|e| Error::Kafka(e.to_string()))?;
        let ended = || Error::Kafka("it ended while it was starting".to_owned());
        let bootstrap = started.recv().map_err(|_| ended())?.map_err(Error::Kafka)?;
        // A second answer says that the topics are there.
        loop {
            match started.recv_timeout(NUDGE_INTERVAL) {
                Ok(done) => break done.map(drop).map_err(Error::Kafka)?,
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => nudge(&bootstrap),
            }
        }
        Ok(Self {
            bootstrap,
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// `host:port` for a client's `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap
    }

    /// Cuts all connections and refuses new ones. What was published stays.
    pub fn down(&self) {
        self.send(Command::Down);
    }

    /// Undoes [`Self::down`].
    pub fn up(&self) {
        self.send(Command::Up);
    }

    /// Waits until what was asked for so far is done: up to a second, in a thread that may wait.
    pub fn settle(&self) {
        let (done, is_done) = mpsc::sync_channel(1);
        self.send(Command::Done(done));
        // Without a thread there is nothing to wait for.
        let _ = is_done.recv();
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // The thread only ends after this sender, so there is always a receiver.
            let _ = commands.send(command);
        }
    }
}

impl Drop for MockKafka {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    topics: &[(String, i32)],
    outcome: &mpsc::SyncSender<Result<String, String>>,
    inbox: &mpsc::Receiver<Command>,
) {
    let cluster = match MockCluster::new(BROKERS) {
        Ok(cluster) => cluster,
        Err(error) => {
            let _ = outcome.send(Err(error.to_string()));
            return;
        }
    };
    let bootstrap = cluster.bootstrap_servers();
    let _ = outcome.send(Ok(bootstrap.clone()));
    let made = topics
        .iter()
        .try_for_each(|(topic, partitions)| make(&cluster, topic, *partitions));
    let failed = made.is_err();
    let _ = outcome.send(made.map(|()| bootstrap));
    if failed {
        return;
    }
    // Ends when the handle is dropped.
    for command in inbox {
        let done = match command {
            Command::Down => cluster.broker_down(BROKER_ID),
            Command::Up => cluster.broker_up(BROKER_ID),
            Command::Done(done) => {
                // The receiver may be gone.
                let _ = done.send(());
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the mock cluster refused a command");
        }
    }
}

fn make(
    cluster: &MockCluster<'static, DefaultProducerContext>,
    topic: &str,
    partitions: i32,
) -> Result<(), String> {
    // librdkafka would take a topic without partitions, and then no message.
    if partitions < 1 {
        return Err(format!("{topic} has no partitions"));
    }
    cluster
        .create_topic(topic, partitions, REPLICATION)
        .map_err(|error| format!("{topic}: {error}"))
}

/// Wakes the cluster's thread up.
///
/// librdkafka 2.12 serves a command and then throws all wake-up calls away that came in meanwhile; one of
/// the next command's is lost that way every now and then, and the command waits for a second. Anything
/// that happens on a socket makes it look again.
fn nudge(bootstrap: &str) {
    // The attempt suffices, whether or not it connects.
    let _ = TcpStream::connect(bootstrap);
}
