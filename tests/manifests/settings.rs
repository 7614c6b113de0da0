//! What the services are told, beside what they can be told.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command, CommandFactory};
use mesh::table::{Protocol, called_by};
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

/// Else whoever is asked to send dead letters again, or to break a call, refuses it.
pub(crate) fn the_observatory_shows_the_token_of_who_is_observed(rendered: &Rendered) {
    let source = |service: &str, variable: &str| {
        let mut told = list(&rendered.container(service)["env"]);
        let told = told.find(|told| told["name"] == variable);
        told.map(|told| told["valueFrom"]["secretKeyRef"].clone())
    };
    let shown = source("observatory", "OBSERVED_TOKEN").unwrap();
    assert!(shown["key"].is_string(), "{shown}");
    for service in SERVICES {
        let asked = source(service, "ADMIN_TOKEN").unwrap();
        assert_eq!(asked, shown, "{service}");
    }
}

/// The same with containers.
pub(crate) fn the_observatory_of_compose_shows_the_token_of_who_is_observed() {
    let compose = std::fs::read_to_string(repository("docker-compose.yml")).unwrap();
    let compose = yaml(&compose).remove(0);
    let told = |service: &str, variable: &str| {
        let environment = &compose["services"][service]["environment"];
        environment[variable].as_str().map(str::to_owned)
    };
    let shown = told("observatory", "OBSERVED_TOKEN").unwrap();
    for service in SERVICES {
        let asked = told(service, "ADMIN_TOKEN").unwrap();
        assert_eq!(asked, shown, "{service}");
    }
}

/// A sidecar that waits for an instance as long as its own service waits for an answer asks no other one: the service gives up first, and
/// whoever hangs is left out by nobody. Half as long again is left for the answer of another instance.
pub(crate) fn a_sidecar_asks_another_instance_within_an_attempt() {
    let mut compared = 0;
    for caller in SERVICES {
        let file = mesh::envoy::bootstrap(caller);
        for door in called_by(caller).filter(|door| door.protocol == Protocol::Rest) {
            let name = format!("{}_{}", door.service, door.port);
            let mut listeners = list(&file["static_resources"]["listeners"]);
            let listener = listeners.find(|it| it["name"] == name.as_str()).unwrap();
            let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
            let routes = &manager["route_config"]["virtual_hosts"][0]["routes"];
            let limit = list(routes)
                .find_map(|it| it["route"]["retry_policy"]["per_try_timeout"].as_str())
                .unwrap();
            let attempt = attempt(caller, &format!("{}_CLIENT", door.service.to_uppercase()));
            assert!(
                1.5 * seconds(limit) <= attempt,
                "{caller} waits {attempt} s for {name}, and its sidecar {limit}"
            );
            compared += 1;
        }
    }
    assert!(compared > 2, "{compared} doors");
}

/// A sidecar looks the names of its peers up each second; one that no cluster has would be asked for without end.
pub(crate) fn a_sidecar_looks_up_names_that_there_are(rendered: &Rendered) {
    let known: BTreeSet<&str> = rendered
        .of_kind("Service")
        .map(crate::render::name)
        .collect();
    for service in SERVICES {
        let sidecar = list(&rendered.pod(service)["initContainers"]).next();
        let mut words = list(&sidecar.unwrap()["command"]).filter_map(Value::as_str);
        let file = words.find_map(|word| word.strip_prefix("/etc/mesh/"));
        let text = &rendered.config(&format!("mesh-{service}"))[file.unwrap()];
        let file: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        for cluster in list(&file["static_resources"]["clusters"]) {
            let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
            let address = &endpoint["endpoint"]["address"]["socket_address"]["address"];
            let name = address.as_str().unwrap();
            assert!(
                name == "127.0.0.1" || known.contains(name),
                "{service}: {name}"
            );
        }
    }
}

/// How long a service waits for one answer of a peer by default, in seconds.
fn attempt(service: &str, variable: &str) -> f64 {
    let command = command(service);
    let mut arguments = command.get_arguments();
    let setting = arguments.find(|argument| {
        let name = argument.get_env().and_then(|name| name.to_str());
        name == Some(variable)
    });
    let default = &setting.unwrap().get_default_values()[0];
    let mut parts = default.to_str().unwrap().split(',');
    let attempt = parts.find_map(|part| part.strip_prefix("attempt="));
    seconds(attempt.unwrap())
}

fn seconds(text: &str) -> f64 {
    text.strip_suffix('s').unwrap().parse().unwrap()
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
