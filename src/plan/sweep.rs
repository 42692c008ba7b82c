//! The plan of the same load with other numbers of clients, from ten thousand to ten million.

use serde::Serialize;

use super::bill::CostGroup;
use super::capacity_plan::PlanBasis;
use super::quotas::QuotaName;

/// Numbers of clients of a sweep.
pub const SWEPT_CLIENTS: [f64; 10] = [1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7];

/// Plan of one number of clients, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepPoint {
    /// Clients of a day.
    pub clients: f64,
    /// US dollars of a month by group, in the order of [`CostGroup::ALL`].
    pub dollars: Vec<(CostGroup, f64)>,
    /// Part of each quota that is used, of 1.
    pub used: Vec<(QuotaName, String, f64)>,
    /// Seconds until all clients are live after an outage.
    pub live_seconds: f64,
    /// The most tasks of bridge and gateway.
    pub tasks: f64,
}

/// The points of a load.
pub fn sweep(basis: &PlanBasis) -> Vec<SweepPoint> {
    let point = |clients: f64| {
        let plan = basis.with_clients(clients).plan();
        let groups = CostGroup::ALL.into_iter();
        let mut used: Vec<_> = plan
            .quotas
            .iter()
            .map(|quota| (quota.name, quota.title.clone(), quota.used / quota.limit))
            .collect();
        used.sort_by_key(|(name, ..)| *name);
        SweepPoint {
            clients,
            dollars: groups
                .map(|group| (group, plan.bill.of_group(group)))
                .collect(),
            used,
            live_seconds: plan.recovery.live_seconds,
            tasks: plan.fleet.most_tasks(),
        }
    };
    SWEPT_CLIENTS.into_iter().map(point).collect()
}
