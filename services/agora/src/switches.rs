//! The switches of `agora up`, which make its engines and services unavailable and available again (ADR 37).
//!
//! | where | what |
//! |---|---|
//! | `engine.rs` | Kafka, the mail directory |
//! | `database.rs` | the link to a database, the queue's among them |
//! | `service.rs` | a service, stopped and started again |
//! | `counted.rs` | the number of hits, read from the metrics |

mod counted;
mod database;
mod engine;
mod service;

use std::path::Path;
use std::sync::Arc;

use chassis::admin::{self, Absent, Access, Switches};
use chassis::health::Health;
use chassis::{Fatal, Shutdown};
use contracts::topics::{ORDER_EVENTS, STOCK_EVENTS, USER_EVENTS};
use tokio::net::TcpListener;

use crate::cli::Up;
use crate::engines::Engines;
use crate::failure::Failure;
use crate::services::Services;
use database::Database;
use engine::{Kafka, Mail};
use service::Service;

pub(crate) use engine::mend_mail;

/// The name of the port's owner, in its logs.
const NAME: &str = "agora";

/// The services that can be stopped, with the topics that they read. Not the gateway, through which the page would have to
/// start it again, and not the observatory, which calls the switches.
const STOPPABLE: [(&str, &[&str]); 4] = [
    ("users", &[]),
    ("orders", &[STOCK_EVENTS]),
    ("products", &[ORDER_EVENTS]),
    ("notifications", &[ORDER_EVENTS, USER_EVENTS]),
];

/// All of them, in the order in which they are shown and mended: engines before the services that need them.
pub(crate) fn all(
    up: &Up,
    engines: &Engines,
    services: &Services,
    mail: &Path,
) -> Result<Switches, Failure> {
    let switches = Switches::new();
    switches.add(Kafka::new(&engines.kafka));
    for switch in Database::all(&engines.databases, engines.is_private())? {
        switches.add(switch);
    }
    switches.add(Mail::new(up, mail));
    for (name, reads) in STOPPABLE {
        switches.add(Service::new(
            name,
            reads,
            Arc::clone(services.supervisor()),
        )?);
    }
    Ok(switches)
}

/// Serves them until the shutdown. The port has the access checks of an admin port.
pub(crate) async fn serve(
    up: &Up,
    listener: TcpListener,
    switches: Switches,
    shutdown: Shutdown,
) -> Result<(), Fatal> {
    let access = Access {
        hosts: Vec::new(),
        token: up.service.admin_token.clone(),
    };
    let health = Health::new(NAME);
    health.ready();
    let routes = admin::switches(NAME, switches);
    admin::serve(listener, access, health, routes, shutdown).await
}

/// The reason why an engine has no switch.
fn not_ours(what: &str, variable: &str) -> Absent {
    Absent {
        why: format!("{what} is not one that `agora up` has started: {variable} says where it is"),
        command: None,
    }
}
