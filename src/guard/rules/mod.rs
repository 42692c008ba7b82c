//! The rules, one file each.

pub mod realtime_dependency;
