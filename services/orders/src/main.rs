//! The orders service as a separate process.

use chassis::{Fatal, Shutdown, descriptors, telemetry};
use orders::{Config, Listeners};

/// Returns the memory of a burst to the system, which glibc's allocator does not (ADR 62).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> Result<(), Fatal> {
    let config: Config = chassis::config::parse();
    let _telemetry = telemetry::init(config.service.telemetry("orders"))?;
    descriptors::raise();
    let listeners = Listeners::bind(&config).await?;
    listeners.announce();
    orders::run(config, listeners, Shutdown::on_signals()).await
}
