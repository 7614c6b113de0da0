//! What a pod of ours is: it may do nothing that it does not need, says how it is, and ends in time.

use std::time::Duration;

use chassis::proxies::TrustedProxies;
use mesh::table::DOORS;
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
        let too_much = too_much(service, pod);
        assert!(too_much.is_empty(), "{service}: {too_much:?}");
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

/// What a pod says that lets it do more than it needs, or does not say although it should.
fn too_much(service: &str, pod: &Value) -> Vec<String> {
    let context = &pod["securityContext"];
    let mut volumes = list(&pod["volumes"]);
    let mut found = broken(
        "pod",
        [
            (
                "automountServiceAccountToken",
                pod["automountServiceAccountToken"] == false,
            ),
            ("serviceAccountName", pod["serviceAccountName"] == service),
            ("hostNetwork", is_off(&pod["hostNetwork"])),
            ("hostPID", is_off(&pod["hostPID"])),
            ("hostIPC", is_off(&pod["hostIPC"])),
            (
                "hostPath",
                volumes.all(|volume| volume["hostPath"].is_null()),
            ),
            ("runAsNonRoot", context["runAsNonRoot"] == true),
            (
                "seccompProfile",
                context["seccompProfile"]["type"] == "RuntimeDefault",
            ),
        ],
    );
    let own = list(&pod["containers"]);
    for container in own.chain(list(&pod["initContainers"])) {
        let name = container["name"].as_str().unwrap();
        found.extend(too_much_of(name, container));
    }
    found
}

/// The same of a container. What the pod says of users and system calls holds for each that does not say otherwise.
fn too_much_of(name: &str, container: &Value) -> Vec<String> {
    let context = &container["securityContext"];
    let memory = &container["resources"]["limits"]["memory"];
    broken(
        name,
        [
            (
                "readOnlyRootFilesystem",
                context["readOnlyRootFilesystem"] == true,
            ),
            (
                "allowPrivilegeEscalation",
                context["allowPrivilegeEscalation"] == false,
            ),
            ("privileged", is_off(&context["privileged"])),
            // All of them: none is added again.
            (
                "capabilities",
                context["capabilities"] == json!({ "drop": ["ALL"] }),
            ),
            ("runAsNonRoot", context["runAsNonRoot"].is_null()),
            ("runAsUser", context["runAsUser"].is_null()),
            ("seccompProfile", context["seccompProfile"].is_null()),
            ("memory", memory.is_string()),
        ],
    )
}

fn is_off(value: &Value) -> bool {
    value.is_null() || *value == false
}

/// The rules that do not hold.
fn broken<const N: usize>(place: &str, rules: [(&str, bool); N]) -> Vec<String> {
    let broken = rules.into_iter().filter(|(_, holds)| !holds);
    broken.map(|(rule, _)| format!("{place}: {rule}")).collect()
}

pub(crate) fn what_a_pod_may_not_is_found() {
    const CONTEXT: &str = "/containers/0/securityContext";
    let pod = json!({
        "automountServiceAccountToken": false,
        "serviceAccountName": "planted",
        "securityContext": {
            "runAsNonRoot": true,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "volumes": [{ "name": "tmp", "emptyDir": {} }],
        "containers": [{
            "name": "service",
            "securityContext": {
                "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
            },
            "resources": { "limits": { "memory": "64Mi" } },
        }],
    });
    assert_eq!(too_much("planted", &pod), [""; 0]);
    for (place, field, value, said) in [
        ("", "hostNetwork", json!(true), "pod: hostNetwork"),
        (
            "",
            "serviceAccountName",
            json!("x"),
            "pod: serviceAccountName",
        ),
        ("/volumes/0", "hostPath", json!({}), "pod: hostPath"),
        (CONTEXT, "privileged", json!(true), "service: privileged"),
        (CONTEXT, "runAsUser", json!(0), "service: runAsUser"),
        (
            CONTEXT,
            "capabilities",
            json!({ "drop": ["ALL"], "add": ["SYS_ADMIN"] }),
            "service: capabilities",
        ),
        (
            "/containers/0/resources",
            "limits",
            json!({}),
            "service: memory",
        ),
    ] {
        let mut planted = pod.clone();
        planted.pointer_mut(place).unwrap()[field] = value;
        assert_eq!(too_much("planted", &planted), [said]);
    }
}

/// What is in a pod starts again by itself: a connection that has taken a port as its own would keep it from listening.
pub(crate) fn no_connection_takes_a_port_that_somebody_listens_on(rendered: &Rendered) {
    for service in SERVICES {
        let mut sysctls = list(&rendered.pod(service)["securityContext"]["sysctls"]);
        let range = sysctls.find(|it| it["name"] == "net.ipv4.ip_local_port_range");
        let range = range.unwrap()["value"].as_str().unwrap();
        let (first, last) = range.split_once(' ').unwrap();
        let [first, last] = [first, last].map(|port| port.parse::<u16>().unwrap());
        for door in DOORS {
            for port in [door.port, door.mesh_port()] {
                assert!(!(first..=last).contains(&port), "{service}: {door:?}");
            }
        }
    }
}

/// What a Job does cannot be changed: while it is there, `kubectl apply` refuses what was changed since.
pub(crate) fn a_job_can_be_applied_again(rendered: &Rendered) {
    for job in rendered.of_kind("Job") {
        let stays = &job["spec"]["ttlSecondsAfterFinished"];
        assert!(stays.as_u64().is_some_and(|it| it <= 300), "{job}");
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
            let by_reference = !variable["valueFrom"]["secretKeyRef"].is_null();
            assert!(!is_secret(name) || by_reference, "{service}: {name}");
            let value = variable["value"].as_str().unwrap_or_default();
            assert!(!has_password(value), "{service}: {name}");
        }
    }
    for (name, value) in rendered.config("settings").as_object().unwrap() {
        let value = value.as_str().unwrap();
        assert!(!is_secret(name) && !has_password(value), "settings: {name}");
    }
}

fn is_secret(name: &str) -> bool {
    let mut parts = ["PASSWORD", "TOKEN", "SMTP_URL"].iter();
    parts.any(|part| name.contains(part))
}

/// Whether a URL has a password in it that is not the value of another variable.
fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map(|(_, rest)| rest);
    let account = authority.and_then(|rest| rest.split('/').next()?.rsplit_once('@'));
    let password = account.and_then(|(account, _)| account.split_once(':'));
    password.is_some_and(|(_, password)| !password.starts_with("$("))
}

pub(crate) fn passwords_in_urls_are_found() {
    assert!(has_password(
        "postgres://orders:planted@postgres:5432/orders"
    ));
    assert!(has_password(
        "$(AMQP_SCHEME)://users:planted@rabbitmq/agora"
    ));
    for harmless in [
        "postgres://orders:$(DATABASE_PASSWORD)@postgres:5432/orders",
        "http://orders:8081",
        "srv+http://_http._tcp.orders/@here:too",
        "10.0.0.0/8",
    ] {
        assert!(!has_password(harmless), "{harmless}");
    }
}
