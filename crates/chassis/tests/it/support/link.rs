//! A breakable link: a TCP proxy between a service and its database.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections until it is broken; a broken one cuts what is open and refuses what comes.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    whole: Arc<watch::Sender<bool>>,
}

impl Link {
    pub(crate) async fn to(target: SocketAddr, whole: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let whole = Arc::new(watch::Sender::new(whole));
        let state = Arc::clone(&whole);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut watcher = state.subscribe();
                tokio::spawn(async move {
                    let broken = async { watcher.wait_for(|whole| !*whole).await.map(|_| ()).ok() };
                    let forward = async {
                        let mut far = TcpStream::connect(target).await.ok()?;
                        tokio::io::copy_bidirectional(&mut near, &mut far)
                            .await
                            .ok()
                    };
                    tokio::select! { biased; _ = broken => {}, _ = forward => {} }
                });
            }
        });
        Self { address, whole }
    }

    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(crate) fn restore(&self) {
        self.whole.send_replace(true);
    }
}
