//! The mesh's own program, for its image: `mesh ca`, `mesh config`.

use chassis::Fatal;
use clap::{Parser, Subcommand};

/// The authority of the service mesh, and the configuration of its sidecars.
#[derive(Debug, Parser)]
#[command(name = "mesh", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep the certificates of all services fresh.
    #[command(after_help = mesh::ca::AFTER_HELP)]
    Ca(mesh::ca::Ca),
    /// Print the configuration of a service's sidecar.
    Config(mesh::envoy::Config),
}

#[tokio::main]
async fn main() -> Result<(), Fatal> {
    let cli: Cli = chassis::config::parse();
    match cli.command {
        Command::Ca(ca) => mesh::ca::run(ca).await,
        Command::Config(config) => chassis::output::exit(mesh::envoy::print(&config)),
    }
}
