//! The scenarios: each promise of `docs/promises.md`, through the public face of the marketplace, on every
//! infrastructure.
//!
//! A test is named `scenario::infrastructure`. *embedded* is `agora up`, always there; *compose* is
//! `docker-compose.yml`, where there is a container engine, and *mesh* is the same with `deploy/mesh` laid over it. Where there
//! is none their tests are ignored, with the reason; with `AGORA_REQUIRE_DOCKER=1` they fail.

mod bad_input;
mod budget;
mod commands;
mod compose;
mod crash;
mod database;
mod excerpts;
mod graphql;
mod grpc;
mod hanging;
mod hostile;
mod idempotency;
mod identity;
mod interfaces;
mod journey;
mod ledger;
mod lists;
mod live;
mod memory;
mod mesh;
mod operations;
mod page;
mod purchase;
mod recorded;
mod replicas;
mod saga;
mod shutdown;
mod stage;
mod stock;
mod story;
mod subscriptions;
mod times;
mod trace;
mod trials;
mod versions;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use scenarios::compose::Compose;
use scenarios::embedded::{self, Embedded};
use stage::Stage;

fn main() -> ExitCode {
    if std::env::var_os(embedded::CHILD).is_some() {
        return agora::main();
    }
    let process = Arc::new(Stage::new(|| Embedded::start(&[])));
    let compose = Arc::new(Stage::new(Compose::start));
    let meshed = Arc::new(Stage::new(Compose::start_meshed));
    let beside = Arc::new(Stage::new(|| Embedded::start(hostile::SHOP)));
    let seen = Arc::new(Stage::new(|| Embedded::start(&[])));
    let mut trials = trials::on_embedded(&process);
    trials.extend(trials::in_browser(&seen));
    trials.extend(trials::of_hostile(&beside));
    trials.extend(trials::on_compose(&compose));
    trials.extend(trials::in_mesh(&meshed, &compose));
    trials.push(Trial::test("docs_show_the_source", || {
        excerpts::are_the_source();
        Ok(())
    }));
    trials.push(Trial::test("docs_show_what_commands_print", || {
        commands::print_what_pages_show();
        Ok(())
    }));
    trials.push(Trial::test("interfaces_are_listed", || {
        interfaces::are_listed();
        Ok(())
    }));
    trials::put_in_order(&mut trials);
    let arguments = Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, trials);
    process.close();
    beside.close();
    seen.close();
    compose.close();
    meshed.close();
    times::print_longest();
    conclusion.exit_code()
}
