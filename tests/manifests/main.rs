//! The manifests of `deploy/kubernetes`, as a cluster would get them: rendered, read strictly, and compared with what they are
//! about.
//!
//! It is rendered by `kubectl kustomize` or `kustomize build`. Without either a test shows as *ignored*, with the reason; with
//! `AGORA_REQUIRE_KUSTOMIZE=1` it fails.
#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod calls;
mod engines;
mod render;
mod settings;
mod shape;
mod strict;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use render::{Overlay, Rendered};

/// With this in the environment as `1`, a machine that cannot render is a failure.
const REQUIRE_KUSTOMIZE: &str = "AGORA_REQUIRE_KUSTOMIZE";

/// What is checked of rendered manifests, and its name.
type Check = (&'static str, fn(&Rendered));

/// What holds in every overlay.
const EVERYWHERE: [Check; 10] = [
    (
        "the_api_knows_every_field",
        strict::the_api_knows_every_field,
    ),
    (
        "who_may_call_whom_is_the_table_of_the_mesh",
        calls::who_may_call_whom_is_the_table_of_the_mesh,
    ),
    (
        "who_comes_from_elsewhere_is_named",
        calls::who_comes_from_elsewhere_is_named,
    ),
    (
        "the_gateway_is_believed_about_its_clients",
        shape::the_gateway_is_believed_about_its_clients,
    ),
    (
        "every_setting_is_one_of_the_service",
        settings::every_setting_is_one_of_the_service,
    ),
    (
        "the_observatory_shows_the_token_of_who_is_observed",
        settings::the_observatory_shows_the_token_of_who_is_observed,
    ),
    (
        "ports_are_those_of_the_services",
        settings::ports_are_those_of_the_services,
    ),
    (
        "a_service_may_do_nothing_and_ends_in_time",
        shape::a_service_may_do_nothing_and_ends_in_time,
    ),
    (
        "no_connection_takes_a_port_that_somebody_listens_on",
        shape::no_connection_takes_a_port_that_somebody_listens_on,
    ),
    (
        "a_job_can_be_applied_again",
        shape::a_job_can_be_applied_again,
    ),
];

/// What holds where a shop is real, with sidecars or without.
const IN_PRODUCTION: [Check; 3] = [
    (
        "no_secret_is_in_a_manifest",
        shape::no_secret_is_in_a_manifest,
    ),
    (
        "engines_are_reached_by_who_uses_them",
        calls::engines_are_reached_by_who_uses_them,
    ),
    (
        "production_is_no_demonstration",
        shape::production_is_no_demonstration,
    ),
];

/// What the cluster has in common with the containers.
const BESIDE_COMPOSE: [Check; 5] = [
    (
        "urls_are_those_of_compose",
        settings::urls_are_those_of_compose,
    ),
    (
        "topics_are_those_of_compose",
        engines::topics_are_those_of_compose,
    ),
    (
        "rights_are_those_of_compose",
        engines::rights_are_those_of_compose,
    ),
    (
        "rights_at_rabbitmq_are_those_of_compose",
        engines::rights_at_rabbitmq_are_those_of_compose,
    ),
    (
        "a_service_connects_to_its_own_database_only",
        engines::a_service_connects_to_its_own_database_only,
    ),
];

/// What needs nothing rendered: what checks the checks, and what compares settings of sources.
const BY_THEMSELVES: [(&str, fn()); 5] = [
    (
        "what_the_api_does_not_know_is_found",
        strict::what_the_api_does_not_know_is_found,
    ),
    (
        "what_a_pod_may_not_is_found",
        shape::what_a_pod_may_not_is_found,
    ),
    (
        "passwords_in_urls_are_found",
        shape::passwords_in_urls_are_found,
    ),
    (
        "the_observatory_of_compose_shows_the_token_of_who_is_observed",
        settings::the_observatory_of_compose_shows_the_token_of_who_is_observed,
    ),
    (
        "a_sidecar_asks_another_instance_within_an_attempt",
        settings::a_sidecar_asks_another_instance_within_an_attempt,
    ),
];

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for overlay in Overlay::ALL {
        let name = overlay.name();
        trials.extend(
            EVERYWHERE.map(|(test, check)| trial(format!("{test}::{name}"), overlay, check)),
        );
    }
    for overlay in [Overlay::Production, Overlay::Mesh] {
        let name = overlay.name();
        trials.extend(
            IN_PRODUCTION.map(|(test, check)| trial(format!("{test}::{name}"), overlay, check)),
        );
    }
    trials.push(trial(
        "a_sidecar_is_asked_as_in_compose".to_owned(),
        Overlay::Mesh,
        shape::a_sidecar_is_asked_as_in_compose,
    ));
    for overlay in [Overlay::Mesh, Overlay::OneMachine] {
        let name = format!("nobody_gets_around_a_sidecar::{}", overlay.name());
        trials.push(trial(name, overlay, shape::nobody_gets_around_a_sidecar));
        let name = format!(
            "a_sidecar_looks_up_names_that_there_are::{}",
            overlay.name()
        );
        let check = settings::a_sidecar_looks_up_names_that_there_are;
        trials.push(trial(name, overlay, check));
    }
    for (test, check) in BESIDE_COMPOSE {
        trials.push(trial(test.to_owned(), Overlay::Production, check));
    }
    for (name, check) in BY_THEMSELVES {
        trials.push(Trial::test(name, move || {
            check();
            Ok(())
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: String, overlay: Overlay, check: fn(&Rendered)) -> Trial {
    Trial::ignorable_test(name, move || match overlay.rendered() {
        Ok(rendered) => {
            check(rendered);
            Ok(Completion::Completed)
        }
        Err(reason) if std::env::var(REQUIRE_KUSTOMIZE).is_ok_and(|value| value == "1") => {
            Err(Failed::from(format!("{REQUIRE_KUSTOMIZE}=1, and {reason}")))
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}
