//! How commands get to the driver: plain HTTP on this machine. thirtyfour's own way is reqwest, which asks for a provider of
//! cryptography even where there is no TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thirtyfour::prelude::{WebDriverError, WebDriverResult};
use thirtyfour::session::http::{Body, HttpClient};

/// A client of the driver.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client<HttpConnector, Full<Bytes>>,
    patience: Duration,
}

impl Wire {
    /// One whose commands take no longer than `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            patience,
        }
    }

    async fn ask(&self, request: Request<Body<'_>>) -> Result<Response<Bytes>, String> {
        let (mut parts, body) = request.into_parts();
        let text = match body {
            Body::Empty => String::new(),
            Body::Json(json) => {
                let json_type = header::HeaderValue::from_static("application/json");
                parts.headers.insert(header::CONTENT_TYPE, json_type);
                json.to_string()
            }
        };
        let request = Request::from_parts(parts, Full::from(text));
        let answer = self.client.request(request).await;
        let (parts, body) = answer.map_err(|error| error.to_string())?.into_parts();
        let whole = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, whole.to_bytes()))
    }
}

#[async_trait::async_trait]
impl HttpClient for Wire {
    async fn send(&self, request: Request<Body<'_>>) -> WebDriverResult<Response<Bytes>> {
        match tokio::time::timeout(self.patience, self.ask(request)).await {
            Ok(answer) => answer.map_err(WebDriverError::HttpError),
            Err(_) => Err(WebDriverError::HttpError(format!(
                "no answer within {:?}",
                self.patience
            ))),
        }
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(Self::new(self.patience))
    }
}
