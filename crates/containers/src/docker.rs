//! Whether there is a docker, and what was started with it.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use parking_lot::{Mutex, MutexGuard};
use testcontainers::bollard::query_parameters::RemoveContainerOptionsBuilder;
use testcontainers::core::client::docker_client_instance;
use testcontainers::{ContainerAsync, GenericImage};
use tokio::sync::OnceCell;

/// The variable that turns a missing docker into a failure.
pub const REQUIRE_DOCKER: &str = "AGORA_REQUIRE_DOCKER";

/// The ports of containers: below those that Linux (from 32,768 on) and others (from 49,152 on) give out by themselves.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// Containers of this process, until the end of it.
static STARTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether docker answers; else why not. Asked once.
pub(crate) async fn available() -> Result<(), String> {
    static ANSWER: OnceCell<Result<(), String>> = OnceCell::const_new();
    let ask = async {
        let client = docker_client_instance()
            .await
            .map_err(|error| error.to_string())?;
        client
            .ping()
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    };
    ANSWER.get_or_init(|| ask).await.clone()
}

/// Has the container removed at the end. It is never dropped before that: tests share it.
pub(crate) fn keep(container: &ContainerAsync<GenericImage>) {
    started().push(container.id().to_owned());
}

/// Removes all containers of this process, running or not, with their volumes.
pub(crate) async fn remove_all() {
    let ids = std::mem::take(&mut *started());
    if ids.is_empty() {
        return;
    }
    let Ok(client) = docker_client_instance().await else {
        return;
    };
    let removals = ids.iter().map(|id| {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
        client.remove_container(id, Some(options.build()))
    });
    // What is gone already cannot be removed.
    let _gone = futures::future::join_all(removals).await;
}

/// A port that is free now. A container that is restarted must come back where it was, and docker gives a port of
/// its own choice anew at each start.
///
/// It is none of those that a system gives to connections and to who asks for any: somebody would get it before the
/// container has it, or while that is stopped. Each process begins somewhere else.
pub(crate) fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let somewhere = RandomState::new().hash_one(std::process::id());
        AtomicU16::new(somewhere as u16)
    });
    let mut ports = (0..PORTS).map(|_| FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    ports.find(is_free).expect("a free port")
}

fn started() -> MutexGuard<'static, Vec<String>> {
    STARTED.lock()
}
