//! The plan of a platform: demand, fleet, quotas, recovery, bill and levers together.

use jiff::civil::Date;
use serde::Serialize;

use super::bill::MonthlyBill;
use super::data_line::{LineOrigin, LineStanding};
use super::demand::LoadDemand;
use super::facts::PlatformFacts;
use super::fleet::FleetSize;
use super::levers::{CostLever, LeverBase};
use super::prices::PriceTable;
use super::quota_use::{QuotaDemand, QuotaUse, quota_uses};
use super::quotas::QuotaTable;
use super::recovery::RecoveryTime;
use crate::config::load_profile::LoadProfile;

/// Things that a plan is made of.
#[derive(Clone, Debug)]
pub struct PlanBasis {
    /// The load.
    pub profile: LoadProfile,
    /// The configuration.
    pub facts: PlatformFacts,
    /// Quotas of the Region.
    pub quotas: QuotaTable,
    /// Prices of the Region.
    pub prices: PriceTable,
    /// Head-room that quotas are to have, of 1.
    pub headroom: f64,
}

/// Plan of a platform.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CapacityPlan {
    /// The Region.
    pub region: String,
    /// Clients of a day.
    pub clients: f64,
    /// Demand.
    pub demand: LoadDemand,
    /// Tasks and connections.
    pub fleet: FleetSize,
    /// Quotas, the smallest head-room first.
    pub quotas: Vec<QuotaUse>,
    /// Recovery from an outage.
    pub recovery: RecoveryTime,
    /// The month's bill.
    pub bill: MonthlyBill,
    /// Changes that lower it.
    pub levers: Vec<CostLever>,
}

impl PlanBasis {
    /// The plan.
    pub fn plan(&self) -> CapacityPlan {
        let Self {
            profile,
            facts,
            quotas,
            prices,
            headroom,
        } = self;
        let demand = LoadDemand::of(profile, facts);
        let fleet = FleetSize::of(profile, facts, &demand, quotas);
        let parts = QuotaDemand {
            profile,
            facts,
            demand: &demand,
            fleet: &fleet,
        };
        let bill = MonthlyBill::of(profile, facts, &demand, &fleet, prices);
        let base = LeverBase {
            profile,
            facts,
            quotas,
            prices,
            total: bill.total,
        };
        CapacityPlan {
            region: quotas.region().to_owned(),
            clients: profile.clients,
            quotas: quota_uses(&parts, quotas, *headroom),
            recovery: RecoveryTime::of(profile, &demand, &fleet, quotas),
            levers: base.levers(),
            demand,
            fleet,
            bill,
        }
    }

    /// The same with another number of clients.
    #[must_use]
    pub fn with_clients(&self, clients: f64) -> Self {
        let mut other = self.clone();
        other.profile.clients = clients;
        other
    }

    /// Remarks on lines of the data files that need a look: old ones, and unverified ones.
    pub fn remarks(&self, today: Date) -> Vec<String> {
        let quotas = self.quotas.lines();
        let quotas = quotas.map(|line| ("quota", line.name.to_string(), &line.origin));
        let prices = self.prices.lines();
        let prices = prices.map(|line| ("price", line.name.to_string(), &line.origin));
        let lines: Vec<(&str, String, &LineOrigin)> = quotas.chain(prices).collect();
        let mut remarks: Vec<String> = lines
            .iter()
            .filter(|(.., origin)| origin.is_stale(today))
            .map(|(kind, name, origin)| {
                let LineOrigin { read, source, .. } = origin;
                format!("the {kind} `{name}` was read on {read}, over 180 days ago: look it up at {source}")
            })
            .collect();
        let unverified: Vec<&str> = lines
            .iter()
            .filter(|(.., origin)| origin.standing == LineStanding::Unverified)
            .map(|(_, name, _)| &**name)
            .collect();
        if !unverified.is_empty() {
            remarks.push(format!(
                "unverified values, to be looked up before they are relied on: {}",
                unverified.join(", ")
            ));
        }
        remarks
    }
}
