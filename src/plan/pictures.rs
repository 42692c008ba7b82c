//! Pictures of a plan: cost, and the use of quotas, against the number of clients.

use super::bill::CostGroup;
use super::capacity_plan::PlanBasis;
use super::chart::{ChartSeries, LogChart, short};
use super::quota_use::count;
use super::quotas::QuotaName;
use super::sweep::{SWEPT_CLIENTS, SweepPoint, sweep};

/// Quotas in the picture at most: those with the least head-room at the end of the sweep.
const MOST_QUOTAS: usize = 8;

/// Picture with the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanPicture {
    /// Name of the file.
    pub name: &'static str,
    /// SVG.
    pub svg: String,
}

/// The pictures of a load.
pub fn pictures(basis: &PlanBasis) -> Vec<PlanPicture> {
    let points = sweep(basis);
    let now = basis.profile.clients;
    let picture = |name, chart: LogChart| PlanPicture {
        name,
        svg: chart.svg(),
    };
    vec![
        picture("cost.svg", cost(&points, basis.quotas.region(), now)),
        picture(
            "headroom.svg",
            headroom(&points, basis.quotas.region(), now),
        ),
    ]
}

fn bounds() -> (f64, f64) {
    let first = SWEPT_CLIENTS.first().copied().unwrap_or(1.0);
    (first, SWEPT_CLIENTS.last().copied().unwrap_or(10.0))
}

fn cost(points: &[SweepPoint], region: &str, now: f64) -> LogChart {
    let totals = points.iter().map(|point| {
        let total: f64 = point.dollars.iter().map(|(_, dollars)| dollars).sum();
        (point.clients, total)
    });
    let totals: Vec<(f64, f64)> = totals.collect();
    let most = totals.iter().map(|(_, total)| *total).fold(1.0, f64::max);
    let mut series = vec![ChartSeries {
        label: with_last("all", &totals),
        points: totals,
        is_strong: true,
    }];
    for (index, group) in CostGroup::ALL.into_iter().enumerate() {
        let of_group = points.iter().filter_map(|point| {
            let (_, dollars) = point.dollars.get(index)?;
            Some((point.clients, *dollars))
        });
        let points: Vec<(f64, f64)> = of_group.collect();
        series.push(ChartSeries {
            label: with_last(group.words(), &points),
            points,
            is_strong: false,
        });
    }
    LogChart {
        title: "Cost of a month against clients".to_owned(),
        subtitle: format!(
            "US dollars, {region}; the load was described for {} clients",
            short(now)
        ),
        across: "clients".to_owned(),
        across_bounds: bounds(),
        up_bounds: (1.0, 10_f64.powf(most.log10().ceil())),
        up_label: |value| format!("${}", short(value)),
        limit: None,
        series,
    }
}

fn with_last(label: &str, points: &[(f64, f64)]) -> String {
    match points.last() {
        Some((_, dollars)) => format!("{label}: {}", super::words::dollars(*dollars)),
        None => label.to_owned(),
    }
}

fn headroom(points: &[SweepPoint], region: &str, now: f64) -> LogChart {
    let mut last: Vec<(QuotaName, &str, f64)> = points
        .last()
        .map(|point| {
            let used = point.used.iter();
            used.map(|(name, title, used)| (*name, &**title, *used))
                .collect()
        })
        .unwrap_or_default();
    let at_first = |name: QuotaName| used_at(points.first(), name);
    // A quota whose use does not depend on the number of clients says nothing here.
    last.retain(|(name, _, used)| *used > at_first(*name) * 1.5);
    last.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    last.truncate(MOST_QUOTAS);
    let most = last.iter().map(|(.., used)| *used).fold(10.0, f64::max);
    let series = last.into_iter().map(|(name, title, used)| ChartSeries {
        label: format!("{}: {}", shortened(title), percent(used)),
        points: points
            .iter()
            .map(|point| (point.clients, used_at(Some(point), name)))
            .collect(),
        is_strong: false,
    });
    LogChart {
        title: "Use of quotas against clients".to_owned(),
        subtitle: format!(
            "Part of each quota that the busiest second uses, {region}; what is below the line is head-room; described for {} clients",
            short(now)
        ),
        across: "clients".to_owned(),
        across_bounds: bounds(),
        up_bounds: (0.001, 10_f64.powf(most.log10().ceil())),
        up_label: percent,
        limit: Some((1.0, "the quota".to_owned())),
        series: series.collect(),
    }
}

/// A part of a quota in percent.
fn percent(part: f64) -> String {
    // The decades of the axis are products, and end in digits that say nothing.
    format!("{} %", count((part * 1e8).round() / 1e6))
}

fn used_at(point: Option<&SweepPoint>, name: QuotaName) -> f64 {
    let used = point.into_iter().flat_map(|point| &point.used);
    let mut used = used.filter(|(known, ..)| *known == name);
    used.next().map_or(0.0, |(.., used)| *used)
}

/// A quota's name as a label: words that all names have are left out.
fn shortened(title: &str) -> String {
    let mut label = title.to_owned();
    for (long, short) in [
        (
            "Maximum concurrent client connections per account",
            "Connections",
        ),
        (" requests per second per account", "/s"),
        (" throttle limit in transactions per second", "/s"),
        (" messages per second per account", " messages/s"),
        (" per second per account", "/s"),
        (" per account", ""),
        (" resource count", ""),
        ("Retained message inbound publish", "Retained publish"),
    ] {
        label = label.replace(long, short);
    }
    label
}
