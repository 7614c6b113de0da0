//! One of two instances hangs, dies, or starts again at another address, while customers read: with plain clients, so that the
//! sidecars alone keep the reads whole, and with the clients as they are by default, whose retries come on top.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mesh::table::{DOORS, Door, Protocol};
use parking_lot::Mutex;
use scenarios::compose::Compose;
use scenarios::figures::percentile;
use scenarios::{Marketplace, Shop, peer, wait};

use super::asking::{address, at, only_container, papers, runtime};
use super::rotation::Over;

/// Connection, deadline and trace context, and nothing else.
const PLAIN: [(&str, &str); 4] = [
    ("USERS_CLIENT", "plain"),
    ("ORDERS_CLIENT", "plain"),
    ("PRODUCTS_CLIENT", "plain"),
    ("PRODUCTS_GRPC_CLIENT", "plain"),
];
/// As many as a sidecar repeats requests at once, whatever its budget is: each of them can meet the instance that hangs.
const READERS: usize = 3;
/// Of each reader, between two reads.
const PAUSE: Duration = Duration::from_millis(10);
/// Reads that must come through after something happened, before the next thing happens.
const MORE: usize = 200;
/// How often to look at a log: each time is a process that reads all of it, while customers wait for reads.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What hangs or dies, and what moves.
const FIRST: &str = "orders";
const SECOND: &str = "orders-2";
/// The most containers that are started until one has the address that somebody left.
const OTHERS_MAX: usize = 8;
/// The image of the namespaces' owners.
const IMAGE: &str = "debian:trixie-slim";

/// No read fails, whoever repeats it. Prints how long they took.
pub(crate) fn keep_reads_whole(compose: &mut Compose) {
    let ways: [(&str, &[(&str, &str)]); 2] = [
        ("the mesh alone", &PLAIN),
        ("the mesh and crates/client", &[]),
    ];
    for (who, variables) in ways {
        compose.configure(variables);
        assert_eq!(is_plain(compose), !variables.is_empty(), "{who}");
        for mishap in [Mishap::Hangs, Mishap::Dies, Mishap::Moves] {
            let reads = read_while(compose, mishap);
            tell(who, mishap, &reads);
            assert!(reads.failed.is_empty(), "{who}, {mishap:?}: {reads:?}");
        }
    }
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    /// It takes connections and answers nothing.
    Hangs,
    Dies,
    /// It ends with its sidecar, and starts at another address.
    Moves,
}

impl Mishap {
    fn begin(self, compose: &Compose) {
        match self {
            Self::Hangs => compose.docker(&["pause", &only_container(compose, FIRST)]),
            Self::Dies => kill(compose, FIRST),
            Self::Moves => {
                kill(compose, SECOND);
                kill(compose, &format!("{SECOND}-sidecar"))
            }
        };
    }

    fn end(self, compose: &Compose) {
        match self {
            Self::Hangs => {
                compose.docker(&["unpause", &only_container(compose, FIRST)]);
            }
            Self::Dies => start(compose, FIRST),
            Self::Moves => {
                move_to_another_address(compose, SECOND);
                start(compose, &format!("{SECOND}-sidecar"));
                start(compose, SECOND);
            }
        }
        compose.until_healthy();
    }
}

fn kill(compose: &Compose, service: &str) -> String {
    compose.docker(&[
        "kill",
        "--signal",
        "KILL",
        &only_container(compose, service),
    ])
}

fn start(compose: &Compose, service: &str) {
    compose.docker(&["start", &only_container(compose, service)]);
}

/// The owner of an instance's network namespace leaves the network and comes back.
fn move_to_another_address(compose: &Compose, instance: &str) {
    let before = address(compose, instance);
    let owner = only_container(compose, &format!("{instance}-net"));
    let name = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}";
    let network = compose.docker(&["inspect", "--format", name, &owner]);
    let network = network.trim();
    compose.docker(&["network", "disconnect", network, &owner]);
    let others = take(compose, network, &before.to_string());
    let own = format!("{instance}-net");
    let mut connect = vec!["network", "connect", "--alias", FIRST];
    connect.extend(["--alias", own.as_str(), network, owner.as_str()]);
    compose.docker(&connect);
    for other in &others {
        compose.docker(&["rm", "--force", other]);
    }
    assert_ne!(
        address(compose, instance),
        before,
        "{instance} did not move"
    );
}

/// Lets somebody else have an address, who would refuse whoever still believes in it. An address is the next that is free, so those
/// before it are taken, too. Returns the containers.
fn take(compose: &Compose, network: &str, address: &str) -> Vec<String> {
    let has = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let mut others = Vec::new();
    while others.len() < OTHERS_MAX {
        let other = format!("agora-other-{}", uuid::Uuid::new_v4().simple());
        let mut run = vec!["run", "--detach", "--rm", "--name", other.as_str()];
        run.extend(["--network", network, IMAGE, "sleep", "60"]);
        compose.docker(&run);
        let is_there = compose.docker(&["inspect", "--format", has, &other]).trim() == address;
        others.push(other);
        if is_there {
            break;
        }
    }
    others
}

/// Reads of one order, which the gateway asks for, and of all that its customer has, for which users asks, while something happens to an
/// instance of orders, and until it is over.
fn read_while(compose: &Compose, mishap: Mishap) -> Reads {
    let shop = compose.shop();
    let customer = shop.customer();
    let order = shop.order(&customer, &shop.product(), 1).expect(201).id();
    let _ = shop.settled(&customer, &order);
    let paths = [
        format!("/api/orders/{order}"),
        format!("/api/users/{}/orders", customer.id),
    ];
    let bearer = format!("Bearer {}", customer.token);
    let (reads, over) = (Mutex::new(Reads::default()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                for path in paths.iter().cycle() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let (took, outcome) = read(&shop, path, &bearer);
                    reads.lock().note(took, outcome);
                    std::thread::sleep(PAUSE);
                }
            });
        }
        let _over = Over(&over);
        until_more(&reads, "the first reads");
        mishap.begin(compose);
        until_more(&reads, "reads in spite of it");
        mishap.end(compose);
        until_more(&reads, "reads after it");
        if matches!(mishap, Mishap::Moves) {
            // Where it is now it gets its share.
            until_called(compose, SECOND);
        }
    });
    reads.into_inner()
}

fn read(shop: &Shop, path: &str, bearer: &str) -> (Duration, Result<(), String>) {
    let begun = Instant::now();
    let answer = shop.call("GET", path, &[("authorization", bearer)], None);
    let outcome = match answer {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("{}: {}", answer.status, answer.text)),
        Err(error) => Err(error.to_string()),
    };
    (begun.elapsed(), outcome)
}

fn until_more(reads: &Mutex<Reads>, what: &str) {
    let before = reads.lock().count();
    wait::until(what, || {
        (reads.lock().count() >= before + MORE).then_some(())
    });
}

/// Waits until an instance's sidecar lets one more read of an order in.
fn until_called(compose: &Compose, instance: &str) {
    let sidecar = only_container(compose, &format!("{instance}-sidecar"));
    let calls = || {
        let log = compose.docker(&["logs", &sidecar]);
        log.matches("/v1/orders/").count()
    };
    let before = calls();
    let what = format!("calls of {instance}");
    wait::until_every(LOOK_EVERY, wait::PATIENCE, &what, || {
        (calls() > before).then_some(())
    });
}

/// Whether the gateway's client of orders leaves everything to the mesh, as its admin port says to the observatory.
fn is_plain(compose: &Compose) -> bool {
    let is_it = |door: &Door| door.service == "gateway" && door.protocol == Protocol::Live;
    let door = DOORS.into_iter().find(is_it).expect("a door");
    let (at, papers) = (at(compose, door), papers(compose, "observatory"));
    let heard = runtime().block_on(peer::get(at, door.service, &papers, "/clients"));
    let clients = heard.expect("an answer").text.replace(' ', "");
    clients.contains("\"plain\":true")
}

/// What became of reads.
#[derive(Debug, Default)]
struct Reads {
    /// Of those that were answered.
    times: Vec<Duration>,
    failed: Vec<String>,
}

impl Reads {
    fn note(&mut self, took: Duration, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.times.push(took),
            Err(why) => self.failed.push(why),
        }
    }

    fn count(&self) -> usize {
        self.times.len() + self.failed.len()
    }
}

#[expect(
    clippy::print_stderr,
    reason = "figures of the run, for whoever reads it"
)]
fn tell(who: &str, mishap: Mishap, reads: &Reads) {
    let mut sorted = reads.times.clone();
    sorted.sort_unstable();
    let ms = |percent| percentile(&sorted, percent).as_secs_f64() * 1e3;
    let (p50, p99, most) = (ms(50), ms(99), ms(100));
    let (count, failed) = (reads.count(), reads.failed.len());
    eprintln!(
        "{who}, an instance {mishap:?}: {count} reads, {failed} failed, p50 {p50:.1} ms, p99 {p99:.1} ms, at most {most:.0} ms"
    );
}
