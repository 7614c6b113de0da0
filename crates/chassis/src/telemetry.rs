//! Logs and traces for the whole process.
//!
//! One registry with four layers: log lines (filtered by `RUST_LOG`), the fields that each line inherits from its
//! spans (`service`, `trace_id`, `caller`), OpenTelemetry, which gives every span its ids and exports it only if an endpoint
//! is configured, and [hops](crate::hops), for their readers.

mod file;
mod filter;
mod hops;
mod inherit;
mod line;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use url::Url;

use crate::Fatal;

pub use file::{LOG_FILE_MAX_BYTES, RotatingFile};
pub use line::LogFormat;

/// What is logged when `RUST_LOG` does not say: everything from INFO up, of the noisy parts less. sqlx's pool logs a WARN or
/// ERROR for each connection that it finds broken, so one outage many times; [`crate::health`] logs it once.
pub const DEFAULT_FILTER: &str = "info,hyper=warn,hyper_util=warn,h2=warn,tower=warn,tonic=warn,sqlx=warn,sqlx_core::pool=off,rustls=warn,librdkafka=warn,rdkafka=warn,opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry-otlp=warn";
/// The crates that a call to another service goes through.
const LAYERS: [&str; 2] = ["client", "resilience"];
/// How long the end of a process may wait for the export of its last spans.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// How a process logs and traces.
pub struct Telemetry {
    /// The service of lines whose span names none; also OpenTelemetry's `service.name`.
    pub service: &'static str,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The endpoint for OTLP over gRPC; `None` for trace ids without export.
    pub otlp_endpoint: Option<Url>,
    /// The destination of log lines.
    pub writer: Writer,
}

/// The destination of log lines.
#[derive(Clone)]
pub enum Writer {
    /// Standard error (standard output is reserved for the output of commands).
    Stderr,
    /// A file of limited size.
    File(RotatingFile),
}

/// Keep it until the process ends: dropping it exports the last spans (at most 2 s).
pub struct Guard {
    provider: SdkTracerProvider,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The only possible error is that the collector did not accept them in time; the exporter has logged it.
        self.provider.shutdown_with_timeout(FLUSH_MAX).ok();
    }
}

/// Sets up logs, traces, metrics and the panic hook; call it once in a process.
///
/// # Errors
/// If it was called before, if `RUST_LOG` is invalid, or if the OTLP endpoint is not plain http.
pub fn init(telemetry: Telemetry) -> Result<Guard, Fatal> {
    let filter = log_filter()?;
    let level = filter.level();
    crate::metrics::install();
    let provider = provider(&telemetry)?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let exports = telemetry.otlp_endpoint.is_some();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        // The name of a span already shows its place in the source, which is not worth three attributes on each span.
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        // Whoever wants the context of a span asks the span for it, so that it need not be made current with each poll.
        .with_context_activation(false);
    let to_file = matches!(telemetry.writer, Writer::File(_));
    let colours =
        !to_file && telemetry.log_format == LogFormat::Pretty && std::io::stderr().is_terminal();
    let writer = match telemetry.writer {
        Writer::Stderr => BoxMakeWriter::new(std::io::stderr),
        Writer::File(file) => BoxMakeWriter::new(file),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_writer(writer)
        .event_format(line::Line {
            format: telemetry.log_format,
            service: telemetry.service,
        });
    tracing_subscriber::registry()
        .with(spans.with_filter_of(exports))
        .with(inherit::Inherit)
        .with(tracing_subscriber::Layer::with_filter(
            line::EventsOnly(lines),
            filter,
        ))
        // The outermost layer: the inner ones have stored what it reads, and its answer that a span is not wanted holds for all.
        .with(hops::Hops {
            service: telemetry.service,
            exports,
            lines: level,
        })
        .try_init()
        .map_err(|_| Fatal::new("logging was set up twice in this process"))?;
    // A thread that first reached a span during the set-up may have cached that no subscriber wants it.
    tracing::callsite::rebuild_interest_cache();
    log_panics(to_file);
    Ok(Guard { provider })
}

/// Filters the spans and events that OpenTelemetry gets.
trait WithFilterOf<S>: tracing_subscriber::Layer<S> + Sized
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fn with_filter_of(self, exports: bool) -> impl tracing_subscriber::Layer<S> {
        let filter = filter_fn(move |metadata| is_exported(metadata, exports));
        self.with_filter(filter.with_max_level_hint(Level::DEBUG))
    }
}

/// Whether OpenTelemetry gets it. Independent of `RUST_LOG`, since a quiet log must not cut traces. Events are added to spans only
/// if spans are exported.
fn is_exported(metadata: &Metadata<'_>, exports: bool) -> bool {
    let target = metadata.target();
    if metadata.is_span() {
        *metadata.level() <= Level::INFO && target != crate::trace::SERVICE_TARGET
    } else {
        exports && *metadata.level() <= event_level(target)
    }
}

impl<L, S> WithFilterOf<S> for L
where
    L: tracing_subscriber::Layer<S> + Sized,
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
}

/// The lowest level at which the events of a crate are added to its spans. What the layers of a call did (retries,
/// waits, refusals) explains a slow or failed span, but is too much for a log.
fn event_level(target: &str) -> Level {
    let part = target.split("::").next().unwrap_or(target);
    if LAYERS.contains(&part) {
        Level::DEBUG
    } else {
        Level::INFO
    }
}

/// Checks that `RUST_LOG` is valid.
pub(crate) fn check_filter() -> Result<(), Fatal> {
    log_filter().map(|_| ())
}

fn log_filter() -> Result<filter::KeepSpans, Fatal> {
    let text = std::env::var("RUST_LOG")
        .ok()
        .filter(|text| !text.trim().is_empty())
        .unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    filter::KeepSpans::parse(&text).map_err(|error| {
        Fatal::new(format!(
            "RUST_LOG cannot be {text:?}: {error}; it takes a level (error, warn, info, debug, trace) or a list such as info,sqlx=debug"
        ))
    })
}

fn provider(telemetry: &Telemetry) -> Result<SdkTracerProvider, Fatal> {
    let builder = SdkTracerProvider::builder().with_resource(
        Resource::builder()
            .with_attribute(KeyValue::new("service.name", telemetry.service))
            .build(),
    );
    let Some(endpoint) = &telemetry.otlp_endpoint else {
        // Ids are created and passed on, but nothing is recorded; if a caller samples its trace, that is respected.
        let quiet = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok(builder.with_sampler(quiet).build());
    };
    if endpoint.scheme() != "http" {
        return Err(Fatal::new(
            "OTEL_EXPORTER_OTLP_ENDPOINT (or --otlp-endpoint) must begin with http://: put a collector next to the service for TLS",
        ));
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.as_str())
        .build()?;
    Ok(builder.with_batch_exporter(exporter).build())
}

/// Logs a panic like every other event, with its location, trace and service.
fn log_panics(to_file: bool) {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = crate::tasks::panic_text(info.payload());
        tracing::error!(place, panic = message, "panic");
        // A panic of the main thread ends the process, so that it must also be visible on the terminal.
        if to_file && std::thread::current().name() == Some("main") {
            default(info);
        }
    }));
}
