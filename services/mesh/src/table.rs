//! Who may call whom: the one table that the sidecars' rules, their listeners and the tests are made from.

/// How a door is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP with JSON; only `…/events` is a stream without an end.
    Rest,
    /// gRPC; the caller's deadline is in `grpc-timeout`.
    Grpc,
    /// HTTP of which any answer may be a stream without an end: admin ports, the observatory.
    Live,
}

/// A port on which a service is called by other services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// The service behind it.
    pub service: &'static str,
    /// The port that the service listens on, on the loopback.
    pub port: u16,
    /// How it is spoken to. A service has one door for each protocol.
    pub protocol: Protocol,
}

impl Door {
    /// The port of its sidecar, on the network.
    #[must_use]
    pub const fn mesh_port(&self) -> u16 {
        self.port + MESH_OFFSET
    }
}

/// A call that is allowed; every other one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub caller: &'static str,
    /// Whom.
    pub service: &'static str,
    /// Through which door.
    pub protocol: Protocol,
}

/// What is added to a service's port for the port of its sidecar: both listen in one network namespace.
pub const MESH_OFFSET: u16 = 10_000;
/// What is added to the port of an admin door for the second instance of a service, in the sidecar of whoever reads all
/// instances.
pub const SECOND_OFFSET: u16 = 20_000;

/// All services, each with an identity of its own.
pub const SERVICES: [&str; 6] = [
    "gateway",
    "users",
    "orders",
    "products",
    "notifications",
    "observatory",
];

/// The services that have a second instance in the overlay, `NAME-2`.
pub const DOUBLED: [&str; 3] = ["users", "orders", "products"];

/// Every door. What customers use is no door of the mesh: the gateway's own port 8080.
pub const DOORS: [Door; 10] = [
    door("gateway", 8090, Protocol::Live),
    door("users", 50051, Protocol::Grpc),
    door("users", 8093, Protocol::Live),
    door("orders", 8081, Protocol::Rest),
    door("orders", 8091, Protocol::Live),
    door("products", 8082, Protocol::Rest),
    door("products", 50052, Protocol::Grpc),
    door("products", 8092, Protocol::Live),
    door("notifications", 8094, Protocol::Live),
    door("observatory", 8095, Protocol::Live),
];

/// Every call that is allowed. `docs/ARCHITECTURE.md` draws the same.
pub const CALLS: [Call; 14] = [
    call("gateway", "users", Protocol::Grpc),
    call("gateway", "orders", Protocol::Rest),
    call("gateway", "products", Protocol::Rest),
    call("gateway", "products", Protocol::Grpc),
    call("gateway", "observatory", Protocol::Live),
    call("users", "orders", Protocol::Rest),
    call("orders", "products", Protocol::Grpc),
    // The keys that tokens are checked with.
    call("orders", "users", Protocol::Grpc),
    call("products", "users", Protocol::Grpc),
    // It reads the admin ports of all of them.
    call("observatory", "gateway", Protocol::Live),
    call("observatory", "users", Protocol::Live),
    call("observatory", "orders", Protocol::Live),
    call("observatory", "products", Protocol::Live),
    call("observatory", "notifications", Protocol::Live),
];

const fn door(service: &'static str, port: u16, protocol: Protocol) -> Door {
    Door {
        service,
        port,
        protocol,
    }
}

const fn call(caller: &'static str, service: &'static str, protocol: Protocol) -> Call {
    Call {
        caller,
        service,
        protocol,
    }
}

/// The SPIFFE identity of a service.
#[must_use]
pub fn identity(service: &str) -> String {
    format!("spiffe://agora/{service}")
}

/// The instances of a service, by the names of their network namespaces' owners without `-net`.
#[must_use]
pub fn instances(service: &str) -> Vec<String> {
    let mut names = vec![service.to_owned()];
    if DOUBLED.contains(&service) {
        names.push(format!("{service}-2"));
    }
    names
}

/// The doors of a service.
pub fn doors_of(service: &str) -> impl Iterator<Item = Door> {
    DOORS
        .into_iter()
        .filter(move |door| door.service == service)
}

/// The doors that a service may use.
pub fn called_by(caller: &str) -> impl Iterator<Item = Door> {
    DOORS
        .into_iter()
        .filter(move |door| is_allowed(caller, *door))
}

/// Who may use a door.
pub fn callers_of(door: Door) -> impl Iterator<Item = &'static str> {
    SERVICES
        .into_iter()
        .filter(move |caller| is_allowed(caller, door))
}

/// Whether a service may use a door.
#[must_use]
pub fn is_allowed(caller: &str, door: Door) -> bool {
    CALLS.iter().any(|call| {
        call.caller == caller && call.service == door.service && call.protocol == door.protocol
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_one_door_and_each_door_a_caller() {
        for call in CALLS {
            assert!(SERVICES.contains(&call.caller), "{call:?}");
            let doors = doors_of(call.service).filter(|door| door.protocol == call.protocol);
            assert_eq!(doors.count(), 1, "{call:?}");
        }
        for door in DOORS {
            assert!(callers_of(door).next().is_some(), "{door:?}");
        }
    }

    #[test]
    fn no_two_listeners_of_a_namespace_share_a_port() {
        for service in SERVICES {
            let own = doors_of(service).flat_map(|door| [door.port, door.mesh_port()]);
            let called = called_by(service).map(|door| door.port);
            let mut ports: Vec<u16> = own.chain(called).collect();
            let count = ports.len();
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), count, "{service}: {ports:?}");
        }
    }
}
