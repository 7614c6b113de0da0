//! An admin port has one client, however often it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::any;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::support::Observatory;

const QUESTIONS: usize = 60;

#[tokio::test]
async fn questions_share_connections() {
    let opened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opened);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let listener = listener.tap_io(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let routes = Router::new().fallback(any(|| async { r#"{"dead_letters": []}"# }));
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let observatory = Observatory::start(&format!("orders=http://{at}")).await;
    for _ in 0..QUESTIONS {
        let (status, _) = observatory.get("/v1/dead-letters/orders").await;
        assert_eq!(status, 200);
    }
    // Not one: a question may come before the connection of the last one is back in the pool.
    let opened = opened.load(Ordering::Relaxed);
    assert!(
        opened < QUESTIONS / 3,
        "{opened} connections for {QUESTIONS} questions"
    );
}
