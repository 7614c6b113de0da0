//! Server-sent events as they come over the wire, for whoever looks for something in them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::watcher::PATIENCE;

/// After this without a byte, all that was kept has come.
const SILENCE: Duration = Duration::from_secs(2);

/// An answer that goes on.
pub(super) struct Stream {
    connection: TcpStream,
    text: Vec<u8>,
}

impl Stream {
    /// Asks for `path` of the server at `base`.
    pub(super) fn open(base: &str, path: &str) -> Self {
        let address = base.strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(address).expect("a connection");
        let timeout = connection.set_read_timeout(Some(SILENCE));
        timeout.expect("a timeout");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("to ask");
        Self {
            connection,
            text: Vec::new(),
        }
    }

    /// All that comes until there is silence, of which there may be some before `first` comes.
    pub(super) fn kept(mut self, first: &str) -> String {
        let since = Instant::now();
        while self.read() || !self.so_far().contains(first) {
            assert!(
                since.elapsed() < PATIENCE,
                "waited for {first} in: {}",
                self.so_far()
            );
        }
        self.so_far()
    }

    /// All that comes until there is enough of it.
    pub(super) fn until(mut self, what: &str, is_enough: impl Fn(&str) -> bool) -> String {
        let since = Instant::now();
        while !is_enough(&self.so_far()) {
            assert!(
                since.elapsed() < PATIENCE,
                "waited for {what} in: {}",
                self.so_far()
            );
            self.read();
        }
        self.so_far()
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Reads a piece; whether there was one.
    fn read(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        let read = self.connection.read(&mut piece).unwrap_or_default();
        self.text.extend_from_slice(&piece[..read]);
        read > 0
    }
}
