//! What `agora up` can take away and give back: the engines and services that it has started (ADR 37).
//!
//! | where | what |
//! |---|---|
//! | `engine.rs` | Kafka, the mail directory |
//! | `database.rs` | the way to a database, the queue's among them |
//! | `service.rs` | a service, stopped and started again |
//! | `counted.rs` | what was hit, read from the metrics |

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

/// The services that can be stopped, with the topics that they read. Not the gateway: the page that would start it again
/// comes through it. Not the observatory: it presses the switches.
const STOPPABLE: [(&str, &[&str]); 4] = [
    ("users", &[]),
    ("orders", &[STOCK_EVENTS]),
    ("products", &[ORDER_EVENTS]),
    ("notifications", &[ORDER_EVENTS, USER_EVENTS]),
];

/// All of them, in the order in which they are shown and mended: engines before what needs them.
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

/// Serves them until the shutdown. The port is guarded like that of a service.
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

/// Why something has no switch that others have.
fn not_ours(what: &str, variable: &str) -> Absent {
    Absent {
        why: format!("{what} is not one that `agora up` has started: {variable} says where it is"),
        command: None,
    }
}
