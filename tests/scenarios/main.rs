//! The scenarios: each promise of `docs/promises.md`, through the public face of the marketplace.
//!
//! Those that only look at what a customer sees share one marketplace; those that kill, stop or
//! configure it start one of their own.

mod bad_input;
mod crash;
mod grpc;
mod idempotency;
mod identity;
mod layering;
mod purchase;
mod saga;
mod shutdown;
mod stage;
mod stock;
mod trace;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use stage::Stage;

/// A scenario on the shared marketplace.
type Shared = (&'static str, fn(&Stage));
/// A scenario that starts a marketplace of its own.
type Own = (&'static str, fn());

const SHARED: &[Shared] = &[
    ("purchase_reaches_every_hop", purchase::reaches_every_hop),
    ("dashboard_shows_the_purchase", purchase::dashboard_shows_it),
    (
        "more_than_in_stock_is_rejected",
        stock::more_than_in_stock_is_rejected,
    ),
    ("all_lines_or_none", stock::all_lines_or_none),
    ("cancel_brings_stock_back", stock::cancel_brings_it_back),
    ("last_piece_is_sold_once", stock::last_piece_is_sold_once),
    (
        "one_idempotency_key_one_order",
        idempotency::one_key_one_order,
    ),
    ("strangers_learn_nothing", identity::strangers_learn_nothing),
    ("bad_tokens_are_refused", identity::bad_tokens_are_refused),
    (
        "users_belong_to_administrators",
        identity::users_belong_to_administrators,
    ),
    (
        "bad_input_gets_its_documented_answer",
        bad_input::gets_its_documented_answer,
    ),
    (
        "duplicate_email_is_a_conflict",
        bad_input::duplicate_email_is_a_conflict,
    ),
    (
        "grpc_pages_through_a_users_orders",
        grpc::pages_through_a_users_orders,
    ),
];

const OWN: &[Own] = &[
    ("trace_follows_a_purchase", trace::follows_a_purchase),
    (
        "kill_9_loses_and_doubles_nothing",
        crash::kill_9_loses_and_doubles_nothing,
    ),
    (
        "lost_event_is_asked_for_again",
        saga::lost_event_is_asked_for_again,
    ),
    (
        "rotated_key_keeps_old_tokens",
        identity::rotated_key_keeps_old_tokens,
    ),
    (
        "sigterm_answers_all_in_flight",
        shutdown::sigterm_answers_all_in_flight,
    ),
];

fn main() -> ExitCode {
    if std::env::var_os(scenarios::embedded::CHILD).is_some() {
        return agora::main();
    }
    let stage = Arc::new(Stage::default());
    let mut trials = Vec::new();
    for &(name, scenario) in SHARED {
        let stage = stage.clone();
        trials.push(Trial::test(format!("{name}::embedded"), move || {
            scenario(&stage);
            Ok(())
        }));
    }
    for &(name, scenario) in OWN {
        trials.push(Trial::test(format!("{name}::embedded"), move || {
            scenario();
            Ok(())
        }));
    }
    trials.push(Trial::test("architecture_is_as_documented", || {
        layering::is_as_documented();
        Ok(())
    }));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    stage.close();
    conclusion.exit_code()
}
