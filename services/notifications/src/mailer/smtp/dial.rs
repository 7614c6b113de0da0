//! The connection to a mail server.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Connects to the first address of a host that can be reached, each within `reach`.
///
/// What is written is sent at once. lettre writes the text of a mail and the dot behind it one after the other and leaves
/// Nagle's algorithm on, so that the dot waited until the server's system had acknowledged the text: for 40 ms each time,
/// since it puts off an acknowledgement while there is no answer to send with it.
pub(super) async fn dial(host: &str, port: u16, reach: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, port)).await? {
        match timeout(reach, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failed = error,
            Err(_late) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const REACH: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn what_is_written_does_not_wait_for_what_was_written_before() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let stream = dial("127.0.0.1", port, REACH).await.unwrap();
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_an_error() {
        // Nobody else can have it meanwhile.
        let kept = TcpSocket::new_v4().unwrap();
        kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = kept.local_addr().unwrap().port();
        let error = dial("127.0.0.1", port, REACH).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
