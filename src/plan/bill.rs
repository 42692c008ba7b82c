//! The monthly bill, by line.
//!
//! A month has 30 days. Messages of IoT Core are metered by 5 KB, and a month's first milliard
//! costs more than those after it: the cost of all messages is shared among the lines by their
//! number. Not in the bill: data transfer, NAT gateways, logs and metrics of CloudWatch, taxes,
//! free tiers, discounts, and the producers.

use serde::Serialize;

use super::demand::{LoadDemand, METERED_BYTES};
use super::facts::PlatformFacts;
use super::fleet::FleetSize;
use super::prices::{PriceName, PriceTable};
use crate::config::load_profile::{DAY, LoadProfile, MONTH_DAYS};

/// Hours of a month.
const MONTH_HOURS: f64 = MONTH_DAYS * 24.0;

/// Bytes of a unit of SQS's and EventBridge's bills (pricing pages of both: 64 KB chunks).
const CHUNK_BYTES: f64 = 65_536.0;

/// Connections of a load balancer in one unit of its capacity, and new ones a second (Elastic Load
/// Balancing pricing, "LCU details").
const LCU_CONNECTIONS: f64 = 3_000.0;
const LCU_NEW_CONNECTIONS: f64 = 25.0;

/// Requests that the bridge needs beside its events: an empty long poll every 20 seconds.
const LONG_POLL_SECONDS: f64 = 20.0;

/// Time of a call of the queue, in seconds, which says how full receives are.
const QUEUE_CALL_SECONDS: f64 = 0.02;

/// Part of a platform that a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CostGroup {
    /// Time that clients are connected to IoT Core.
    Connections,
    /// Messages of IoT Core.
    Messages,
    /// The bus and the queue.
    Events,
    /// The custom authorizer.
    Authorizer,
    /// Tasks and load balancers.
    Compute,
}

impl CostGroup {
    /// All groups, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::Connections,
        Self::Messages,
        Self::Events,
        Self::Authorizer,
        Self::Compute,
    ];

    /// Words for a person.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connections => "connection time",
            Self::Messages => "messages",
            Self::Events => "bus and queue",
            Self::Authorizer => "authorizer",
            Self::Compute => "tasks",
        }
    }
}

/// Line of the bill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostLine {
    /// Part of the platform.
    pub group: CostGroup,
    /// Name, stable for programs.
    pub name: &'static str,
    /// Words for a person.
    pub title: &'static str,
    /// Units of a month.
    pub units: f64,
    /// The unit.
    pub unit: String,
    /// US dollars of a month.
    pub dollars: f64,
}

/// Bill of a month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MonthlyBill {
    /// The lines.
    pub lines: Vec<CostLine>,
    /// Their sum, in US dollars.
    pub total: f64,
}

impl MonthlyBill {
    /// The bill of a load.
    pub fn of(
        profile: &LoadProfile,
        facts: &PlatformFacts,
        demand: &LoadDemand,
        fleet: &FleetSize,
        prices: &PriceTable,
    ) -> Self {
        let mut lines = BillLines {
            prices,
            found: Vec::new(),
        };
        let minutes = DAY.as_secs_f64() * MONTH_DAYS / 60.0;
        lines.add(
            CostGroup::Connections,
            "client-connections",
            "connections of clients",
            PriceName::IotConnectionMinute,
            demand.connected.mean * minutes,
        );
        lines.add(
            CostGroup::Connections,
            "bridge-connections",
            "connections of the bridge",
            PriceName::IotConnectionMinute,
            fleet.connections * minutes,
        );
        messages(facts, demand, &mut lines);
        events(profile, facts, demand, fleet, &mut lines);
        let calls = a_month(demand.authorizer_calls.mean);
        lines.add(
            CostGroup::Authorizer,
            "authorizer-calls",
            "calls of the authorizer",
            PriceName::LambdaRequest,
            calls,
        );
        lines.add(
            CostGroup::Authorizer,
            "authorizer-time",
            "time of the authorizer",
            PriceName::LambdaGbSecond,
            calls * profile.authorizer.as_secs_f64() * profile.authorizer_mb / 1_024.0,
        );
        compute(profile, demand, fleet, &mut lines);
        let total = lines.found.iter().map(|line| line.dollars).sum();
        Self {
            lines: lines.found,
            total,
        }
    }

    /// The sum of a group, in US dollars.
    pub fn of_group(&self, group: CostGroup) -> f64 {
        let lines = self.lines.iter().filter(|line| line.group == group);
        lines.map(|line| line.dollars).sum()
    }
}

fn a_month(per_second: f64) -> f64 {
    per_second * DAY.as_secs_f64() * MONTH_DAYS
}

struct BillLines<'p> {
    prices: &'p PriceTable,
    found: Vec<CostLine>,
}

impl BillLines<'_> {
    fn add(
        &mut self,
        group: CostGroup,
        name: &'static str,
        title: &'static str,
        price: PriceName,
        units: f64,
    ) {
        let dollars = self.prices.cost(price, units);
        self.push(group, name, title, price, units, dollars);
    }

    fn push(
        &mut self,
        group: CostGroup,
        name: &'static str,
        title: &'static str,
        price: PriceName,
        units: f64,
        dollars: f64,
    ) {
        let line = self.prices.line(price);
        self.found.push(CostLine {
            group,
            name,
            title,
            units,
            unit: line.map_or_else(String::new, |line| line.unit.clone()),
            dollars,
        });
    }
}

/// Lines of IoT Core's messages (AWS IoT Core pricing, "Additional details": CONNECT, SUBSCRIBE,
/// PUBLISH in and out, PUBACK of clients, and retained messages are metered).
fn messages(facts: &PlatformFacts, demand: &LoadDemand, lines: &mut BillLines<'_>) {
    let sum = |part: &dyn Fn(&super::demand::RouteDemand) -> f64| -> f64 {
        demand.routes.iter().map(part).sum()
    };
    // An answer of the data plane's HTTP API is metered as well.
    let answer = f64::from(u8::from(facts.publishes_by_https));
    let published = sum(&|route| route.published.mean * (route.metered_units + answer));
    let delivered = sum(&|route| route.delivered.mean * route.metered_units);
    let acknowledged = sum(&|route| route.delivered.mean * f64::from(route.qos));
    let retained = sum(&|route| {
        let kept = f64::from(u8::from(route.retain));
        route.published.mean * route.metered_units * kept
    });
    // A stored message is metered when it is stored, and again when it is delivered.
    let stored_part = if demand.delivered_qos1.mean > 0.0 {
        demand.stored.mean / demand.delivered_qos1.mean
    } else {
        0.0
    };
    let stored = sum(&|route| {
        let qos1 = route.delivered.mean * f64::from(route.qos);
        qos1 * stored_part * (2.0 * route.metered_units + 1.0)
    });
    let rates = [
        ("deliveries", "messages to clients", delivered),
        ("publications", "messages of the bridge", published),
        (
            "client-publications",
            "messages of clients",
            demand.client_published.mean,
        ),
        (
            "acknowledgements",
            "PUBACK of clients (QoS 1)",
            acknowledged,
        ),
        ("connects", "CONNECT", demand.connects.mean),
        ("subscribes", "SUBSCRIBE", demand.subscribes.mean),
        ("retained", "retained messages", retained),
        ("stored", "stored messages, and their deliveries", stored),
    ];
    let all: f64 = rates.iter().map(|(.., rate)| a_month(*rate)).sum();
    let cost = lines.prices.cost(PriceName::IotMessage, all);
    for (name, title, rate) in rates {
        let units = a_month(rate);
        let part = if all > 0.0 { cost * units / all } else { 0.0 };
        lines.push(
            CostGroup::Messages,
            name,
            title,
            PriceName::IotMessage,
            units,
            part,
        );
    }
}

fn events(
    profile: &LoadProfile,
    facts: &PlatformFacts,
    demand: &LoadDemand,
    fleet: &FleetSize,
    lines: &mut BillLines<'_>,
) {
    let events = a_month(demand.events.mean);
    let chunks = (profile.event_bytes / CHUNK_BYTES).ceil().max(1.0);
    lines.add(
        CostGroup::Events,
        "bus-events",
        "events on the bus",
        PriceName::EventbridgeEvent,
        events * chunks,
    );
    // Messages that wait when a receive is answered: those that came during a call.
    let fill = (demand.events.mean / fleet.bridge.mean * QUEUE_CALL_SECONDS).clamp(1.0, 10.0);
    let polls = fleet.bridge.mean * a_month(1.0) / LONG_POLL_SECONDS;
    let calls = events * chunks * (1.0 + 1.0 / fill) + events / fill + polls;
    let price = if facts.is_fifo {
        PriceName::SqsFifoRequest
    } else {
        PriceName::SqsRequest
    };
    lines.add(
        CostGroup::Events,
        "queue-requests",
        "requests of the queue",
        price,
        calls,
    );
}

fn compute(
    profile: &LoadProfile,
    demand: &LoadDemand,
    fleet: &FleetSize,
    lines: &mut BillLines<'_>,
) {
    let mut tasks = |count: f64, names: [(&'static str, &'static str); 2]| {
        let hours = count * MONTH_HOURS;
        let [(cpu, cpu_title), (memory, memory_title)] = names;
        lines.add(
            CostGroup::Compute,
            cpu,
            cpu_title,
            PriceName::FargateVcpuHour,
            hours * profile.task_vcpus,
        );
        lines.add(
            CostGroup::Compute,
            memory,
            memory_title,
            PriceName::FargateGbHour,
            hours * profile.task_gb,
        );
    };
    let bridge = [
        ("bridge-cpu", "tasks of the bridge, vCPU"),
        ("bridge-memory", "tasks of the bridge, memory"),
    ];
    tasks(fleet.bridge.mean, bridge);
    let Some(gateway) = fleet.gateway else {
        return;
    };
    let names = [
        ("gateway-cpu", "tasks of the gateway, vCPU"),
        ("gateway-memory", "tasks of the gateway, memory"),
    ];
    tasks(gateway.mean, names);
    lines.add(
        CostGroup::Compute,
        "balancer",
        "load balancer",
        PriceName::AlbHour,
        MONTH_HOURS,
    );
    let capacity = (demand.polling.mean / LCU_CONNECTIONS)
        .max(demand.connects.mean * profile.polling_share / LCU_NEW_CONNECTIONS);
    lines.add(
        CostGroup::Compute,
        "balancer-capacity",
        "load balancer, capacity",
        PriceName::AlbLcuHour,
        capacity * MONTH_HOURS,
    );
}

/// Payload at which a message is one unit of the bill.
pub fn payload_of_one_unit() -> f64 {
    METERED_BYTES - super::demand::METERED_EXTRA_BYTES
}
