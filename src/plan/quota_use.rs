//! Quotas with their use and head-room, and the text of the request where one has too little.

use serde::Serialize;

use super::demand::LoadDemand;
use super::facts::PlatformFacts;
use super::fleet::FleetSize;
use super::quotas::{QuotaLine, QuotaName, QuotaTable};
use super::words::seconds;
use crate::config::load_profile::LoadProfile;

/// Head-room that a plan asks for, of 1.
pub const WANTED_HEADROOM: f64 = 0.3;

/// Use of one quota.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuotaUse {
    /// The quota.
    pub name: QuotaName,
    /// Its name in AWS's list.
    pub title: String,
    /// Use at the peak.
    pub used: f64,
    /// The quota's value.
    pub limit: f64,
    /// Unit of both.
    pub unit: String,
    /// Part of the quota that is left: below 0 where it is exceeded.
    pub headroom: f64,
    /// `true` where AWS raises it on request.
    pub adjustable: bool,
    /// Origin of the use, for a person.
    pub because: String,
    /// Request of an increase, where the head-room is too small and AWS grants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<IncreaseRequest>,
    /// Way out where it is too small and AWS grants no increase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_out: Option<&'static str>,
}

/// Request of a higher quota.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IncreaseRequest {
    /// Value to ask for.
    pub desired: f64,
    /// Text for AWS Support, or for the request's own field.
    pub text: String,
    /// Command that makes the request.
    pub command: String,
}

/// Parts of a plan that use quotas.
pub struct QuotaDemand<'p> {
    /// The load.
    pub profile: &'p LoadProfile,
    /// The configuration.
    pub facts: &'p PlatformFacts,
    /// The demand of the load.
    pub demand: &'p LoadDemand,
    /// The fleet for it.
    pub fleet: &'p FleetSize,
}

/// The use of all quotas that a load uses, the smallest head-room first.
pub fn quota_uses(parts: &QuotaDemand<'_>, quotas: &QuotaTable, wanted: f64) -> Vec<QuotaUse> {
    let uses = used(parts).into_iter();
    let mut uses: Vec<QuotaUse> = uses
        .filter_map(|(name, used, because)| {
            let line = quotas.line(name)?;
            let asked = AskedIncrease::of(name, used, wanted, parts);
            Some(quota_use(
                line,
                used,
                because,
                &asked,
                quotas.region(),
                wanted,
            ))
        })
        .collect();
    uses.sort_by(|a, b| a.headroom.total_cmp(&b.headroom).then(a.name.cmp(&b.name)));
    uses
}

/// Value to ask for, and the reason where it is not the use.
struct AskedIncrease {
    value: f64,
    reason: Option<String>,
}

impl AskedIncrease {
    fn of(name: QuotaName, used: f64, wanted: f64, parts: &QuotaDemand<'_>) -> Self {
        let for_use = used / (1.0 - wanted);
        match for_recovery(name, parts.profile, parts.demand) {
            Some((value, within)) if value > for_use => Self {
                value,
                reason: Some(format!(
                    "after an outage all {} clients are to be live again within {}",
                    count(parts.demand.connected.peak),
                    seconds(within)
                )),
            },
            _ => Self {
                value: for_use,
                reason: None,
            },
        }
    }
}

/// Value of a quota with which all clients are live again in the time that the load asks for, and
/// that time in seconds.
fn for_recovery(name: QuotaName, profile: &LoadProfile, demand: &LoadDemand) -> Option<(f64, f64)> {
    let within = profile.recover_within?.as_secs_f64();
    // A client that is refused at first comes again after the time between two CONNECTs of one id.
    let admitted = (within - 10.0).max(1.0);
    let clients = demand.connected.peak;
    let value = match name {
        QuotaName::ConnectsPerSecond => clients / admitted,
        QuotaName::SubscriptionsPerSecond => clients * profile.channels / admitted,
        QuotaName::LambdaConcurrency => clients / admitted * profile.authorizer.as_secs_f64(),
        _ => return None,
    };
    Some((value, within))
}

fn used(parts: &QuotaDemand<'_>) -> Vec<(QuotaName, f64, String)> {
    let QuotaDemand {
        profile,
        facts,
        demand,
        fleet,
    } = *parts;
    let clients = demand.connected.peak;
    let inbound = demand.published.peak + demand.client_published.peak;
    let per_client = (demand.delivered.peak + demand.client_published.peak) / clients;
    let largest = demand.routes.iter().map(|route| route.payload_bytes);
    let largest = largest.fold(0.0, f64::max);
    let delivered = demand.routes.iter();
    let bytes: f64 = delivered
        .map(|route| route.delivered.peak * route.payload_bytes)
        .sum();
    let tasks = fleet.bridge.most;
    let authorizer = profile.authorizer.as_secs_f64();
    let mut uses = vec![
        (
            QuotaName::Connections,
            clients + fleet.connections,
            format!(
                "{} clients and {} connections of the bridge",
                count(clients),
                count(fleet.connections)
            ),
        ),
        (
            QuotaName::ConnectsPerSecond,
            demand.connects.peak,
            format!(
                "{} connections a day of each client, the peak at {} times the mean",
                profile.reconnects_per_day, profile.peak
            ),
        ),
        (
            QuotaName::Subscriptions,
            clients * profile.channels,
            format!("{} filters of each client", profile.channels),
        ),
        (
            QuotaName::SubscriptionsPerSecond,
            demand.filters.peak,
            format!("{} filters at each connection", profile.channels),
        ),
        (
            QuotaName::SubscriptionsPerConnection,
            profile.channels,
            "`channels` of the load".to_owned(),
        ),
        (
            QuotaName::InboundPublishesPerSecond,
            inbound,
            format!(
                "{} messages/s of the bridge, {} of clients",
                count(demand.published.peak),
                count(demand.client_published.peak)
            ),
        ),
        (
            QuotaName::OutboundPublishesPerSecond,
            demand.delivered.peak,
            "a delivery to each subscriber of each message".to_owned(),
        ),
        (
            QuotaName::PublishesPerSecondPerConnection,
            per_client,
            "messages of one client, both directions".to_owned(),
        ),
        (
            QuotaName::BytesPerSecondPerConnection,
            bytes / clients,
            "payloads of one client".to_owned(),
        ),
        (
            QuotaName::PayloadBytes,
            largest,
            "the largest `payload` of a route".to_owned(),
        ),
        (
            QuotaName::RetainedPublishesPerSecond,
            demand.retained.peak,
            "messages of routes with `retain`".to_owned(),
        ),
        (
            QuotaName::RetainedMessages,
            profile.retained_messages,
            "`retained_messages` of the load".to_owned(),
        ),
        (
            QuotaName::QueuedPerSecond,
            demand.stored.peak,
            "messages of QoS 1 for clients that are away; what exceeds it is dropped".to_owned(),
        ),
        (
            QuotaName::SessionExpirySeconds,
            profile.session_expiry.as_secs_f64(),
            "`session_expiry` of the load".to_owned(),
        ),
        (
            QuotaName::AuthorizerSeconds,
            authorizer,
            "`authorizer` of the load".to_owned(),
        ),
        (
            QuotaName::LambdaConcurrency,
            demand.authorizer_calls.peak * authorizer,
            format!(
                "{} calls/s of the authorizer, {} ms each",
                count(demand.authorizer_calls.peak),
                authorizer * 1e3
            ),
        ),
        (
            QuotaName::PutEventsPerSecond,
            demand.events.peak,
            "a call for each event; fewer where producers put several at once".to_owned(),
        ),
        (
            QuotaName::InvocationsPerSecond,
            demand.events.peak,
            "events that the rule sends to the queue".to_owned(),
        ),
        (
            QuotaName::QueueInFlight,
            tasks * facts.in_flight,
            format!(
                "{} tasks with {} events in flight each",
                tasks, facts.in_flight
            ),
        ),
        (
            QuotaName::FargateVcpus,
            fleet.most_tasks() * profile.task_vcpus,
            format!("{} tasks at their most", fleet.most_tasks()),
        ),
    ];
    if facts.is_fifo {
        uses.push((
            QuotaName::FifoCallsPerSecond,
            demand.events.peak,
            "a call of SendMessage for each event that the rule sends".to_owned(),
        ));
    }
    uses
}

fn quota_use(
    line: &QuotaLine,
    used: f64,
    because: String,
    asked: &AskedIncrease,
    region: &str,
    wanted: f64,
) -> QuotaUse {
    let headroom = 1.0 - used / line.value;
    let is_short = headroom < wanted && used > 0.0 || asked.value > line.value;
    // A setting that equals its bound is not a lack.
    let is_setting = matches!(
        line.name,
        QuotaName::SessionExpirySeconds
            | QuotaName::SubscriptionsPerConnection
            | QuotaName::PayloadBytes
    );
    let is_short = if is_setting {
        used > line.value
    } else {
        is_short
    };
    QuotaUse {
        name: line.name,
        title: line.title.clone(),
        used,
        limit: line.value,
        unit: line.unit.clone(),
        headroom,
        adjustable: line.adjustable,
        request: (is_short && line.adjustable)
            .then(|| request(line, used, asked, &because, region)),
        way_out: (is_short && !line.adjustable).then(|| way_out(line.name)),
        because,
    }
}

/// Means other than an increase.
const fn way_out(name: QuotaName) -> &'static str {
    match name {
        QuotaName::PublishesPerSecondPerConnection | QuotaName::BytesPerSecondPerConnection => {
            "conflate the route, or send less to one client: what exceeds it is discarded or delayed"
        }
        QuotaName::PayloadBytes => "use `oversize: project` or `pointer`, or `payload: detail`",
        QuotaName::QueueInFlight => "lower bridge.in_flight, or the number of tasks",
        QuotaName::FifoCallsPerSecond => {
            "switch the queue to high throughput: up to 70,000 calls/s by message group, by Region"
        }
        QuotaName::AuthorizerSeconds => "make the authorizer quicker: IoT Core waits for no longer",
        _ => "use another account or Region for a part of the clients",
    }
}

fn request(
    line: &QuotaLine,
    used: f64,
    asked: &AskedIncrease,
    because: &str,
    region: &str,
) -> IncreaseRequest {
    let desired = round_up(asked.value.max(used));
    let QuotaLine {
        title,
        service,
        unit,
        ..
    } = line;
    let reason = asked.reason.as_deref().unwrap_or(because);
    let text = format!(
        "Please raise \"{title}\" ({service}) in {region} from {} to {} {unit}. Our peak is {} {unit}. Reason: {reason}.",
        count(line.value),
        count(desired),
        count(used),
    );
    let code = line.code.clone().unwrap_or_else(|| {
        format!(
            "\"$(aws service-quotas list-aws-default-service-quotas --service-code {service} --region {region} \
             --query \"Quotas[?QuotaName=='{title}'].QuotaCode\" --output text)\""
        )
    });
    IncreaseRequest {
        desired,
        text,
        command: format!(
            "aws service-quotas request-service-quota-increase --service-code {service} --region {region} \
             --quota-code {code} --desired-value {desired}"
        ),
    }
}

/// A number of two digits and zeros that is not smaller.
fn round_up(value: f64) -> f64 {
    if value <= 10.0 {
        return value.ceil();
    }
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    (value / unit).ceil() * unit
}

/// A number for a person: with separators, and with digits behind the point where it is small.
pub fn count(value: f64) -> String {
    if !value.is_finite() {
        return "unlimited".to_owned();
    }
    if value < 10.0 && value.fract() != 0.0 {
        let text = format!("{value:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return if text == "0" {
            "< 0.01".to_owned()
        } else {
            text.to_owned()
        };
    }
    let digits = format!("{value:.0}");
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
