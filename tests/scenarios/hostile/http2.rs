//! A case over HTTP/2: a request to the gateway, or a gRPC call to users.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use scenarios::net;

use super::cases::{Case, Sending, Speaks, Then};
use super::client::{Answer, Client, PATIENCE};

impl Client {
    /// A connection whose streams begin with a window of so many bytes.
    pub(super) async fn http2(
        &self,
        to: std::net::SocketAddr,
        window: u32,
    ) -> Result<SendRequest<Bytes>, String> {
        let stream = net::connect(self.from, to).await;
        let stream = stream.map_err(|e| format!("no connection: {e}"))?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).enable_push(false);
        let handshake = builder.handshake(stream).await;
        let (send, connection) = handshake.map_err(|e| format!("no connection: {e}"))?;
        tokio::spawn(connection);
        let ready = tokio::time::timeout(PATIENCE, send.ready()).await;
        match ready {
            Ok(ready) => ready.map_err(|e| format!("no connection: {e}")),
            Err(_) => Err("no stream in time".to_owned()),
        }
    }

    pub(super) async fn over_http2(&self, case: &Case) -> Answer {
        let Some(request) = self.request(case) else {
            return Answer::None("the library does not send that".to_owned());
        };
        let mut send = match self.http2(self.door(case), 65_535).await {
            Ok(send) => send,
            Err(why) => return Answer::None(why),
        };
        let body = self.body(case);
        let ends = body.is_empty() && !case.stalls();
        let (answer, stream) = match send.send_request(request, ends) {
            Ok(sent) => sent,
            Err(error) => return Answer::None(error.to_string()),
        };
        if !ends {
            self.send_body(case, body, stream).await;
        }
        if let Some(after) = case.leaves {
            tokio::time::sleep(after).await;
            return Answer::Left;
        }
        if case.sending == Sending::BreaksOff {
            return Answer::Left;
        }
        let read = tokio::time::timeout(PATIENCE, read(case, answer));
        read.await.unwrap_or(Answer::Late)
    }

    /// None for what the library refuses to build.
    fn request(&self, case: &Case) -> Option<Request<()>> {
        let uri = format!("http://{}{}", self.door(case), self.target(case));
        let mut request = Request::builder()
            .method(case.method)
            .uri(uri)
            .body(())
            .ok()?;
        for (name, value) in self.headers(case) {
            let name: HeaderName = name.parse().ok()?;
            // Not a part of HTTP/2: the server ends the whole connection for them.
            if matches!(name.as_str(), "connection" | "upgrade" | "te" | "host") {
                continue;
            }
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(name, value);
            }
        }
        Some(request)
    }

    /// What the stream does not take any more is not needed: its answer says why.
    async fn send_body(&self, case: &Case, body: Vec<u8>, mut stream: SendStream<Bytes>) {
        let body = Bytes::from(body);
        match &case.sending {
            Sending::Whole | Sending::Chunked | Sending::Drips => {
                let _ = stream.send_data(body, true);
            }
            Sending::BreaksOff => {
                let _ = stream.send_data(body.slice(..body.len() / 2), false);
                stream.send_reset(Reason::CANCEL);
            }
            Sending::Stalls {
                after, time, then, ..
            } => {
                let mut rest = body;
                let first = rest.split_to((*after).min(rest.len()));
                let _ = stream.send_data(first, false);
                tokio::time::sleep(*time).await;
                match then {
                    Then::Continues => {
                        let _ = stream.send_data(rest, true);
                    }
                    Then::Closes => stream.send_reset(Reason::CANCEL),
                }
            }
        }
    }
}

async fn read(case: &Case, answer: ResponseFuture) -> Answer {
    let answer = match answer.await {
        Ok(answer) => answer,
        Err(error) => return Answer::None(error.to_string()),
    };
    let status = answer.status().as_u16();
    if case.speaks != Speaks::Grpc || status != 200 {
        let retry_after = answer.headers().contains_key("retry-after");
        return Answer::Http {
            status,
            retry_after,
        };
    }
    if let Some(answer) = code(answer.headers()) {
        return answer;
    }
    let mut body = answer.into_body();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                let _ = body.flow_control().release_capacity(data.len());
            }
            Err(error) => return Answer::None(error.to_string()),
        }
    }
    let trailers = body.trailers().await.ok().flatten();
    trailers
        .and_then(|trailers| code(&trailers))
        .unwrap_or_else(|| Answer::None("no trailers".to_owned()))
}

fn code(headers: &HeaderMap) -> Option<Answer> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let code = text("grpc-status")?.parse().ok()?;
    let message = text("grpc-message").unwrap_or_default();
    Some(Answer::Grpc { code, message })
}
