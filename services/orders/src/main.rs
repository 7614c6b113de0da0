//! The orders service as a process of its own.

use chassis::{Fatal, Shutdown, descriptors, telemetry};
use orders::{Config, Listeners};

/// What a burst took goes back to the system; glibc's allocator keeps it (ADR 23).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Fatal> {
    let config: Config = chassis::config::parse();
    let _telemetry = telemetry::init(config.service.telemetry("orders"))?;
    descriptors::raise();
    let listeners = Listeners::bind(&config).await?;
    listeners.announce();
    orders::run(config, listeners, Shutdown::on_signals()).await
}
