//! A plan as text for a person.

use std::io::{self, Write};

use super::assertion::AssertionOutcome;
use super::bill::CostGroup;
use super::capacity_plan::CapacityPlan;
use super::demand::RatePair;
use super::fleet::TaskCount;
use super::quota_use::{QuotaUse, count};
use super::recovery::RecoveryBound;
use super::words::{dollars, seconds, seconds_or_never};
use crate::config::load_profile::LoadProfile;
use crate::escape::write_line;

/// Writes a plan.
///
/// # Errors
/// The writer's errors.
pub fn write_plan(
    plan: &CapacityPlan,
    profile: &LoadProfile,
    out: &mut impl Write,
) -> io::Result<()> {
    demand(plan, profile, out)?;
    quotas(plan, out)?;
    fleet(plan, out)?;
    recovery(plan, out)?;
    bill(plan, out)?;
    levers(plan, out)?;
    requests(plan, out)
}

fn demand(plan: &CapacityPlan, profile: &LoadProfile, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{} clients a day in {}, connected for {} of it",
        count(plan.clients),
        plan.region,
        seconds(profile.connected.as_secs_f64()),
    )?;
    writeln!(out)?;
    writeln!(out, "{:<32} {:>14} {:>14}", "Demand", "mean", "peak")?;
    let demand = &plan.demand;
    for (title, pair) in [
        ("clients connected", demand.connected),
        ("of these at the gateway", demand.polling),
        ("CONNECT/s", demand.connects),
        ("filters subscribed/s", demand.filters),
        ("calls of the authorizer/s", demand.authorizer_calls),
        ("events/s", demand.events),
        ("messages published/s", demand.published),
        ("messages of clients/s", demand.client_published),
        ("messages delivered/s", demand.delivered),
        ("messages stored/s", demand.stored),
        ("messages retained/s", demand.retained),
    ] {
        if pair != RatePair::default() {
            writeln!(
                out,
                "  {title:<30} {:>14} {:>14}",
                count(pair.mean),
                count(pair.peak)
            )?;
        }
    }
    writeln!(out)
}

fn quotas(plan: &CapacityPlan, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<68} {:>12} {:>12} {:>9}",
        "Quota, at the peak", "used", "of", "left"
    )?;
    for quota in plan.quotas.iter().filter(|quota| quota.used > 0.0) {
        let QuotaUse {
            title,
            used,
            limit,
            headroom,
            ..
        } = quota;
        let mark = match headroom {
            headroom if *headroom < 0.0 => "!!",
            _ if quota.request.is_some() || quota.way_out.is_some() => "! ",
            _ => "  ",
        };
        let adjustable = if quota.adjustable { "" } else { " (fixed)" };
        writeln!(
            out,
            "{mark}{:<66} {:>12} {:>12} {:>9}",
            format!("{title}{adjustable}"),
            count(*used),
            count(*limit),
            left(*headroom),
        )?;
    }
    writeln!(out)
}

/// Head-room in percent.
fn left(headroom: f64) -> String {
    if headroom < -9.995 {
        format!("{} x over", count((1.0 - headroom).round()))
    } else {
        format!("{:.0} %", headroom * 100.0)
    }
}

fn fleet(plan: &CapacityPlan, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Tasks")?;
    let service = |name: &str, tasks: &TaskCount, out: &mut dyn Write| {
        writeln!(
            out,
            "  {name}: {} in the mean, {} at the peak; set {} to {}. A task is bound by {}",
            tasks.mean,
            tasks.peak,
            tasks.least,
            tasks.most,
            tasks.bound.words(),
        )
    };
    service("bridge", &plan.fleet.bridge, out)?;
    if let Some(gateway) = &plan.fleet.gateway {
        service("gateway", gateway, out)?;
    }
    writeln!(
        out,
        "  connections of the bridge to the broker: {}",
        count(plan.fleet.connections)
    )?;
    writeln!(out)
}

fn recovery(plan: &CapacityPlan, out: &mut impl Write) -> io::Result<()> {
    let recovery = &plan.recovery;
    let lost = &recovery.lost;
    let bound = match recovery.bound {
        RecoveryBound::Connects => "CONNECT/s of the account",
        RecoveryBound::Subscriptions => "subscriptions/s of the account",
        RecoveryBound::Authorizer => "the authorizer's concurrency",
    };
    writeln!(
        out,
        "Recovery from {} without connections, {} clients, at the busiest time",
        seconds(recovery.outage_seconds),
        count(recovery.clients)
    )?;
    let never = |time: Option<f64>| match time {
        None => "never at the peak".to_owned(),
        time => seconds_or_never(time),
    };
    for (title, value) in [
        (
            "all connected, by CONNECT/s",
            seconds(recovery.connect_seconds),
        ),
        (
            "all subscribed, by subscriptions/s",
            seconds(recovery.subscribe_seconds),
        ),
        (
            "all admitted, by the authorizer",
            seconds(recovery.authorizer_seconds),
        ),
        ("refused clients wait", seconds(recovery.client_id_seconds)),
        (
            "live with kept sessions",
            seconds(recovery.kept_sessions_seconds),
        ),
        (
            "live with new sessions",
            format!("{}, bound by {bound}", seconds(recovery.live_seconds)),
        ),
        (
            "a message to all of them",
            seconds(recovery.broadcast_seconds),
        ),
        (
            "stored messages delivered",
            format!(
                "{} ({} messages)",
                never(recovery.stored_drain_seconds),
                count(recovery.stored_messages)
            ),
        ),
        (
            "deliveries lost",
            format!(
                "{}: {} of QoS 0, {} over the quota of stored messages, {} of expired sessions",
                count(lost.total()),
                count(lost.qos0),
                count(lost.over_quota),
                count(lost.expired)
            ),
        ),
        (
            "backlog after the bridge stood still",
            format!(
                "{} ({} events)",
                never(recovery.backlog_drain_seconds),
                count(recovery.backlog_events)
            ),
        ),
    ] {
        writeln!(out, "  {title:<38} {value}")?;
    }
    writeln!(out)
}

fn bill(plan: &CapacityPlan, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<42} {:>18} {:>14}",
        "A month of 30 days", "units", "US dollars"
    )?;
    for group in CostGroup::ALL {
        let lines = plan.bill.lines.iter();
        for line in lines.filter(|line| line.group == group && line.units > 0.0) {
            writeln!(
                out,
                "  {:<40} {:>18} {:>14}",
                line.title,
                count(line.units),
                dollars(line.dollars)
            )?;
        }
    }
    writeln!(
        out,
        "  {:<40} {:>18} {:>14}",
        "all",
        "",
        dollars(plan.bill.total)
    )?;
    writeln!(out)
}

fn levers(plan: &CapacityPlan, out: &mut impl Write) -> io::Result<()> {
    if plan.levers.is_empty() {
        return Ok(());
    }
    writeln!(out, "What lowers the bill (each alone)")?;
    for lever in &plan.levers {
        write_line(
            out,
            format_args!(
                "  {:>10}  {}: {}",
                dollars(lever.saves),
                lever.change,
                lever.caution
            ),
        )?;
    }
    writeln!(out)
}

fn requests(plan: &CapacityPlan, out: &mut impl Write) -> io::Result<()> {
    let asked = plan
        .quotas
        .iter()
        .filter_map(|quota| Some((quota, quota.request.as_ref()?)));
    for (index, (_, request)) in asked.enumerate() {
        if index == 0 {
            writeln!(out, "Requests of increases")?;
        }
        writeln!(out, "  {}", request.text)?;
        writeln!(out, "    {}", request.command)?;
    }
    for quota in &plan.quotas {
        if let Some(way_out) = quota.way_out {
            writeln!(out, "  \"{}\" cannot be raised: {way_out}", quota.title)?;
        }
    }
    Ok(())
}

/// Writes the outcome of assertions.
///
/// # Errors
/// The writer's errors.
pub fn write_assertions(assertions: &[AssertionOutcome], out: &mut impl Write) -> io::Result<()> {
    for outcome in assertions {
        let word = if outcome.holds { "holds" } else { "FAILS" };
        writeln!(out, "{word}: {} ({})", outcome.assertion, outcome.found)?;
    }
    Ok(())
}
