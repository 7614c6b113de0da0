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
/// A change of the authority takes up to 5 s until the authority looks, and 5 s that the new one is trusted before it signs; and it begins
/// seconds before the calls do.
const ROTATION_SECONDS: u32 = 20;
/// Of each round.
const SECONDS: u32 = 10;
const SECONDS_MAX: u32 = 60;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(caller::CALL) {
        return caller::main(arguments);
    }
    let seconds = first.map_or(Ok(SECONDS), |text| text.parse::<u32>());
    let seconds = seconds.ok().filter(|n| (1..=SECONDS_MAX).contains(n));
    let Some(seconds) = seconds.filter(|_| arguments.next().is_none()) else {
        eprintln!("usage: mesh [SECONDS], from 1 to {SECONDS_MAX}");
        return ExitCode::FAILURE;
    };
    if let Err(reason) = compose::available() {
        eprintln!("{reason}");
        return ExitCode::FAILURE;
    }
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
    let all = rounds.iter().chain([&rotation]);
    let all: Vec<&Timed> = all.map(|round| &round.timed).collect();
    let failed: usize = all.iter().map(|timed| timed.failed()).sum();
    if failed > 0 {
        let why = all.iter().find_map(|timed| timed.why()).unwrap_or_default();
        eprintln!("{failed} calls failed, so the figures are not worth it; the first: {why}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
