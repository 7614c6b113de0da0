//! Two members of a group share the work, hand partitions over and lose nothing on the way.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use messaging::kafka::KafkaPublisher;
use messaging::{Delivery, Destination, Message, Publisher, Status};
use parking_lot::Mutex;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::broker_proxy::{BrokerProxy, OFFSET_COMMIT, Shows};
use crate::support::kafka::{Kafka, On, on_mock, options};
use crate::support::{Gate, Recorder, Watched, body, eventually, unique};

const KEYS: usize = 24;

/// Watches handlers of several members: who did what, and whether two had the same key at once.
#[derive(Default)]
struct Log {
    done: Mutex<Vec<(usize, Delivery)>>,
    busy: Mutex<HashMap<String, usize>>,
    overlaps: AtomicUsize,
}

impl Log {
    fn member(self: &Arc<Self>, member: usize) -> Arc<Recorder> {
        let log = Arc::clone(self);
        Recorder::with(move |delivery| {
            let log = Arc::clone(&log);
            async move {
                let key = delivery.message.key.clone().unwrap();
                if *log
                    .busy
                    .lock()
                    .entry(key.clone())
                    .and_modify(|n| *n += 1)
                    .or_insert(1)
                    > 1
                {
                    log.overlaps.fetch_add(1, Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                *log.busy.lock().get_mut(&key).unwrap() -= 1;
                log.done.lock().push((member, delivery));
                Ok(())
            }
        })
    }

    fn count_of(&self, member: usize) -> usize {
        self.done
            .lock()
            .iter()
            .filter(|(m, _)| *m == member)
            .count()
    }

    fn keys(&self) -> HashMap<String, Vec<usize>> {
        let mut keys: HashMap<String, Vec<usize>> = HashMap::new();
        for (_, delivery) in self.done.lock().iter() {
            let key = delivery.message.key.clone().unwrap();
            keys.entry(key)
                .or_default()
                .push(body(delivery).parse().unwrap());
        }
        keys
    }

    /// The same without what came again.
    fn first_times(&self) -> HashMap<String, Vec<usize>> {
        let mut keys = self.keys();
        for numbers in keys.values_mut() {
            let mut seen = HashSet::new();
            numbers.retain(|number| seen.insert(*number));
        }
        keys
    }
}

pub(crate) async fn members_hand_over_without_loss_doubles_or_disorder(on: On) {
    let (log, rounds) = hand_over(on, &[]).await;
    for (key, rounds_done) in log.keys() {
        assert_eq!(rounds_done, (0..rounds).collect::<Vec<_>>(), "{key}");
    }
}

/// As brokers before Apache Kafka 4 have it. A commit that meets a rebalance is refused, so what was done may come again.
#[allow(dead_code, reason = "the containers target has real brokers")]
pub(crate) async fn members_hand_over_by_the_classic_protocol(on: On) {
    let settings = [
        ("group.protocol", "classic"),
        // With it a member learns that another one came.
        ("heartbeat.interval.ms", "500"),
    ];
    let (log, rounds) = hand_over(on, &settings).await;
    for (key, first_times) in log.first_times() {
        assert_eq!(first_times, (0..rounds).collect::<Vec<_>>(), "{key}");
    }
}

/// Events flow the whole time, while a second member joins and the first one leaves. Returns when all are done, with how many
/// each key has.
async fn hand_over(on: On, settings: &[(&str, &str)]) -> (Arc<Log>, usize) {
    let topic = unique("members");
    let mut kafka = Kafka::on(on, &[(&topic, 12)]).await;
    let publisher = KafkaPublisher::new(&kafka.config).unwrap();
    for (name, value) in settings {
        kafka.config = kafka.config.clone().with_setting(*name, *value);
    }
    let log = Arc::new(Log::default());
    // Names of groups are the broker's, and members of one speak one protocol.
    let group = format!("{topic}.g");
    let first = kafka.consume(&group, &topic, log.member(1));
    let flowing = Arc::new(AtomicBool::new(true));
    let published = tokio::spawn(publish_rounds(publisher, topic.clone(), flowing.clone()));

    eventually("the first works", async || log.count_of(1) > 100).await;
    let second = kafka.consume(&group, &topic, log.member(2));
    eventually("the second works too", async || log.count_of(2) > 100).await;
    let at_handover = log.count_of(1);
    eventually("the first still works", async || {
        log.count_of(1) > at_handover + 20
    })
    .await;
    first.stop().await;
    let alone = log.count_of(2);
    let first_total = log.count_of(1);
    eventually("the second goes on", async || log.count_of(2) > alone + 200).await;
    flowing.store(false, Ordering::SeqCst);
    let rounds = published.await.unwrap();
    eventually("all are done", async || {
        log.first_times().values().map(Vec::len).sum::<usize>() == rounds * KEYS
    })
    .await;
    second.stop().await;

    assert_eq!(
        log.count_of(1),
        first_total,
        "a stopped member does nothing"
    );
    let overlaps = log.overlaps.load(Ordering::SeqCst);
    assert_eq!(overlaps, 0, "two members had one key at once");
    (log, rounds)
}

/// Publishes a number to each key, round by round, for as long as they shall flow; answers with how many rounds there were.
async fn publish_rounds(
    publisher: KafkaPublisher,
    topic: String,
    flowing: Arc<AtomicBool>,
) -> usize {
    let to = Destination::Topic(topic);
    let mut round = 0;
    while flowing.load(Ordering::SeqCst) {
        for key in 0..KEYS {
            let message = Message::new(round.to_string()).with_key(format!("key-{key}"));
            publisher.publish(&to, message).await.unwrap();
        }
        round += 1;
    }
    round
}

pub(crate) async fn a_partition_is_given_up_only_after_the_message_in_hand(on: On) {
    let topic = unique("revoke");
    let kafka = Kafka::on(on, &[(&topic, 2)]).await;
    let gate = Gate::closed();
    let waits = gate.clone();
    let slow = Recorder::with(move |_| {
        let waits = waits.clone();
        async move {
            waits.pass().await;
            Ok(())
        }
    });
    let mut patient = options("g", &topic);
    patient.drain = Duration::from_secs(60);
    let first = kafka.consume_with(patient, slow.clone(), Status::ignore());
    // One message in hand on each of the two partitions, one behind each.
    let mut keys = HashMap::new();
    for n in 0..20 {
        let key = format!("k{n}");
        let partition = kafka.publish(&topic, &key, "probe").await.partition;
        keys.entry(partition).or_insert(key);
    }
    assert_eq!(keys.len(), 2);
    eventually("both partitions are in hand", async || {
        slow.seen().len() == 2
    })
    .await;

    let other = Recorder::new();
    let second = kafka.consume("g", &topic, other.clone());
    // Longer than the mock's heartbeat of 3 s, at which the first learns that it must give one up.
    let watch = std::time::Instant::now();
    while watch.elapsed() < Duration::from_secs(5) {
        assert!(
            other.seen().is_empty(),
            "the partition was taken with a message in hand"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gate.open();
    // For as long as the first takes to hear that it must give one up.
    let mut sent = 20;
    eventually("the second got a partition", async || {
        for key in keys.values() {
            kafka.publish(&topic, key, "more").await;
            sent += 1;
        }
        !other.done().is_empty()
    })
    .await;
    eventually("all are done", async || {
        slow.done().len() + other.done().len() >= sent
    })
    .await;
    let positions: HashSet<_> = slow
        .done()
        .iter()
        .chain(&other.done())
        .map(|d| d.position)
        .collect();
    assert_eq!(positions.len(), sent);
    assert_eq!(
        slow.done().len() + other.done().len(),
        sent,
        "nothing was done twice"
    );
    first.stop().await;
    second.stop().await;
}

/// It has partitions, and nothing was ever committed: so there is nothing to commit once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_committed_and_was_forgotten_is_replaced() {
    let topic = unique("never");
    let kafka = Kafka::start(&[(&topic, 4)]);
    let (watched, handler) = (Watched::new(), Recorder::new());
    let mut options = options("g", &topic);
    options.replace_after = Duration::from_millis(100);
    let running = kafka.consume_with(options, handler.clone(), watched.status());
    watched.up().await;
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    let commit = RDKafkaApiKey::OffsetCommit;
    kafka.mock().request_errors(commit, &[unknown]);
    watched.replaced().await;
    kafka.publish(&topic, "k", "after").await;
    handler.wait_done(1).await;
    assert_eq!(handler.done_bodies(), ["after"]);
    running.stop().await;
}

/// librdkafka waits a minute for the answer to a commit, and without a coordinator for as long as there is none. The client goes on
/// meanwhile, and so finds the topic that comes then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_confirms_the_membership_and_gets_no_answer_holds_up_nothing() {
    let (topic, late) = (unique("confirmed"), unique("late"));
    let mut kafka = Kafka::start(&[(&topic, 4)]);
    let proxy = BrokerProxy::start(&kafka.config.brokers, Shows::Both).await;
    kafka.config.brokers = proxy.address.clone();
    let watched = Watched::new();
    let mut options = options("g", &topic);
    options.topics.push(late.clone());
    options.replace_after = Duration::from_millis(500);
    let running = kafka.consume_with(options, Recorder::new(), watched.status());
    watched.tells(&late).await;
    // Nothing was handled, so that the only commits are those by which the client finds out whether it is a member.
    proxy.swallow(OFFSET_COMMIT);
    let before = proxy.asked(OFFSET_COMMIT);
    eventually("a commit without an answer", async || {
        proxy.asked(OFFSET_COMMIT) > before
    })
    .await;
    kafka.mock().create_topic(&late, 1, 1).unwrap();
    watched.up().await;
    running.stop().await;
}

on_mock!(
    members_hand_over_without_loss_doubles_or_disorder,
    a_partition_is_given_up_only_after_the_message_in_hand,
);
