//! A link to the database that can be cut: `cut()` closes what is open and refuses what is new.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use url::Url;

pub(crate) struct Link {
    pub(crate) url: String,
    whole: Arc<AtomicBool>,
    cut: Arc<Notify>,
}

impl Link {
    pub(crate) async fn to(database: &str) -> Self {
        let mut url = Url::parse(database).unwrap();
        let target = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let link = Self {
            url: url.into(),
            whole: Arc::new(AtomicBool::new(true)),
            cut: Arc::default(),
        };
        let (whole, cut) = (Arc::clone(&link.whole), Arc::clone(&link.cut));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if !whole.load(Ordering::SeqCst) {
                    continue;
                }
                let (target, cut) = (target.clone(), Arc::clone(&cut));
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        link
    }

    pub(crate) fn cut(&self) {
        self.whole.store(false, Ordering::SeqCst);
        self.cut.notify_waiters();
    }

    pub(crate) fn mend(&self) {
        self.whole.store(true, Ordering::SeqCst);
    }
}
