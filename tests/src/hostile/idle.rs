//! Connections that say nothing.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use super::{AGAIN, Attacker};
use crate::net;

/// At the gateway, and at its admin port.
const CONNECTIONS: usize = 1_000;
const ADMIN_CONNECTIONS: usize = 300;

impl Attacker {
    pub(super) fn idle_connections(&self, tasks: &mut JoinSet<()>) {
        for _ in 0..CONNECTIONS {
            tasks.spawn(self.clone().idle(self.gateway));
        }
        for _ in 0..ADMIN_CONNECTIONS {
            tasks.spawn(self.clone().idle(self.gateway_admin));
        }
    }

    async fn idle(self, to: SocketAddr) {
        loop {
            match net::connect(self.from, to).await {
                Ok(mut stream) => {
                    self.counts.count("connected");
                    let _ = stream.read(&mut [0]).await;
                    self.counts.count("closed");
                }
                Err(_) => self.counts.count("not connected"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
