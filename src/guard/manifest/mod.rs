//! The manifest of a feature: the channels that its clients listen to, the events behind them, and
//! its needs of the platform.
//!
//! ```yaml
//! feature: order-tracking
//! owner: team-orders
//! platform: { config: platform/eventcast.yaml }
//! channels:
//!   - channel: "order:{orderId}"
//!     audience: [customer]
//!     delivery: { qos: 1, expires: 5m }
//! events:
//!   - name: order-placed
//!     source: shop.orders
//!     detail-type: OrderPlaced
//!     to: ["order:{orderId}"]
//!     examples:
//!       - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
//! ```
//!
//! The same comes from an AsyncAPI 3 document whose parts have `x-realtime`. All faults of a file
//! are reported at once. This module is pure: the caller reads the file, and the configuration it
//! names.

pub mod address;
pub mod asyncapi;
pub mod example;
mod keys;
mod read;
pub mod schema;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use self::address::ChannelAddress;
use self::example::ExampleBody;
use self::schema::PayloadSchema;
use crate::config::check::{Faults, text_of};
use crate::config::fault::{Fault, Severity, ValuePlace};
use crate::config::{member, yaml};
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue};

/// The most bytes that a manifest may have.
pub const MAX_MANIFEST_BYTES: usize = yaml::MAX_FILE_BYTES;

/// A checked manifest.
#[derive(Clone, Debug)]
pub struct FeatureManifest {
    /// The file's name, for messages.
    pub file: String,
    /// The feature's name.
    pub feature: String,
    /// The team or person to ask.
    pub owner: Option<String>,
    /// The platform's configuration.
    pub platform: PlatformSource,
    /// Channels that clients listen to.
    pub channels: Vec<DeclaredChannel>,
    /// Events that the feature puts on the bus.
    pub events: Vec<DeclaredEvent>,
    /// Example claims of roles, in place of claims that are made up.
    pub claims: BTreeMap<String, Value>,
}

/// The place of the platform's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformSource {
    /// Its path from the root of the repository.
    pub config: String,
    /// The SHA-256 of the file, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Quotas of the account that were raised.
    pub quotas: RaisedQuotas,
    /// The line and column of the path.
    pub at: TextPosition,
}

/// Quotas of an AWS account that a request raises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RaisedQuotas {
    /// Publishes a second that clients of the account send.
    pub inbound_per_second: Option<u64>,
    /// Publishes a second to all subscribers of the account.
    pub outbound_per_second: Option<u64>,
    /// Filters that one connection may be subscribed to.
    pub subscriptions_per_connection: Option<u64>,
}

/// A channel that the feature's clients listen to.
#[derive(Clone, Debug)]
pub struct DeclaredChannel {
    /// Its address.
    pub address: ChannelAddress,
    /// Its purpose, in the team's words.
    pub about: Option<String>,
    /// The roles that may receive from it, and no others.
    pub audience: Vec<AudienceMember>,
    /// The delivery that its clients rely on.
    pub delivery: DeclaredDelivery,
    /// Its load.
    pub scale: DeclaredScale,
    /// The request that gives a client the state before its first message.
    pub snapshot: Option<String>,
    /// The way of clients without WebSockets.
    pub fallback: ChannelFallback,
    /// Position of its declaration.
    pub at: TextPosition,
}

/// A role of the platform that may receive from a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudienceMember {
    /// The role's name.
    pub role: String,
    /// The channels of the address that it may receive from.
    pub extent: AudienceExtent,
    /// Position of its name.
    pub at: TextPosition,
}

/// The channels of one address that a client may receive from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AudienceExtent {
    /// The channels that the client's token names.
    #[default]
    Own,
    /// Every one.
    All,
    /// The channels for which the token names these parameters; the others may have any value.
    Named(Vec<String>),
}

/// The delivery that clients of a channel rely on; `None` leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeclaredDelivery {
    /// MQTT quality of service, at least.
    pub qos: Option<u8>,
    /// Time for which a message is worth delivering, at least.
    pub expires: Option<Duration>,
    /// `true` where intermediate messages may be left out.
    pub conflate: Option<bool>,
    /// `true` where the last message is kept for clients that come later.
    pub retain: Option<bool>,
}

/// The load of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeclaredScale {
    /// Messages a second at peak, over all channels of the address.
    pub peak_per_second: Option<u64>,
    /// Messages a second at peak on one channel.
    pub channel_peak_per_second: Option<u64>,
    /// Subscribers of one channel at most.
    pub subscribers: Option<u64>,
    /// Channels of the address that one client follows at most.
    pub channels_per_client: Option<u64>,
}

/// The way of clients without WebSockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelFallback {
    /// The manifest does not say.
    #[default]
    Unstated,
    /// Long polls or streams of the platform's gateway.
    Gateway,
    /// None: such clients see the state of their last request.
    None,
}

/// An event that the feature puts on the bus.
#[derive(Clone, Debug)]
pub struct DeclaredEvent {
    /// Its name in the manifest.
    pub name: String,
    /// The envelope's `source`.
    pub source: String,
    /// The envelope's `detail-type`.
    pub detail_type: String,
    /// The channels that its messages go to, as places in [`FeatureManifest::channels`].
    pub to: Vec<usize>,
    /// The schema of its `detail`.
    pub schema: Option<PayloadSchema>,
    /// Events that must reach the channels.
    pub examples: Vec<ExampleBody>,
    /// Events that must not.
    pub counter_examples: Vec<ExampleBody>,
    /// Position of its declaration.
    pub at: TextPosition,
}

impl FeatureManifest {
    /// The channels of an event.
    pub fn channels_of<'m>(
        &'m self,
        event: &'m DeclaredEvent,
    ) -> impl Iterator<Item = &'m DeclaredChannel> {
        event
            .to
            .iter()
            .filter_map(|index| self.channels.get(*index))
    }
}

/// Reads a manifest: `realtime.yaml`, or an AsyncAPI 3 document with `x-realtime`, as YAML or JSON.
///
/// # Errors
/// All faults, in the order of the file.
pub fn read(file: &str, source: &str) -> Result<FeatureManifest, Vec<Fault>> {
    let place = |at: TextPosition| ValuePlace::file(file, at);
    let mut faults = Faults {
        place: &place,
        found: Vec::new(),
    };
    let root = match yaml::parse(source) {
        Ok(root) => root.unwrap_or(TreeValue::empty_object(TextPosition { line: 1, column: 1 })),
        Err(error) => {
            faults.error("not-yaml", "", error.at, error.message);
            return Err(faults.found);
        }
    };
    let manifest = match member(&root, "asyncapi") {
        Some(version) => asyncapi::manifest(file, &root, version, &mut faults),
        None => read::manifest(file, &root, &mut faults),
    };
    let mut found = faults.found;
    found.sort_by_key(|fault| match &fault.place {
        ValuePlace::Override { .. } => (0, 0),
        ValuePlace::File { line, column, .. } => (*line, *column),
    });
    found.dedup();
    let broken = found.iter().any(|fault| fault.severity == Severity::Error);
    match manifest {
        Some(manifest) if !broken => Ok(manifest),
        _ => Err(found),
    }
}

/// A whole number of the tree.
fn number(node: &TreeValue, key: &str) -> Option<u64> {
    match &member(node, key)?.value {
        NodeValue::Number(text) => text.parse().ok(),
        _ => None,
    }
}

/// `true` or `false` of the tree.
fn truth(node: &TreeValue, key: &str) -> Option<bool> {
    match &member(node, key)?.value {
        NodeValue::Bool(value) => Some(*value),
        _ => None,
    }
}

/// Text of a node.
fn string(node: &TreeValue) -> Option<String> {
    match &node.value {
        NodeValue::String(text) => Some(text_of(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
