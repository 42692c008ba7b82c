//! Prices of a Region: lines with a date and a source, and tiers where a month's first units cost
//! more than its last ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::data_line::{DataLineFault, LineOrigin, read_lines};

/// Name of the built-in file in messages.
pub const PRICE_FILE: &str = "prices.jsonl";
const BUILT_IN: &str = include_str!("prices.jsonl");

/// Thing that AWS bills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PriceName {
    /// A client that is connected to IoT Core for a minute.
    IotConnectionMinute,
    /// A message of IoT Core, by 5 KB.
    IotMessage,
    /// A request of a standard queue, by 64 KB.
    SqsRequest,
    /// A request of a FIFO queue, by 64 KB.
    SqsFifoRequest,
    /// An event put on a bus, by 64 KB.
    EventbridgeEvent,
    /// A call of a function.
    LambdaRequest,
    /// A GB of a function's memory for a second.
    LambdaGbSecond,
    /// A vCPU of a task for an hour.
    FargateVcpuHour,
    /// A GB of a task for an hour.
    FargateGbHour,
    /// A load balancer for an hour.
    AlbHour,
    /// A unit of a load balancer's capacity for an hour.
    AlbLcuHour,
}

impl fmt::Display for PriceName {
    /// The name in data files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl PriceName {
    const ALL: [Self; 11] = [
        Self::IotConnectionMinute,
        Self::IotMessage,
        Self::SqsRequest,
        Self::SqsFifoRequest,
        Self::EventbridgeEvent,
        Self::LambdaRequest,
        Self::LambdaGbSecond,
        Self::FargateVcpuHour,
        Self::FargateGbHour,
        Self::AlbHour,
        Self::AlbLcuHour,
    ];
}

/// Price of the units of a month up to a number of them.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTier {
    /// Units of the month below which it holds; without it, for all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<f64>,
    /// US dollars a unit.
    pub price: f64,
}

/// Members of a line beside those of its origin.
const MEMBERS: [&str; 4] = ["name", "title", "unit", "tiers"];

/// Price of one thing in some Regions.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PriceLine {
    /// The thing.
    pub name: PriceName,
    /// Words for a person.
    pub title: String,
    /// Unit that is billed.
    pub unit: String,
    /// Tiers, the first units of a month first.
    pub tiers: Vec<PriceTier>,
    /// Origin of the price.
    #[serde(flatten)]
    pub origin: LineOrigin,
}

impl PriceLine {
    /// US dollars for so many units of a month.
    pub fn cost(&self, units: f64) -> f64 {
        let (mut cost, mut below) = (0.0, 0.0);
        for tier in &self.tiers {
            let end = tier.up_to.unwrap_or(f64::INFINITY).min(units);
            if end > below {
                cost += (end - below) * tier.price;
                below = end;
            }
        }
        cost
    }

    /// Reason why the tiers are none.
    fn fault(&self) -> Option<&'static str> {
        let ends = self.tiers.iter().map(|tier| tier.up_to);
        let rises = |pair: &[Option<f64>]| match pair {
            [Some(first), Some(second)] => first < second,
            [Some(_), None] => true,
            _ => false,
        };
        let ends: Vec<_> = ends.collect();
        let is_price = |tier: &PriceTier| tier.price.is_finite() && tier.price >= 0.0;
        if !self.tiers.iter().all(is_price) {
            Some("a price is below zero")
        } else if ends.last() != Some(&None) || !ends.windows(2).all(rises) {
            Some("`up_to` of tiers must grow, and the last tier has none")
        } else {
            None
        }
    }
}

/// Reason why there are no prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceFault {
    /// Lines of a file are none.
    Lines(Vec<DataLineFault>),
    /// Prices of the Region are not known.
    Region {
        /// The Region.
        region: String,
        /// Names of the first price that lacks it.
        missing: PriceName,
        /// Regions with prices.
        known: Vec<String>,
    },
}

/// Prices of one Region.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceTable {
    lines: BTreeMap<PriceName, PriceLine>,
}

impl PriceTable {
    /// The prices of a Region by the built-in file.
    ///
    /// # Errors
    /// [`PriceFault::Region`] for a Region whose prices the file lacks.
    pub fn try_of_region(region: &str) -> Result<Self, PriceFault> {
        Self::try_new(region, &[(PRICE_FILE, BUILT_IN)])
    }

    /// The prices of a Region, with lines of another file above the built-in ones.
    ///
    /// # Errors
    /// [`PriceFault`].
    pub fn try_with_file(region: &str, file: &str, text: &str) -> Result<Self, PriceFault> {
        Self::try_new(region, &[(PRICE_FILE, BUILT_IN), (file, text)])
    }

    fn try_new(region: &str, files: &[(&str, &str)]) -> Result<Self, PriceFault> {
        let mut table = BTreeMap::<PriceName, (u8, PriceLine)>::new();
        let (mut faults, mut known) = (Vec::new(), BTreeSet::new());
        for (file, text) in files {
            let lines: Vec<(usize, PriceLine)> = match read_lines(file, text, &MEMBERS) {
                Ok(lines) => lines,
                Err(found) => {
                    faults.extend(found);
                    continue;
                }
            };
            for (number, line) in lines {
                if let Some(message) = line.fault() {
                    faults.push(DataLineFault {
                        file: (*file).to_owned(),
                        line: number,
                        message: message.to_owned(),
                    });
                }
                known.extend(line.origin.regions.iter().cloned());
                let fit = line.origin.fit(region);
                let before = table.get(&line.name).map_or(1, |(before, _)| *before);
                if fit > 0 && fit >= before {
                    table.insert(line.name, (fit, line));
                }
            }
        }
        if !faults.is_empty() {
            return Err(PriceFault::Lines(faults));
        }
        if let Some(missing) = PriceName::ALL
            .into_iter()
            .find(|name| !table.contains_key(name))
        {
            return Err(PriceFault::Region {
                region: region.to_owned(),
                missing,
                known: known.into_iter().collect(),
            });
        }
        let lines = table.into_iter().map(|(name, (_, line))| (name, line));
        Ok(Self {
            lines: lines.collect(),
        })
    }

    /// The line of a thing.
    pub fn line(&self, name: PriceName) -> Option<&PriceLine> {
        self.lines.get(&name)
    }

    /// US dollars for so many units of a month.
    pub fn cost(&self, name: PriceName, units: f64) -> f64 {
        // The constructor refuses a table that lacks one.
        self.lines.get(&name).map_or(0.0, |line| line.cost(units))
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = &PriceLine> {
        self.lines.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_those_of_the_month() {
        let table = PriceTable::try_of_region("us-east-1").unwrap();
        for (billions, dollars) in [(0.0, 0.0), (0.5, 500.0), (1.32, 1_256.0), (19.2, 14_140.0)] {
            let cost = table.cost(PriceName::IotMessage, billions * 1e9);
            assert!((cost - dollars).abs() < 1e-6, "{billions}: {cost}");
        }
    }

    #[test]
    fn unknown_regions_and_own_lines() {
        let Err(PriceFault::Region { known, .. }) = PriceTable::try_of_region("sa-east-1") else {
            panic!("no prices are known there")
        };
        assert_eq!(
            known,
            [
                "ap-northeast-1",
                "eu-central-1",
                "eu-west-1",
                "us-east-1",
                "us-east-2",
                "us-west-2"
            ]
        );
        let own: String = PriceTable::try_of_region("us-east-1")
            .unwrap()
            .lines()
            .map(|line| {
                let mut line = line.clone();
                line.origin.regions = vec!["sa-east-1".to_owned()];
                serde_json::to_string(&line).unwrap() + "\n"
            })
            .collect();
        let table = PriceTable::try_with_file("sa-east-1", "own.jsonl", &own).unwrap();
        assert_eq!(table.cost(PriceName::AlbHour, 1_000.0).round(), 23.0);
    }

    #[test]
    fn tiers_that_are_none() {
        let line = |tiers: &str| {
            format!(
                r#"{{"name":"alb-hour","title":"x","unit":"h","tiers":{tiers},"regions":["*"],"read":"2026-11-01","standing":"stated","source":"x"}}"#
            )
        };
        let is_refused = |tiers: &str| {
            PriceTable::try_with_file("us-east-1", "own.jsonl", &line(tiers)).is_err()
        };
        assert!(!is_refused(r#"[{"up_to":1,"price":2},{"price":1}]"#));
        for tiers in [
            "[]",
            r#"[{"up_to":1,"price":2}]"#,
            r#"[{"price":1},{"price":1}]"#,
            r#"[{"up_to":2,"price":1},{"up_to":1,"price":1},{"price":1}]"#,
            r#"[{"price":-1}]"#,
            r#"[{"price":1,"upto":5}]"#,
        ] {
            assert!(is_refused(tiers), "{tiers}");
        }
    }
}
