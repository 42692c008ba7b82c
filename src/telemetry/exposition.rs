//! Metrics as others read them: OpenMetrics text for Prometheus, embedded metrics for CloudWatch.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use serde_json::{Map, json};

use super::metrics::{BOUNDS, Measured, Metrics, Spread, Value};

/// What names begin with.
pub const PREFIX: &str = "eventcast";

/// The content type of [`open_metrics`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics in the OpenMetrics text format, which Prometheus reads.
pub fn open_metrics(metrics: &Arc<Metrics>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Table(Arc::clone(metrics))));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Table(Arc<Metrics>);

impl Collector for Table {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Measured { name, about, value } in self.0.all() {
            let kind = match value {
                Value::Count(_) | Value::ByReason(_) => MetricType::Counter,
                Value::Level(_) => MetricType::Gauge,
                Value::Times(_) => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(name, about, None, kind)?;
            match value {
                Value::Count(count) => metric.encode_counter::<NoLabelSet, _, u64>(&count, None)?,
                Value::ByReason(counts) => {
                    for (reason, count) in counts {
                        let labels = [("reason", reason)];
                        metric
                            .encode_family(&labels)?
                            .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                    }
                }
                Value::Level(level) => metric.encode_gauge(&level)?,
                Value::Times(spread) => {
                    let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
                    let buckets: Vec<(f64, u64)> = bounds.zip(spread.counts).collect();
                    metric.encode_histogram::<NoLabelSet>(
                        spread.seconds,
                        spread.count(),
                        &buckets,
                        None,
                    )?;
                }
            }
        }
        Ok(())
    }
}

/// Lines in CloudWatch's embedded metric format (CloudWatch user guide, "Specification: Embedded metric format"): what happened
/// since the line before.
#[derive(Debug)]
pub struct Embedded {
    namespace: String,
    metrics: Arc<Metrics>,
    before: Vec<Measured>,
}

impl Embedded {
    /// Begins with the metrics as they are now.
    pub fn new(namespace: String, metrics: Arc<Metrics>) -> Self {
        Self {
            namespace,
            before: metrics.all(),
            metrics,
        }
    }

    /// The next line. `milliseconds` are those since 1970.
    pub fn line(&mut self, milliseconds: i64) -> String {
        let now = self.metrics.all();
        let mut definitions = Vec::new();
        let mut values = Map::new();
        let mut add = |name: String, unit: &str, value: serde_json::Value| {
            definitions.push(json!({ "Name": name, "Unit": unit }));
            values.insert(name, value);
        };
        for (measured, before) in now.iter().zip(&self.before) {
            let name = measured.name;
            match (&measured.value, &before.value) {
                (Value::Count(now), Value::Count(before)) => {
                    add(name.to_owned(), "Count", json!(now - before));
                }
                (Value::ByReason(now), Value::ByReason(before)) => {
                    let sum = |all: &[(&str, u64)]| all.iter().map(|(_, count)| count).sum::<u64>();
                    add(name.to_owned(), "Count", json!(sum(now) - sum(before)));
                }
                (Value::Level(level), _) => {
                    let unit = if name.ends_with("_seconds") {
                        "Seconds"
                    } else {
                        "Count"
                    };
                    add(name.to_owned(), unit, json!(level));
                }
                (Value::Times(now), Value::Times(before)) => {
                    times(name, &now.since(before), &mut add);
                }
                _ => {}
            }
        }
        self.before = now;
        let mut line = Map::new();
        line.insert(
            "_aws".into(),
            json!({
                "Timestamp": milliseconds,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": [[]],
                    "Metrics": definitions,
                }],
            }),
        );
        line.append(&mut values);
        serde_json::Value::Object(line).to_string()
    }
}

/// The format has no histograms: the mean and the 99th percentile say most. Nothing is said of times that there were none of.
fn times(name: &str, spread: &Spread, add: &mut impl FnMut(String, &str, serde_json::Value)) {
    let count = spread.count();
    if count > 0 {
        let mean = spread.seconds / count as f64;
        add(format!("{name}_mean"), "Seconds", json!(mean));
        add(
            format!("{name}_p99"),
            "Seconds",
            json!(spread.quantile(0.99)),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn metrics() -> Arc<Metrics> {
        let metrics = Metrics::default();
        metrics.received.add(3);
        metrics.dead_lettered.one("too_large");
        metrics.connections.set(2);
        metrics.publish_seconds.observe(Duration::from_millis(4));
        Arc::new(metrics)
    }

    #[test]
    fn prometheus() {
        let text = open_metrics(&metrics()).unwrap();
        for line in [
            "# TYPE eventcast_received counter",
            "eventcast_received_total 3",
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
    fn embedded() {
        let metrics = metrics();
        let mut embedded = Embedded::new("shop".into(), Arc::clone(&metrics));
        metrics.received.add(2);
        metrics.dead_lettered.one("not_an_event");
        metrics.publish_seconds.observe(Duration::from_millis(8));
        let line: serde_json::Value = serde_json::from_str(&embedded.line(7)).unwrap();
        assert_eq!(line["received"], 2);
        assert_eq!(line["dead_lettered"], 1);
        assert_eq!(line["connections"], 2);
        assert_eq!(line["publish_seconds_mean"], 0.008);
        assert_eq!(line["publish_seconds_p99"], 0.01);
        assert!(line["end_to_end_seconds_mean"].is_null());
        let about = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 7);
        assert_eq!(about["Namespace"], "shop");
        let defined = about["Metrics"].as_array().unwrap();
        assert!(
            defined
                .iter()
                .all(|metric| !line[metric["Name"].as_str().unwrap()].is_null())
        );
    }

    /// The manual's page says what the table says. With `EVENTCAST_WRITE_MANUAL` set it is written anew.
    #[test]
    fn the_manual_has_the_table() {
        let mut rows = String::new();
        for Measured { name, about, value } in Metrics::default().all() {
            let (name, kind) = match value {
                Value::Count(_) => (format!("{name}_total"), "counter"),
                Value::ByReason(_) => (format!("{name}_total{{reason}}"), "counter"),
                Value::Level(_) => (name.to_owned(), "gauge"),
                Value::Times(_) => (name.to_owned(), "histogram"),
            };
            rows += &format!("| `{PREFIX}_{name}` | {kind} | {about} |\n");
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
