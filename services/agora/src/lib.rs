//! The whole marketplace in one process: `agora up`; and what is done to one that runs: `agora dlq`,
//! `agora trace`, `agora tour`, `agora load`. `agora bench` measures one of its own; `agora mesh-ca` is the authority of
//! `deploy/mesh`, from the crate `mesh`.
//!
//! Every service runs here with the same `run()` as on its own, on a private PostgreSQL, an in-memory
//! Kafka and a directory of mails. What differs is only configuration; no service knows that it shares a
//! process. Read `up.rs` for the order of a start and a stop.
//!
//! | where | what |
//! |---|---|
//! | `up.rs`, `cli.rs`, `signals.rs` | the command: what was asked for, and what ends it |
//! | `files/` | the data directory and what is kept in it |
//! | `engines/` | what the services run on |
//! | `services/` | the services: their ports, configurations and order |
//! | `switches.rs`, `switches/` | what of it can be taken away and given back |
//! | `dlq.rs`, `dlq/` | another command: dead letters |
//! | `trace.rs`, `trace/` | another command: the journey of an order |
//! | `tour.rs`, `tour/` | another command: the tour of the page, in the terminal |
//! | `load.rs`, `load/` | another command: many orders |
//! | `bench.rs`, `bench/` | another command: the figures of docs/performance.md |
//! | `browser.rs` | opens the page |
//! | `screen.rs`, `endpoints.rs`, `demo.rs` | what people and scripts are told when all is ready |

mod bench;
mod binaries;
mod browser;
mod cli;
mod demo;
mod dlq;
mod endpoints;
mod engines;
mod failure;
mod files;
mod load;
mod screen;
mod services;
mod signals;
mod switches;
mod tour;
mod trace;
mod up;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use failure::Failure;

/// Returns the memory of a burst to the system, which glibc's allocator does not (ADR 62). Here and not in `main.rs`, so that every
/// program that runs the marketplace has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long threads that are busy with something else may hold up the end of the process.
const RUNTIME_END_MAX: Duration = Duration::from_millis(100);

/// Reads the command line, does what it says, and reports how it ended: 0 after a stop that was asked
/// for, 1 for a failure, 2 for a configuration that cannot be used, 141 without a word if nobody reads its output any more.
#[must_use]
pub fn main() -> ExitCode {
    let cli: cli::Cli = chassis::config::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no threads can be started: {error}")))
        .and_then(|runtime| {
            let outcome = match cli.asked() {
                cli::Asked::Up(up) => runtime.block_on(up::run(*up)),
                cli::Asked::Dlq(dlq) => runtime.block_on(dlq::run(*dlq)),
                cli::Asked::Trace(trace) => runtime.block_on(trace::run(*trace)),
                cli::Asked::Tour(tour) => runtime.block_on(tour::run(*tour)),
                cli::Asked::Load(load) => runtime.block_on(load::run(*load)),
                cli::Asked::Bench(bench) => runtime.block_on(bench::run(*bench)),
                cli::Asked::MeshCa(ca) => {
                    runtime.block_on(mesh::ca::run(*ca)).map_err(Failure::from)
                }
            };
            runtime.shutdown_timeout(RUNTIME_END_MAX);
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_silent() {
                // If this cannot be printed, there is no other way to report it.
                let _ = writeln!(std::io::stderr(), "{failure}");
            }
            failure.exit_code()
        }
    }
}
