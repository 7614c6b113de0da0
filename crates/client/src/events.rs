//! Server-sent events (WHATWG HTML, section 9.2), read.

mod parse;

use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use crate::{CallContext, CallError, PooledBody, RestClient};
use parse::{Parser, TooLong};

/// How long to wait before asking again where a stream ended, unless the peer says otherwise.
const RETRY: Duration = Duration::from_secs(1);
/// The shortest that a peer can ask for: one that ends each answer at once would be asked without a pause.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest that a peer can ask for.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A call that asks for more of a stream. None if there is nothing more to come.
pub type Asking = Pin<Box<dyn Future<Output = Result<Option<PooledBody>, CallError>> + Send>>;

/// A stream of events whose data is JSON.
///
/// A peer ends a stream when there is nothing more to come, and when it stops. Which of both it was is told by asking again
/// after the last event: 204 is the end here, too; otherwise the stream continues with the new answer, possibly of another replica.
/// Each event comes once. A connection that breaks is an error, and whether to go on is the reader's to say: with
/// [`Events::last_id`], and a token that is still good.
///
/// Nothing is read ahead: a reader who is slow holds the peer up, which bounds what it keeps.
pub struct Events<T> {
    client: RestClient,
    path: String,
    context: CallContext,
    ask: Box<dyn Fn(Asking) -> Asking + Send + Sync>,
    last_id: Option<String>,
    retry: Duration,
    parser: Parser,
    /// None once it is over.
    body: Option<Pin<Box<PooledBody>>>,
    data: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Events<T> {
    /// `GET path`, from the beginning or after the event with the id `after`. The call's deadline is for the head; then the
    /// stream goes on for as long as it does.
    ///
    /// # Errors
    /// [`CallError`]; an answer other than 2xx is [`CallError::Problem`].
    pub async fn open(
        client: RestClient,
        path: impl Into<String>,
        after: Option<&str>,
        context: CallContext,
    ) -> Result<Self, CallError> {
        let path = path.into();
        let body = client.open_events(&path, after, &context).await?;
        Ok(Self {
            client,
            path,
            context,
            ask: Box::new(|asking| asking),
            last_id: after.map(str::to_owned),
            retry: RETRY,
            parser: Parser::default(),
            body: body.map(Box::pin),
            data: PhantomData,
        })
    }

    /// The same, which asks again in the way that `ask` makes of its call: for a reader whose calls wait for each other, or who
    /// does not always wait for the next event, which would keep a call that has begun from its end.
    #[must_use]
    pub fn asking_through(
        mut self,
        ask: impl Fn(Asking) -> Asking + Send + Sync + 'static,
    ) -> Self {
        self.ask = Box::new(ask);
        self
    }

    /// The id of the last event that came, or after which was asked.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The next event's data; none when there is nothing more to come, or after an error.
    ///
    /// Dropping the future loses nothing but the wait before asking again.
    ///
    /// # Errors
    /// [`CallError`]: the stream broke, went silent for longer than the client's `idle`, said what cannot be read, or could
    /// not be had again after it had ended.
    pub async fn next(&mut self) -> Option<Result<T, CallError>> {
        self.next_with(json).await
    }

    /// The same, of whatever type `read` makes of the event's data: for a reader who needs no copy of it.
    ///
    /// # Errors
    /// As [`Events::next`].
    pub async fn next_with<R>(
        &mut self,
        read: impl Fn(&str) -> Result<R, serde_json::Error>,
    ) -> Option<Result<R, CallError>> {
        let next = self.try_next(read).await.transpose()?;
        if next.is_err() {
            self.body = None;
        }
        Some(next)
    }

    async fn try_next<R>(
        &mut self,
        read: impl Fn(&str) -> Result<R, serde_json::Error>,
    ) -> Result<Option<R>, CallError> {
        let peer = self.client.peer().name;
        loop {
            if let Some(event) = self.parser.next() {
                if let Some(retry) = event.retry {
                    self.retry = retry.clamp(RETRY_MIN, RETRY_MAX);
                }
                let data = event.data.map(|data| read(&data)).transpose();
                let data = data.map_err(|error| CallError::decode(peer, error))?;
                // Also of an event without data, which only says where to go on. An empty one takes the last one back.
                if let Some(id) = event.id {
                    self.last_id = Some(id).filter(|id| !id.is_empty());
                }
                match data {
                    Some(data) => return Ok(Some(data)),
                    None => continue,
                }
            }
            let Some(body) = &mut self.body else {
                return Ok(None);
            };
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        let pushed = self.parser.push(data);
                        pushed
                            .map_err(|TooLong| CallError::decode(peer, "an event is too long"))?;
                    }
                }
                Some(Err(error)) => return Err(CallError::unavailable(peer, error)),
                None => self.again().await?,
            }
        }
    }

    /// The stream has ended: whether it was the end.
    async fn again(&mut self) -> Result<(), CallError> {
        tokio::time::sleep(self.retry).await;
        let (client, path) = (self.client.clone(), self.path.clone());
        let (context, after) = (self.context.clone(), self.last_id.clone());
        let asking = async move { client.open_events(&path, after.as_deref(), &context).await };
        let body = (self.ask)(Box::pin(asking)).await?;
        // What was cut off in the middle comes again.
        self.parser = Parser::default();
        self.body = body.map(Box::pin);
        Ok(())
    }
}

fn json<T: DeserializeOwned>(data: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(data)
}

impl<T> std::fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("peer", self.client.peer())
            .field("path", &self.path)
            .field("last_id", &self.last_id)
            .finish_non_exhaustive()
    }
}
