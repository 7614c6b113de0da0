//! A case over HTTP/1.1, byte by byte: no library would send most of these.

use std::time::Duration;

use scenarios::net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cases::{Body, Case, Sending, Then};
use super::client::{Answer, Client, PATIENCE};

/// The longest head of an answer, in bytes.
const HEAD_MAX: usize = 1 << 17;
/// Between two bytes of a body that drips, and how many bytes do.
const DRIP: Duration = Duration::from_millis(40);
const DRIPS: usize = 25;

impl Client {
    pub(super) async fn over_http1(&self, case: &Case) -> Answer {
        let mut stream = match net::connect(self.from, self.door(case)).await {
            Ok(stream) => stream,
            Err(error) => return Answer::None(format!("no connection: {error}")),
        };
        // Whoever does not want the rest answers, and closes: what cannot be sent any more was not needed.
        let sent = self.send(case, &mut stream).await;
        match (case.leaves, &case.sending) {
            (Some(after), _) => {
                tokio::time::sleep(after).await;
                return Answer::Left;
            }
            (None, Sending::BreaksOff) => return Answer::Left,
            (
                None,
                Sending::Stalls {
                    then: Then::Closes, ..
                },
            ) => return Answer::Left,
            (None, _) => {}
        }
        match tokio::time::timeout(PATIENCE, head(&mut stream)).await {
            Ok(Ok(head)) => read(&head),
            Ok(Err(error)) => Answer::None(format!("{error}; sending: {sent:?}")),
            Err(_) => Answer::Late,
        }
    }

    async fn send(&self, case: &Case, stream: &mut TcpStream) -> std::io::Result<()> {
        let body = self.body(case);
        stream.write_all(&self.head(case, &body)).await?;
        match &case.sending {
            Sending::Whole => stream.write_all(&body).await,
            Sending::Chunked => stream.write_all(&chunked(&body)).await,
            Sending::BreaksOff => stream.write_all(&body[..body.len() / 2]).await,
            Sending::Drips => {
                for byte in body.chunks(body.len().div_ceil(DRIPS).max(1)) {
                    stream.write_all(byte).await?;
                    tokio::time::sleep(DRIP).await;
                }
                Ok(())
            }
            Sending::Stalls {
                after,
                announced,
                time,
                then,
            } => {
                let (first, rest) = body.split_at((*after).min(body.len()));
                let encoded = |part: &[u8]| match announced {
                    Some(_) => part.to_vec(),
                    None if part.is_empty() => Vec::new(),
                    None => chunk(part),
                };
                stream.write_all(&encoded(first)).await?;
                tokio::time::sleep(*time).await;
                if *then == Then::Closes {
                    return Ok(());
                }
                stream.write_all(&encoded(rest)).await?;
                match announced {
                    Some(length) => {
                        let padding = vec![b' '; length.saturating_sub(body.len())];
                        stream.write_all(&padding).await
                    }
                    None => stream.write_all(b"0\r\n\r\n").await,
                }
            }
        }
    }

    fn head(&self, case: &Case, body: &[u8]) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", case.method, self.target(case)).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        };
        line("host", self.gateway.to_string().as_bytes());
        for (name, value) in self.headers(case) {
            line(&name, &value);
        }
        match &case.sending {
            Sending::Chunked
            | Sending::Stalls {
                announced: None, ..
            } => line("transfer-encoding", b"chunked"),
            Sending::Stalls {
                announced: Some(length),
                ..
            } => {
                let length = (*length).max(body.len());
                line("content-length", length.to_string().as_bytes());
            }
            _ if matches!(case.body, Body::None) => {}
            _ => line("content-length", body.len().to_string().as_bytes()),
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

fn chunk(part: &[u8]) -> Vec<u8> {
    let length = format!("{:x}\r\n", part.len());
    [length.as_bytes(), part, b"\r\n"].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut all: Vec<u8> = body
        .chunks(body.len().div_ceil(3).max(1))
        .flat_map(chunk)
        .collect();
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

/// Up to the empty line of the first answer that is not an interim one (100, 103).
async fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        head.extend_from_slice(&buffer[..count]);
        while let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            if !head.starts_with(b"HTTP/1.1 1") {
                head.truncate(end + 2);
                return Ok(head);
            }
            head.drain(..end + 4);
        }
        if count == 0 || head.len() > HEAD_MAX {
            let text = head[..head.len().min(200)].escape_ascii().to_string();
            return Err(std::io::Error::other(format!("no whole head: {text}")));
        }
    }
}

fn read(head: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    match status {
        Some(status) => Answer::Http {
            status,
            retry_after: text.contains("\r\nretry-after:"),
        },
        None => Answer::None(format!("no status: {text}")),
    }
}
