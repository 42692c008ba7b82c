//! Metrics for CloudWatch: lines in its embedded metric format, written to the log.
//!
//! CloudWatch user guide, "Specification: Embedded metric format"
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//! CloudWatch bills each metric with each set of dimensions: one line has the sums, and a route has
//! a line of its own only for what it counted since the line before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, json};

use super::instrument::Spread;
use super::metrics::{Labels, Measured, MetricValue, Metrics};

/// The label, and the dimension, of a route.
const ROUTE: &str = "route";

/// The lines of one process: the changes since the lines before.
#[derive(Debug)]
pub struct Embedded {
    namespace: String,
    metrics: Arc<Metrics>,
    before: Vec<Measured>,
}

/// Metrics of one line: their definitions and their values.
#[derive(Default)]
struct MetricLine {
    definitions: Vec<serde_json::Value>,
    values: Map<String, serde_json::Value>,
}

impl MetricLine {
    fn add(&mut self, name: String, unit: &str, value: serde_json::Value) {
        let definition = json!({ "Name": name, "Unit": unit });
        self.definitions.push(definition);
        self.values.insert(name, value);
    }

    fn text(self, namespace: &str, milliseconds: i64, dimensions: &[&str]) -> String {
        let mut line = Map::new();
        line.insert(
            "_aws".into(),
            json!({
                "Timestamp": milliseconds,
                "CloudWatchMetrics": [{
                    "Namespace": namespace,
                    "Dimensions": [dimensions],
                    "Metrics": self.definitions,
                }],
            }),
        );
        line.extend(self.values);
        serde_json::Value::Object(line).to_string()
    }
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

    /// The next lines: the sums, and then one for each route that counted something. `milliseconds`
    /// are those since 1970.
    pub fn lines(&mut self, milliseconds: i64) -> Vec<String> {
        let now = self.metrics.all();
        let mut sums = MetricLine::default();
        let mut routes: BTreeMap<String, MetricLine> = BTreeMap::new();
        for (measured, before) in now.iter().zip(&self.before) {
            let name = measured.name;
            match (&measured.value, &before.value) {
                (now @ (MetricValue::Count(_) | MetricValue::Counts(_)), before) => {
                    let since = now.count().unwrap_or(0) - before.count().unwrap_or(0);
                    sums.add(name.to_owned(), "Count", json!(since));
                    for (route, since) in by_route(now, before) {
                        let line = routes.entry(route).or_default();
                        line.add(name.to_owned(), "Count", json!(since));
                    }
                }
                (MetricValue::Level(level), _) => {
                    let unit = if name.ends_with("_seconds") {
                        "Seconds"
                    } else {
                        "Count"
                    };
                    sums.add(name.to_owned(), unit, json!(level));
                }
                (MetricValue::Times(now), MetricValue::Times(before)) => {
                    times(name, &now.since(before), &mut sums);
                }
                _ => {}
            }
        }
        self.before = now;
        let mut lines = vec![sums.text(&self.namespace, milliseconds, &[])];
        for (route, mut line) in routes {
            line.values.insert(ROUTE.into(), route.into());
            lines.push(line.text(&self.namespace, milliseconds, &[ROUTE]));
        }
        lines
    }
}

/// The increase of a counter for each route that has one, other labels summed.
fn by_route(now: &MetricValue, before: &MetricValue) -> BTreeMap<String, u64> {
    let counts = |value: &MetricValue| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        if let MetricValue::Counts(all) = value {
            for (labels, count) in all {
                if let Some(route) = route_of(labels) {
                    *counts.entry(route.to_owned()).or_default() += count;
                }
            }
        }
        counts
    };
    let before = counts(before);
    let mut since = counts(now);
    for (route, count) in &mut since {
        *count -= before.get(route).copied().unwrap_or(0).min(*count);
    }
    since.retain(|_, count| *count > 0);
    since
}

fn route_of(labels: &Labels) -> Option<&str> {
    let label = labels.iter().find(|(name, _)| *name == ROUTE)?;
    Some(&label.1)
}

/// The format has no histograms: the mean and the 99th percentile say most. Nothing is said of
/// times that there were none of.
fn times(name: &str, spread: &Spread, line: &mut MetricLine) {
    let count = spread.count();
    if count > 0 {
        let mean = spread.seconds / count as f64;
        line.add(format!("{name}_mean"), "Seconds", json!(mean));
        line.add(
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

    fn parsed(lines: &[String]) -> Vec<serde_json::Value> {
        let parse = |line: &String| serde_json::from_str(line).unwrap();
        lines.iter().map(parse).collect()
    }

    /// Each defined metric has its value in the line, and the other way round.
    fn check(line: &serde_json::Value, dimensions: &serde_json::Value) {
        let about = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(about["Namespace"], "shop");
        assert_eq!(&about["Dimensions"], dimensions);
        let defined = about["Metrics"].as_array().unwrap();
        let valued = |metric: &serde_json::Value| !line[metric["Name"].as_str().unwrap()].is_null();
        assert!(!defined.is_empty() && defined.iter().all(valued), "{line}");
    }

    #[test]
    fn sums() {
        let metrics = Arc::new(Metrics::default());
        metrics.received.add(3);
        metrics.connections.set(2);
        let mut embedded = Embedded::new("shop".into(), Arc::clone(&metrics));
        metrics.received.add(2);
        metrics.dead_lettered.one("not_an_event", None);
        metrics.publish_seconds.observe(Duration::from_millis(8));
        let lines = parsed(&embedded.lines(7));
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        check(line, &json!([[]]));
        assert_eq!(line["received"], 2);
        assert_eq!(line["dead_lettered"], 1);
        assert_eq!(line["published"], 0);
        assert_eq!(line["connections"], 2);
        assert_eq!(line["publish_seconds_mean"], 0.008);
        assert_eq!(line["publish_seconds_p99"], 0.01);
        assert!(line["end_to_end_seconds_mean"].is_null());
        assert_eq!(line["_aws"]["Timestamp"], 7);
    }

    #[test]
    fn routes() {
        let metrics = Arc::new(Metrics::default());
        let (orders, tenants) = (Arc::from("orders"), Arc::from("tenants"));
        metrics.route(&orders).published.add(2);
        let mut embedded = Embedded::new("shop".into(), Arc::clone(&metrics));
        metrics.route(&tenants).published.add(5);
        metrics
            .dead_lettered
            .one("too_large", Some(Arc::clone(&orders)));
        metrics
            .dead_lettered
            .one("channel_id", Some(Arc::clone(&orders)));
        metrics.dead_lettered.one("not_an_event", None);
        let lines = parsed(&embedded.lines(7));
        assert_eq!(lines.len(), 3);
        assert_eq!(
            (&lines[0]["published"], &lines[0]["dead_lettered"]),
            (&json!(5), &json!(3))
        );
        check(&lines[1], &json!([["route"]]));
        // A counter without a change has no line, and no metric that is billed.
        assert_eq!(lines[1]["route"], "orders");
        assert_eq!(lines[1]["dead_lettered"], 2);
        assert!(lines[1]["published"].is_null());
        assert_eq!(
            (&lines[2]["route"], &lines[2]["published"]),
            (&json!("tenants"), &json!(5))
        );
        assert_eq!(embedded.lines(8).len(), 1);
        metrics.route(&orders).throttled.add(1);
        let lines = parsed(&embedded.lines(9));
        assert_eq!(
            (&lines[1]["route"], &lines[1]["throttled"]),
            (&json!("orders"), &json!(1))
        );
    }
}
