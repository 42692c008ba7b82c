//! Assertions on a plan, such as `headroom>=30%` or `cost<=5000`, for CI.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::capacity_plan::CapacityPlan;
use crate::config::duration;

/// Quantity that can be asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertedQuantity {
    /// The smallest head-room of all quotas, of 1.
    Headroom,
    /// The month's bill, in US dollars.
    Cost,
    /// Time until all clients are live, in seconds.
    Recovery,
    /// Time of a broadcast, in seconds.
    Broadcast,
    /// Time until stored messages are delivered, in seconds.
    Drain,
    /// Time until the queue's backlog is published, in seconds.
    Backlog,
    /// Deliveries that are lost in the outage.
    Lost,
    /// The most tasks of bridge and gateway.
    Tasks,
}

impl AssertedQuantity {
    /// Names, as they are written.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("headroom", Self::Headroom),
        ("cost", Self::Cost),
        ("recovery", Self::Recovery),
        ("broadcast", Self::Broadcast),
        ("drain", Self::Drain),
        ("backlog", Self::Backlog),
        ("lost", Self::Lost),
        ("tasks", Self::Tasks),
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }

    const fn is_time(self) -> bool {
        matches!(
            self,
            Self::Recovery | Self::Broadcast | Self::Drain | Self::Backlog
        )
    }

    /// The plan's value; infinite where it never ends.
    fn of(self, plan: &CapacityPlan) -> f64 {
        let recovery = &plan.recovery;
        match self {
            Self::Headroom => {
                let headroom = plan.quotas.iter().map(|quota| quota.headroom);
                headroom.fold(1.0, f64::min)
            }
            Self::Cost => plan.bill.total,
            Self::Recovery => recovery.live_seconds,
            Self::Broadcast => recovery.broadcast_seconds,
            Self::Drain => recovery.stored_drain_seconds.unwrap_or(f64::INFINITY),
            Self::Backlog => recovery.backlog_drain_seconds.unwrap_or(f64::INFINITY),
            Self::Lost => recovery.lost.total(),
            Self::Tasks => plan.fleet.most_tasks(),
        }
    }

    fn shown(self, value: f64) -> String {
        match self {
            _ if value.is_infinite() => "never".to_owned(),
            Self::Headroom => format!("{:.1} %", value * 100.0),
            Self::Cost => format!("${value:.2}"),
            _ if self.is_time() => super::words::seconds(value),
            _ => super::quota_use::count(value),
        }
    }
}

/// Comparison of an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum AssertedOrder {
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
}

/// Assertion on a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanAssertion {
    quantity: AssertedQuantity,
    order: AssertedOrder,
    bound: f64,
}

/// Outcome of an assertion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AssertionOutcome {
    /// The assertion as written.
    pub assertion: String,
    /// `true` where it holds.
    pub holds: bool,
    /// The plan's value, for a person.
    pub found: String,
}

impl PlanAssertion {
    /// Compares a plan.
    pub fn check(&self, plan: &CapacityPlan) -> AssertionOutcome {
        let found = self.quantity.of(plan);
        // Values that a person reads as equal are equal.
        let slack = self.bound.abs() * 1e-9;
        let holds = match self.order {
            AssertedOrder::AtLeast => found >= self.bound - slack,
            AssertedOrder::AtMost => found <= self.bound + slack,
        };
        AssertionOutcome {
            assertion: self.to_string(),
            holds,
            found: self.quantity.shown(found),
        }
    }
}

impl fmt::Display for PlanAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            AssertedOrder::AtLeast => ">=",
            AssertedOrder::AtMost => "<=",
        };
        let bound = match self.quantity {
            AssertedQuantity::Headroom => format!("{}%", round(self.bound * 100.0)),
            quantity if quantity.is_time() => format!("{}s", self.bound),
            _ => self.bound.to_string(),
        };
        write!(f, "{}{order}{bound}", self.quantity.name())
    }
}

fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl FromStr for PlanAssertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = || {
            let names = AssertedQuantity::NAMES.map(|(name, _)| name).join(", ");
            format!(
                "accepted: one of {names}, then `>=` or `<=`, then a value, such as headroom>=30%, cost<=5000, recovery<=10m"
            )
        };
        let (name, order, value) = if let Some((name, value)) = text.split_once(">=") {
            (name, AssertedOrder::AtLeast, value)
        } else if let Some((name, value)) = text.split_once("<=") {
            (name, AssertedOrder::AtMost, value)
        } else {
            return Err(accepted());
        };
        let names = AssertedQuantity::NAMES.into_iter();
        let quantity = names.into_iter().find(|(known, _)| *known == name.trim());
        let (_, quantity) = quantity.ok_or_else(accepted)?;
        let value = value.trim();
        let bound = match quantity {
            AssertedQuantity::Headroom => value
                .strip_suffix('%')
                .and_then(|percent| percent.trim_end().parse::<f64>().ok())
                .map(|percent| percent / 100.0),
            AssertedQuantity::Cost => value.trim_start_matches('$').parse().ok(),
            quantity if quantity.is_time() => duration(value).map(|time| time.as_secs_f64()),
            _ => value.parse().ok(),
        };
        let bound = bound
            .filter(|bound| bound.is_finite())
            .ok_or_else(|| match quantity {
                AssertedQuantity::Headroom => {
                    "accepted: a percentage, such as headroom>=30%".to_owned()
                }
                quantity if quantity.is_time() => {
                    format!("accepted: a time, such as {name}<=90s or {name}<=10m")
                }
                _ => format!("accepted: a number, such as {name}<=5000"),
            })?;
        Ok(Self {
            quantity,
            order,
            bound,
        })
    }
}
