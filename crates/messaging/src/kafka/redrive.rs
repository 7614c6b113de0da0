//! The dead letters of topics: read from `<topic>.<group>.dlq` without a group, and settled by records behind them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::config::{DEAD_LETTER_EXTRA_BYTES, KafkaConfig, MESSAGE_MAX_BYTES, Resends};
use super::look::{self, Client, Gone, Looker};
use super::names::retry_of_dead_letters;
use super::publisher::KafkaPublisher;
use super::settled::Extent;
use crate::dead_letter::{self, DEAD_TOPIC_SUFFIX};
use crate::dead_letters::{
    DeadLetter, DeadLetterStore, Outcome, Position, SETTLES, Settled, Visit,
};
use crate::{Message, MessagingError};

/// How a settlement says what became of its letter.
const OUTCOME: &str = "dlq_outcome";
/// Letters that are read ahead of whoever visits.
const READ_AHEAD: usize = 16;

/// All dead-letter topics of a cluster, or some of them. Reading them joins no group and commits nothing.
pub struct KafkaDeadLetters {
    looker: Arc<Looker>,
    config: KafkaConfig,
    only: Option<Vec<String>>,
    // Made for the first letter that is settled: to look needs none.
    publisher: Mutex<Option<Arc<KafkaPublisher>>>,
    counts: Mutex<HashMap<String, (Extent, u64)>>,
}

impl KafkaDeadLetters {
    /// All that end with `.dlq`. `group` is a name that the account may read with; no such group comes to be.
    ///
    /// # Errors
    /// [`MessagingError::Config`] when librdkafka refuses a setting.
    pub fn new(config: &KafkaConfig, group: &str) -> Result<Self, MessagingError> {
        Ok(Self {
            looker: Arc::new(Looker::new(config, group)?),
            config: config.clone(),
            only: None,
            publisher: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    /// Those of these topics and one group.
    ///
    /// # Errors
    /// As for [`KafkaDeadLetters::new`].
    pub fn of<'a>(
        config: &KafkaConfig,
        group: &str,
        topics: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, MessagingError> {
        let topics = topics.into_iter();
        let places = topics.map(|topic| super::dead_letter_topic(topic, group));
        Ok(Self {
            only: Some(places.collect()),
            ..Self::new(config, group)?
        })
    }

    fn publisher(&self) -> Result<Arc<KafkaPublisher>, MessagingError> {
        let mut slot = self.publisher.lock();
        if let Some(publisher) = &*slot {
            return Ok(Arc::clone(publisher));
        }
        let max_bytes = MESSAGE_MAX_BYTES + DEAD_LETTER_EXTRA_BYTES;
        let publisher = Arc::new(KafkaPublisher::with(
            &self.config,
            Resends::Recognised,
            max_bytes,
        )?);
        *slot = Some(Arc::clone(&publisher));
        Ok(publisher)
    }
}

impl std::fmt::Debug for KafkaDeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaDeadLetters")
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

/// Runs what blocks until librdkafka answers, and waits for it; tells it when nobody waits any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(Gone<'_>) -> Result<T, MessagingError> + Send + 'static,
) -> Result<T, MessagingError> {
    let (done, ended) = oneshot::channel();
    begin(move || {
        let answer = work(&|| done.is_closed());
        let _nobody_waits = done.send(answer);
    })?;
    let panicked = |_| MessagingError::Unavailable("the thread that looks panicked".to_owned());
    ended.await.map_err(panicked)?
}

/// On a thread of its own and not one of the runtime's: a runtime that ends waits for those, and a cluster that is away answers
/// only after seconds. This one ends by itself.
fn begin(work: impl FnOnce() + Send + 'static) -> Result<(), MessagingError> {
    let thread = std::thread::Builder::new().name("kafka look".to_owned());
    let begun = thread.spawn(work);
    begun.map(drop).map_err(|error| {
        MessagingError::Unavailable(format!("no thread to look at topics: {error}"))
    })
}

fn places(client: &Client, gone: Gone<'_>) -> Result<Vec<String>, MessagingError> {
    let metadata = look::metadata(client, None, gone)?;
    let names = metadata
        .topics()
        .iter()
        .map(|topic| topic.name().to_owned());
    let mut places: Vec<_> = names
        .filter(|name| name.ends_with(DEAD_TOPIC_SUFFIX))
        .collect();
    places.sort();
    Ok(places)
}

#[async_trait]
impl DeadLetterStore for KafkaDeadLetters {
    async fn places(&self) -> Result<Vec<String>, MessagingError> {
        let looker = Arc::clone(&self.looker);
        let mut places = blocking(move |gone| places(&looker.client()?, gone)).await?;
        if let Some(only) = &self.only {
            places.retain(|place| only.contains(place));
        }
        Ok(places)
    }

    /// Reads the topic only if it has changed since it was last counted.
    async fn count(&self, place: &str) -> Result<u64, MessagingError> {
        let (looker, topic) = (Arc::clone(&self.looker), place.to_owned());
        let known = self.counts.lock().get(place).cloned();
        let (extent, count) = blocking(move |gone| {
            let client = looker.client()?;
            let extent = look::extent(&client, &topic, gone)?;
            if let Some((before, count)) = known
                && before == extent
            {
                return Ok((extent, count));
            }
            let unsettled = look::unsettled(&client, &topic, &extent, gone)?;
            Ok((extent, unsettled))
        })
        .await?;
        let mut counts = self.counts.lock();
        counts.insert(place.to_owned(), (extent, count));
        Ok(count)
    }

    async fn visit(&self, place: &str) -> Result<Box<dyn Visit>, MessagingError> {
        let retry = retry_of_dead_letters(place).ok_or_else(|| {
            MessagingError::Name(format!(
                "`{place}` is no dead-letter topic: its name does not end with {DEAD_TOPIC_SUFFIX}"
            ))
        })?;
        let (tell, letters) = mpsc::channel(READ_AHEAD);
        let (looker, topic) = (Arc::clone(&self.looker), place.to_owned());
        // It ends by itself when the visit does: nobody receives any more.
        begin(move || {
            if let Err(error) = look::letters(&looker, &topic, &tell) {
                let _nobody_listens = tell.blocking_send(Err(error));
            }
        })?;
        Ok(Box::new(KafkaVisit {
            letters,
            place: place.to_owned(),
            retry,
            publisher: self.publisher()?,
        }))
    }
}

struct KafkaVisit {
    letters: mpsc::Receiver<Result<(i32, i64, Message), MessagingError>>,
    place: String,
    retry: String,
    publisher: Arc<KafkaPublisher>,
}

impl KafkaVisit {
    async fn settle(
        &self,
        letter: &DeadLetter,
        outcome: Outcome,
    ) -> Result<Settled, MessagingError> {
        let Position::Record { partition, offset } = letter.position else {
            return Ok(Settled::Gone);
        };
        let settlement = Message {
            key: letter.message.key.clone(),
            ..Message::default()
        };
        let settlement = settlement
            .with_header(SETTLES, format!("{partition}/{offset}"))
            .with_header(OUTCOME, outcome.as_str())
            .with_header(dead_letter::TIME, dead_letter::now());
        // Behind its letter, whatever its key: a topic forgets each partition from its beginning, so a settlement in another one
        // could be forgotten first, and its letter would come back.
        self.publisher
            .send_to(&self.place, Some(partition), &settlement)
            .await?;
        Ok(Settled::Done)
    }
}

#[async_trait]
impl Visit for KafkaVisit {
    async fn next(&mut self) -> Result<Option<DeadLetter>, MessagingError> {
        let Some(read) = self.letters.recv().await else {
            return Ok(None);
        };
        let (partition, offset, message) = read?;
        let position = Position::Record { partition, offset };
        Ok(Some(DeadLetter::new(&self.place, position, message)))
    }

    // region: redrive
    /// The copy is confirmed before it is settled: a kill between the two sends it twice and loses nothing.
    async fn redrive(&mut self, letter: &DeadLetter) -> Result<Settled, MessagingError> {
        let again = dead_letter::redriven(&letter.message);
        self.publisher.send(&self.retry, &again).await?;
        self.settle(letter, Outcome::Redriven).await
    }
    // endregion: redrive

    async fn discard(&mut self, letter: &DeadLetter) -> Result<Settled, MessagingError> {
        self.settle(letter, Outcome::Dropped).await
    }

    async fn leave(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Much longer than a runtime takes to end that waits for nothing.
    const END_MAX: Duration = Duration::from_secs(20);

    #[test]
    fn a_cluster_that_does_not_answer_holds_up_no_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // An answer that comes when the runtime has ended.
        let (answer, answered) = mpsc::channel::<()>();
        let asked = async {
            let work = blocking(move |_| {
                answered.recv().ok();
                Ok(())
            });
            tokio::time::timeout(Duration::from_millis(50), work).await
        };
        assert!(runtime.block_on(asked).is_err(), "nobody has answered");
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            drop(runtime);
            tell.send(()).ok();
        });
        let ended = told.recv_timeout(END_MAX);
        answer.send(()).unwrap();
        assert!(ended.is_ok(), "it waits for the answer");
    }

    #[tokio::test]
    async fn what_blocks_is_told_that_nobody_waits() {
        let (tell, told) = mpsc::channel();
        let work = blocking(move |gone| {
            while !gone() {
                std::thread::yield_now();
            }
            tell.send(()).unwrap();
            Ok(())
        });
        let waited = tokio::time::timeout(Duration::from_millis(10), work).await;
        assert!(waited.is_err(), "it waits for as long as somebody does");
        told.recv().unwrap();
    }
}
