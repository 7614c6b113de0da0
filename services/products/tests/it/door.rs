//! Talking to the service by HTTP, as a client that knows only the wire.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use contracts::testing::documented::{Answered, Documented};
use http::response::Parts;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::app::TestApp;
use crate::broker::PATIENCE;

/// How often something is looked at that tells nobody when it changes.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// It is a problem document with this status.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{self:?}"
        );
        assert_eq!(self.body["status"], status, "{self:?}");
        self.body
    }
}

/// What the service says of itself. Its other ports have other paths.
static DOCUMENTED: LazyLock<Documented> = LazyLock::new(|| {
    let documents = [products::document(), products::document_v2()];
    Documented::new(documents.map(Result::unwrap).into())
});

/// Whatever is answered has to be documented.
pub(crate) async fn get(
    address: SocketAddr,
    path: &str,
) -> Result<Reply, hyper_util::client::legacy::Error> {
    let (head, body) = fetch(address, path).await?;
    let content_type = head.headers.get("content-type");
    let answered = Answered {
        status: head.status.as_u16(),
        content_type: content_type.map(|value| value.to_str().unwrap()),
        body: &body,
    };
    DOCUMENTED.hold("GET", path, answered);
    Ok(Reply {
        status: head.status,
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

/// A page that is not JSON.
pub(crate) async fn text(address: SocketAddr, path: &str) -> String {
    let (head, body) = fetch(address, path).await.unwrap();
    assert_eq!(head.status, StatusCode::OK);
    String::from_utf8(body.to_vec()).unwrap()
}

async fn fetch(
    address: SocketAddr,
    path: &str,
) -> Result<(Parts, Bytes), hyper_util::client::legacy::Error> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let request = Request::get(format!("http://{address}{path}"))
        .body(Empty::new())
        .unwrap();
    let (head, body) = client.request(request).await?.into_parts();
    Ok((head, body.collect().await.unwrap().to_bytes()))
}

impl TestApp {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(self.http, path).await.unwrap()
    }

    /// Waits until the readiness page has this status.
    pub(crate) async fn until_readyz(&self, status: StatusCode) {
        let told = async {
            while get(self.admin, "/readyz").await.unwrap().status != status {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, told)
            .await
            .expect("another state");
    }

    /// Waits until the readiness page says so.
    pub(crate) async fn until_ready(&mut self) {
        let admin = self.admin;
        let ready = async {
            loop {
                match get(admin, "/readyz").await {
                    Ok(reply) if reply.status == StatusCode::OK => return,
                    _ => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        };
        tokio::select! {
            ready = tokio::time::timeout(PATIENCE, ready) => {
                assert!(ready.is_ok(), "not ready: {:#?}", get(self.admin, "/readyz").await);
            }
            ended = &mut self.running => panic!("it ended: {ended:?}"),
        }
    }
}
