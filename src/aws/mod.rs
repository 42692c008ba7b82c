//! Adapters over the AWS SDK. Its types stay inside this module; its errors are mapped once (`error`).

pub mod client;
mod error;
pub mod sqs;
