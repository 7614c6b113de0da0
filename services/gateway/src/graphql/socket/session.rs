//! The session of one socket: one task that reads, answers and sends the messages of its subscriptions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use chassis::auth::{AuthError, Caller};
use chassis::http::Unfinished;
use chassis::http::streams::Place;
use chassis::problem::Problem;
use futures::StreamExt;
use futures::stream::{AbortHandle, BoxStream, SelectAll, abortable};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::operation::{Operation, Said};
use super::protocol::{Close, FromClient, Init, ToClient};
use crate::graphql::api::Api;
use crate::graphql::request::{Asked, BYTES_MAX};
use crate::limits::client::Client;

/// The most concurrent operations of a socket.
const OPERATIONS_MAX: usize = 32;
/// What a client's control frame has beside its payload, in bytes: its head and the mask (RFC 6455 section 5.2).
const CONTROL_BYTES: usize = 6;
/// How long a client may take to take leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The credentials of the client.
pub(super) enum Token {
    None,
    /// A valid token when it was received; checked again for each subscription.
    Known(Arc<str>),
    Refused(AuthError),
}

/// How a session ends.
enum End {
    /// This side closes it.
    Closed(Close),
    /// The client closes it, and waits for the answer to that.
    Left,
    /// The client has gone.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Closed(close)
    }
}

/// What is known of a socket when it is opened.
pub(super) struct Opened {
    /// Its place among the streams.
    pub(super) place: Place,
    /// What has come of a message that is not whole.
    pub(super) unfinished: Option<Unfinished>,
    pub(super) address: Option<IpAddr>,
    /// The client whose rate and turns the messages count for.
    pub(super) client: Client,
    pub(super) token: Token,
}

pub(super) struct Session {
    api: Arc<Api>,
    socket: WebSocket,
    place: Place,
    unfinished: Option<Unfinished>,
    address: Option<IpAddr>,
    client: Client,
    token: Token,
    is_acknowledged: bool,
    /// Whether the client has sent anything since the last ping.
    is_heard: bool,
    said: SelectAll<BoxStream<'static, Said>>,
    open: HashMap<Arc<str>, AbortHandle>,
}

impl Session {
    pub(super) fn new(api: Arc<Api>, socket: WebSocket, opened: Opened) -> Self {
        let Opened {
            place,
            unfinished,
            address,
            client,
            token,
        } = opened;
        Self {
            api,
            socket,
            place,
            unfinished,
            address,
            client,
            token,
            is_acknowledged: false,
            is_heard: true,
            said: SelectAll::new(),
            open: HashMap::new(),
        }
    }

    /// Runs until one side ends the session.
    pub(super) async fn run(mut self) {
        let close = match self.converse().await {
            End::Closed(close) => Some(close),
            End::Left => None,
            End::Gone => return,
        };
        tracing::debug!(?close, "closed a socket");
        // No more changes are requested during the closing handshake.
        self.said.clear();
        let Self { mut socket, .. } = self;
        let leave = async {
            if let Some(close) = close
                && socket.send(close.into()).await.is_err()
            {
                return;
            }
            // What answers a client's close frame is only written when there is a next read. Without it (RFC 6455 section 5.5.1)
            // the client takes an orderly end for a broken connection.
            while let Some(Ok(_)) = socket.recv().await {}
        };
        // A client that does not answer the close frame, or does not read, is disconnected.
        let _ = timeout(CLOSE_TIMEOUT, leave).await;
    }

    async fn converse(&mut self) -> End {
        let settings = self.api.settings;
        let stop = self.api.streams.stopping();
        let (mut stop, mut init) = (pin!(stop), pin!(sleep(settings.init_timeout)));
        let (mut idle, mut is_idle) = (pin!(sleep(settings.idle_timeout)), false);
        let first = Instant::now() + settings.heartbeat;
        let mut heartbeat = interval_at(first, settings.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let was_idle = is_idle;
            is_idle = self.is_acknowledged && self.open.is_empty();
            if is_idle && !was_idle {
                idle.as_mut().reset(Instant::now() + settings.idle_timeout);
            }
            let done = tokio::select! {
                () = self.place.ended() => Err(Close::make_room().into()),
                () = &mut stop => Err(Close::going_away().into()),
                () = &mut init, if !self.is_acknowledged => Err(Close::init_timeout().into()),
                () = &mut idle, if is_idle => Err(Close::idle().into()),
                _ = heartbeat.tick() => self.ask_whether_it_is_there().await,
                received = self.socket.recv() => match received {
                    Some(Ok(message)) => self.receive(message).await,
                    Some(Err(_)) => Err(Close::unreadable().into()),
                    None => Err(End::Gone),
                },
                Some(said) = self.said.next(), if !self.said.is_empty() => self.pass(said).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Sends a ping. A browser answers it by itself, and proxies see that the connection is in use.
    async fn ask_whether_it_is_there(&mut self) -> Result<(), End> {
        if !std::mem::take(&mut self.is_heard) {
            return Err(End::Gone);
        }
        self.send(Message::Ping(Default::default())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        self.socket.send(message).await.map_err(|_| End::Gone)
    }

    async fn pass(&mut self, said: Said) -> Result<(), End> {
        // Before the message is sent: after it the client may reuse the id at once.
        if said.is_last {
            self.open.remove(&said.id);
        }
        self.send(said.message).await
    }

    /// What is bounded is what waits for its rest. Control frames come between the pieces of a message, too.
    fn note_whole(&self, message: &Message) {
        match (&self.unfinished, message) {
            (Some(unfinished), Message::Ping(payload) | Message::Pong(payload)) => {
                unfinished.apart(payload.len() + CONTROL_BYTES);
            }
            (Some(unfinished), _) => unfinished.is_whole(),
            (None, _) => {}
        }
    }

    async fn receive(&mut self, message: Message) -> Result<(), End> {
        self.is_heard = true;
        self.note_whole(&message);
        // Every frame costs something, whatever it says.
        let within = self.api.limits.check(&self.client);
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Close::bad_request("a message is text").into()),
            Message::Close(_) => return Err(End::Left),
            Message::Ping(_) | Message::Pong(_) => {
                return within.map_err(|_| Close::too_often().into());
            }
        };
        if text.len() > BYTES_MAX {
            return Err(Close::too_long(BYTES_MAX).into());
        }
        match (FromClient::read(&text)?, within) {
            (FromClient::Subscribe { id, payload }, Ok(())) => {
                self.subscribe(id.into(), payload).await
            }
            (FromClient::Subscribe { id, .. }, Err(problem)) => {
                let id = self.free(id.into())?;
                self.send(Said::refused(&id, problem).message).await
            }
            (_, Err(_)) => Err(Close::too_often().into()),
            (FromClient::ConnectionInit { payload }, _) => self.init(payload).await,
            (FromClient::Ping, _) => self.send(ToClient::Pong.write()).await,
            (FromClient::Pong, _) => Ok(()),
            (FromClient::Complete { id }, _) => {
                // The operation may have ended while this message was on its way.
                if let Some(operation) = self.open.remove(id.as_str()) {
                    operation.abort();
                }
                Ok(())
            }
        }
    }

    /// The first message, with the token. It replaces a token of the handshake, which browsers cannot set.
    async fn init(&mut self, payload: Option<Init>) -> Result<(), End> {
        if self.is_acknowledged {
            return Err(Close::too_many_inits().into());
        }
        if let Some(said) = payload.and_then(|init| init.authorization) {
            self.token = match verified(&self.api, &said).await {
                Ok(caller) => {
                    self.client = Client::of(Some(&caller), self.address);
                    Token::Known(caller.token.into())
                }
                Err(why) => Token::Refused(why),
            };
        }
        match &self.token {
            // A client with an invalid token is not treated as anonymous.
            Token::Refused(AuthError::KeysUnavailable) => Err(Close::try_again().into()),
            Token::Refused(_) => Err(Close::forbidden().into()),
            Token::None | Token::Known(_) => {
                self.is_acknowledged = true;
                self.send(ToClient::ConnectionAck.write()).await
            }
        }
    }

    /// The id, if no open operation has it and `connection_init` was acknowledged.
    fn free(&self, id: Arc<str>) -> Result<Arc<str>, End> {
        if !self.is_acknowledged {
            return Err(Close::unauthorized().into());
        }
        if self.open.contains_key(&id) {
            return Err(Close::duplicate(&id).into());
        }
        Ok(id)
    }

    async fn subscribe(&mut self, id: Arc<str>, asked: Box<Asked>) -> Result<(), End> {
        let id = self.free(id)?;
        if self.open.len() >= OPERATIONS_MAX {
            let detail = format!("a socket has at most {OPERATIONS_MAX} operations at a time");
            let problem = Problem::too_many_requests(CLOSE_TIMEOUT).with_detail(detail);
            return self.send(Said::refused(&id, problem).message).await;
        }
        let token = match &self.token {
            Token::Known(token) => Some(Arc::clone(token)),
            Token::None | Token::Refused(_) => None,
        };
        let operation = Operation {
            api: Arc::clone(&self.api),
            id: Arc::clone(&id),
            asked,
            token,
            client: self.client,
            address: self.address,
        };
        let (messages, abort) = abortable(operation.messages());
        self.said.push(messages.boxed());
        self.open.insert(id, abort);
        Ok(())
    }
}

async fn verified(api: &Api, authorization: &str) -> Result<Caller, AuthError> {
    let (scheme, token) = authorization.split_once(' ').ok_or(AuthError::Invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::Invalid);
    }
    api.verifier.verify(token.trim()).await
}
