//! Adapters over the AWS SDK. Its types stay inside this module; its errors are mapped once (`error`).

pub mod client;
pub mod clock;
pub mod data_plane;
pub mod endpoint;
mod error;
pub mod letters;
pub mod sign;
pub mod sqs;
