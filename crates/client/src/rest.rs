//! JSON over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::RequestBody;
use crate::endpoint::ReadWhole;
use crate::{CallContext, CallError, HttpPool, Monitor, Peer, PooledBody, ProblemBody, trace};

/// The most bytes of a target and of an idempotency key together, which can hold what a caller's own caller said: as many as
/// an outer door of ours takes of a target. A server takes 32 KiB of a head, with the token and all that is added to it,
/// and breaks off the connection on which more comes: it would look like one that is broken.
const SAID_BYTES_MAX: usize = 8 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// A client for one peer's REST interface. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct RestClient {
    pool: HttpPool,
}

impl RestClient {
    /// A client for `peer`; it does not connect yet.
    ///
    /// # Panics
    /// As [`HttpPool::new`].
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self::over(HttpPool::new(peer))
    }

    /// A client over a pool that is also used elsewhere, so that the peer has one set of limits.
    #[must_use]
    pub fn over(pool: HttpPool) -> Self {
        Self { pool }
    }

    /// The peer that it calls.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.pool.peer()
    }

    /// A handle to inspect the client and to force its breakers.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.pool.monitor()
    }

    /// `GET path`; `path` begins with `/` and may carry a query.
    ///
    /// # Errors
    /// [`CallError`]; an answer other than 2xx is [`CallError::Problem`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        context: &CallContext,
    ) -> Result<T, CallError> {
        self.call(Method::GET, path, None::<&()>, context).await
    }

    /// The same for an answer that may be longer than [`MAX_RESPONSE_BYTES`](crate::MAX_RESPONSE_BYTES): up to `bytes_max`.
    ///
    /// # Errors
    /// As [`RestClient::get`].
    pub async fn get_long<T: DeserializeOwned>(
        &self,
        path: &str,
        bytes_max: usize,
        context: &CallContext,
    ) -> Result<T, CallError> {
        let mut request = self.request(Method::GET, path, None::<&()>, context)?;
        request.extensions_mut().insert(ReadWhole { bytes_max });
        self.answer(request).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`RestClient::get`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        context: &CallContext,
    ) -> Result<T, CallError> {
        self.call(Method::POST, path, Some(body), context).await
    }

    /// `PUT path` with a JSON body.
    ///
    /// # Errors
    /// As [`RestClient::get`].
    pub async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        context: &CallContext,
    ) -> Result<T, CallError> {
        self.call(Method::PUT, path, Some(body), context).await
    }

    /// `DELETE path`. The answer may be empty if `T` can be parsed from JSON's `null`, such as `()`.
    ///
    /// # Errors
    /// As [`RestClient::get`].
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        context: &CallContext,
    ) -> Result<T, CallError> {
        self.call(Method::DELETE, path, None::<&()>, context).await
    }

    /// `POST path` without a body, for actions such as `/cancel`.
    ///
    /// # Errors
    /// As [`RestClient::get`].
    pub async fn post_empty<T: DeserializeOwned>(
        &self,
        path: &str,
        context: &CallContext,
    ) -> Result<T, CallError> {
        self.call(Method::POST, path, None::<&()>, context).await
    }

    /// One answer with events; none for 204, which says that there is nothing more to come.
    pub(crate) async fn open_events(
        &self,
        path: &str,
        after: Option<&str>,
        context: &CallContext,
    ) -> Result<Option<PooledBody>, CallError> {
        let name = self.peer().name;
        let mut request = self.request(Method::GET, path, None::<&()>, context)?;
        request.extensions_mut().remove::<ReadWhole>();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, EVENT_STREAM);
        if let Some(id) = after {
            let id = HeaderValue::try_from(id)
                .map_err(|error| CallError::unsendable(name, error.to_string()))?;
            headers.insert("last-event-id", id);
        }
        let (head, mut body) = self.pool.send(request).await?.into_parts();
        if !head.status.is_success() {
            // Ours are short, and so were read at once.
            let bytes = body.into_whole().unwrap_or_default();
            let problem = problem(head.status, &head.headers, &bytes);
            return Err(CallError::Problem(Box::new(problem)));
        }
        if head.status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        if head.headers.get(CONTENT_TYPE) != Some(&EVENT_STREAM) {
            return Err(CallError::decode(name, "it is no stream of events"));
        }
        body.leave_count();
        Ok(Some(body))
    }

    async fn call<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        context: &CallContext,
    ) -> Result<T, CallError> {
        let request = self.request(method, path, body, context)?;
        self.answer(request).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: Request<RequestBody>,
    ) -> Result<T, CallError> {
        let (head, body) = self.pool.send(request).await?.into_parts();
        let bytes = body.into_whole().unwrap_or_default();
        if !head.status.is_success() {
            let problem = problem(head.status, &head.headers, &bytes);
            return Err(CallError::Problem(Box::new(problem)));
        }
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|error| CallError::decode(self.peer().name, error))
    }

    fn request<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        context: &CallContext,
    ) -> Result<Request<RequestBody>, CallError> {
        let unsendable =
            |detail: &dyn ToString| CallError::unsendable(self.peer().name, detail.to_string());
        let key_bytes = context.idempotency_key.as_ref().map_or(0, String::len);
        if path.len() + key_bytes > SAID_BYTES_MAX {
            return Err(unsendable(&"its target is too long"));
        }
        let uri = Uri::try_from(format!("{}{path}", self.peer().address.base_path()))
            .map_err(|error| unsendable(&error))?;
        let payload = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| unsendable(&error))?
                .into(),
            None => Bytes::new(),
        };
        let mut request = Request::new(RequestBody::whole(payload));
        request.extensions_mut().insert(ReadWhole::default());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, JSON);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        if let Some(token) = &context.bearer {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|error| unsendable(&error))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(key) = &context.idempotency_key {
            headers.insert(
                "idempotency-key",
                HeaderValue::try_from(key).map_err(|error| unsendable(&error))?,
            );
        }
        trace::inject(headers);
        Ok(request)
    }
}

/// The peer's problem document, or one made from the status if the peer sent something else.
fn problem(status: StatusCode, headers: &HeaderMap, bytes: &[u8]) -> ProblemBody {
    let mut problem: ProblemBody = serde_json::from_slice(bytes).unwrap_or_default();
    problem.status = status.as_u16();
    if problem.title.is_empty() {
        problem.title = status.canonical_reason().unwrap_or("Error").to_owned();
    }
    problem.retry_after = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    problem
}
