//! What the services are told, beside what they can be told.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command, CommandFactory};
use serde_json::Value;

use crate::render::{Rendered, SERVICES, list, repository, yaml};

/// Read by each service, and no argument of any.
const FILTER: &str = "RUST_LOG";

/// The arguments of a service.
fn command(service: &str) -> Command {
    match service {
        "gateway" => gateway::Config::command(),
        "users" => users::Config::command(),
        "orders" => orders::Config::command(),
        "products" => products::Config::command(),
        "notifications" => notifications::Config::command(),
        "observatory" => observatory::Config::command(),
        other => panic!("there is no {other}"),
    }
}

/// The variables that a service reads.
fn variables(service: &str) -> BTreeSet<String> {
    let command = command(service);
    let variables = command.get_arguments().filter_map(Arg::get_env);
    let variables = variables.map(|name| name.to_str().unwrap().to_owned());
    variables.chain([FILTER.to_owned()]).collect()
}

pub(crate) fn every_setting_is_one_of_the_service(rendered: &Rendered) {
    let mut of_any = BTreeSet::new();
    for service in SERVICES {
        let known = variables(service);
        let told: Vec<&Value> = list(&rendered.container(service)["env"]).collect();
        let values: String = told
            .iter()
            .filter_map(|variable| variable["value"].as_str())
            .collect();
        for variable in told {
            let name = variable["name"].as_str().unwrap();
            // A part of another value, such as a password within a URL.
            let is_part = values.contains(&format!("$({name})"));
            assert!(known.contains(name) || is_part, "{service} knows no {name}");
        }
        of_any.extend(known);
    }
    for name in rendered.config("settings").as_object().unwrap().keys() {
        assert!(of_any.contains(name), "no service knows {name}");
    }
}

pub(crate) fn ports_are_those_of_the_services(rendered: &Rendered) {
    for service in SERVICES {
        let command = command(service);
        let defaults = command
            .get_arguments()
            .filter(|argument| {
                let variable = argument.get_env().and_then(|name| name.to_str());
                variable.is_some_and(|name| name.ends_with("_PORT"))
            })
            .flat_map(Arg::get_default_values)
            .map(|port| port.to_str().unwrap().parse::<u64>().unwrap());
        let defaults: BTreeSet<u64> = defaults.collect();
        let ports = |value: &Value, field: &str| -> BTreeSet<u64> {
            list(value)
                .map(|port| port[field].as_u64().unwrap())
                .collect()
        };
        let container = ports(&rendered.container(service)["ports"], "containerPort");
        assert_eq!(container, defaults, "the container of {service}");
        let mut services = rendered.of_kind("Service");
        let found = services.find(|found| crate::render::name(found) == service);
        assert_eq!(
            ports(&found.unwrap()["spec"]["ports"], "port"),
            defaults,
            "the Service of {service}"
        );
    }
}

pub(crate) fn urls_are_those_of_compose(rendered: &Rendered) {
    let compose = std::fs::read_to_string(repository("docker-compose.yml")).unwrap();
    let compose = yaml(&compose).remove(0);
    let there = urls(&compose["services"]["gateway"]["environment"]);
    let here = urls(rendered.config("settings"));
    assert_eq!(here.len(), 4, "{here:?}");
    for (name, url) in here {
        assert_eq!(there.get(&name), Some(&url), "{name}");
    }
}

/// The variables that say where something is.
fn urls(values: &Value) -> BTreeMap<String, String> {
    let values = values.as_object().unwrap().iter();
    let urls = values.filter(|(name, _)| name.ends_with("_URL"));
    urls.map(|(name, url)| (name.clone(), url.as_str().unwrap().to_owned()))
        .collect()
}
