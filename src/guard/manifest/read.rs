//! From the tree of a `realtime.yaml` to a manifest. Every fault is reported; a refused part is
//! passed over.

use std::collections::BTreeMap;

use serde_json::Value;

use super::address::ChannelAddress;
use super::example::ExampleBody;
use super::keys::{AUDIENCE, CLAIMS, FILE};
use super::schema::PayloadSchema;
use super::{
    AudienceExtent, AudienceMember, ChannelFallback, DeclaredChannel, DeclaredDelivery,
    DeclaredEvent, DeclaredScale, FeatureManifest, PlatformSource, RaisedQuotas, number, string,
    truth,
};
use crate::config::check::{self, Faults, did_you_mean, text_of};
use crate::config::shape::Shape;
use crate::config::{duration, elements, member, text};
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue};

/// Reads the tree of a `realtime.yaml`.
pub(super) fn manifest(
    file: &str,
    root: &TreeValue,
    faults: &mut Faults<'_>,
) -> Option<FeatureManifest> {
    check::check(root, &Shape::Section(FILE), "", faults);
    let mut channels: Vec<DeclaredChannel> = Vec::new();
    for (index, node) in elements(root, "channels").iter().enumerate() {
        let key = format!("channels[{index}]");
        let Some(written) = member(node, "channel").filter(|node| string(node).is_some()) else {
            continue;
        };
        if let Some(channel) = channel(node, written, &key, faults) {
            push_channel(channel, &format!("{key}.channel"), &mut channels, faults);
        }
    }
    let mut events: Vec<DeclaredEvent> = Vec::new();
    for (index, node) in elements(root, "events").iter().enumerate() {
        let Some(event) = event(node, root, &format!("events[{index}]"), &channels, faults) else {
            continue;
        };
        if events.iter().any(|known| known.name == event.name) {
            let message = format!("there is an event `{}` already", event.name);
            let at = member(node, "name").unwrap_or(node).at;
            faults
                .error(
                    "repeated-event",
                    &format!("events[{index}].name"),
                    at,
                    message,
                )
                .help = Some("findings name events: give each a name of its own".into());
        }
        events.push(event);
    }
    unused_channels(&channels, &events, faults);
    Some(FeatureManifest {
        file: file.to_owned(),
        feature: text(root, "feature")?,
        owner: text(root, "owner"),
        platform: platform(member(root, "platform")?, "platform", faults)?,
        claims: claims(root, "claims", faults),
        channels,
        events,
    })
}

/// Adds a channel unless there is one of the same topics.
pub(super) fn push_channel(
    channel: DeclaredChannel,
    key: &str,
    channels: &mut Vec<DeclaredChannel>,
    faults: &mut Faults<'_>,
) {
    let shape = channel.address.shape();
    if let Some(known) = channels.iter().find(|known| known.address.shape() == shape) {
        let message = format!(
            "`{}` and `{}` are the same channels",
            known.address, channel.address
        );
        faults
            .error("repeated-channel", key, channel.at, message)
            .help = Some("names of parameters do not tell channels apart: declare it once".into());
        return;
    }
    channels.push(channel);
}

/// Reports channels of the manifest without an event: nothing of their contract could be proved.
pub(super) fn unused_channels(
    channels: &[DeclaredChannel],
    events: &[DeclaredEvent],
    faults: &mut Faults<'_>,
) {
    for (index, channel) in channels.iter().enumerate() {
        if events.iter().any(|event| event.to.contains(&index)) {
            continue;
        }
        let message = format!("the channel `{}` has no event", channel.address);
        let fault = faults.error(
            "unused-channel",
            &format!("channels[{index}]"),
            channel.at,
            message,
        );
        fault.accepted = Some("a channel that an event of the manifest names in `to`".into());
        fault.help = Some("declare the event that it tells of, with an example".into());
    }
}

pub(super) fn channel(
    node: &TreeValue,
    written: &TreeValue,
    key: &str,
    faults: &mut Faults<'_>,
) -> Option<DeclaredChannel> {
    let address = address(written, &format!("{key}.channel"), faults)?;
    let audience = match member(node, "audience") {
        Some(audience) => audience_of(audience, &address, &format!("{key}.audience"), faults),
        None => Vec::new(),
    };
    let delivery = member(node, "delivery");
    let scale = member(node, "scale");
    let rate = |name| scale.and_then(|scale| number(scale, name));
    let flag = |name| delivery.and_then(|delivery| truth(delivery, name));
    Some(DeclaredChannel {
        address,
        about: text(node, "about"),
        audience,
        delivery: DeclaredDelivery {
            qos: delivery
                .and_then(|delivery| number(delivery, "qos"))
                .and_then(|qos| u8::try_from(qos).ok()),
            expires: delivery
                .and_then(|delivery| text(delivery, "expires"))
                .and_then(|expires| duration(&expires)),
            conflate: flag("conflate"),
            retain: flag("retain"),
        },
        scale: DeclaredScale {
            peak_per_second: rate("peak_per_second"),
            channel_peak_per_second: rate("channel_peak_per_second"),
            subscribers: rate("subscribers"),
            channels_per_client: rate("channels_per_client"),
        },
        snapshot: text(node, "snapshot"),
        fallback: match text(node, "fallback").as_deref() {
            Some("gateway") => ChannelFallback::Gateway,
            Some("none") => ChannelFallback::None,
            _ => ChannelFallback::Unstated,
        },
        at: written.at,
    })
}

fn address(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> Option<ChannelAddress> {
    let written = string(node)?;
    match ChannelAddress::parse(&written) {
        Ok(address) => Some(address),
        // Reported as a wrong type.
        Err(_) if written.is_empty() => None,
        Err(error) => {
            let message = format!("`{key}` is `{written}`: {error}");
            let fault = faults.error("bad-channel", key, node.at, message);
            fault.accepted = Some(
                "a channel such as order:{orderId}, or a topic such as tenant/{tenantId}/alerts"
                    .into(),
            );
            fault.help = Some(error.help.into());
            None
        }
    }
}

fn audience_of(
    node: &TreeValue,
    address: &ChannelAddress,
    key: &str,
    faults: &mut Faults<'_>,
) -> Vec<AudienceMember> {
    let refuse = |at: TextPosition, message: String, faults: &mut Faults<'_>| {
        faults.error("bad-audience", key, at, message).accepted = Some(AUDIENCE.into());
    };
    let mut found: Vec<AudienceMember> = Vec::new();
    match &node.value {
        NodeValue::Array(roles) if !roles.is_empty() => {
            for role in roles {
                match string(role).filter(|name| !name.is_empty()) {
                    Some(name) => found.push(AudienceMember {
                        role: name,
                        extent: AudienceExtent::Own,
                        at: role.at,
                    }),
                    None => refuse(role.at, format!("`{key}` has {}", role.to_json()), faults),
                }
            }
        }
        NodeValue::Object(roles) if !roles.is_empty() => {
            for role in roles {
                match extent(&role.value, address) {
                    Ok(extent) => found.push(AudienceMember {
                        role: role.key.to_string(),
                        extent,
                        at: role.key_at,
                    }),
                    Err(message) => refuse(
                        role.value.at,
                        format!("`{key}.{}` {message}", role.key),
                        faults,
                    ),
                }
            }
        }
        _ => refuse(node.at, format!("`{key}` is {}", node.to_json()), faults),
    }
    for (index, member) in found.iter().enumerate() {
        if found
            .iter()
            .take(index)
            .any(|known| known.role == member.role)
        {
            let message = format!("`{key}` names the role `{}` twice", member.role);
            faults.error("repeated-role", key, member.at, message).help =
                Some("name each role once".into());
        }
    }
    found
}

fn extent(node: &TreeValue, address: &ChannelAddress) -> Result<AudienceExtent, String> {
    if let NodeValue::Array(elements) = &node.value {
        let mut names = Vec::new();
        for element in elements {
            let name = string(element).unwrap_or_else(|| element.to_json());
            if !address.parameters().any(|known| known == name) {
                let known: Vec<&str> = address.parameters().collect();
                return Err(format!(
                    "names `{name}`, which is no parameter of `{address}` ({})",
                    known.join(", ")
                ));
            }
            names.push(name);
        }
        return Ok(AudienceExtent::Named(names));
    }
    match string(node).as_deref() {
        Some("own") => Ok(AudienceExtent::Own),
        Some("all") => Ok(AudienceExtent::All),
        _ => Err(format!("is {}", node.to_json())),
    }
}

fn event(
    node: &TreeValue,
    document: &TreeValue,
    key: &str,
    channels: &[DeclaredChannel],
    faults: &mut Faults<'_>,
) -> Option<DeclaredEvent> {
    let schema = member(node, "schema")
        .and_then(|schema| PayloadSchema::read(schema, document, &format!("{key}.schema"), faults));
    let mut to = Vec::new();
    for (index, element) in elements(node, "to").iter().enumerate() {
        let key = format!("{key}.to[{index}]");
        let Some(address) = address(element, &key, faults) else {
            continue;
        };
        let shape = address.shape();
        match channels
            .iter()
            .position(|channel| channel.address.shape() == shape)
        {
            Some(channel) => to.push(channel),
            None => {
                let names: Vec<String> = channels
                    .iter()
                    .map(|channel| channel.address.to_string())
                    .collect();
                let message =
                    format!("`{key}` is `{address}`, which is no channel of the manifest");
                let fault = faults.error("unknown-channel", &key, element.at, message);
                fault.accepted = Some(names.join(", "));
                fault.help = did_you_mean(&address.to_string(), names.iter().map(String::as_str));
            }
        }
    }
    let (source, detail_type) = (text(node, "source"), text(node, "detail-type"));
    let kind = (
        source.as_deref().unwrap_or_default(),
        detail_type.as_deref().unwrap_or_default(),
    );
    let examples = ExampleBody::read_list(node, (key, "examples"), kind, faults);
    let counter_examples = ExampleBody::read_list(node, (key, "counter_examples"), kind, faults);
    check_examples(&examples, schema.as_ref(), key, faults);
    Some(DeclaredEvent {
        name: text(node, "name")?,
        source: source?,
        detail_type: detail_type?,
        to,
        schema,
        examples,
        counter_examples,
        at: node.at,
    })
}

/// Examples that the event's own schema refuses.
pub(super) fn check_examples(
    examples: &[ExampleBody],
    schema: Option<&PayloadSchema>,
    key: &str,
    faults: &mut Faults<'_>,
) {
    let Some(schema) = schema else { return };
    for (index, example) in examples.iter().enumerate() {
        let key = format!("{key}.examples[{index}]");
        let Some(detail) = example.detail_value() else {
            continue;
        };
        for violation in schema.violations(&detail) {
            let message = format!("`{key}` is not of the event's schema: {violation}");
            faults.error("bad-example", &key, example.at, message).help =
                Some("correct the example, or the schema".into());
        }
    }
}

pub(super) fn platform(
    node: &TreeValue,
    key: &str,
    faults: &mut Faults<'_>,
) -> Option<PlatformSource> {
    let sha256 = text(node, "sha256").map(|digest| digest.to_ascii_lowercase());
    if let (Some(digest), Some(written)) = (&sha256, member(node, "sha256")) {
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            let message = format!("`{key}.sha256` is `{digest}`");
            let fault = faults.error("bad-digest", &format!("{key}.sha256"), written.at, message);
            fault.accepted = Some("64 hexadecimal digits".into());
            fault.help = Some("sha256sum FILE prints it".into());
        }
    }
    let config = text(node, "config")?;
    let at = member(node, "config")?.at;
    let outside = config.starts_with('/') || config.split('/').any(|part| part == "..");
    // A file that is pinned may be anywhere: its digest says which it is.
    if outside && sha256.is_none() {
        let message = format!("`{key}.config` is `{config}`, which leaves the repository");
        let fault = faults.error("bad-path", &format!("{key}.config"), at, message);
        fault.accepted = Some("a path from the root of the repository".into());
        fault.help = Some("pin a file outside the repository by `sha256`".into());
    }
    let quotas = member(node, "quotas");
    let quota = |name| quotas.and_then(|quotas| number(quotas, name));
    Some(PlatformSource {
        config,
        sha256,
        quotas: RaisedQuotas {
            inbound_per_second: quota("inbound_per_second"),
            outbound_per_second: quota("outbound_per_second"),
            subscriptions_per_connection: quota("subscriptions_per_connection"),
        },
        at,
    })
}

pub(super) fn claims(
    root: &TreeValue,
    key: &str,
    faults: &mut Faults<'_>,
) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let Some(NodeValue::Object(roles)) = member(root, "claims").map(|node| &node.value) else {
        return found;
    };
    for role in roles {
        let value = match &role.value.value {
            NodeValue::Object(_) => serde_json::from_str(&role.value.to_json()).ok(),
            _ => None,
        };
        match value {
            Some(value) => {
                found.insert(text_of(role.key.as_bytes()), value);
            }
            None => {
                let key = format!("{key}.{}", role.key);
                let message = format!("`{key}` is {}", role.value.to_json());
                faults
                    .error("bad-claims", &key, role.value.at, message)
                    .accepted = Some(CLAIMS.into());
            }
        }
    }
    found
}
