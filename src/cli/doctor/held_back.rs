//! The limit that holds each route back, by the counters of a daemon that runs on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::report::DoctorReport;
use crate::cli::http;
use crate::cli::reachable::reachable;

const ABOUT: &str = "held back";

/// Time for the daemon to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The part of a route's messages that may have waited without a warning.
const WORTH_TELLING: f64 = 0.01;

/// Asks the daemon that listens at `bridge.listen`, if one does, and reports the causes for which
/// its messages wait.
pub(super) async fn held_back(listen: Option<SocketAddr>, report: &mut DoctorReport) {
    let Some(listen) = listen else { return };
    let address = reachable(listen);
    let asked = timeout(PATIENCE, http::get(address, "/metrics")).await;
    let text = match asked {
        Ok(Ok((200, body))) => String::from_utf8_lossy(&body).into_owned(),
        Ok(Ok((status, _))) => {
            let found = format!("http://{address}/metrics answers with status {status}");
            return report.not_tried(ABOUT, found, "see which process listens there");
        }
        Ok(Err(_)) | Err(_) => {
            // Doctor is run before the daemon as a rule.
            let found = format!("no daemon runs at {address}: its counters tell it later");
            return report.ok(ABOUT, found);
        }
    };
    let findings = findings(&text);
    if findings.is_empty() {
        report.ok(ABOUT, "no route waits for a limit");
    }
    for (found, help) in findings {
        report.warning(ABOUT, found, help);
    }
}

/// Findings worth a report among counters in the classic text format of Prometheus, each with its
/// cure.
fn findings(metrics: &str) -> Vec<(String, &'static str)> {
    let mut published: BTreeMap<String, f64> = BTreeMap::new();
    let mut held: BTreeMap<String, Vec<(f64, String)>> = BTreeMap::new();
    for line in metrics.lines() {
        let Some((name, labels, value)) = sample(line) else {
            continue;
        };
        let label = |wanted: &str| {
            let mut labels = labels.iter();
            labels.find_map(|(name, value)| (name == wanted).then(|| value.clone()))
        };
        match (name, label("route"), label("limit")) {
            ("eventcast_published_total", Some(route), _) => {
                published.insert(route, value);
            }
            ("eventcast_held_back_total", route, Some(limit)) if value > 0.0 => {
                held.entry(route.unwrap_or_default())
                    .or_default()
                    .push((value, limit));
            }
            _ => {}
        }
    }
    let mut findings = Vec::new();
    for (route, mut limits) in held {
        limits.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let Some((most, limit)) = limits.first() else {
            continue;
        };
        let help = help(limit);
        if route.is_empty() {
            let found = format!(
                "receiving: {most} receives came back full while no more polls may be open"
            );
            findings.push((found, help));
            continue;
        }
        let waited: f64 = limits.iter().map(|(count, _)| count).sum();
        let all = published.get(&route).copied().unwrap_or(0.0).max(waited);
        if waited / all >= WORTH_TELLING {
            let percent = 100.0 * waited / all;
            let found = format!(
                "route `{route}`: {percent:.0} % of its messages had to wait, most of them for the limit `{limit}`"
            );
            findings.push((found, help));
        }
    }
    findings
}

/// Advice against a limit.
fn help(limit: &str) -> &'static str {
    match limit {
        "connection" => {
            "raise bridge.connections.max, set publish: auto, or give the route order: none"
        }
        "account" => "raise the account's quota, and bridge.pace.account with it",
        "topic" => "give the route order: pipelined or none, or conflate: true",
        "broker" => "look at the broker's latency, and at the log for lost connections",
        "queue" => "raise bridge.pollers.max, or run more tasks",
        _ => "see docs/delivery.md",
    }
}

type Sample<'l> = (&'l str, Vec<(String, String)>, f64);

/// A line of the format: name, labels, value. Route names hold none of the characters that the
/// format escapes.
fn sample(line: &str) -> Option<Sample<'_>> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some((series, Vec::new(), value));
    };
    let labels = labels.strip_suffix('}')?.split(',');
    let pair = |label: &str| {
        let (name, value) = label.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    Some((name, labels.filter_map(pair).collect(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_most_is_named() {
        let metrics = "\
# TYPE eventcast_published_total counter
eventcast_published_total{route=\"orders\"} 1000
eventcast_published_total{route=\"tenants\"} 100
eventcast_published_total{route=\"quiet\"} 10000
eventcast_held_back_total{limit=\"connection\",route=\"orders\"} 100
eventcast_held_back_total{limit=\"account\",route=\"orders\"} 20
eventcast_held_back_total{limit=\"topic\",route=\"tenants\"} 300
eventcast_held_back_total{limit=\"broker\",route=\"quiet\"} 5
eventcast_held_back_total{limit=\"queue\"} 7
";
        let findings = findings(metrics);
        let found: Vec<&str> = findings.iter().map(|(found, _)| found.as_str()).collect();
        assert_eq!(
            found,
            [
                "receiving: 7 receives came back full while no more polls may be open",
                "route `orders`: 12 % of its messages had to wait, most of them for the limit `connection`",
                "route `tenants`: 100 % of its messages had to wait, most of them for the limit `topic`",
            ]
        );
        assert!(findings.iter().all(|(_, help)| !help.contains("docs")));
    }
}
