//! Metrics in the classic Prometheus text format 0.0.4 (Prometheus documentation, "Exposition
//! formats", "Text-based format":
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).
//!
//! It differs from OpenMetrics in that a counter's `# TYPE` and `# HELP` lines carry the whole
//! name, with `_total`, and in that nothing marks the end. The client library writes OpenMetrics
//! only.

use std::fmt::{self, Write as _};

use super::exposition::PREFIX;
use super::instrument::{BOUNDS, Spread};
use super::metrics::{Measured, MetricValue};

/// Writes metrics, each with its place in a table.
pub(super) fn write(all: Vec<Measured>) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for Measured {
        name, about, value, ..
    } in all
    {
        let (suffix, kind) = match value {
            MetricValue::Count(_) | MetricValue::Counts(_) => ("_total", "counter"),
            MetricValue::Level(_) => ("", "gauge"),
            MetricValue::Times(_) => ("", "histogram"),
            MetricValue::Facts(_) => ("_info", "gauge"),
        };
        let name = format!("{PREFIX}_{name}{suffix}");
        writeln!(text, "# HELP {name} {}", escaped(about, false))?;
        writeln!(text, "# TYPE {name} {kind}")?;
        match value {
            MetricValue::Count(count) => writeln!(text, "{name} {count}")?,
            MetricValue::Counts(counts) => {
                for (labels, count) in counts {
                    writeln!(text, "{name}{} {count}", braced(&labels))?;
                }
            }
            MetricValue::Level(level) => writeln!(text, "{name} {level}")?,
            MetricValue::Times(spread) => histogram(&mut text, &name, &spread)?,
            MetricValue::Facts(labels) => writeln!(text, "{name}{} 1", braced(&labels))?,
        }
    }
    Ok(text)
}

fn histogram(text: &mut String, name: &str, spread: &Spread) -> fmt::Result {
    let mut sum = 0;
    for (bound, count) in BOUNDS.into_iter().zip(spread.counts) {
        sum += count;
        writeln!(text, "{name}_bucket{{le=\"{bound:?}\"}} {sum}")?;
    }
    let count = spread.count();
    writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
    writeln!(text, "{name}_sum {:?}", spread.seconds)?;
    writeln!(text, "{name}_count {count}")
}

fn braced(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// Backslashes and line feeds are escaped everywhere, quotation marks in the values of labels.
fn escaped(text: &str, quoted: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::metrics::Metrics;
    use super::*;

    /// A reader of the format by its documentation alone: samples by name and labels, each below a
    /// `# TYPE` of its family.
    fn parsed(text: &str) -> BTreeMap<String, f64> {
        let mut samples = BTreeMap::new();
        let (mut family, mut kind, mut helped) = (String::new(), String::new(), String::new());
        assert!(text.ends_with('\n'), "the last line ends with a line feed");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                helped = rest.split(' ').next().unwrap().to_owned();
                assert!(rest.len() > helped.len() + 1, "help is missing: {line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, of) = rest.split_once(' ').unwrap();
                assert_eq!(name, helped, "HELP and TYPE go together");
                assert!(["counter", "gauge", "histogram"].contains(&of), "{line}");
                assert_eq!(of == "counter", name.ends_with("_total"), "{line}");
                (family, kind) = (name.to_owned(), of.to_owned());
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split('{').next().unwrap();
                let of_family = match kind.as_str() {
                    "histogram" => ["_bucket", "_sum", "_count"]
                        .iter()
                        .any(|suffix| name.strip_suffix(suffix) == Some(&family)),
                    _ => name == family,
                };
                assert!(of_family, "{line} is not of {family}");
                let value = value.parse().unwrap();
                let twice = samples.insert(sample.to_owned(), value);
                assert_eq!(twice, None, "{line}");
            }
        }
        samples
    }

    #[test]
    fn it_is_what_prometheus_documents() {
        let metrics = Metrics::default();
        metrics.received.add(3);
        metrics
            .dead_lettered
            .one("too_large", Some("or\\d\"er\ns".into()));
        metrics.dead_lettered.one("not_an_event", None);
        metrics.connections.set(2);
        metrics.route(&Arc::from("orders")).published.add(7);
        for milliseconds in [4, 90_000] {
            let time = Duration::from_millis(milliseconds);
            metrics.publish_seconds.observe(time);
        }
        let samples = parsed(&write(metrics.all()).unwrap());
        for (sample, value) in [
            ("eventcast_received_total", 3.0),
            ("eventcast_published_total{route=\"orders\"}", 7.0),
            ("eventcast_conflated_total{route=\"orders\"}", 0.0),
            (
                "eventcast_dead_lettered_total{reason=\"not_an_event\"}",
                1.0,
            ),
            (
                "eventcast_dead_lettered_total{reason=\"too_large\",route=\"or\\\\d\\\"er\\ns\"}",
                1.0,
            ),
            ("eventcast_connections", 2.0),
            ("eventcast_publish_seconds_bucket{le=\"0.0025\"}", 0.0),
            ("eventcast_publish_seconds_bucket{le=\"0.005\"}", 1.0),
            ("eventcast_publish_seconds_bucket{le=\"60.0\"}", 1.0),
            ("eventcast_publish_seconds_bucket{le=\"+Inf\"}", 2.0),
            ("eventcast_publish_seconds_sum", 90.004),
            ("eventcast_publish_seconds_count", 2.0),
        ] {
            assert_eq!(samples.get(sample), Some(&value), "{sample}: {samples:#?}");
        }
        let built = samples.keys().find(|name| name.contains("build_info"));
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(built.unwrap().contains(&version), "{built:?}");
    }
}
