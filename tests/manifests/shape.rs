//! What a pod of ours is: it may do nothing that it does not need, says how it is, and ends in time.

use std::time::Duration;

use chassis::proxies::TrustedProxies;
use serde_json::{Value, json};

use crate::render::{Overlay, Rendered, SERVICES, list, repository, yaml};

/// How long a service takes after its `SHUTDOWN_DEADLINE`, for its last spans.
const LAST_SPANS: Duration = Duration::from_secs(5);

pub(crate) fn a_service_may_do_nothing_and_ends_in_time(rendered: &Rendered) {
    let deadline = rendered.config("settings")["SHUTDOWN_DEADLINE"]
        .as_str()
        .unwrap();
    let deadline = chassis::config::duration(deadline).unwrap();
    for service in SERVICES {
        let pod = rendered.pod(service);
        may_nothing(service, pod);
        let container = rendered.container(service);
        for probe in ["startupProbe", "livenessProbe"] {
            assert_eq!(container[probe]["httpGet"]["path"], "/livez", "{service}");
        }
        assert_eq!(
            container["readinessProbe"]["httpGet"]["path"], "/readyz",
            "{service}"
        );
        let seconds = |value: &Value| Duration::from_secs(value.as_u64().unwrap());
        let pause = seconds(&container["lifecycle"]["preStop"]["sleep"]["seconds"]);
        let grace = seconds(&pod["terminationGracePeriodSeconds"]);
        let needed = pause + deadline + LAST_SPANS;
        assert!(
            grace >= needed,
            "{service} has {grace:?} and needs {needed:?}"
        );
    }
}

fn may_nothing(service: &str, pod: &Value) {
    assert_eq!(pod["automountServiceAccountToken"], false, "{service}");
    assert_eq!(pod["serviceAccountName"], service);
    let context = &pod["securityContext"];
    assert_eq!(context["runAsNonRoot"], true, "{service}");
    assert_eq!(
        context["seccompProfile"]["type"], "RuntimeDefault",
        "{service}"
    );
    let own = list(&pod["containers"]);
    for container in own.chain(list(&pod["initContainers"])) {
        let place = format!("{service}: {}", container["name"]);
        let context = &container["securityContext"];
        assert_eq!(context["readOnlyRootFilesystem"], true, "{place}");
        assert_eq!(context["allowPrivilegeEscalation"], false, "{place}");
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{place}");
        let memory = &container["resources"]["limits"]["memory"];
        assert!(memory.is_string(), "{place} has no limit of memory");
    }
}

/// A shop that sells sells its own, and a customer does not meet the end of an instance.
pub(crate) fn production_is_no_demonstration(rendered: &Rendered) {
    assert_eq!(rendered.config("settings")["CATALOGUE_SEED"], "false");
    let ingress = rendered.of_kind("Ingress").next().unwrap();
    let annotations = &ingress["metadata"]["annotations"];
    let again = annotations["nginx.ingress.kubernetes.io/proxy-next-upstream"].as_str();
    let again: Vec<&str> = again.unwrap().split_whitespace().collect();
    // With more of it nginx would repeat a POST, or what the gateway has given up.
    assert_eq!(again, ["error"]);
}

/// Whatever private network a cluster has for its pods: else all customers are the one client that the gateway is.
pub(crate) fn the_gateway_is_believed_about_its_clients(rendered: &Rendered) {
    let sidecar: &[&str] = &["127.0.0.1"];
    let pods: &[&str] = &[
        "10.1.2.3",
        "172.20.0.9",
        "192.168.7.7",
        "100.64.3.2",
        "fd00::7",
    ];
    let gateways = match rendered.overlay {
        Overlay::Mesh | Overlay::OneMachine => sidecar,
        Overlay::Dev | Overlay::Production => pods,
    };
    for service in ["users", "orders", "products"] {
        let mut variables = list(&rendered.container(service)["env"]);
        let told = variables.find(|variable| variable["name"] == "TRUSTED_PROXIES");
        let proxies: TrustedProxies = told.unwrap()["value"].as_str().unwrap().parse().unwrap();
        for gateway in gateways {
            let is_believed = proxies.contains(gateway.parse().unwrap());
            assert!(is_believed, "{service} behind {gateway}");
        }
    }
}

/// A service's own ports are on the loopback, but for the public door. Its key is its sidecar's alone, which comes before it and goes
/// after it.
pub(crate) fn nobody_gets_around_a_sidecar(rendered: &Rendered) {
    assert_eq!(rendered.config("settings")["BIND_HOST"], "127.0.0.1");
    for service in SERVICES {
        let container = rendered.container(service);
        let mut variables = list(&container["env"]);
        let has_own_host = variables.any(|variable| variable["name"] == "BIND_HOST");
        assert_eq!(has_own_host, service == "gateway", "{service}");
        let mut mounts = list(&container["volumeMounts"]);
        let has_key = mounts.any(|mount| mount["name"] == "identity");
        assert!(!has_key, "{service} can read its sidecar's key");
        let sidecar = list(&rendered.pod(service)["initContainers"]).next();
        // Without it the sidecar would have to end before the service begins.
        assert_eq!(sidecar.unwrap()["restartPolicy"], "Always", "{service}");
    }
}

/// The scenarios of the mesh see that this question is answered.
pub(crate) fn a_sidecar_is_asked_as_in_compose(rendered: &Rendered) {
    let compose = std::fs::read_to_string(repository("deploy/mesh/compose.yml")).unwrap();
    let compose = yaml(&compose).remove(0);
    let there = &compose["x-sidecar"];
    // The first word says how the others are meant. Compose takes a single dollar for a variable of its own.
    let asked = list(&there["healthcheck"]["test"]).skip(1);
    let asked: Vec<String> = asked
        .map(|word| word.as_str().unwrap().replace("$$", "$"))
        .collect();
    for service in SERVICES {
        let sidecar = list(&rendered.pod(service)["initContainers"]).next();
        let sidecar = sidecar.unwrap();
        let probe = &sidecar["startupProbe"]["exec"]["command"];
        assert_eq!(*probe, json!(asked), "{service}");
        assert_eq!(sidecar["image"], there["image"], "{service}");
    }
}

pub(crate) fn no_secret_is_in_a_manifest(rendered: &Rendered) {
    assert_eq!(rendered.of_kind("Secret").count(), 0);
    for service in SERVICES {
        for variable in list(&rendered.container(service)["env"]) {
            let name = variable["name"].as_str().unwrap();
            let is_secret = ["PASSWORD", "TOKEN", "SMTP_URL"]
                .iter()
                .any(|part| name.contains(part));
            let by_reference = !variable["valueFrom"]["secretKeyRef"].is_null();
            assert!(!is_secret || by_reference, "{service}: {name}");
        }
    }
}
