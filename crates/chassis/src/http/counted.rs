//! The metrics of a door's requests. Their handles are looked up once for each route, not for each request: a lookup copies,
//! hashes and compares all labels.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use parking_lot::RwLock;

/// How requests end, as the label has it: the class of the status, or that the client disconnected.
const ENDS: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "cancelled"];
const CANCELLED: usize = 5;

/// The handles of one door.
pub(super) struct Counted {
    service: &'static str,
    in_flight: OnceLock<Gauge>,
    /// By method. Methods and routes come from code, so that the maps are bounded.
    routes: RwLock<HashMap<&'static str, Routes>>,
}

/// By route.
type Routes = HashMap<Box<str>, Arc<Route>>;

/// The handles of one route and one method.
struct Route {
    service: &'static str,
    method: &'static str,
    route: Arc<str>,
    duration: Histogram,
    /// By [`ENDS`]. What has not happened yet is not shown.
    ended: [OnceLock<Counter>; ENDS.len()],
}

impl Counted {
    pub(super) fn new(service: &'static str) -> Self {
        Self {
            service,
            in_flight: OnceLock::new(),
            routes: RwLock::default(),
        }
    }

    /// A request begins.
    pub(super) fn begin(&self, method: &'static str, route: &str) -> Timer {
        let in_flight = self.in_flight.get_or_init(|| {
            // A handle that is taken before there is a recorder never counts.
            crate::metrics::install();
            gauge!("http_requests_in_flight", "service" => self.service)
        });
        in_flight.increment(1.0);
        Timer {
            route: self.route(method, route),
            in_flight: in_flight.clone(),
            end: CANCELLED,
            started: Instant::now(),
        }
    }

    fn route(&self, method: &'static str, route: &str) -> Arc<Route> {
        let routes = self.routes.read();
        if let Some(known) = routes.get(method).and_then(|routes| routes.get(route)) {
            return Arc::clone(known);
        }
        drop(routes);
        let mut routes = self.routes.write();
        let routes = routes.entry(method).or_default();
        let new = || Arc::new(Route::new(self.service, method, route));
        Arc::clone(routes.entry(route.into()).or_insert_with(new))
    }
}

impl Route {
    fn new(service: &'static str, method: &'static str, route: &str) -> Self {
        let route: Arc<str> = route.into();
        let duration = histogram!(
            "http_request_duration_seconds",
            "service" => service, "method" => method, "route" => Arc::clone(&route)
        );
        Self {
            service,
            method,
            route,
            duration,
            ended: Default::default(),
        }
    }

    fn ended(&self, end: usize) -> &Counter {
        self.ended[end].get_or_init(|| {
            counter!(
                "http_requests_total",
                "service" => self.service, "method" => self.method,
                "route" => Arc::clone(&self.route), "status" => ENDS[end]
            )
        })
    }
}

/// Records the request when it is dropped, so that a request whose client disconnects is counted, too, as `cancelled`.
pub(super) struct Timer {
    route: Arc<Route>,
    in_flight: Gauge,
    end: usize,
    started: Instant,
}

impl Timer {
    /// The request was answered.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.end = match status.as_u16() / 100 {
            1 => 0,
            2 => 1,
            3 => 2,
            4 => 3,
            _ => 4,
        };
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.route.duration.record(self.started.elapsed());
        self.route.ended(self.end).increment(1);
        self.in_flight.decrement(1.0);
    }
}
