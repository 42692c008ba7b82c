//! Adapters over the AWS SDK. Its types stay inside this module; its errors are mapped once (`error`).

mod batch;
#[cfg(feature = "admin")]
pub mod caller;
mod causes;
pub mod client;
pub mod clock;
#[cfg(feature = "admin")]
pub mod connections;
#[cfg(feature = "admin")]
pub mod control_plane;
pub mod data_plane;
pub mod dead_letter_queue;
pub mod ecs_tasks;
pub mod endpoint;
mod error;
mod exchange;
pub mod facts;
pub mod json_call;
#[cfg(feature = "authorizer")]
pub mod key_set;
#[cfg(feature = "lambda")]
pub mod parameter;
mod received;
#[cfg(feature = "authorizer")]
pub mod revoked_table;
pub mod service_quotas;
pub mod sign;
pub mod sqs;
pub mod upstream;
