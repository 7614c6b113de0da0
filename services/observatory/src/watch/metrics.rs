//! Parses gauges in the text format of Prometheus.

/// A sample: its labels and its value.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    labels: &'a str,
    pub(super) value: f64,
}

impl<'a> Sample<'a> {
    /// The value of a label. Escapes are not decoded: names of services, topics and queues have none.
    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.split(',').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    }
}

/// The samples of one metric.
pub(super) fn samples<'a>(text: &'a str, metric: &'a str) -> impl Iterator<Item = Sample<'a>> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(metric)?.strip_prefix('{')?;
        let (labels, value) = rest.rsplit_once('}')?;
        let value: f64 = value.trim().parse().ok()?;
        value.is_finite().then_some(Sample { labels, value })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_among_garbage() {
        let text = "# TYPE lag gauge\nlag{topic=\"a\",group=\"b\"} 3\nlag_seconds{topic=\"x\"} 9\nlag{\nlag} 1\nlag{a=} NaN\nlag 4\n";
        let found: Vec<_> = samples(text, "lag").collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].label("topic"), found[0].value), (Some("a"), 3.0));
        assert_eq!(found[0].label("system"), None);
    }
}
