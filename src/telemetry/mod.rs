//! What the process tells of itself: logs and counters. Never a payload, a receipt or a token.

pub mod counters;
pub mod logs;
