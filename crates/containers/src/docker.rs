//! Whether there is a docker, and what was started with it.

use std::net::TcpListener;

use parking_lot::{Mutex, MutexGuard};
use testcontainers::bollard::query_parameters::RemoveContainerOptionsBuilder;
use testcontainers::core::client::docker_client_instance;
use testcontainers::{ContainerAsync, GenericImage};
use tokio::sync::OnceCell;

/// The variable that turns a missing docker into a failure.
pub const REQUIRE_DOCKER: &str = "AGORA_REQUIRE_DOCKER";

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
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

fn started() -> MutexGuard<'static, Vec<String>> {
    STARTED.lock()
}
