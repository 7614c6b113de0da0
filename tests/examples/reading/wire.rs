//! What goes over the wire: a relay in front of a door that counts the bytes of both directions, headers and frames among them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scenarios::net;

/// What is read at a time.
const BUFFER_BYTES: usize = 16 * 1024;

/// The way to a door. It is there until the program ends.
pub(crate) struct Wire {
    /// Where it begins.
    pub(crate) url: String,
    bytes: Arc<AtomicUsize>,
}

impl Wire {
    /// To the door with this URL.
    pub(crate) fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("an address");
        let (door, bytes) = (net::address(url), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&bytes);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                relay(client.expect("a client"), door, &counted);
            }
        });
        let url = format!("http://{at}");
        Self { url, bytes }
    }

    /// How many have passed.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }
}

/// Passes on what comes from either side, until both have ended.
fn relay(client: TcpStream, door: SocketAddr, counted: &Arc<AtomicUsize>) {
    let door = TcpStream::connect(door).expect("the door");
    for (from, to) in [(&client, &door), (&door, &client)] {
        let (from, to) = (from.try_clone(), to.try_clone());
        let (from, to) = (from.expect("a socket"), to.expect("a socket"));
        let counted = Arc::clone(counted);
        std::thread::spawn(move || copy(from, to, &counted));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, counted: &AtomicUsize) {
    let mut buffer = [0; BUFFER_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        // Before it is passed on: whoever has the answer finds it counted.
        counted.fetch_add(read, Ordering::SeqCst);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}
