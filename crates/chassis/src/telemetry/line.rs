//! The format of log lines.
//!
//! tracing-subscriber's own formats nest the fields of spans; a collector wants `trace_id` and
//! `service` at the top of each object, and a person wants a short line.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use clap::ValueEnum;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::inherit::Inherited;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line, for log collectors.
    Json,
}

/// The format of events.
pub(super) struct Line {
    pub(super) format: LogFormat,
    /// The service of lines outside of any span that names one.
    pub(super) service: &'static str,
}

/// A layer that gets no spans. tracing-subscriber's own would store a text with each of them; what a line shows of its spans is
/// stored as [`Inherited`].
pub(super) struct EventsOnly<L>(pub(super) L);

impl<S: Subscriber, L: Layer<S>> Layer<S> for EventsOnly<L> {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.0.on_event(event, context);
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let inherited = Inherited::of(context.event_scope());
        // Records of the `log` crate carry their actual origin in fields.
        let metadata = event.metadata();
        let target = fields
            .take_text("log.target")
            .unwrap_or_else(|| metadata.target().to_owned());
        for name in ["log.module_path", "log.file", "log.line"] {
            fields.0.remove(name);
        }
        let service = fields
            .take_text("service")
            .or(inherited.service)
            .unwrap_or_else(|| self.service.to_owned());
        let head = Head {
            level: *metadata.level(),
            target,
            service,
            trace_id: inherited.trace_id,
            caller: inherited.caller,
        };
        match self.format {
            LogFormat::Pretty => pretty(writer, head, fields),
            LogFormat::Json => json(writer, head, fields),
        }
    }
}

struct Head {
    level: Level,
    target: String,
    service: String,
    trace_id: Option<String>,
    caller: Option<String>,
}

/// `2026-01-02T03:04:05.678Z  WARN orders chassis::db: unavailable reason="refused" trace_id=4bf9…`
fn pretty(mut writer: Writer<'_>, head: Head, mut fields: Fields) -> fmt::Result {
    let (colour, dim, plain) = if writer.has_ansi_escapes() {
        (colour(head.level), "\x1b[2m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let message = fields.take_text("message").unwrap_or_default();
    write!(
        writer,
        "{dim}{time}{plain} {colour}{:>5}{plain} {} {dim}{}:{plain} ",
        head.level, head.service, head.target
    )?;
    // Line breaks are escaped, so that a message cannot look like two lines.
    writer.write_str(&message.replace('\n', "\\n"))?;
    for (name, value) in &fields.0 {
        write!(writer, " {dim}{name}={plain}{value}")?;
    }
    for (name, value) in [("caller", head.caller), ("trace_id", head.trace_id)] {
        if let Some(value) = value {
            write!(writer, " {dim}{name}={value}{plain}")?;
        }
    }
    writer.write_char('\n')
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

fn json(mut writer: Writer<'_>, head: Head, mut fields: Fields) -> fmt::Result {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    put(
        "timestamp",
        Utc::now()
            .to_rfc3339_opts(SecondsFormat::Micros, true)
            .into(),
    );
    put("level", head.level.to_string().into());
    put("service", head.service.into());
    put("target", head.target.into());
    if let Some(id) = head.trace_id {
        put("trace_id", id.into());
    }
    if let Some(caller) = head.caller {
        put("caller", caller.into());
    }
    put(
        "message",
        fields.take_text("message").unwrap_or_default().into(),
    );
    for (name, value) in fields.0 {
        // The line's own fields take precedence over an event's.
        line.entry(name).or_insert(value);
    }
    writeln!(writer, "{}", Value::Object(line))
}

/// The fields of one event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn take_text(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name)? {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        // Milliseconds are u128 in std; a u64 is enough for any realistic time.
        self.put(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
