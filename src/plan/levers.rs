//! Levers: changes that lower the bill, each with its saving alone.
//!
//! A lever is computed by changing the load or the configuration and adding up the bill again. The
//! savings of several levers are not their sum.

use std::time::Duration;

use serde::Serialize;

use super::bill::{MonthlyBill, payload_of_one_unit};
use super::demand::{LoadDemand, metered_units};
use super::facts::PlatformFacts;
use super::fleet::FleetSize;
use super::prices::PriceTable;
use super::quotas::QuotaTable;
use crate::config::load_profile::{FanOut, LoadProfile};

/// Longest refresh that a lever proposes: revoked permissions hold for as long.
const REFRESH: Duration = Duration::from_secs(3_600);

/// Savings below which a lever is not worth a line, in US dollars.
const LEAST_SAVING: f64 = 1.0;

/// Change that lowers the bill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostLever {
    /// Name, stable for programs.
    pub name: &'static str,
    /// The route that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The change, for a person.
    pub change: String,
    /// The price of it that is not money.
    pub caution: &'static str,
    /// US dollars of a month that it saves.
    pub saves: f64,
}

/// A load, and the inputs of its bill.
pub struct LeverBase<'p> {
    /// The load.
    pub profile: &'p LoadProfile,
    /// The configuration.
    pub facts: &'p PlatformFacts,
    /// Quotas.
    pub quotas: &'p QuotaTable,
    /// Prices.
    pub prices: &'p PriceTable,
    /// The bill's total, in US dollars.
    pub total: f64,
}

impl LeverBase<'_> {
    fn lever(
        &self,
        name: &'static str,
        route: Option<&str>,
        change: String,
        caution: &'static str,
        apply: impl Fn(&mut LoadProfile, &mut PlatformFacts),
    ) -> Option<CostLever> {
        let (mut profile, mut facts) = (self.profile.clone(), self.facts.clone());
        apply(&mut profile, &mut facts);
        let demand = LoadDemand::of(&profile, &facts);
        let fleet = FleetSize::of(&profile, &facts, &demand, self.quotas);
        let bill = MonthlyBill::of(&profile, &facts, &demand, &fleet, self.prices);
        let saves = self.total - bill.total;
        (saves >= LEAST_SAVING).then(|| CostLever {
            name,
            route: route.map(str::to_owned),
            change,
            caution,
            saves,
        })
    }

    /// All levers that save something, the largest saving first.
    pub fn levers(&self) -> Vec<CostLever> {
        let mut found: Vec<CostLever> = self.of_routes();
        let reconnects = self.profile.reconnects_per_day;
        if reconnects > 1.0 {
            let fewer = (reconnects / 2.0).max(1.0);
            found.extend(self.lever(
                "reconnects",
                None,
                format!("{fewer} connections of a client a day instead of {reconnects}"),
                "longer keep-alive and sessions; a client that is away costs nothing meanwhile",
                |profile, _| profile.reconnects_per_day = fewer,
            ));
        }
        let hidden = self.profile.hidden_share;
        if hidden > 0.0 {
            found.extend(self.lever(
                "hidden-pages",
                None,
                "disconnect pages while they are hidden".to_owned(),
                "a page that is shown again has to connect first",
                |profile, _| {
                    profile.connected = profile.connected.mul_f64(1.0 - hidden);
                    for route in &mut profile.routes {
                        if let FanOut::Clients(clients) = &mut route.subscribers {
                            *clients *= 1.0 - hidden;
                        }
                    }
                },
            ));
        }
        if self.facts.refresh < REFRESH {
            let minutes = self.facts.refresh.as_secs() / 60;
            found.extend(self.lever(
                "authorizer-refresh",
                None,
                format!("authorizer.refresh: 1h instead of {minutes}m"),
                "a change of permissions takes as long to reach connected clients",
                |_, facts| facts.refresh = REFRESH,
            ));
        }
        if self.facts.publishes_by_https {
            found.extend(self.lever(
                "publish-by-mqtt",
                None,
                "bridge.publish: mqtt instead of https".to_owned(),
                "the bridge keeps connections",
                |_, facts| facts.publishes_by_https = false,
            ));
        }
        found.sort_by(|a, b| b.saves.total_cmp(&a.saves).then(a.name.cmp(b.name)));
        found
    }

    fn of_routes(&self) -> Vec<CostLever> {
        let mut found = Vec::new();
        for (index, load) in self.profile.routes.iter().enumerate() {
            let facts = self.facts.route(&load.name);
            let name = &load.name;
            let change =
                move |profile: &mut LoadProfile,
                      apply: &dyn Fn(&mut crate::config::load_profile::RouteLoad)| {
                    if let Some(load) = profile.routes.get_mut(index) {
                        apply(load);
                    }
                };
            if load.qos.unwrap_or(facts.qos).min(facts.qos) == 1 {
                found.extend(self.lever(
                    "qos",
                    Some(name),
                    format!("QoS 0 for deliveries of `{name}`"),
                    "nothing is stored for clients that are away, and a lost message is not repeated",
                    |profile, _| change(profile, &|load| load.qos = Some(0)),
                ));
            }
            if !facts.conflate && load.conflated_share > 0.0 {
                found.extend(self.lever(
                    "conflate",
                    Some(name),
                    format!("`conflate: true` for `{name}`"),
                    "only for states: steps between are not delivered",
                    |_, facts| {
                        let mut route = facts.route(name);
                        route.conflate = true;
                        facts.routes.retain(|known| known.name != *name);
                        facts.routes.push(route);
                    },
                ));
            }
            if metered_units(load.payload_bytes) > 1.0 {
                found.extend(self.lever(
                    "payload",
                    Some(name),
                    format!(
                        "payloads of `{name}` of at most {} bytes",
                        payload_of_one_unit()
                    ),
                    "`payload: detail`, or fields that clients fetch when they need them",
                    |profile, _| {
                        change(profile, &|load| load.payload_bytes = payload_of_one_unit());
                    },
                ));
            }
        }
        found
    }
}
