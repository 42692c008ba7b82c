//! Capacity: a platform's use of its quotas, its cost in a month, and the time that it takes to
//! recover.
//!
//! Pure arithmetic over a load description. Quotas and prices are data files with a date and a
//! source for each line; nothing is asked of AWS here. Rates are per second, money is US dollars of
//! a month, times are seconds, unless a name says otherwise.

pub mod assertion;
pub mod bill;
pub mod capacity_plan;
pub mod chart;
pub mod data_line;
pub mod demand;
pub mod facts;
pub mod fleet;
pub mod learn;
pub mod levers;
pub mod pictures;
pub mod prices;
pub mod quota_use;
pub mod quotas;
pub mod recovery;
pub mod report;
pub mod sweep;
pub mod words;

#[cfg(test)]
mod tests;
