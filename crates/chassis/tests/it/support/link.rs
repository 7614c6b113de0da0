//! A breakable link: a TCP proxy between a service and its database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections until it is cut: that ends what is open and refuses what comes.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    attempts: Arc<AtomicUsize>,
}

struct State {
    whole: bool,
    // Connections end when it moves, even if the link is whole again before they look.
    cuts: u32,
}

impl Link {
    pub(crate) async fn to(target: SocketAddr, whole: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new(State { whole, cuts: 0 }));
        let attempts = Arc::new(AtomicUsize::new(0));
        let (shared, counted) = (Arc::clone(&state), Arc::clone(&attempts));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut state = shared.subscribe();
                let begun = state.borrow().cuts;
                tokio::spawn(async move {
                    let forward = async {
                        let mut far = TcpStream::connect(target).await.ok()?;
                        tokio::io::copy_bidirectional(&mut near, &mut far)
                            .await
                            .ok()
                    };
                    tokio::select! {
                        biased;
                        _ = state.wait_for(|state| !state.whole || state.cuts != begun) => {}
                        _ = forward => {}
                    }
                });
            }
        });
        Self {
            address,
            state,
            attempts,
        }
    }

    /// How many connections were asked for, refused ones included.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| {
            *state = State {
                whole: false,
                cuts: state.cuts + 1,
            }
        });
    }

    pub(crate) fn restore(&self) {
        self.state.send_modify(|state| state.whole = true);
    }
}
