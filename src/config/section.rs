//! Values of a section: numbers, times within bounds, addresses.
//!
//! The shape of every value was checked before ([`super::check`]): what does not fit it here has
//! its fault already, and the default takes its place.

use std::net::SocketAddr;
use std::time::Duration;

use super::check::{Faults, ParseDuration, join};
use super::{member, text};
use crate::event::pattern::tree::{NodeValue, TreeValue};

/// The number of a key.
pub(super) fn number(node: &TreeValue, key: &str, default: usize) -> usize {
    match member(node, key).map(|node| &node.value) {
        Some(NodeValue::Number(digits)) => digits.parse().unwrap_or(default),
        _ => default,
    }
}

/// The time of a key, with a fault where it is outside its bounds, both of which belong to it.
/// `path` is the section's.
pub(super) fn time(
    node: &TreeValue,
    (path, name): (&str, &str),
    default: Duration,
    (least, most): (Duration, Duration),
    accepted: &str,
    faults: &mut Faults<'_>,
) -> Duration {
    let Some(time) = text(node, name).and_then(|text| text.parse_duration()) else {
        return default;
    };
    if !(least..=most).contains(&time) {
        let at = member(node, name).unwrap_or(node).at;
        let key = join(path, name);
        let message = format!("`{key}` is {time:?}");
        faults.error("out-of-range", &key, at, message).accepted = Some(accepted.into());
    }
    time
}

/// The address and port to listen on of a key, with a fault where it is none. `path` is the
/// section's, `example` an address for it.
pub(super) fn listen_address(
    node: &TreeValue,
    (path, name): (&str, &str),
    example: &str,
    faults: &mut Faults<'_>,
) -> Option<SocketAddr> {
    let written = text(node, name)?;
    let address = written.parse().ok();
    if address.is_none() {
        let at = member(node, name).unwrap_or(node).at;
        let key = join(path, name);
        let message = format!("`{key}` is `{written}`");
        faults.error("bad-address", &key, at, message).accepted =
            Some(format!("an address with a port such as `{example}`"));
    }
    address
}
