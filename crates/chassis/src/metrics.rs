//! Prometheus metrics: one recorder for each process, however many services it contains.
//!
//! Services count with the macros of the `metrics` crate and add the label `service`; this module only stores the
//! numbers and prints them.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the buckets of every `*_seconds` histogram, in seconds: from a cached read to the
/// longest deadline of a request.
pub const LATENCY_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Upper bounds of the buckets of every `*_attempts` histogram: most operations succeed at the first attempt.
const ATTEMPT_BUCKETS: [f64; 6] = [1.0, 2.0, 3.0, 5.0, 8.0, 20.0];

/// How often histograms are folded into their buckets; without that their samples accumulate in memory.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder; the second and every later call does nothing.
///
/// [`crate::telemetry::init`] and [`crate::admin::serve`] call it, so that a service that skips one
/// of them still counts.
pub fn install() {
    handle();
}

/// All metrics, in Prometheus' text format.
pub fn render() -> String {
    handle().map(PrometheusHandle::render).unwrap_or_default()
}

fn handle() -> Option<&'static PrometheusHandle> {
    HANDLE.get_or_init(create).as_ref()
}

fn create() -> Option<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS)
        .ok()?
        .set_buckets_for_metric(Matcher::Suffix("_attempts".to_owned()), &ATTEMPT_BUCKETS)
        .ok()?
        .build_recorder();
    let handle = recorder.handle();
    // Fails only if the host program has installed its own recorder, which is then used.
    ::metrics::set_global_recorder(recorder).ok()?;
    let upkeep = handle.clone();
    // A thread and not a task, since the recorder outlives any single runtime.
    std::thread::Builder::new()
        .name("metrics-upkeep".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        })
        .map_err(|error| tracing::warn!(%error, "no thread for metrics"))
        .ok();
    Some(handle)
}
