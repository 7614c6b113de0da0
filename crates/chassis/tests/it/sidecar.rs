//! A service without its sidecar is not ready, and says so.

use chassis::health::Health;
use chassis::{Shutdown, sidecar};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::eventually;

/// Answers each connection with this status, until it is dropped.
async fn answer(listener: TcpListener, status: &'static str) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let _ = stream
            .write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes())
            .await;
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

    let starting = tokio::spawn(answer(listener, "503 Service Unavailable"));
    eventually("a sidecar that is not ready", || async {
        reason(&health).is_some_and(|why| why.contains("503"))
    })
    .await;
    starting.abort();
    assert!(starting.await.is_err());

    let listener = TcpListener::bind(address).await.unwrap();
    let serving = tokio::spawn(answer(listener, "200 OK"));
    eventually("a sidecar", || async { health.is_ready() }).await;
    serving.abort();
    assert!(serving.await.is_err());

    eventually("a sidecar that is gone", || async { !health.is_ready() }).await;
    assert!(reason(&health).unwrap().contains(&address.to_string()));
    shutdown.trigger();
    watch.await.unwrap();
}
