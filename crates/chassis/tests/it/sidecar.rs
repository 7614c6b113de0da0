//! A service without its sidecar is not ready, and says so.

use std::sync::Arc;

use chassis::health::Health;
use chassis::{Shutdown, sidecar};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::eventually;

/// Answers each connection with the status of that moment, until it is dropped.
async fn answer(listener: TcpListener, status: Arc<Mutex<&'static str>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let head = format!("HTTP/1.1 {}\r\n\r\n", status.lock());
        let _ = stream.write_all(head.as_bytes()).await;
    }
}

fn reason(health: &Health) -> Option<String> {
    let report = health.report();
    report.dependencies[0].detail.clone()
}

#[tokio::test]
async fn a_service_is_ready_only_beside_its_sidecar() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (health, shutdown) = (Health::new("test"), Shutdown::manual());
    let watch = sidecar::watch(address, health.dependency("sidecar"), shutdown.clone());
    let watch = tokio::spawn(watch);
    health.ready();
    assert!(!health.is_ready(), "nothing is known yet");

    let status = Arc::new(Mutex::new("503 Service Unavailable"));
    let sidecar = tokio::spawn(answer(listener, Arc::clone(&status)));
    eventually("a sidecar that is not ready", || async {
        reason(&health).is_some_and(|why| why.contains("503"))
    })
    .await;
    *status.lock() = "200 OK";
    eventually("a sidecar", || async { health.is_ready() }).await;
    sidecar.abort();
    assert!(sidecar.await.is_err());

    eventually("a sidecar that is gone", || async { !health.is_ready() }).await;
    assert!(reason(&health).unwrap().contains(&address.to_string()));
    shutdown.trigger();
    watch.await.unwrap();
}
