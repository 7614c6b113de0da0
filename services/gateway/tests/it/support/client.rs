//! A client that hides nothing.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A request in the making.
pub(crate) struct Call(http::request::Builder, Body);

impl Call {
    pub(crate) fn new(method: Method, url: String) -> Self {
        Self(Request::builder().method(method).uri(url), Body::empty())
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value), self.1)
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn body(self, body: impl Into<Body>) -> Self {
        Self(self.0, body.into())
    }

    /// The answer's head; its body is still on its way.
    pub(crate) async fn begin(self) -> Response<Incoming> {
        self.try_begin().await.unwrap()
    }

    /// The answer's head, if the connection did not break before it.
    pub(crate) async fn try_begin(self) -> Result<Response<Incoming>, Error> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        client.request(self.0.body(self.1).unwrap()).await
    }

    /// The whole answer.
    pub(crate) async fn send(self) -> Answer {
        let (head, body) = self.begin().await.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

/// The whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// It succeeded with this status; its JSON.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// It is a whole problem document of this status, about this path; the document.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, instance: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header(header::CONTENT_TYPE.as_str()),
            "application/problem+json",
            "{self:?}"
        );
        let document = self.json();
        assert_eq!(document["status"], status, "{document}");
        assert_eq!(document["instance"], instance, "{document}");
        assert!(
            document["title"].is_string() && document["type"].is_string(),
            "{document}"
        );
        let trace_id = document["trace_id"].as_str().unwrap_or_default();
        assert!(
            trace_id.len() == 32 && trace_id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{document}"
        );
        document
    }
}
