//! The admin port: `/livez`, `/readyz`, `/metrics` and the routes that the service adds, usually [`controls`].

mod access;
mod clients;
mod dead_letters;
mod faults;
mod hops;
mod switches;

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use resilience::fault::Faults;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::limits::Limits;
use crate::{Fatal, ServiceInfo, Shutdown, http, metrics};

pub use access::{Access, AdminToken, HostName, for_bearers, for_own_pages};
pub use clients::{BreakerCommand, BreakerState, Clients};
pub use dead_letters::{
    DEAD_LETTERS_MAX, DeadLetterOffice, DeadLetters, Listed, Pace, Redriven, Which,
};
pub use switches::{About, Absent, State as SwitchState, Switch, Switches};

/// The most connections of this port; for one more, the one that has been idle longest is closed. The admin ports of
/// one process together stay below the number of descriptors that the process reserves for itself.
const CONNECTIONS_MAX: usize = 32;
/// The largest request body that this port accepts, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// No linger: nothing is streamed from this port, and a scraper's idle connection is not worth waiting for.
fn options(service: ServiceInfo) -> http::Options {
    http::Options {
        linger: Duration::ZERO,
        max_connections: CONNECTIONS_MAX,
        // Probes and scrapers may all come from one address. There are so few of them that the limit by address need
        // not be lower than the total.
        max_connections_per_address: CONNECTIONS_MAX,
        // This port must answer even when the doors have used up the descriptors that they share.
        reserved: true,
        problem_types: service.problem_types,
        ..http::Options::with_deadline(Duration::from_millis(500))
    }
}

/// Serves the admin port; `extra` adds routes. `access` says which host names the port answers to and who may change
/// something. Apart from `/livez` and `/readyz`, every request is refused that uses another host name or comes from a
/// page of another site.
///
/// `/livez` checks nothing: a restart does not bring a dependency back, it only loses warm state. `/readyz` answers 503
/// from the moment the shutdown begins. The port continues to answer while the other doors of this `shutdown` drain,
/// and closes after them.
///
/// # Errors
/// The errors of [`http::serve`].
pub async fn serve(
    listener: TcpListener,
    access: Access,
    health: Health,
    extra: Router,
    shutdown: Shutdown,
) -> Result<(), Fatal> {
    metrics::install();
    // A separate shutdown, triggered last. The port must not count as a door of the shared one, or it would wait for
    // itself.
    let last = Shutdown::manual();
    let on_loopback = listener.local_addr()?.ip().to_canonical().is_loopback();
    let router = access::guard(
        router(health.clone()).merge(extra),
        access,
        health.service().problem_types,
        on_loopback,
    );
    let served = http::serve(listener, router, options(health.service()), last.clone());
    let follow = async {
        shutdown.cancelled().await;
        health.stopping();
        shutdown.drained().await;
        last.trigger();
    };
    let (served, ()) = tokio::join!(served, follow);
    served
}

/// How this service's calls to others are doing, what it could not handle, and the switches to change that:
///
/// | | |
/// |---|---|
/// | `GET /clients`, `GET /clients/{name}` | the state of each client |
/// | `POST /clients/{name}/breaker` | `{"state": "open" \| "closed" \| "reset", "endpoint"?: "host:port"}` |
/// | `GET /dead-letters?source&group&id&type&reason&older_than&newer_than&limit` | what was parked, and why |
/// | `POST /dead-letters/redrive` | `{"type"?: "..", "older_than"?: "15m", .., "all"?: true, "dry_run"?: true, "rate"?: 100}`: sends it again |
/// | `GET`, `PUT`, `DELETE /faults` | `{"rules": [{"target": "orders", "kind": "delay" \| "fail" \| "hang", "delay_ms"?: 800, "percent"?: 20}]}` |
///
/// The target of a rule is a client of this service. Requests that change something need the port's token ([`Access`]).
///
/// Without `faults` ([`crate::config::Service::faults`]) the routes of the last line are absent, so that nobody who
/// reaches the port can inject faults.
///
/// Errors are problem documents, as at any HTTP door.
pub fn controls(
    service: impl Into<ServiceInfo>,
    clients: Clients,
    dead_letters: DeadLetters,
    faults: Option<Faults>,
) -> Router {
    let service = service.into();
    let mut routes = clients::router(clients.clone()).merge(dead_letters::router(dead_letters));
    if let Some(faults) = faults {
        routes = routes.merge(faults::router(service.name, faults, clients.clone()));
    }
    http::standard(service, BODY_BYTES_MAX, Limits::without_shedding())
        .unseen()
        .around(routes)
}

/// `GET /hops`: what happens in the service, while it happens, as server-sent events ([`crate::hops`]). They end when `stop`
/// is cancelled.
pub fn hops(service: impl Into<ServiceInfo>, stop: CancellationToken) -> Router {
    let service = service.into();
    let routes = hops::router(crate::hops::ring(service.name), stop);
    http::standard(service, BODY_BYTES_MAX, Limits::without_shedding())
        .unseen()
        .around(routes)
}

/// What the process that runs a system can take away from it, or do to it, and undo again. It is for the port of that
/// process, not for that of a service:
///
/// | | |
/// |---|---|
/// | `GET /switches` | `{"switches": [{"name", "kind", "title", "on", "usual", "hit", "absent": {"why", "command"} \| null}]}`; broken is what is not `usual` |
/// | `POST /switches/{name}` | `{"on": false}`: sets it; the switch as above, or 409 with the reason if it cannot be set |
/// | `DELETE /switches` | sets each to its usual position, to the end even if the caller disconnects |
pub fn switches(service: impl Into<ServiceInfo>, switches: Switches) -> Router {
    let routes = switches::router(switches);
    http::standard(service, BODY_BYTES_MAX, Limits::without_shedding())
        .unseen()
        .around(routes)
}

/// The routes that every admin port has.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(|| async {
                (
                    [(
                        header::CONTENT_TYPE,
                        "text/plain; version=0.0.4; charset=utf-8",
                    )],
                    metrics::render(),
                )
            }),
        )
        .with_state(health)
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report();
    let status = if report.status == "ready" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report))
}
