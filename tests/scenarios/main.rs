//! The scenarios: each promise of `docs/promises.md`, through the public face of the marketplace, on every
//! infrastructure.
//!
//! A test is named `scenario::infrastructure`. *embedded* is `agora up`, always there; *compose* is
//! `docker-compose.yml`, where there is a container engine. Where there is none its tests are ignored, with
//! the reason; with `AGORA_REQUIRE_DOCKER=1` they fail.

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
mod live;
mod memory;
mod operations;
mod page;
mod purchase;
mod recorded;
mod saga;
mod shutdown;
mod stage;
mod stock;
mod subscriptions;
mod trace;
mod versions;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use containers::REQUIRE_DOCKER;
use libtest_mimic::{Arguments, Completion, Trial};
use parking_lot::Mutex;
use scenarios::Marketplace;
use scenarios::compose::Compose;
use scenarios::embedded::{self, Embedded};
use stage::{Open, Stage};

/// A scenario that shares a marketplace with others.
type Shared = (&'static str, fn(&Open<'_>));
/// A scenario that has a marketplace alone, with these variables in its environment.
type Alone = (
    &'static str,
    &'static [(&'static str, &'static str)],
    fn(&mut dyn Marketplace),
);
/// A scenario about what only `agora up` has, which has one alone.
type OnEmbedded = (&'static str, fn(&mut Embedded));
/// A scenario about containers, which has them alone.
type Containers = (&'static str, fn(&mut Compose));

const SHARED: &[Shared] = &[
    ("purchase_reaches_every_hop", purchase::reaches_every_hop),
    ("dashboard_shows_the_purchase", purchase::dashboard_shows_it),
    ("purchase_by_graphql", graphql::purchase),
    (
        "more_than_in_stock_is_rejected",
        stock::more_than_in_stock_is_rejected,
    ),
    ("all_lines_or_none", stock::all_lines_or_none),
    ("cancel_brings_stock_back", stock::cancel_brings_it_back),
    (
        "cancelled_at_once_is_told_in_order",
        stock::cancelled_at_once_is_told_in_order,
    ),
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
        "a_stream_tells_an_order_from_beginning_to_end",
        live::tells_an_order_from_beginning_to_end,
    ),
    (
        "a_recorded_client_of_version_1_is_answered_as_ever",
        recorded::a_client_of_version_1_is_answered_as_ever,
    ),
    ("both_versions_show_one_shop", versions::show_one_shop),
    (
        "grpc_pages_through_a_users_orders",
        grpc::pages_through_a_users_orders,
    ),
];

const ALONE: &[Alone] = &[
    (
        "trace_follows_a_purchase",
        &[("RUST_LOG", "info,chassis=debug")],
        trace::follows_a_purchase,
    ),
    (
        "kill_9_loses_and_doubles_nothing",
        &[],
        crash::kill_9_loses_and_doubles_nothing,
    ),
    (
        "lost_event_is_asked_for_again",
        &[("SAGA_DEADLINE", "1s")],
        saga::lost_event_is_asked_for_again,
    ),
    (
        "rotated_key_keeps_old_tokens",
        &[("KEY_ROTATION", "4s"), ("TOKEN_LIFETIME", "20s")],
        identity::rotated_key_keeps_old_tokens,
    ),
    ("a_stream_survives_restarts", &[], live::survives_restarts),
    (
        "subscriptions_survive_restarts",
        &[],
        subscriptions::survive_restarts,
    ),
    (
        "sigterm_answers_all_in_flight",
        &[],
        shutdown::sigterm_answers_all_in_flight,
    ),
];

/// Scenarios with what only `agora up` has: fault switches, a database server of its own.
const EMBEDDED: &[OnEmbedded] = &[
    (
        "hanging_service_costs_a_bounded_time",
        hanging::hanging_service_costs_a_bounded_time,
    ),
    ("orders_keep_to_their_budget", budget::orders_keep_to_it),
    (
        "a_journey_shows_each_hop_once",
        journey::shows_each_hop_once,
    ),
    (
        "no_secret_is_in_the_picture",
        journey::no_secret_is_in_the_picture,
    ),
    (
        "every_operation_answers_each_caller_as_listed",
        operations::answer_each_caller_as_listed,
    ),
];

/// Scenarios of one process that take many minutes; played when `AGORA_LONG=1` asks for them.
const LONG: &[OnEmbedded] = &[(
    "memory_does_not_grow_with_orders",
    memory::does_not_grow_with_orders,
)];

/// Scenarios of the page in a browser, on a marketplace that they have one after the other: they break and mend it.
const IN_BROWSER: &[OnEmbedded] = &[
    ("page_sells_by_mouse", page::sells_by_mouse),
    (
        "page_sells_by_keyboard_on_a_phone",
        page::sells_by_keyboard_on_a_phone,
    ),
    ("page_shows_what_happens", page::shows_what_happens),
    ("page_is_accessible", page::is_accessible),
    ("page_tour_happens", page::tour_happens),
];

/// With this in the environment as `1`, a page that no browser can be had for is a failure.
const REQUIRE_BROWSER: &str = "AGORA_REQUIRE_BROWSER";

/// Scenarios of promise 9, about one client that misbehaves, on a marketplace that they have one after the other.
const HOSTILE: &[OnEmbedded] = &[
    ("no_input_costs_another", hostile::no_input_costs_another),
    ("stalled_posts_cost_no_other", hostile::plays::stalled_posts),
    ("empty_calls_cost_no_other", hostile::plays::empty_calls),
    ("unread_lists_cost_no_other", hostile::plays::unread_lists),
    ("forged_keys_cost_no_other", hostile::plays::forged_keys),
    (
        "unknown_sign_ins_cost_no_other",
        hostile::plays::unknown_sign_ins,
    ),
    ("own_sign_ins_cost_no_other", hostile::plays::own_sign_ins),
    ("made_up_names_cost_no_other", hostile::plays::made_up_names),
];

/// File descriptors of the process in the scenario of the idle connections: what a shell gives by default.
const FEW_DESCRIPTORS: u32 = 1_024;

/// What a scenario needs to sell something, whatever was bought before it. It takes the rows' locks in the order in
/// which products does: orders of the scenario before may still be under way.
const RESTOCK: &str = "WITH locked AS (SELECT id FROM products ORDER BY id FOR UPDATE)
    UPDATE products SET available = available + 1000 FROM locked WHERE products.id = locked.id";

const CONTAINERS: &[Containers] = &[
    (
        "only_documented_ports_are_open",
        compose::isolation::only_documented_ports_are_open,
    ),
    (
        "no_service_reads_anothers_database",
        compose::isolation::no_service_reads_anothers_database,
    ),
    (
        "no_service_writes_anothers_topic",
        compose::isolation::no_service_writes_anothers_topic,
    ),
    (
        "every_panel_and_rule_has_data",
        compose::observability::every_panel_and_rule_has_data,
    ),
    (
        "kafka_knows_no_strangers",
        compose::isolation::kafka_knows_no_strangers,
    ),
];

/// Scenarios that break containers for minutes; played when `AGORA_CHAOS=1` asks for them.
const CHAOS: &[Containers] = &[
    (
        "sigterm_of_each_service_answers_what_is_in_flight",
        compose::services::sigterm_answers_what_is_in_flight,
    ),
    (
        "kill_9_of_each_service_loses_and_doubles_nothing",
        compose::services::kill_9_loses_and_doubles_nothing,
    ),
    (
        "replicas_share_the_work_and_take_over",
        compose::services::replicas_share_the_work_and_take_over,
    ),
    (
        "replicas_one_by_one_fail_nothing",
        compose::services::replicas_one_by_one_fail_nothing,
    ),
    (
        "kafka_frozen_refuses_no_order",
        compose::engines::kafka_frozen_refuses_no_order,
    ),
    (
        "kafka_killed_refuses_no_order",
        compose::engines::kafka_killed_refuses_no_order,
    ),
    (
        "rabbitmq_restarted_loses_no_mail",
        compose::engines::rabbitmq_restarted_loses_no_mail,
    ),
    (
        "postgresql_restarted_is_waited_for",
        compose::engines::postgresql_restarted_is_waited_for,
    ),
    (
        "services_wait_for_engines_that_come_late",
        compose::engines::services_wait_for_engines_that_come_late,
    ),
];

/// Held by trials that use all of the machine, or measure what the others leave of it: one at a time.
static MACHINE: Mutex<()> = Mutex::new(());

fn main() -> ExitCode {
    if std::env::var_os(embedded::CHILD).is_some() {
        return agora::main();
    }
    let process = Arc::new(Stage::new(|| Embedded::start(&[])));
    let compose = Arc::new(Stage::new(Compose::start));
    let beside = Arc::new(Stage::new(|| Embedded::start(hostile::SHOP)));
    let seen = Arc::new(Stage::new(|| Embedded::start(&[])));
    let mut trials = on_embedded(&process);
    trials.extend(in_browser(&seen));
    trials.extend(of_hostile(&beside));
    trials.extend(on_compose(&compose));
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
    let arguments = Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, trials);
    process.close();
    beside.close();
    seen.close();
    compose.close();
    conclusion.exit_code()
}

/// Plays a scenario. If it fails, the containers' logs are kept at once: the next scenario may replace the containers.
#[expect(
    clippy::print_stderr,
    reason = "what failed is printed; so is where to look"
)]
fn play(name: &str, stage: &Stage<Compose>, scenario: impl FnOnce(&Stage<Compose>)) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(stage))) else {
        return;
    };
    stage.if_open(|compose| {
        let kept = compose.keep_logs(Path::new(env!("CARGO_TARGET_TMPDIR")), name);
        eprintln!("the containers' logs are in {}", kept.display());
    });
    resume_unwind(panic);
}

fn on_embedded(stage: &Arc<Stage<Embedded>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &(name, scenario) in SHARED {
        let stage = stage.clone();
        trials.push(Trial::test(format!("{name}::embedded"), move || {
            stage.shared(scenario);
            Ok(())
        }));
    }
    for &(name, variables, scenario) in ALONE {
        trials.push(Trial::test(format!("{name}::embedded"), move || {
            scenario(&mut Embedded::start(variables));
            Ok(())
        }));
    }
    for &(name, scenario) in EMBEDDED {
        trials.push(Trial::test(format!("{name}::embedded"), move || {
            let _machine = MACHINE.lock();
            scenario(&mut Embedded::start(&[]));
            Ok(())
        }));
    }
    for &(name, scenario) in LONG {
        let trial = Trial::ignorable_test(format!("{name}::embedded"), move || {
            if !asked_for("AGORA_LONG") {
                let why = "it takes many minutes: .ci/long plays it";
                return Ok(Completion::ignored_with(why));
            }
            scenario(&mut Embedded::start(&[]));
            Ok(Completion::Completed)
        });
        trials.push(trial);
    }
    trials
}

/// Trials that are ignored where there is no browser, or fail if it is required.
fn in_browser(stage: &Arc<Stage<Embedded>>) -> Vec<Trial> {
    let axe = std::env::var_os(page::AXE).map_or_else(
        || Err(format!("{} does not say where axe-core is", page::AXE)),
        |_| Ok(()),
    );
    let missing = scenarios::browser::available().and(axe).err();
    let trial = |&(name, scenario): &OnEmbedded| {
        let (stage, missing) = (stage.clone(), missing.clone());
        Trial::ignorable_test(format!("{name}::embedded"), move || match missing {
            None => {
                let _machine = MACHINE.lock();
                stage.alone(scenario);
                Ok(Completion::Completed)
            }
            Some(reason) if asked_for(REQUIRE_BROWSER) => {
                Err(format!("{REQUIRE_BROWSER}=1, and {reason}").into())
            }
            Some(reason) => Ok(Completion::ignored_with(reason)),
        })
    };
    IN_BROWSER.iter().map(trial).collect()
}

/// Whether the environment has the variable as `1`.
fn asked_for(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == "1")
}

fn of_hostile(stage: &Arc<Stage<Embedded>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &(name, scenario) in HOSTILE {
        let stage = stage.clone();
        trials.push(Trial::test(format!("{name}::embedded"), move || {
            let _machine = MACHINE.lock();
            stage.alone(scenario);
            Ok(())
        }));
    }
    trials.push(Trial::test(
        "idle_connections_cost_no_other::embedded",
        || {
            let _machine = MACHINE.lock();
            // With the defaults that people have.
            let mut marketplace = Embedded::start_with(&[], Some(FEW_DESCRIPTORS));
            hostile::plays::idle_connections(&mut marketplace);
            Ok(())
        },
    ));
    trials
}

fn on_compose(stage: &Arc<Stage<Compose>>) -> Vec<Trial> {
    let missing = scenarios::compose::available().err();
    let mut trials = Vec::new();
    for &(name, scenario) in SHARED {
        trials.push(in_containers(name, stage, &missing, move |stage| {
            stage.shared(scenario);
        }));
    }
    for &(name, variables, scenario) in ALONE {
        trials.push(in_containers(name, stage, &missing, move |stage| {
            stage.alone(|compose| {
                compose.configure(variables);
                scenario(compose);
            });
        }));
    }
    let chaos = asked_for("AGORA_CHAOS");
    for &(name, scenario) in CONTAINERS.iter().chain(CHAOS.iter().filter(|_| chaos)) {
        trials.push(in_containers(name, stage, &missing, move |stage| {
            stage.alone(|compose| {
                compose.configure(&[]);
                // Those before it may have bought everything there was.
                database::execute(&compose.database("products"), RESTOCK);
                scenario(compose);
            });
        }));
    }
    for (name, _) in CHAOS.iter().filter(|_| !chaos) {
        trials.push(Trial::ignorable_test(format!("{name}::compose"), || {
            let why = "it breaks containers for minutes: .ci/long plays it";
            Ok(Completion::ignored_with(why))
        }));
    }
    trials
}

/// A trial that is ignored where containers cannot be had, or fails if they are required.
fn in_containers(
    name: &'static str,
    stage: &Arc<Stage<Compose>>,
    missing: &Option<String>,
    scenario: impl FnOnce(&Stage<Compose>) + Send + 'static,
) -> Trial {
    let (stage, missing) = (stage.clone(), missing.clone());
    let required = asked_for(REQUIRE_DOCKER);
    Trial::ignorable_test(format!("{name}::compose"), move || match missing {
        None => {
            play(name, &stage, scenario);
            Ok(Completion::Completed)
        }
        Some(reason) if required => Err(format!("{REQUIRE_DOCKER}=1, and {reason}").into()),
        Some(reason) => Ok(Completion::ignored_with(reason)),
    })
}
