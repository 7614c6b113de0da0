//! A link that can be cut, or fall silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A TCP proxy between a service and what it depends on, which tests cut and mend.
#[derive(Debug)]
pub struct Link {
    /// Where it listens, on 127.0.0.1.
    pub address: SocketAddr,
    state: watch::Sender<State>,
    attempts: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    whole: bool,
    // Connections end when it moves, even if the link is whole again before they look.
    cuts: u32,
    is_silent: bool,
    // As `cuts`.
    silences: u32,
}

impl Link {
    /// A whole link to `target`. It forwards for as long as the runtime lives.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (state, seen) = watch::channel(State {
            whole: true,
            cuts: 0,
            is_silent: false,
            silences: 0,
        });
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass(near, target, seen.clone()));
            }
        });
        Self {
            address,
            state,
            attempts,
        }
    }

    /// A whole link to the database at `url`, and the URL that leads through it.
    ///
    /// # Panics
    /// When the URL names no address and port, or there is no free port.
    pub async fn to_database(url: &str) -> (Self, String) {
        let mut url: url::Url = url.parse().expect("a URL");
        let target = url
            .socket_addrs(|| Some(5432))
            .expect("the database's address")[0];
        let link = Self::to(target).await;
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(link.address.port()))
            .expect("a URL with a port");
        (link, url.into())
    }

    /// Ends every connection, and each new one as soon as it is made.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.whole = false;
            state.cuts += 1;
        });
    }

    /// Passes nothing on any more and closes nothing, like a host that is gone without a word: who uses a connection, or
    /// asks for one, gets no answer. What it led to sees its connections end.
    pub fn silence(&self) {
        self.state.send_modify(|state| {
            state.is_silent = true;
            state.silences += 1;
        });
    }

    /// Lets new connections through again. Those that were cut or fell silent stay so.
    pub fn mend(&self) {
        self.state.send_modify(|state| {
            state.whole = true;
            state.is_silent = false;
        });
    }

    /// How many connections were asked for so far, whatever became of them.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let begun = *state.borrow();
    let forward = async {
        let mut far = TcpStream::connect(target).await.ok()?;
        tokio::io::copy_bidirectional(&mut near, &mut far)
            .await
            .ok()
    };
    let mut hushed = state.clone();
    // Both end also when the link itself is gone.
    let cut = async {
        let _ = state
            .wait_for(|state| !state.whole || state.cuts != begun.cuts)
            .await;
    };
    let silence = async {
        let silenced = hushed
            .wait_for(|state| state.is_silent || state.silences != begun.silences)
            .await;
        silenced.is_ok()
    };
    tokio::pin!(cut);
    let is_silent = tokio::select! {
        biased;
        () = &mut cut => false,
        silenced = silence => silenced,
        _ = forward => false,
    };
    if is_silent {
        // What is sent stays unread in the socket, which is open until then.
        cut.await;
    }
    drop(near);
}
