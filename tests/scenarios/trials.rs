//! The scenarios as tests: which of them share a marketplace, wait for each other, or are ignored.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;

use containers::REQUIRE_DOCKER;
use libtest_mimic::{Completion, Trial};
use parking_lot::RwLock;
use scenarios::Marketplace;
use scenarios::compose::Compose;
use scenarios::embedded::Embedded;

use crate::lists::{
    ALONE, BESIDE, CHAOS, CONTAINERS, CONTAINERS_IN_BROWSER, EMBEDDED, HOSTILE, IN_BROWSER, LONG,
    MESH, MESH_LONG, MESH_SHARED, OWN, OnEmbedded, SHARED,
};
use crate::stage::Stage;
use crate::{database, hostile, page, times};

/// With this in the environment as `1`, a page that no browser can be had for is a failure.
const REQUIRE_BROWSER: &str = "AGORA_REQUIRE_BROWSER";

/// File descriptors of the process in the scenario of the idle connections: what a shell gives by default.
const FEW_DESCRIPTORS: u32 = 1_024;

/// What a scenario needs to sell something, whatever was bought before it. It takes the rows' locks in the order in
/// which products does: orders of the scenario before may still be under way.
const RESTOCK: &str = "WITH locked AS (SELECT id FROM products ORDER BY id FOR NO KEY UPDATE)
    UPDATE products SET available = available + 1000 FROM locked WHERE products.id = locked.id";

/// No variables but those that the containers have anyway.
const DEFAULTS: &[(&str, &str)] = &[];

/// Written by trials that use all of the machine, or measure what is left of it: one at a time, and nobody beside it. All others
/// read it. It is taken before any stage.
static MACHINE: RwLock<()> = RwLock::new(());

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

/// A test of `agora up`.
fn embedded(name: &str, scenario: impl FnOnce(String) + Send + 'static) -> Trial {
    let name = format!("{name}::embedded");
    Trial::test(name.clone(), move || {
        scenario(name);
        Ok(())
    })
}

pub(crate) fn on_embedded(stage: &Arc<Stage<Embedded>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &(name, scenario) in SHARED {
        let stage = stage.clone();
        trials.push(embedded(name, move |name| {
            let _machine = MACHINE.read();
            stage.shared(|open| times::of(name, || scenario(open)));
        }));
    }
    for &(name, variables, scenario) in ALONE {
        trials.push(embedded(name, move |name| {
            let _machine = MACHINE.read();
            times::of(name, || scenario(&mut Embedded::start(variables)));
        }));
    }
    for &(name, scenario) in EMBEDDED {
        trials.push(embedded(name, move |name| {
            let _machine = MACHINE.write();
            times::of(name, || scenario(&mut Embedded::start(&[])));
        }));
    }
    for &(name, scenario) in BESIDE {
        trials.push(embedded(name, move |name| {
            let _machine = MACHINE.read();
            times::of(name, || scenario(&mut Embedded::start(&[])));
        }));
    }
    for &(name, scenario) in OWN {
        trials.push(embedded(name, move |name| {
            let _machine = MACHINE.read();
            times::of(name, scenario);
        }));
    }
    for &(name, scenario) in LONG {
        let trial = Trial::ignorable_test(format!("{name}::embedded"), move || {
            if !asked_for("AGORA_LONG") {
                let why = "it takes many minutes: .ci/long plays it";
                return Ok(Completion::ignored_with(why));
            }
            let _machine = MACHINE.write();
            scenario(&mut Embedded::start(&[]));
            Ok(Completion::Completed)
        });
        trials.push(trial);
    }
    trials
}

/// Trials that are ignored where there is no browser, or fail if it is required.
pub(crate) fn in_browser(stage: &Arc<Stage<Embedded>>) -> Vec<Trial> {
    let axe = std::env::var_os(page::AXE).map_or_else(
        || Err(format!("{} does not say where axe-core is", page::AXE)),
        |_| Ok(()),
    );
    let missing = scenarios::browser::available().and(axe).err();
    let trial = |&(name, scenario): &OnEmbedded| {
        let (stage, missing) = (stage.clone(), missing.clone());
        let name = format!("{name}::embedded");
        Trial::ignorable_test(name.clone(), move || match missing {
            None => {
                let _machine = MACHINE.write();
                stage.alone(|shop| times::of(name, || scenario(shop)));
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

/// The infrastructure of containers with sidecars between them.
const IN_MESH: &str = "mesh";

/// Trials begin in the order of their list, but for this: containers take half a minute to start, and are waited for most of
/// the time. What needs none of them uses the machine meanwhile, and no two trials of them wait for each other.
pub(crate) fn put_in_order(trials: &mut [Trial]) {
    trials.sort_by_key(|trial| turn(trial.name()));
}

/// The part of the run that a trial belongs to, its turn there, and whether it comes second in this turn.
fn turn(name: &str) -> (Part, usize, bool) {
    let (scenario, infrastructure) = name.split_once("::").unwrap_or((name, ""));
    if infrastructure == IN_MESH {
        return (Part::Mesh, 0, false);
    }
    let on_compose = infrastructure == "compose";
    match SHARED.iter().position(|shared| shared.0 == scenario) {
        Some(0) if on_compose => return (Part::Start, 0, false),
        Some(turn) if on_compose => return (Part::Containers, turn, false),
        Some(turn) => return (Part::Process, turn, false),
        // What compares documents has no marketplace.
        None if infrastructure.is_empty() => return (Part::Process, SHARED.len(), false),
        None => {}
    }
    match turn_in_company(scenario, on_compose) {
        Some(turn) => (Part::InTurn, turn, on_compose),
        None => (Part::OneByOne, 0, false),
    }
}

/// The parts of the run. Those that share a marketplace come before those that have it alone: they count on goods that others
/// buy.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// The first that needs the containers, and so waits for their start.
    Start,
    /// Those that share one process, and those that need none.
    Process,
    /// Those that share the containers.
    Containers,
    /// Those that have a process to themselves, and those that have the containers: one of each in turn.
    InTurn,
    /// Those that nobody may be beside.
    OneByOne,
    /// Those in the mesh: twice as many containers as without sidecars, so when everybody else is done.
    Mesh,
}

/// When a trial has its turn that others may be beside; `None` for those that nobody may.
fn turn_in_company(scenario: &str, on_compose: bool) -> Option<usize> {
    let own: Vec<_> = if on_compose {
        CONTAINERS.iter().chain(CHAOS).map(|it| it.0).collect()
    } else {
        let own = OWN.iter().map(|own| own.0);
        own.chain(BESIDE.iter().map(|beside| beside.0)).collect()
    };
    let alone = ALONE.iter().map(|alone| alone.0);
    alone.chain(own).position(|name| name == scenario)
}

/// Whether the environment has the variable as `1`.
pub(crate) fn asked_for(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == "1")
}

pub(crate) fn of_hostile(stage: &Arc<Stage<Embedded>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &(name, scenario) in HOSTILE {
        let stage = stage.clone();
        trials.push(embedded(name, move |name| {
            let _machine = MACHINE.write();
            stage.alone(|shop| times::of(name, || scenario(shop)));
        }));
    }
    trials.push(embedded("own_sign_ins_cost_no_other", |name| {
        let _machine = MACHINE.write();
        times::of(name, || {
            // How much memory it takes is seen where no other scenario took any.
            hostile::plays::own_sign_ins(&mut Embedded::start(hostile::SHOP));
        });
    }));
    trials.push(embedded("idle_connections_cost_no_other", |name| {
        let _machine = MACHINE.write();
        times::of(name, || {
            // With the defaults that people have.
            let mut marketplace = Embedded::start_with(&[], Some(FEW_DESCRIPTORS));
            hostile::plays::idle_connections(&mut marketplace);
        });
    }));
    trials
}

pub(crate) fn on_compose(stage: &Arc<Stage<Compose>>) -> Vec<Trial> {
    let missing = scenarios::compose::available().err();
    let mut trials = Vec::new();
    for &(name, scenario) in SHARED {
        trials.push(in_containers(name, stage, &missing, move |stage| {
            stage.shared(|open| times::of(format!("{name}::compose"), || scenario(open)));
        }));
    }
    for &(name, variables, scenario) in ALONE {
        trials.push(in_containers(name, stage, &missing, move |stage| {
            let name = format!("{name}::compose");
            play_alone(stage, name, Some(variables), |compose| scenario(compose));
        }));
    }
    let chaos = asked_for("AGORA_CHAOS");
    for &(name, scenario) in CONTAINERS.iter().chain(CHAOS.iter().filter(|_| chaos)) {
        trials.push(in_containers(name, stage, &missing, move |stage| {
            play_alone(stage, format!("{name}::compose"), Some(DEFAULTS), scenario);
        }));
    }
    for &(name, scenario) in CONTAINERS_IN_BROWSER {
        trials.push(match unseen() {
            None => in_containers(name, stage, &missing, move |stage| {
                play_alone(stage, format!("{name}::compose"), Some(DEFAULTS), scenario);
            }),
            Some(why) => Trial::ignorable_test(format!("{name}::compose"), move || {
                Ok(Completion::ignored_with(why))
            }),
        });
    }
    for (name, _) in CHAOS.iter().filter(|_| !chaos) {
        trials.push(Trial::ignorable_test(format!("{name}::compose"), || {
            let why = "it breaks containers for minutes: .ci/long plays it";
            Ok(Completion::ignored_with(why))
        }));
    }
    trials
}

/// Why the page is not looked at on containers, if so. Where a browser is required and missing, the scenario fails.
fn unseen() -> Option<String> {
    if !asked_for("AGORA_LONG") {
        return Some("the page was seen in one process: .ci/long plays it".to_owned());
    }
    let missing = scenarios::browser::available().err();
    missing.filter(|_| !asked_for(REQUIRE_BROWSER))
}

/// The containers without sidecars, of `before`, are removed first: both together are more than the machine has for one.
pub(crate) fn in_mesh(stage: &Arc<Stage<Compose>>, before: &Arc<Stage<Compose>>) -> Vec<Trial> {
    let missing = scenarios::compose::available().err();
    let mut trials = Vec::new();
    for &(name, scenario) in MESH_SHARED {
        let (name, before) = (format!("{name}::{IN_MESH}"), Arc::clone(before));
        trials.push(among_containers(
            name.clone(),
            stage,
            &missing,
            move |stage| {
                before.close();
                stage.shared(|open| times::of(name, || scenario(open)));
            },
        ));
    }
    let long = asked_for("AGORA_LONG");
    for &(name, scenario) in MESH.iter().chain(MESH_LONG.iter().filter(|_| long)) {
        let (name, before) = (format!("{name}::{IN_MESH}"), Arc::clone(before));
        trials.push(among_containers(
            name.clone(),
            stage,
            &missing,
            move |stage| {
                before.close();
                // Only those that take minutes leave something behind; to look whether they did takes seconds.
                play_alone(stage, name, long.then_some(DEFAULTS), scenario);
            },
        ));
    }
    for (name, _) in MESH_LONG.iter().filter(|_| !long) {
        trials.push(Trial::ignorable_test(format!("{name}::{IN_MESH}"), || {
            let why = "it takes minutes: .ci/long plays it";
            Ok(Completion::ignored_with(why))
        }));
    }
    trials
}

/// Plays a scenario that has the containers to itself: with these variables, unless they are as they were, and with goods to sell.
/// Notes how long it took.
fn play_alone(
    stage: &Stage<Compose>,
    name: String,
    variables: Option<&[(&str, &str)]>,
    scenario: impl FnOnce(&mut Compose),
) {
    stage.alone(|compose| {
        times::of(name, || {
            if let Some(variables) = variables {
                compose.configure(variables);
            }
            // Those before it may have bought everything there was.
            database::execute(&compose.database("products"), RESTOCK);
            scenario(compose);
        });
    });
}

fn in_containers(
    name: &'static str,
    stage: &Arc<Stage<Compose>>,
    missing: &Option<String>,
    scenario: impl FnOnce(&Stage<Compose>) + Send + 'static,
) -> Trial {
    among_containers(format!("{name}::compose"), stage, missing, scenario)
}

/// A trial that is ignored where containers cannot be had, or fails if they are required.
fn among_containers(
    name: String,
    stage: &Arc<Stage<Compose>>,
    missing: &Option<String>,
    scenario: impl FnOnce(&Stage<Compose>) + Send + 'static,
) -> Trial {
    let (stage, missing) = (stage.clone(), missing.clone());
    let required = asked_for(REQUIRE_DOCKER);
    Trial::ignorable_test(name.clone(), move || match missing {
        None => {
            let _machine = MACHINE.read();
            play(&name.replace("::", "-"), &stage, scenario);
            Ok(Completion::Completed)
        }
        Some(reason) if required => Err(format!("{REQUIRE_DOCKER}=1, and {reason}").into()),
        Some(reason) => Ok(Completion::ignored_with(reason)),
    })
}
