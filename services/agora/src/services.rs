//! The services: started in the order in which they need each other, stopped in the other.

mod configs;
mod listeners;
mod ready;

use std::future::Future;
use std::time::Duration;

use chassis::{Fatal, Shutdown, trace};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::failure::Failure;
use configs::Configs;
use ready::Readiness;

pub(crate) use configs::{Wiring, check};
pub(crate) use listeners::{Addresses, Listeners, http};

/// How long the services may take to stop, all together. With the engines after them it is 5 s.
const STOP_MAX: Duration = Duration::from_secs(4);
/// Who takes longer than this to stop is named to whoever waits.
const BUSY_AFTER: Duration = Duration::from_millis(500);

/// Who is called by others outlives them, and who only consumes comes last.
const STOP_ORDER: [&str; 6] = [
    "observatory",
    "gateway",
    "orders",
    "products",
    "users",
    "notifications",
];

/// Where a service's end is reported.
type Report = mpsc::UnboundedSender<String>;

/// The services, running.
pub(crate) struct Services {
    running: Vec<Running>,
    ended: mpsc::UnboundedReceiver<String>,
}

struct Running {
    name: &'static str,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Services {
    /// Starts all of them and waits until each is ready. If one does not get there, all are stopped.
    pub(crate) async fn start(
        configs: Configs,
        listeners: Listeners,
        at: Addresses,
    ) -> Result<Self, Failure> {
        let (report, ended) = mpsc::unbounded_channel();
        let mut services = Self {
            running: Vec::new(),
            ended,
        };
        match services.open(configs, listeners, at, &report).await {
            Ok(()) => Ok(services),
            Err(failure) => {
                services.stop(|_| {}).await;
                Err(failure)
            }
        }
    }

    async fn open(
        &mut self,
        configs: Configs,
        listeners: Listeners,
        at: Addresses,
        report: &Report,
    ) -> Result<(), Failure> {
        let ready = Readiness::new();
        // It sees the others start, and whatever becomes of it, they go on.
        let (nobody, _) = mpsc::unbounded_channel();
        self.spawn("observatory", &nobody, |stop| {
            observatory::run(configs.observatory, listeners.observatory, stop)
        });
        // Everybody checks tokens with the keys of users. The rest waits for nobody, or finds it there.
        self.spawn("users", report, |stop| {
            users::run(configs.users, listeners.users, stop)
        });
        self.until(ready.of("users", at.users_admin)).await?;
        self.spawn("notifications", report, |stop| {
            notifications::run(configs.notifications, listeners.notifications, stop)
        });
        self.spawn("products", report, |stop| {
            products::run(configs.products, listeners.products, stop)
        });
        self.spawn("orders", report, |stop| {
            orders::run(configs.orders, listeners.orders, stop)
        });
        self.spawn("gateway", report, |stop| {
            gateway::run(configs.gateway, listeners.gateway, stop)
        });
        self.until(ready.of("products", at.products_admin)).await?;
        self.until(ready.of("orders", at.orders_admin)).await?;
        self.until(ready.of("notifications", at.notifications_admin))
            .await?;
        self.until(ready.of("gateway", at.gateway_admin)).await
    }

    /// Waits for the end of a service that nobody asked to end: why it ended.
    pub(crate) async fn ended(&mut self) -> String {
        self.ended
            .recv()
            .await
            .unwrap_or_else(|| "all services ended".to_owned())
    }

    /// Stops all of them, one after the other, so that each still has what it needs to finish. Who does
    /// not stop in time is cut off. `tell` gets a line about each that takes long.
    pub(crate) async fn stop(mut self, tell: impl Fn(&str)) {
        let deadline = Instant::now() + STOP_MAX;
        self.running
            .sort_by_key(|service| STOP_ORDER.iter().position(|name| *name == service.name));
        for mut service in self.running {
            service.shutdown.trigger();
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

    async fn until(
        &mut self,
        ready: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        tokio::select! {
            outcome = ready => outcome,
            why = self.ended() => Err(Failure::new(why)),
        }
    }

    fn spawn<F>(&mut self, name: &'static str, report: &Report, run: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = Result<(), Fatal>> + Send + 'static,
    {
        let shutdown = Shutdown::manual();
        let span = trace::service_span(name);
        let service = tokio::spawn(run(shutdown.clone()).instrument(span));
        let (asked, report) = (shutdown.clone(), report.clone());
        let task = tokio::spawn(async move {
            let mut service = AbortOnDrop(service);
            let why = match (&mut service.0).await {
                Ok(Ok(())) if asked.is_triggered() => return,
                Ok(Ok(())) => "it ended although nobody asked it to".to_owned(),
                Ok(Err(fatal)) => fatal.to_string(),
                Err(panic) => panic.to_string(),
            };
            tracing::error!(service = name, why, "service ended");
            // Nobody listens any more during a stop.
            let _ = report.send(format!("{name}: {why}"));
        });
        self.running.push(Running {
            name,
            shutdown,
            task,
        });
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
        let (report, ended) = mpsc::unbounded_channel();
        let mut services = Services {
            running: Vec::new(),
            ended,
        };
        let (tell, told) = oneshot::channel();
        services.spawn("orders", &report, |stop| async move {
            let begun = tracing::info_span!("begun").in_scope(trace::current_trace_id);
            tell.send((trace::current_trace_id(), begun)).unwrap();
            stop.cancelled().await;
            Ok(())
        });
        let (outside, begun) = told.await.unwrap();
        assert_eq!(outside, None);
        assert!(begun.is_some(), "traces are on");
        services.stop(|_| {}).await;
    }
}
