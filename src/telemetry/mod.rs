//! Output about the process: logs, metrics, health, traces. Never a payload, a receipt or a token.

mod build_info;
mod classic;
pub mod embedded;
pub mod exposition;
pub mod health;
pub mod http;
pub mod instrument;
pub mod logs;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod traces;
