//! What can be read by somebody who has the packets between two services.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh::table;
use scenarios::compose::Compose;
use scenarios::{Marketplace, wait};

use super::asking::only_container;

/// Who calls the other ones for a customer: in the namespace of this one each order is seen on its way.
const CALLER: &str = "gateway";
/// The image of the namespaces' owners.
const IMAGE: &str = "debian:trixie-slim";
/// Captures packets; see there.
const SCRIPT: &str = include_str!("capture.pl");
/// What the script says before anything else.
const LISTENING: &str = "listening";
/// How often to look at what was captured: each time is a process.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// An order on its way from the gateway to orders: on the loopback, between the gateway and its sidecar, it can be read, which
/// shows that the capture sees it; on the network, where the sidecars speak to each other, nothing of it can.
pub(crate) fn shows_no_order_in_clear(compose: &mut Compose) {
    let shop = compose.shop();
    let customer = shop.customer();
    let product = shop.product();
    let capture = Capture::begin(compose);
    let order = shop.order(&customer, &product, 1).expect(201).id();
    let read = shop.get(&format!("/api/orders/{order}"), Some(&customer.token));
    assert_eq!(read.expect(200).id(), order);

    // What no other token has.
    let signature = customer.token.rsplit('.').next().expect("a signature");
    let secrets = [order.as_str(), product.as_str(), signature];
    let what = "the order on the loopback";
    let seen = wait::until_every(LOOK_EVERY, wait::PATIENCE, what, || {
        let seen = capture.seen();
        // The answers name the order, so what was asked has passed when its id is seen.
        let is_there = |secret: &str| seen.loopback.holds(secret);
        (is_there(&order) && is_there(&product)).then_some(seen)
    });
    capture.end();
    let mesh_ports = table::called_by(CALLER).map(|door| door.mesh_port());
    assert!(
        seen.network.bytes_at(&mesh_ports.collect::<Vec<_>>()) > 0,
        "nothing was seen between the sidecars"
    );
    for secret in secrets {
        let is_seen = seen.network.holds(secret);
        assert!(!is_seen, "{secret} can be read on the network");
    }
}

/// A container that captures the packets of a network namespace, until it is told to end or for two minutes.
struct Capture<'a> {
    compose: &'a Compose,
    container: String,
}

impl<'a> Capture<'a> {
    fn begin(compose: &'a Compose) -> Self {
        let container = format!("agora-capture-{}", uuid::Uuid::new_v4().simple());
        let owner = only_container(compose, &format!("{CALLER}-net"));
        let network = format!("container:{owner}");
        let ports: Vec<String> = table::called_by(CALLER)
            .flat_map(|door| [door.port, door.mesh_port()])
            .map(|port| port.to_string())
            .collect();
        let mut run = vec!["run", "--detach", "--rm", "--name", container.as_str()];
        run.extend(["--network", network.as_str(), "--cap-drop", "ALL"]);
        run.extend(["--cap-add", "NET_RAW", IMAGE, "perl", "-e", SCRIPT]);
        run.extend(ports.iter().map(String::as_str));
        compose.docker(&run);
        let capture = Self { compose, container };
        let what = "the capture to begin";
        wait::until_every(LOOK_EVERY, wait::PATIENCE, what, || {
            capture.lines().contains(LISTENING).then_some(())
        });
        capture
    }

    fn lines(&self) -> String {
        self.compose.docker(&["logs", &self.container])
    }

    fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        // The last line may not be whole yet; what it lacks comes with the next look.
        for line in self.lines().lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [place, from, to, content] = fields[..] else {
                continue;
            };
            let (Ok(from), Ok(to)) = (from.parse::<u16>(), to.parse::<u16>()) else {
                continue;
            };
            let flows = if place == "loopback" {
                &mut seen.loopback
            } else {
                &mut seen.network
            };
            flows.0.entry((from, to)).or_default().push_str(content);
        }
        seen
    }

    fn end(self) {
        self.compose.docker(&["rm", "--force", &self.container]);
    }
}

/// What was captured.
#[derive(Default)]
struct Seen {
    loopback: Flows,
    network: Flows,
}

/// What went from port to port, in hexadecimal digits.
#[derive(Default)]
struct Flows(BTreeMap<(u16, u16), String>);

impl Flows {
    /// Whether the text can be read in any of them.
    fn holds(&self, text: &str) -> bool {
        let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.0.values().any(|content| content.contains(&digits))
    }

    fn bytes_at(&self, ports: &[u16]) -> usize {
        let flows = self.0.iter();
        let ours = flows.filter(|((from, to), _)| ports.contains(from) || ports.contains(to));
        ours.map(|(_, content)| content.len() / 2).sum()
    }
}
