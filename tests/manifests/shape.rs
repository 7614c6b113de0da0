//! What a pod of ours is: it may do nothing that it does not need, says how it is, and ends in time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::render::{Rendered, SERVICES, list};

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

pub(crate) fn no_secret_is_in_a_manifest(rendered: &Rendered) {
    assert_eq!(rendered.of_kind("Secret").count(), 0);
    for service in SERVICES {
        for variable in list(&rendered.container(service)["env"]) {
            let name = variable["name"].as_str().unwrap();
            let is_secret = ["PASSWORD", "TOKEN"].iter().any(|part| name.contains(part));
            let by_reference = !variable["valueFrom"]["secretKeyRef"].is_null();
            assert!(!is_secret || by_reference, "{service}: {name}");
        }
    }
}
