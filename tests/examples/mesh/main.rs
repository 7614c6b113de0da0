//! What a mesh costs: one call direct and through two sidecars with mutual TLS, a sidecar's memory, the start of the overlay,
//! and a change of the authority under load.
//!
//! ```text
//! cargo run --release -p scenarios --example mesh [-- SECONDS]
//! ```
//!
//! It starts the overlay of `deploy/mesh`, and calls products from the network namespace of the gateway, at one rate, in turn
//! directly and through the gateway's and products' sidecars, SECONDS long (10). The caller is this program once more, in a
//! container of the image that the overlay has anyway. What it prints are rows of `docs/performance.md`; how far it is stands on
//! standard error. With 10 s it takes some three minutes when images are built. It fails where a call fails.
//!
//! So that products can be called directly, it listens on the network here, beside its sidecar, and its second instance is stopped;
//! nothing else differs from the overlay. CPU is what the kernel has counted for the processes meanwhile, also for what runs by the clock.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing figures, and how far it is, is what it is for"
)]

mod caller;
mod figures;
mod stage;

use std::process::ExitCode;

use caller::Timed;
use figures::Round;
use scenarios::compose;
use stage::{Stage, Way};

const ROUNDS: usize = 3;
/// A change of the authority takes the 5 s that the new one is trusted before it signs, and twice as long until the authority and
/// all sidecars have looked.
const ROTATION_SECONDS: u32 = 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(caller::CALL) {
        return caller::main(arguments);
    }
    if let Err(reason) = compose::available() {
        eprintln!("{reason}");
        return ExitCode::FAILURE;
    }
    let seconds = first.and_then(|text| text.parse().ok());
    let seconds: u32 = seconds.unwrap_or(10).clamp(1, 60);
    eprintln!("the overlay starts; images that are missing are built first");
    let stage = Stage::open();
    let at_rest = stage.sidecars_mib();

    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        for way in Way::ALL {
            eprintln!("round {round} of {ROUNDS}: {}", way.name());
            rounds.push(Round::measure(&stage, way, seconds));
        }
    }
    let after_load = stage.sidecars_mib();
    eprintln!("the authority changes under load, {ROTATION_SECONDS} s");
    let rotation = Round::rotating(&stage, ROTATION_SECONDS);

    figures::print_calls(&rounds, seconds);
    figures::print_memory(&at_rest, &after_load);
    figures::print_start(stage.started_in());
    figures::print_rotation(&rotation);
    let timed = rounds.iter().chain([&rotation]).map(|round| &round.timed);
    let failed: usize = timed.map(Timed::failed).sum();
    if failed > 0 {
        eprintln!("{failed} calls failed: the figures are not worth it");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
