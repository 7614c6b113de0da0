//! Starts and stops single services while the others run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::{Fatal, Shutdown, trace};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use super::bound::{Bound, Ports};
use super::configs::Configs;

/// How long the services may take to stop, all together. With the engines after them it is 5 s.
const STOP_MAX: Duration = Duration::from_secs(4);
/// How long a single service may take to stop: longer than its own drain time.
const STOP_ONE_MAX: Duration = Duration::from_secs(3);
/// A service that takes longer than this to stop is reported to the terminal.
const BUSY_AFTER: Duration = Duration::from_millis(500);

/// The order of the stop: callers before the services that they call, and pure consumers last.
const STOP_ORDER: [&str; 6] = [
    "observatory",
    "gateway",
    "orders",
    "products",
    "users",
    "notifications",
];

/// Where a service's end is reported.
pub(super) type Report = mpsc::Sender<String>;
/// How many of them wait to be read. The first one ends all services, so more are of no use.
pub(super) const REPORTS_MAX: usize = STOP_ORDER.len();

/// Starts services, and knows which of them run.
pub(crate) struct Supervisor {
    configs: Configs,
    report: Report,
    ports: Vec<Ports>,
    /// `None` once all are being stopped.
    running: Mutex<Option<Vec<Running>>>,
}

/// A service that runs.
pub(super) struct Running {
    name: &'static str,
    shutdown: Shutdown,
    /// Whether its end was requested. The shutdown does not show that, since a failing service triggers it as well.
    asked: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Runs nothing yet.
    pub(super) fn new(configs: Configs, ports: Vec<Ports>, report: Report) -> Self {
        Self {
            configs,
            report,
            ports,
            running: Mutex::new(Some(Vec::new())),
        }
    }

    /// Where a service listens.
    pub(crate) fn ports(&self, name: &str) -> Option<Ports> {
        self.ports.iter().find(|ports| ports.name == name).cloned()
    }

    /// Starts a service that does not run, without waiting until it is ready.
    pub(crate) async fn start(&self, ports: &Ports) -> Result<(), String> {
        let bound = ports.bind().await;
        let bound = bound.map_err(|error| format!("a port of {} is lost: {error}", ports.name))?;
        self.begin(bound).await
    }

    /// Starts a service on its ports.
    pub(super) async fn begin(&self, bound: Bound) -> Result<(), String> {
        let name = bound.name();
        let mut running = self.running.lock().await;
        let running = running.as_mut().ok_or("everything is being stopped")?;
        // The observatory starts first, to see the others start; if it fails, the others go on.
        let report = (name != "observatory").then(|| self.report.clone());
        running.push(Running::spawn(name, report, |stop| self.run(bound, stop)));
        tracing::info!(service = name, "started");
        Ok(())
    }

    fn run(&self, bound: Bound, stop: Shutdown) -> Pin<Box<Service>> {
        let configs = &self.configs;
        match bound {
            Bound::Gateway(ports) => Box::pin(gateway::run(configs.gateway.clone(), ports, stop)),
            Bound::Orders(ports) => Box::pin(orders::run(configs.orders.clone(), ports, stop)),
            Bound::Products(ports) => {
                Box::pin(products::run(configs.products.clone(), ports, stop))
            }
            Bound::Users(ports) => Box::pin(users::run(configs.users.clone(), ports, stop)),
            Bound::Notifications(ports) => Box::pin(notifications::run(
                configs.notifications.clone(),
                ports,
                stop,
            )),
            Bound::Observatory(ports) => {
                Box::pin(observatory::run(configs.observatory.clone(), ports, stop))
            }
        }
    }

    /// Stops a service as a deploy does: it finishes its work in progress, and is aborted if it does not stop in time. The others
    /// go on.
    pub(crate) async fn stop(&self, name: &str) -> Result<(), String> {
        let service = {
            let mut running = self.running.lock().await;
            let running = running.as_mut().ok_or("everything is being stopped")?;
            let at = running.iter().position(|service| service.name == name);
            running.remove(at.ok_or_else(|| format!("{name} does not run"))?)
        };
        service.trigger();
        let mut task = service.task;
        if timeout(STOP_ONE_MAX, &mut task).await.is_err() {
            tracing::warn!(service = name, "did not stop in time, cut off");
            task.abort();
            let _ = task.await;
        }
        tracing::info!(service = name, "stopped; the others go on");
        Ok(())
    }

    /// Stops all of them one after another, so that each can still use its dependencies while it finishes. A service that does not
    /// stop in time is aborted. `tell` gets a line about each that takes long.
    pub(super) async fn stop_all(&self, tell: impl Fn(&str)) {
        let deadline = Instant::now() + STOP_MAX;
        let mut running = self.running.lock().await.take().unwrap_or_default();
        running.sort_by_key(|service| STOP_ORDER.iter().position(|name| *name == service.name));
        for mut service in running {
            service.trigger();
            let busy_at = deadline.min(Instant::now() + BUSY_AFTER);
            if timeout_at(busy_at, &mut service.task).await.is_ok() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            tell(&format!(
                "  {} is still busy with what it has begun: at most {:.1} s more",
                service.name,
                left.as_secs_f32()
            ));
            if timeout_at(deadline, &mut service.task).await.is_err() {
                tracing::warn!(service = service.name, "did not stop in time, cut off");
                tell(&format!(
                    "  {} did not finish in time and was cut off",
                    service.name
                ));
                service.task.abort();
            }
        }
    }
}

type Service = dyn Future<Output = Result<(), Fatal>> + Send;

impl Running {
    /// Spawns a service. Its end is sent to `report` unless it was requested.
    fn spawn<F>(name: &'static str, report: Option<Report>, run: impl FnOnce(Shutdown) -> F) -> Self
    where
        F: Future<Output = Result<(), Fatal>> + Send + 'static,
    {
        let shutdown = Shutdown::manual();
        let span = trace::service_span(name);
        let service = tokio::spawn(run(shutdown.clone()).instrument(span));
        let asked = Arc::new(AtomicBool::new(false));
        let is_asked = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut service = AbortOnDrop(service);
            let ended = (&mut service.0).await;
            let is_asked = is_asked.load(Ordering::Relaxed);
            let why = match ended {
                Ok(Ok(())) if is_asked => return,
                Ok(Ok(())) => "it ended although nobody asked it to".to_owned(),
                Ok(Err(fatal)) => fatal.to_string(),
                Err(panic) => panic.to_string(),
            };
            if is_asked {
                // Its end was requested, so an error is only logged.
                tracing::warn!(service = name, why, "service ended badly");
                return;
            }
            tracing::error!(service = name, why, "service ended");
            if let Some(report) = report {
                // The receiver may be gone during a stop, and have enough of them before.
                let _ = report.try_send(format!("{name}: {why}"));
            }
        });
        Self {
            name,
            shutdown,
            asked,
            task,
        }
    }

    fn trigger(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.shutdown.trigger();
    }
}

/// A watched service ends with its watcher.
struct AbortOnDrop(JoinHandle<Result<(), Fatal>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use chassis::telemetry::LogFormat;
    use chassis::telemetry::{self, RotatingFile, Telemetry, Writer};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_a_service_begins_by_itself_is_in_no_common_trace() {
        let directory = tempfile::tempdir().unwrap();
        let file = RotatingFile::open(directory.path().join("log")).unwrap();
        let _telemetry = telemetry::init(Telemetry {
            service: "agora",
            log_format: LogFormat::Json,
            otlp_endpoint: None,
            writer: Writer::File(file),
        })
        .unwrap();
        let (tell, told) = oneshot::channel();
        let service = Running::spawn("orders", None, |stop| async move {
            let begun = tracing::info_span!("begun").in_scope(trace::current_trace_id);
            tell.send((trace::current_trace_id(), begun)).unwrap();
            stop.cancelled().await;
            Ok(())
        });
        let (outside, begun) = told.await.unwrap();
        assert_eq!(outside, None);
        assert!(begun.is_some(), "traces are on");
        service.trigger();
        service.task.await.unwrap();
    }

    #[tokio::test]
    async fn only_an_end_that_nobody_asked_for_is_reported() {
        let (report, mut ended) = mpsc::channel(REPORTS_MAX);
        let badly = |stop: Shutdown| async move {
            stop.cancelled().await;
            Err(Fatal::new("a reader was cut off"))
        };
        let asked = Running::spawn("orders", Some(report.clone()), badly);
        asked.trigger();
        asked.task.await.unwrap();
        let failed = Running::spawn("products", Some(report), badly);
        // As a failing task does.
        failed.shutdown.trigger();
        failed.task.await.unwrap();
        assert_eq!(
            ended.recv().await.as_deref(),
            Some("products: a reader was cut off")
        );
        assert_eq!(ended.recv().await, None);
    }
}
