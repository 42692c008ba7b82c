//! Platform on one machine, for development, tests and benchmarks: endpoints that speak AWS's
//! protocols. In memory only.
//!
//! The event bus and the queues speak EventBridge's and SQS's JSON protocols, so that every SDK
//! works with `AWS_ENDPOINT_URL`. The broker speaks MQTT as IoT Core does, and has its HTTPS data
//! plane and its control plane. `/_dev/faults` injects faults.

pub mod authority;
pub mod broker;
mod bus;
pub mod control_plane;
mod data_plane;
pub mod demo;
mod faults;
pub mod inspector;
pub mod observers;
mod pem;
pub mod prepare;
mod query;
mod queue;
mod refusal;
mod rest;
mod server;
mod service;
mod sighting;
mod site_guard;
pub mod sites;
mod uuid;

pub use server::{EndpointOptions, Platform};

/// Account that owns every resource.
pub const ACCOUNT: &str = "000000000000";

/// Body of an answer, or the reason why there is none.
type ApiResult = Result<Vec<u8>, refusal::ApiRefusal>;

/// Serializes an answer.
fn body_of(value: &impl serde::Serialize) -> ApiResult {
    serde_json::to_vec(value)
        .map_err(|error| refusal::ApiRefusal::new("InternalFailure", error.to_string()))
}
