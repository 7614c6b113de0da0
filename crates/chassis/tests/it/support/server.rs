//! A router served by the chassis on a free port, and a client for it.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chassis::http::Options;
use chassis::limits::Limits;
use chassis::{Fatal, Shutdown, http, listen};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::task::JoinHandle;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) served: JoinHandle<Result<(), Fatal>>,
    client: Client<HttpConnector, Body>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that this is a whole problem document of this status, and gives it back.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(
            problem["type"].as_str().unwrap().starts_with("/problems/"),
            "{problem}"
        );
        assert!(!problem["title"].as_str().unwrap().is_empty());
        problem
    }
}

impl Server {
    /// Serves the router as it is.
    pub(crate) async fn plain(router: Router, options: Options) -> Self {
        super::log::init();
        let listener = listen::bind("127.0.0.1", 0, "--http-port", "HTTP_PORT")
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::manual();
        let served = tokio::spawn(http::serve(listener, router, options, shutdown.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            address,
            shutdown,
            served,
            client,
        }
    }

    /// Serves it with everything that services have; bodies up to 1000 bytes.
    pub(crate) async fn standard(router: Router) -> Self {
        Self::plain(
            http::standard("test", 1000, Limits::default()).around(router),
            Options::default(),
        )
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Answer {
        self.send(Method::POST, path, &[("content-type", content_type)], body)
            .await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .client
            .request(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Triggers the shutdown and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        tokio::time::timeout(super::PATIENCE, self.served)
            .await
            .expect("it stops")
            .unwrap()
            .unwrap();
    }
}
