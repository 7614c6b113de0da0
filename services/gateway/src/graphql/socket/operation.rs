//! One subscription of a socket, as a stream of its messages.

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Response, ServerError, Value};
use axum::extract::ws::Message;
use chassis::auth::{Caller, Refused};
use chassis::http::streams::{Full, Place};
use chassis::problem::Problem;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use http::StatusCode;
use tracing::{Instrument, info_span};

use super::protocol::ToClient;
use crate::graphql::answer::coded;
use crate::graphql::apart::apart;
use crate::graphql::api::Api;
use crate::graphql::asking::Asking;
use crate::graphql::idle::Idle;
use crate::graphql::refusal::Refusal;
use crate::graphql::request::Asked;
use crate::limits::client::Client;

/// A subscription with its caller.
pub(super) struct Operation {
    pub(super) api: Arc<Api>,
    pub(super) id: Arc<str>,
    pub(super) asked: Box<Asked>,
    /// Checked again for each operation, since it may have expired after the socket was opened.
    pub(super) token: Option<Arc<str>>,
    pub(super) client: Client,
    pub(super) address: Option<IpAddr>,
}

/// A message of an operation, and whether it is the last one.
pub(super) struct Said {
    pub(super) id: Arc<str>,
    pub(super) message: Message,
    pub(super) is_last: bool,
}

impl Said {
    fn new(id: &Arc<str>, message: &ToClient<'_>) -> Self {
        Self {
            id: Arc::clone(id),
            is_last: !matches!(message, ToClient::Next { .. }),
            message: message.write(),
        }
    }

    /// The message for an operation that is refused.
    pub(super) fn refused(id: &Arc<str>, refusal: impl Into<Refusal>) -> Self {
        let refusal = refusal.into();
        let at = refusal.at;
        let mut error = ServerError::from(refusal);
        if at.is_none() {
            error.locations.clear();
        }
        let payload = vec![error];
        Self::new(id, &ToClient::Error { id, payload })
    }
}

enum Step {
    Begin(Box<Operation>),
    Next(BoxStream<'static, Response>, Place, IsFirst),
    Complete,
    End,
}

type IsFirst = bool;

impl Operation {
    /// The messages. The next one is only requested when the last one was taken; dropping the stream ends the operation.
    pub(super) fn messages(self) -> impl Stream<Item = Said> + Send + use<> {
        let id = Arc::clone(&self.id);
        let span = info_span!("graphql subscription");
        stream::unfold(Step::Begin(Box::new(self)), move |step| {
            let id = Arc::clone(&id);
            step.run(id).instrument(span.clone())
        })
    }

    async fn begin(self) -> Result<(BoxStream<'static, Response>, Place), Refusal> {
        let api = &self.api;
        // Waits for its turn like a request, behind others of the same client.
        let turn = api.limits.turn(self.client, self.address).await;
        let checked = self
            .asked
            .check(&api.persisted, api.settings.introspection, self.client)?;
        // What ends is sent by POST: there it is counted among the requests in progress, has a status and a trace of its own.
        if checked.operation() != Some(OperationType::Subscription) {
            let detail = "only subscriptions are answered here: send queries and mutations by POST";
            return Err(Problem::from_status(StatusCode::METHOD_NOT_ALLOWED)
                .with_detail(detail)
                .into());
        }
        let caller = match &self.token {
            Some(token) => api.verifier.verify(token).await,
            None => Err(chassis::auth::AuthError::Missing),
        };
        let caller: Result<Caller, Problem> = caller.map_err(|why| Refused(why).into());
        let user = caller.as_ref().ok().map(|caller| caller.user_id);
        let place = api.streams.enter(user, self.address.map(Into::into));
        let place = place.map_err(Problem::from)?;
        drop(turn);
        let idle = Arc::<Idle>::default();
        let calls = api.limits.calls_of(self.client, self.address);
        let asking = Asking::new(api.services.clone(), caller, self.address, calls, &idle);
        Ok((api.stream(checked, asking), place))
    }
}

impl Step {
    async fn run(mut self, id: Arc<str>) -> Option<(Said, Self)> {
        loop {
            self = match self {
                // The socket may be busy sending while this waits for its turn.
                Self::Begin(operation) => match apart(operation.begin()).await {
                    Ok((executed, place)) => Self::Next(executed, place, true),
                    Err(refusal) => return Some((Said::refused(&id, refusal), Self::End)),
                },
                Self::Next(mut executed, place, is_first) => {
                    let next = tokio::select! {
                        next = executed.next() => next,
                        () = place.ended() => {
                            let refused = Said::refused(&id, Problem::from(Full::All));
                            return Some((refused, Self::End));
                        }
                    };
                    let Some(response) = next else {
                        self = Self::Complete;
                        continue;
                    };
                    let payload = Box::new(coded(response));
                    if is_first && is_refused(&payload) {
                        let payload = payload.errors;
                        let said = Said::new(&id, &ToClient::Error { id: &id, payload });
                        return Some((said, Self::End));
                    }
                    // A failed subscription has no position to resume from.
                    let next = match payload.errors.is_empty() {
                        true => Self::Next(executed, place, false),
                        false => Self::Complete,
                    };
                    let said = Said::new(&id, &ToClient::Next { id: &id, payload });
                    return Some((said, next));
                }
                Self::Complete => {
                    return Some((Said::new(&id, &ToClient::Complete { id: &id }), Self::End));
                }
                Self::End => return None,
            };
        }
    }
}

/// Whether nothing was executed, since the document does not fit the schema: no field failed.
fn is_refused(response: &Response) -> bool {
    let mut errors = response.errors.iter();
    response.data == Value::Null
        && !response.errors.is_empty()
        && errors.all(|error| error.path.is_empty())
}
