//! Capacity: what a platform of a configuration uses of its quotas, costs in a month, and how long
//! it takes to recover.
//!
//! Pure arithmetic over a load description. Quotas and prices are data files with a date and a
//! source for each line; nothing is asked of AWS here. Rates are per second, money is US dollars of
//! a month, times are seconds, unless a name says otherwise.

pub mod data_line;
pub mod quotas;
