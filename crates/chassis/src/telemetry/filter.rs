//! Applies `RUST_LOG` to lines, but not to spans.

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::{Context, Filter};

/// An [`EnvFilter`] that lets every span from INFO up through: with `RUST_LOG=warn` a warning must still get its
/// `trace_id`, which is stored in its span.
pub(super) struct KeepSpans {
    filter: EnvFilter,
    /// Whether a directive is about spans. Only then does the filter have to know where they begin and end, which costs a lock
    /// each time.
    has_spans: bool,
}

impl KeepSpans {
    /// The filter of a list of directives.
    pub(super) fn parse(directives: &str) -> Result<Self, ParseError> {
        Ok(Self {
            filter: EnvFilter::try_new(directives)?,
            // `target[span{field=value}]=level`; no other directive has brackets.
            has_spans: directives.contains('['),
        })
    }

    /// The lowest level of what it lets through.
    pub(super) fn level(&self) -> LevelFilter {
        let asked = self.filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
        asked.max(LevelFilter::INFO)
    }
}

fn is_kept(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO
}

impl<S: Subscriber> Filter<S> for KeepSpans
where
    EnvFilter: Filter<S>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        // EnvFilter is always called first, since it keeps state about spans that it has directives for.
        Filter::enabled(&self.filter, metadata, context) || is_kept(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = Filter::<S>::callsite_enabled(&self.filter, metadata);
        if is_kept(metadata) {
            Interest::always()
        } else {
            interest
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        Filter::event_enabled(&self.filter, event, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.has_spans {
            Filter::on_new_span(&self.filter, attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if self.has_spans {
            Filter::on_record(&self.filter, id, values, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if self.has_spans {
            Filter::on_enter(&self.filter, id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if self.has_spans {
            Filter::on_exit(&self.filter, id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if self.has_spans {
            Filter::on_close(&self.filter, id, context);
        }
    }
}
