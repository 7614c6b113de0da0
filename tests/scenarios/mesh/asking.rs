//! How scenarios get at the sidecars: by the addresses of their containers, with what their authority has written.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use mesh::ca::{Authority, Issued};
use mesh::table::{self, Door, Protocol, SERVICES};
use scenarios::compose::Compose;
use scenarios::peer::{self, Heard, Papers};
use tokio::runtime::{Builder, Runtime};

/// A path that every door answers, whatever it answers.
pub(super) const PATH: &str = "/livez";

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The address of an instance's network namespace.
pub(super) fn address(compose: &Compose, instance: &str) -> IpAddr {
    let container = only_container(compose, &format!("{instance}-net"));
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = compose.docker(&["inspect", "--format", format, &container]);
    address.trim().parse().expect("an address")
}

/// Where a door of the first instance is on the network.
pub(super) fn at(compose: &Compose, door: Door) -> SocketAddr {
    SocketAddr::new(address(compose, door.service), door.mesh_port())
}

/// Every door of every instance, and where it is on the network.
pub(super) fn doors(compose: &Compose) -> Vec<(Door, SocketAddr)> {
    let mut doors = Vec::new();
    for service in SERVICES {
        for instance in table::instances(service) {
            // Once for all doors: each time is two processes.
            let host = address(compose, &instance);
            let own = table::doors_of(service);
            doors.extend(own.map(|door| (door, SocketAddr::new(host, door.mesh_port()))));
        }
    }
    doors
}

pub(super) fn only_container(compose: &Compose, service: &str) -> String {
    let [container] = &compose.containers(service)[..] else {
        panic!("one container of {service}");
    };
    container.clone()
}

/// A file of the authority's container.
pub(super) fn file(compose: &Compose, path: &str) -> String {
    compose.run(&["exec", "-T", "mesh-ca", "cat", path])
}

/// What a service's sidecars show at the moment. One directory, so that certificate and key belong together.
pub(super) fn papers(compose: &Compose, service: &str) -> Papers {
    let script = "cd -P /certificates/$1/..data && cat certificate.pem && echo === && cat key.pem && echo === && cat authorities.pem";
    let arguments = ["exec", "-T", "mesh-ca", "sh", "-c", script, "sh", service];
    let all = compose.run(&arguments);
    let mut parts = all.split("===\n");
    let mut part = || parts.next().expect("three files").to_owned();
    Papers {
        own: Some((part(), part())),
        authorities: part(),
    }
}

/// The mesh's own authority, with its key.
pub(super) fn authority(compose: &Compose) -> Authority {
    let names = compose.run(&["exec", "-T", "mesh-ca", "ls", "/var/lib/mesh"]);
    // From when to when it is good.
    let mut names = names
        .lines()
        .filter_map(|name| Some((name, name.split_once('-')?.0)));
    let (name, id) = names.next().expect("an authority");
    let issued = Issued {
        certificate: file(compose, &format!("/var/lib/mesh/{name}/certificate.pem")),
        key: file(compose, &format!("/var/lib/mesh/{name}/key.pem")),
    };
    Authority::read(id.parse().expect("a time"), &issued).expect("an authority")
}

pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("a time after 1970").as_secs()
}

/// What a door answers to somebody with these papers; an error is a refused connection.
pub(super) async fn ask(at: SocketAddr, door: Door, papers: &Papers) -> std::io::Result<Heard> {
    match door.protocol {
        Protocol::Grpc => peer::call(at, door.service, papers).await,
        Protocol::Rest | Protocol::Live => peer::get(at, door.service, papers, PATH).await,
    }
}
