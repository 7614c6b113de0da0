//! The notifications service as a process of its own.

use chassis::{Fatal, Shutdown, descriptors, telemetry};
use notifications::{Config, Listeners};

#[tokio::main]
async fn main() -> Result<(), Fatal> {
    let config: Config = chassis::config::parse();
    let _telemetry = telemetry::init(config.service.telemetry("notifications"))?;
    descriptors::raise();
    let listeners = Listeners::bind(&config).await?;
    listeners.announce()?;
    notifications::run(config, listeners, Shutdown::on_signals()).await
}
