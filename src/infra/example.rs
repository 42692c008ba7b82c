//! The configuration of `infra/example/`, for the tests of both parts.

/// The example as written.
pub(super) const EXAMPLE: &str = include_str!("../../infra/example/eventcast.yaml");
