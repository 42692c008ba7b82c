//! The configuration of `infra/example/`, for the tests of both parts.

use crate::config::{Config, ConfigSource, load};

/// The example as written.
pub(super) const EXAMPLE: &str = include_str!("../../infra/example/eventcast.yaml");

/// A configuration that has no fault.
#[track_caller]
pub(super) fn config(text: &str) -> Config {
    let loaded = load(&ConfigSource {
        file: "eventcast.yaml",
        text,
        ..ConfigSource::default()
    });
    loaded
        .config
        .unwrap_or_else(|| panic!("{:?}", loaded.faults))
}
