//! Asks the cluster for the topics of a consumer, and subscribes to those that can be read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;

use super::context::Context;
use super::names::retry_topic;
use super::unread::{Unread, may_not_read};
use super::{ConsumerOptions, ParkIn};
use crate::Status;

/// How often to ask whether the cluster is back.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How often to ask for a retry topic that is not read: somebody may make it when it is needed, or give the right to it.
const RETRY_TOPIC_INTERVAL: Duration = Duration::from_secs(10);
/// How long a client that follows one that failed counts as failed, too, unless its group takes it. What failed the last one (a right
/// to the group that is missing) does not keep the next one from the topics, and each would look like the end of the outage.
const DOUBT: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Asks for the topics from the start until all exist, and whenever the cluster or the right to a topic was lost: librdkafka
/// reports when the last broker is gone, but not when one is back.
pub(super) struct Probe {
    options: Arc<ConsumerOptions>,
    unread: Arc<Unread>,
    next: Instant,
    /// Until when answers alone do not show that the client works.
    doubted_until: Instant,
    /// Since when there has been no answer.
    lost: Option<Instant>,
    subscribed: Vec<String>,
    /// Those that the group reads if they are there; nothing waits for them.
    retry_topics: Vec<String>,
    look_for_retry_topics: Instant,
}

/// What the cluster says of the topics.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Those to subscribe to.
    there: Vec<String>,
    /// Why a topic of facts is not read, if one is not.
    wanting: Option<String>,
    /// Retry topics that the account may not read.
    refused: Vec<String>,
}

/// Why a topic cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhyNot {
    Missing,
    Refused,
}

/// Where messages come from that were parked and sent again.
fn retry_topics(options: &ConsumerOptions) -> Vec<String> {
    let of = |topic: &String| retry_topic(topic, &options.group);
    match options.park_in {
        ParkIn::Topic => options.topics.iter().map(of).collect(),
        ParkIn::Queue(_) => Vec::new(),
    }
}

impl Probe {
    /// `has_failed`: the client before this one.
    pub(super) fn new(
        options: &Arc<ConsumerOptions>,
        unread: &Arc<Unread>,
        has_failed: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            options: Arc::clone(options),
            unread: Arc::clone(unread),
            next: now,
            doubted_until: if has_failed { now + DOUBT } else { now },
            lost: None,
            subscribed: Vec::new(),
            retry_topics: retry_topics(options),
            look_for_retry_topics: now,
        }
    }

    /// Returns for how long the cluster has not answered, if it was asked and does not. As a rule librdkafka reconnects by
    /// itself; after a broker was frozen without closing its connections, it was seen not to.
    pub(super) fn run_if_due(
        &mut self,
        status: &Status,
        consumer: &BaseConsumer<Context>,
    ) -> Option<Duration> {
        let disconnected = &consumer.context().disconnected;
        let asked_for = disconnected.load(Ordering::Relaxed) || self.wants_retry_topics();
        if !asked_for || Instant::now() < self.next {
            return None;
        }
        // Before asking, so that a loss during the request is not missed.
        disconnected.store(false, Ordering::Relaxed);
        let refusal = &consumer.context().logging.refusal;
        let answer = match self.ask(consumer) {
            Ok(wanting) => {
                refusal.lifted();
                Ok(wanting)
            }
            Err(reason) => Err(refusal.explain(reason)),
        };
        let state = match &answer {
            Ok(None) => Ok(()),
            Ok(Some(wanting)) => Err(wanting.clone()),
            Err(reason) => Err(reason.clone()),
        };
        let is_doubted = self.is_doubted(consumer.context().support.is_shown());
        if state.is_err() || is_doubted {
            // To be asked again soon.
            disconnected.store(true, Ordering::Relaxed);
        }
        self.next = Instant::now() + PROBE_INTERVAL;
        if state.is_err() || !is_doubted {
            status.tell(state);
        }
        if answer.is_ok() {
            self.lost = None;
            return None;
        }
        Some(self.lost.get_or_insert_with(Instant::now).elapsed())
    }

    /// `is_member`: its group has taken the client.
    fn is_doubted(&self, is_member: bool) -> bool {
        !is_member && Instant::now() < self.doubted_until
    }

    fn wants_retry_topics(&self) -> bool {
        let missing = |topic| !self.subscribed.contains(topic);
        self.retry_topics.iter().any(missing) && Instant::now() >= self.look_for_retry_topics
    }

    /// Subscribes to the topics that can be read, and returns why one of facts cannot be, if any. Such a one does not hold up
    /// the others and is added when it can: not every broker tells a member that a topic of its subscription exists now.
    fn ask(&mut self, consumer: &BaseConsumer<Context>) -> Result<Option<String>, String> {
        let found = self.look(|topic| why_not(consumer, topic))?;
        self.look_for_retry_topics = Instant::now() + RETRY_TOPIC_INTERVAL;
        self.tell_of_retry_topics(&found);
        // If there is none, it stays with those that it had.
        if !found.there.is_empty() && found.there != self.subscribed {
            let names: Vec<&str> = found.there.iter().map(String::as_str).collect();
            consumer
                .subscribe(&names)
                .map_err(|error| error.to_string())?;
            consumer.context().support.subscribed();
            self.subscribed = found.there;
        }
        Ok(found.wanting)
    }

    fn look(
        &self,
        mut why_not: impl FnMut(&str) -> Result<Option<WhyNot>, String>,
    ) -> Result<Found, String> {
        let (mut there, mut wanting, mut refused) = (Vec::new(), None, Vec::new());
        for topic in &self.options.topics {
            let why = why_not(topic)?;
            if self.is_to_be_read(topic, why) {
                there.push(topic.clone());
            }
            wanting = why.map(|why| why.of(topic)).or(wanting);
        }
        for topic in &self.retry_topics {
            let why = why_not(topic)?;
            // Whatever is wrong with it, facts are read without it.
            if self.is_to_be_read(topic, why) {
                there.push(topic.clone());
            }
            if why == Some(WhyNot::Refused) {
                refused.push(topic.clone());
            }
        }
        Ok(Found {
            there,
            wanting,
            refused,
        })
    }

    /// What is refused is left out: for one such topic a broker refuses the whole subscription, and the member would lose its
    /// place. What is missing stays, if it was there: the broker may only not know of it yet.
    fn is_to_be_read(&self, topic: &str, why: Option<WhyNot>) -> bool {
        match why {
            None => true,
            Some(WhyNot::Missing) => self.subscribed.iter().any(|read| read == topic),
            Some(WhyNot::Refused) => false,
        }
    }

    fn tell_of_retry_topics(&self, found: &Found) {
        for topic in &self.retry_topics {
            if found.refused.contains(topic) {
                self.unread.refused(topic, None);
            } else {
                self.unread.lifted(topic, None);
            }
        }
    }
}

impl WhyNot {
    fn of(self, topic: &str) -> String {
        match self {
            Self::Missing => format!("the topic {topic} does not exist yet"),
            Self::Refused => may_not_read(topic),
        }
    }
}

/// Why a topic cannot be read, if it cannot.
fn why_not(consumer: &BaseConsumer<Context>, topic: &str) -> Result<Option<WhyNot>, String> {
    let metadata = consumer
        .fetch_metadata(Some(topic), PROBE_TIMEOUT)
        .map_err(|error| format!("Kafka does not answer: {error}"))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic);
    let error = found.map(|topic| topic.error().map(RDKafkaErrorCode::from));
    Ok(match error {
        Some(None) => None,
        Some(Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => Some(WhyNot::Refused),
        _ => Some(WhyNot::Missing),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = "facts";
    const MORE: &str = "more";
    const RETRY: &str = "facts.g.retry";
    const MORE_RETRY: &str = "more.g.retry";

    fn probe(subscribed: &[&str]) -> Probe {
        let options = Arc::new(ConsumerOptions::new("g", [FACTS, MORE]));
        let unread = Arc::new(Unread::new(Status::ignore()));
        Probe {
            subscribed: named(subscribed),
            ..Probe::new(&options, &unread, false)
        }
    }

    fn named(topics: &[&str]) -> Vec<String> {
        topics.iter().map(|topic| (*topic).to_owned()).collect()
    }

    /// What a look finds where these topics cannot be read.
    fn look(subscribed: &[&str], unreadable: &[(&str, WhyNot)]) -> Found {
        let why_not = |topic: &str| {
            let why = unreadable.iter().find(|(name, _)| *name == topic);
            Ok(why.map(|(_, why)| *why))
        };
        probe(subscribed).look(why_not).unwrap()
    }

    #[test]
    fn a_retry_topic_that_is_missing_is_no_trouble() {
        let missing = [(RETRY, WhyNot::Missing), (MORE_RETRY, WhyNot::Missing)];
        let found = Found {
            there: named(&[FACTS, MORE]),
            wanting: None,
            refused: Vec::new(),
        };
        assert_eq!(look(&[], &missing), found);
    }

    #[test]
    fn what_is_refused_is_left_out_and_told_and_taken_when_it_can_be() {
        let all = [FACTS, MORE, RETRY, MORE_RETRY];
        let refused = [(MORE, WhyNot::Refused), (RETRY, WhyNot::Refused)];
        for before in [&[][..], &all[..]] {
            let found = Found {
                there: named(&[FACTS, MORE_RETRY]),
                wanting: Some(may_not_read(MORE)),
                refused: named(&[RETRY]),
            };
            assert_eq!(look(before, &refused), found);
        }
        assert_eq!(look(&[FACTS, MORE_RETRY], &[]).there, named(&all));
    }

    #[test]
    fn a_topic_that_was_read_is_missed_and_not_given_up() {
        let gone = look(&[FACTS, MORE], &[(FACTS, WhyNot::Missing)]);
        assert_eq!(gone.there[..2], named(&[FACTS, MORE])[..]);
        assert!(gone.wanting.is_some_and(|why| why.contains(FACTS)));
    }

    #[test]
    fn who_follows_a_client_that_failed_must_be_taken_by_its_group() {
        let options = Arc::new(ConsumerOptions::new("g", [FACTS]));
        let unread = Arc::new(Unread::new(Status::ignore()));
        let after = |has_failed| Probe::new(&options, &unread, has_failed);
        assert!(!after(false).is_doubted(false));
        assert!(!after(true).is_doubted(true));
        let mut probe = after(true);
        assert!(probe.is_doubted(false));
        // One member too many has no place, and is well.
        probe.doubted_until = Instant::now();
        assert!(!probe.is_doubted(false));
    }

    #[test]
    fn no_answer_about_one_is_no_answer() {
        let silent = |topic: &str| match topic {
            RETRY => Err("no answer".to_owned()),
            _ => Ok(None),
        };
        assert_eq!(probe(&[]).look(silent), Err("no answer".to_owned()));
    }
}
