//! `agora load`: places many orders, and reports the results.
//!
//! | where | what |
//! |---|---|
//! | `engine.rs` | orders at a rate, or by callers who wait for their answers |
//! | `buyers.rs` | those who buy |
//! | `seen.rs` | counts and latencies |
//! | `mails.rs`, `cpu.rs` | the mails that follow, and the CPU that all of it took |
//! | `flows.rs` | end-to-end latencies of some orders: until decided, until mailed |
//! | `followed.rs` | all of that, after the last order was answered |
//! | `pgbench.rs` | the same statement without the shop |
//! | `screen.rs` | the output |
//! | `switch.rs`, `poison.rs` | the same, and a message that nobody can handle, as switches of `agora up` |

mod buyers;
mod cpu;
mod engine;
mod flows;
mod followed;
mod mails;
mod pgbench;
mod poison;
mod screen;
mod seen;
mod switch;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use chassis::admin::Switches;
use chassis::config::positive_duration;
use clap::Args;
use client::Address;
use messaging::args::KafkaArgs;
use serde_json::Value;

use crate::failure::Failure;
use crate::files::{self, places};
use crate::signals::Signals;
pub(crate) use buyers::Buyers;
pub(crate) use cpu::Cpu;
use engine::{Bought, PACE_MAX, TIME_MAX};
pub(crate) use engine::{Pace, Plan, send, sign_up};
pub(crate) use flows::Flows;
use followed::Followed;
pub(crate) use mails::Mails;
pub(crate) use pgbench::run as pgbench;
use poison::PoisonSwitch;
pub(crate) use screen::Meter;
pub(crate) use seen::Seen;
use switch::LoadSwitch;

pub(crate) const AFTER_HELP: &str = "\
Without --url it is the marketplace that runs in the data directory (`agora up`).

--rate is an open loop: orders are sent when they are due, whether or not the ones before were answered, and latencies are
counted from then. --callers is a closed loop: each caller waits for its answer and orders again. The customers are made for the
run; nobody else's orders are touched. Ctrl-C ends what is under way (the orders, the wait for mails, giving back, pgbench), with
what was seen until then.

The CPU of an order is that of the marketplace, of PostgreSQL and of brokers, where they are processes of this machine. With
--url they are told by their names, and others of the same name are counted, too.

Examples:
  agora load                                  20 orders a second for 30 s
  agora load --rate 100 --time 10s --until-mailed
  agora load --callers 32 --json              as many as 32 callers can
  agora load --flow --beside-pgbench          how long the whole way takes, and what PostgreSQL could do
  agora load --url http://127.0.0.1:18080 --give-back

Exit code: 0, 1 if no order was accepted or it failed, 2 if the command line cannot be used.";

/// Orders many things, and says what came of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Load {
    /// So many orders a second [default: 20].
    #[arg(long, value_name = "N", conflicts_with = "callers", value_parser = pace)]
    rate: Option<NonZeroU32>,
    /// So many callers, each of whom waits for its answer.
    #[arg(long, value_name = "N", value_parser = pace)]
    callers: Option<NonZeroU32>,
    /// For how long orders are sent; 10m at most.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    time: Duration,
    /// Wait until the mail of the last order was sent, too.
    #[arg(long)]
    until_mailed: bool,
    /// Follow some of the orders: how long they take from the click until they are decided, and, of a marketplace of this
    /// machine, until the mail was sent.
    #[arg(long)]
    flow: bool,
    /// Run pgbench for the same time afterwards, with the statement that places an order, on the same database. Of a
    /// marketplace of this machine; what pgbench has written is deleted.
    #[arg(long, conflicts_with = "url")]
    beside_pgbench: bool,
    /// Cancel the orders afterwards, so that their goods are for sale again.
    #[arg(long)]
    give_back: bool,
    /// Print what was seen as JSON.
    #[arg(long)]
    json: bool,
    /// The data directory of the marketplace that runs [default: that of `agora up`].
    #[arg(long, env = "AGORA_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The gateway, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    url: Option<Address>,
    /// The admin port of notifications, such as http://127.0.0.1:8094, where mails are counted.
    #[arg(long, value_name = "URL")]
    mails: Option<Address>,
    /// Also against a shop that is not on this machine. It is load: ask whoever runs it.
    #[arg(long)]
    anywhere: bool,
}

/// Clients of pgbench after an open loop, which has no number of callers.
const PGBENCH_CLIENTS: NonZeroU32 = NonZeroU32::new(32).expect("above zero");

/// The addresses.
struct Places {
    /// The gateway.
    shop: Address,
    /// Where mails are counted, if requested.
    mails: Option<Address>,
    /// The marketplace, if it runs on this machine.
    own: Option<Own>,
}

/// A marketplace of this machine.
struct Own {
    /// The content of its `endpoints.json`.
    running: Value,
    data: PathBuf,
}

fn pace(text: &str) -> Result<NonZeroU32, String> {
    let number = text
        .parse::<u32>()
        .ok()
        .filter(|number| *number <= PACE_MAX);
    let number = number.and_then(NonZeroU32::new);
    number.ok_or_else(|| format!("it takes a number from 1 to {PACE_MAX}"))
}

fn time(text: &str) -> Result<Duration, String> {
    let time = positive_duration(text)?;
    if time > TIME_MAX {
        return Err(format!("it takes at most {} s", TIME_MAX.as_secs()));
    }
    Ok(time)
}

/// Does what was asked for.
pub(crate) async fn run(asked: Load) -> Result<(), Failure> {
    // A call in flight is an open file.
    chassis::descriptors::raise();
    let Places { shop, mails, own } = asked.places()?;
    for address in std::iter::once(&shop).chain(&mails) {
        asked.admit(address)?;
    }
    if asked.beside_pgbench {
        // Checked before any order is placed: without pgbench there is no comparison.
        pgbench::find()?;
    }
    let flows = asked.flow.then(Flows::new);
    let plan = asked.plan(shop, flows.clone());
    let mails = match mails {
        Some(admin) => Some(Mails::open(admin).await?),
        None => None,
    };
    let (seen, meter) = (Arc::new(Seen::new()), Meter::new());
    // Once they are heard, signals end nothing by themselves: each part below has to mind them.
    let mut signals = Signals::listen()?;
    let (bought, cpu) = orders(plan, own.as_ref(), &seen, &meter, &mut signals).await?;
    let stopped = async {
        signals.next().await;
    };
    let (flows, own) = (flows.as_deref(), own.as_ref());
    let followed = Followed::see(mails, cpu, flows, own, &seen, &meter, stopped);
    let (followed, mut told) = followed.await;
    // Not earlier: an order that is cancelled while it is pending gets no mail about its decision. Also where that failed.
    let is_given_back = tokio::select! {
        () = engine::give_back(bought, &seen) => true,
        _ = signals.next() => false,
    };
    let mut outcome = seen.json();
    followed.tell(&mut outcome);
    if asked.beside_pgbench && is_given_back && told.is_ok() {
        meter.tell("pgbench");
        let per_second = asked.pgbench(own, &mut signals).await;
        told = per_second.map(|per_second| outcome["pgbench_per_second"] = per_second.into());
    }
    meter.end();
    // The orders were placed, whatever failed after them.
    screen::print(&outcome, asked.json)?;
    told?;
    match (seen.count_accepted(), is_given_back) {
        (0, _) => Err(Failure::new("no order was accepted")),
        (_, false) => Err(Failure::new("stopped before all orders were given back")),
        (_, true) => Ok(()),
    }
}

/// Adds the switches of a marketplace whose gateway is at `shop`: load, and a poison message to a topic of the brokers of `kafka`,
/// whose dead letters may be in the database `queue`.
///
/// # Errors
/// If the gateway's address is invalid.
pub(crate) fn add_switches(
    switches: &Switches,
    shop: &str,
    kafka: &KafkaArgs,
    queue: &str,
) -> Result<(), Failure> {
    let shop: Address = shop.parse().map_err(Failure::new)?;
    for (name, rate) in switch::RATES {
        if let Some(rate) = NonZeroU32::new(rate) {
            switches.add(LoadSwitch::new(name, rate, shop.clone()));
        }
    }
    switches.add(PoisonSwitch::new(kafka, queue));
    Ok(())
}

/// Runs the engine to its end, or to a signal, and shows progress. CPU is counted from the first order on.
async fn orders(
    plan: Plan,
    own: Option<&Own>,
    seen: &Arc<Seen>,
    meter: &Meter,
    signals: &mut Signals,
) -> Result<(Bought, Option<Cpu>), Failure> {
    let stop = Shutdown::manual();
    let buyers = tokio::select! {
        buyers = sign_up(&plan.shop, seen, &stop) => buyers?,
        _ = signals.next() => None,
    };
    let Some(buyers) = buyers else {
        return Err(Failure::new("stopped"));
    };
    let cpu = match own {
        Some(own) => Cpu::of(&own.running, &own.data),
        None if is_here(plan.shop.authority().host()) => Cpu::by_name(),
        None => None,
    };
    let (told, stopped) = (Arc::clone(seen), stop.clone());
    let mut running = tokio::spawn(async move { send(plan, buyers, &told, &stopped).await });
    loop {
        tokio::select! {
            ended = &mut running => {
                let bought = ended.map_err(|panic| Failure::new(panic.to_string()))?;
                return Ok((bought, cpu));
            }
            _ = signals.next() => {
                if stop.is_triggered() {
                    return Err(Failure::new("stopped"));
                }
                stop.trigger();
            }
            () = tokio::time::sleep(Meter::EVERY) => meter.tell(&seen.line()),
        }
    }
}

impl Own {
    /// The URL of a service's database.
    fn database(&self, service: &str) -> Option<&str> {
        self.running["databases"][service].as_str()
    }
}

impl Load {
    fn plan(&self, shop: Address, flows: Option<Arc<Flows>>) -> Plan {
        Plan {
            shop,
            pace: self.pace(),
            time: self.time,
            give_back: self.give_back,
            flows,
        }
    }

    fn pace(&self) -> Pace {
        const RATE: NonZeroU32 = NonZeroU32::new(20).expect("above zero");
        match (self.callers, self.rate) {
            (Some(callers), _) => Pace::Closed(callers),
            (None, rate) => Pace::Open(rate.unwrap_or(RATE)),
        }
    }

    fn places(&self) -> Result<Places, Failure> {
        let (mut running, mut own) = (Value::Null, None);
        if self.url.is_none() {
            let hint = "say where with --data-dir or --url";
            running = files::running(self.data_dir.as_deref(), hint)?;
            let data = self.data_dir.clone().map_or_else(places::data, Ok)?;
            own = Some(Own {
                running: running.clone(),
                data,
            });
        }
        let known = |place: &Value| place.as_str().and_then(|url| url.parse::<Address>().ok());
        let shop = self.url.clone().or_else(|| known(&running["gateway"]));
        let shop = shop.ok_or_else(|| Failure::new("endpoints.json names no gateway"))?;
        let mails = self.mails.clone();
        let mails = mails.or_else(|| known(&running["admin"]["notifications"]));
        if self.until_mailed && mails.is_none() {
            return Err(Failure::configuration(
                "--until-mailed: say where mails are counted, with --mails: the admin port of notifications",
            ));
        }
        let mails = mails.filter(|_| self.until_mailed);
        Ok(Places { shop, mails, own })
    }

    /// Runs it, at most until a signal.
    async fn pgbench(&self, own: Option<&Own>, signals: &mut Signals) -> Result<f64, Failure> {
        let orders = own.and_then(|own| own.database("orders"));
        let orders = orders.ok_or_else(|| Failure::new("endpoints.json names no database"))?;
        let clients = self.callers.unwrap_or(PGBENCH_CLIENTS).get();
        let stopped = async {
            signals.next().await;
        };
        pgbench(orders, self.time, clients, stopped).await
    }

    /// Refuses to load another machine, unless a flag allows it.
    fn admit(&self, address: &Address) -> Result<(), Failure> {
        if self.anywhere || is_here(address.authority().host()) {
            return Ok(());
        }
        Err(Failure::configuration(format!(
            "{} is not on this machine: --anywhere says that whoever runs it knows",
            address.authority()
        )))
    }
}

/// Whether this name certainly means this machine.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_here() {
        for here in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "[::1]"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "10.0.0.1",
            "localhost.example",
            "example.com",
            "0.0.0.0",
            "[::2]",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn numbers_are_bounded() {
        assert!(pace("1").is_ok() && pace("10000").is_ok());
        for bad in ["0", "10001", "-1", "x", ""] {
            assert!(pace(bad).is_err(), "{bad}");
        }
        assert!(time("10m").is_ok());
        assert!(time("0s").is_err() && time("11m").is_err());
    }
}
