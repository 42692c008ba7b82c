//! Metrics in the two text formats of Prometheus. Those of CloudWatch are in
//! [`embedded`](super::embedded).

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::classic;
use super::instrument::BOUNDS;
use super::metrics::{Measured, MetricValue, Metrics};

/// Prefix of the names.
pub const PREFIX: &str = "eventcast";

/// A text format that Prometheus and others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// The classic text format 0.0.4, which everything reads.
    Classic,
    /// OpenMetrics 1.0.0, which scrapers ask for by name.
    OpenMetrics,
}

impl ExpositionFormat {
    /// The format that a request's `Accept` prefers (RFC 9110, section 12.5.1). OpenMetrics has to
    /// be named; a client that takes anything, or names nothing known, gets the classic format.
    pub fn preferred(accept: &str) -> Self {
        let (mut classic, mut open_metrics) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0_f32, None);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value.trim_matches('"')),
                    _ => {}
                }
            }
            match (&*kind, version) {
                ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
                    open_metrics = quality.max(open_metrics);
                }
                ("text/plain", None | Some("0.0.4" | "1.0.0")) | ("text/*" | "*/*", _) => {
                    classic = quality.max(classic);
                }
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= classic {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// The value of the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes all metrics.
    ///
    /// # Errors
    /// Never for a string; the writer of the format has an error type.
    pub fn render(self, metrics: &Metrics) -> Result<String, fmt::Error> {
        self.write(metrics.all())
    }

    /// Writes metrics of another table.
    ///
    /// # Errors
    /// Never for a string; the writer of the format has an error type.
    pub fn write(self, all: Vec<Measured>) -> Result<String, fmt::Error> {
        match self {
            Self::Classic => classic::write(all),
            Self::OpenMetrics => open_metrics(all),
        }
    }
}

fn open_metrics(all: Vec<Measured>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Table(all)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Table(Vec<Measured>);

impl Collector for Table {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Measured {
            name, about, value, ..
        } in self.0.clone()
        {
            let kind = match value {
                MetricValue::Count(_) | MetricValue::Counts(_) => MetricType::Counter,
                MetricValue::Level(_) => MetricType::Gauge,
                MetricValue::Times(_) => MetricType::Histogram,
                MetricValue::Facts(_) => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(name, about, None, kind)?;
            match value {
                MetricValue::Count(count) => {
                    metric.encode_counter::<NoLabelSet, _, u64>(&count, None)?
                }
                MetricValue::Counts(counts) => {
                    for (labels, count) in counts {
                        metric
                            .encode_family(&labels)?
                            .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                    }
                }
                MetricValue::Level(level) => metric.encode_gauge(&level)?,
                MetricValue::Times(spread) => {
                    let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
                    let buckets: Vec<(f64, u64)> = bounds.zip(spread.counts).collect();
                    metric.encode_histogram::<NoLabelSet>(
                        spread.seconds,
                        spread.count(),
                        &buckets,
                        None,
                    )?;
                }
                MetricValue::Facts(labels) => metric.encode_info(&labels)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn metrics() -> Arc<Metrics> {
        let metrics = Metrics::default();
        metrics.received.add(3);
        metrics.dead_lettered.one("too_large", None);
        metrics.route(&Arc::from("orders")).published.add(2);
        metrics.connections.set(2);
        metrics.publish_seconds.observe(Duration::from_millis(4));
        Arc::new(metrics)
    }

    #[test]
    fn prometheus() {
        let text = ExpositionFormat::OpenMetrics.render(&metrics()).unwrap();
        assert!(text.contains("\neventcast_build_info{version=\""), "{text}");
        for line in [
            "# TYPE eventcast_received counter",
            "eventcast_received_total 3",
            "eventcast_published_total{route=\"orders\"} 2",
            "# TYPE eventcast_build info",
            "eventcast_dead_lettered_total{reason=\"too_large\"} 1",
            "eventcast_connections 2",
            "eventcast_publish_seconds_bucket{le=\"0.0025\"} 0",
            "eventcast_publish_seconds_bucket{le=\"0.005\"} 1",
            "eventcast_publish_seconds_bucket{le=\"+Inf\"} 1",
            "eventcast_publish_seconds_sum 0.004",
            "# EOF",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}: {text}");
        }
    }

    #[test]
    fn the_format_is_what_the_client_prefers() {
        // Prometheus 2.42 and 3.5 as they ask, then by hand.
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [
            prometheus_2,
            prometheus_3,
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; version=\"1.0.0\"",
            "text/plain;q=0.5, application/openmetrics-text;q=0.5",
        ] {
            assert_eq!(
                ExpositionFormat::preferred(accept),
                ExpositionFormat::OpenMetrics,
                "{accept}"
            );
        }
        for accept in [
            "",
            "*/*",
            "text/plain;version=0.0.4",
            "text/plain, application/openmetrics-text;q=0.9",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=9.0.0",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json",
            ";;,q=,",
        ] {
            assert_eq!(
                ExpositionFormat::preferred(accept),
                ExpositionFormat::Classic,
                "{accept}"
            );
        }
    }

    /// The manual's page says what the table says. With `EVENTCAST_WRITE_MANUAL` set it is written
    /// anew.
    #[test]
    fn the_manual_has_the_table() {
        let mut rows = String::new();
        for measured in Metrics::default().all() {
            let Measured { name, about, .. } = measured;
            let (suffix, kind) = match measured.value {
                MetricValue::Count(_) | MetricValue::Counts(_) => ("_total", "counter"),
                MetricValue::Level(_) => ("", "gauge"),
                MetricValue::Times(_) => ("", "histogram"),
                MetricValue::Facts(_) => ("_info", "gauge"),
            };
            let labels = match measured.labels.join(",") {
                none if none.is_empty() => none,
                some => format!("{{{some}}}"),
            };
            rows += &format!("| `{PREFIX}_{name}{suffix}{labels}` | {kind} | {about} |\n");
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once("| --- | --- | --- |\n").unwrap();
        let after = rest.split_once("\n\n").unwrap().1;
        let wanted = format!("{before}| --- | --- | --- |\n{rows}\n{after}");
        if std::env::var_os("EVENTCAST_WRITE_MANUAL").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert!(
            page == wanted,
            "docs/metrics.md differs from the table; run this test with EVENTCAST_WRITE_MANUAL=1"
        );
    }
}
