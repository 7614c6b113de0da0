//! The gateway as a process of its own.

use chassis::{Fatal, Shutdown, config, descriptors, telemetry};
use gateway::{Config, Listeners, run};

/// What a burst took goes back to the system; glibc's allocator keeps it (ADR 23).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Fatal> {
    let config: Config = config::parse();
    let _telemetry = telemetry::init(config.service.telemetry("gateway"))?;
    descriptors::raise();
    let listeners = Listeners::bind(&config).await?;
    listeners.announce();
    run(config, listeners, Shutdown::on_signals()).await
}
