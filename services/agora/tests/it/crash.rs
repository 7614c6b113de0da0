//! `kill -9` leaves nothing that the next start cannot clean up by itself.

use rustix::process::Signal;

use crate::support::{Market, Place, kill, status, until};

#[test]
fn starts_again_after_a_kill() {
    let place = Place::new();
    let mut market = Market::start(&place);
    market.signal(Signal::KILL);
    market.ended();
    assert!(
        place.data().join("endpoints.json").exists(),
        "it had no time to tidy up"
    );
    let mut market = Market::start(&place);
    assert_eq!(
        status(&format!("{}/api/products", market.endpoint("gateway"))),
        200
    );
    market.stop();
}

/// The watchdog dies as well, as it does when a whole container or control group is killed: PostgreSQL is
/// still there when the next one starts.
#[test]
fn starts_again_beside_a_postgres_that_was_left_behind() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let postgres = market.postgres();
    kill(watchdog_of(market.id()), Signal::KILL);
    market.signal(Signal::KILL);
    market.ended();
    let mut market = Market::start(&place);
    assert_ne!(market.postgres(), postgres);
    market.stop();
}

/// Whether a start has come to some point.
type Reached = Box<dyn Fn(&Place) -> bool>;

#[test]
fn a_kill_at_any_time_of_a_first_start_does_no_harm() {
    let place = Place::new();
    let file = |name: &'static str| move |place: &Place| place.data().join(name).exists();
    // Who looks late on a busy machine finds a cluster that is finished already.
    let finished = file("postgres");
    // Each start gets a little further than the one before.
    let moments: [(&str, Reached); 5] = [
        ("the lock", Box::new(file("agora.lock"))),
        (
            "initdb",
            Box::new(move |place| place.unfinished_cluster().is_some() || finished(place)),
        ),
        (
            "initdb, further on",
            Box::new(move |place| {
                let cluster = place.unfinished_cluster();
                let is_further = cluster.is_some_and(|it| it.join("data/PG_VERSION").exists());
                is_further || finished(place)
            }),
        ),
        ("the finished cluster", Box::new(finished)),
        ("the services' start", Box::new(file("admin.json"))),
    ];
    for (name, reached) in moments {
        let mut child = place.agora(&["up"]).spawn().expect("to start agora");
        until(name, || {
            assert_eq!(
                child.try_wait().expect("a status"),
                None,
                "it ended before {name}"
            );
            reached(&place).then_some(())
        });
        child.kill().expect("to kill it");
        child.wait().expect("its end");
    }
    Market::start(&place).stop();
}

/// The shell among the children of a process.
fn watchdog_of(parent: u32) -> u32 {
    let children = std::process::Command::new("ps")
        .args(["-o", "pid=,ppid=,args=", "-A"])
        .output();
    let children = children.expect("ps").stdout;
    String::from_utf8_lossy(&children)
        .lines()
        .find_map(|line| {
            let mut fields = line.split_whitespace();
            let (pid, ppid) = (fields.next()?.parse().ok()?, fields.next()?);
            let is_shell = fields.next()? == "/bin/sh";
            (ppid == parent.to_string() && is_shell).then_some(pid)
        })
        .expect("a watchdog")
}
