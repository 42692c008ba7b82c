//! A first manifest from a repository's sources: events that it puts on a bus, topics that clients
//! subscribe to.
//!
//! Channels, audiences and examples come from the platform's configuration, where it knows the
//! event. Gaps are marked in comments.

pub mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use self::search::{FoundPlace, SourceFindings};
use super::contract::hearing::{HearingContext, RoleReach};
use super::contract::made_event::{made_event, routes_of};
use super::contract::served::EventKey;
use super::manifest::address::ChannelAddress;
use crate::config::Config;

/// A channel of a draft.
struct DraftChannel {
    address: String,
    audience: String,
    note: Option<String>,
}

/// Writes a manifest of the findings; `platform` is the configuration under the path that the
/// manifest names.
pub fn draft(
    feature: &str,
    found: &SourceFindings,
    platform_path: &str,
    platform: Option<&Config>,
) -> String {
    let mut channels: BTreeMap<String, DraftChannel> = BTreeMap::new();
    let mut events = String::new();
    let mut names = BTreeSet::new();
    for ((source, detail_type), place) in &found.events {
        let route = platform.and_then(|config| routed(config, source, detail_type));
        let mut to: Vec<String> = Vec::new();
        for address in route.iter().flat_map(|(_, addresses)| addresses) {
            to.push(address.to_string());
            add_channel(&mut channels, address, None, platform);
        }
        let name = event_name(detail_type, &names);
        names.insert(name.clone());
        let _ = writeln!(events, "  # {}:{}", place.path, place.line);
        let _ = writeln!(events, "  - name: {}", yaml(&name));
        let _ = writeln!(events, "    source: {}", yaml(source));
        let _ = writeln!(events, "    detail-type: {}", yaml(detail_type));
        let detail = match &route {
            Some((example, _)) => example.clone(),
            None => Value::Object(serde_json::Map::new()),
        };
        if to.is_empty() {
            // RT102 reports it until there is a route.
            let _ = writeln!(
                events,
                "    # cannot tell: no route of the platform takes it; name its channels"
            );
            to.extend(found.channels.keys().next().cloned());
            if to.is_empty() {
                to.push(FIRST_CHANNEL.into());
            }
        }
        let to: Vec<String> = to.iter().map(|address| yaml(address)).collect();
        let _ = writeln!(events, "    to: [{}]", to.join(", "));
        let _ = writeln!(events, "    examples:\n      - detail: {detail}");
    }
    for (address, place) in &found.channels {
        if let Ok(address) = ChannelAddress::parse(address) {
            add_channel(&mut channels, &address, Some(place), platform);
        }
    }
    if channels.is_empty()
        && let Ok(address) = ChannelAddress::parse(FIRST_CHANNEL)
    {
        add_channel(&mut channels, &address, None, platform);
    }
    if events.is_empty() {
        let to: Vec<String> = channels
            .values()
            .map(|channel| yaml(&channel.address))
            .collect();
        let _ = write!(
            events,
            "  # cannot tell: no PutEvents with literal names was found; name your events\n  - name: first-event\n    source: \
             my.feature\n    detail-type: SomethingHappened\n    to: [{}]\n    examples:\n      - detail: {{}}\n",
            to.join(", ")
        );
    }
    let mut out = format!(
        "# The real-time contract of this feature, made by `eventcast guard init`: read every line.\n\
         # `eventcast guard contract` proves it.\nfeature: {}\nplatform: {{ config: {} }}\nchannels:\n",
        yaml(feature),
        yaml(platform_path)
    );
    for channel in channels.values() {
        if let Some(note) = &channel.note {
            let _ = writeln!(out, "  # {note}");
        }
        let _ = writeln!(
            out,
            "  - channel: {}\n    audience: {}",
            yaml(&channel.address),
            channel.audience
        );
    }
    let _ = write!(out, "events:\n{events}");
    if !found.unknown.is_empty() {
        let _ = writeln!(out, "# Cannot tell, since values are no literals there:");
        for place in &found.unknown {
            let _ = writeln!(out, "#   {}:{}: {}", place.path, place.line, place.what);
        }
    }
    out
}

/// The channel of a draft for which nothing was found.
const FIRST_CHANNEL: &str = "order:{orderId}";

fn add_channel(
    channels: &mut BTreeMap<String, DraftChannel>,
    address: &ChannelAddress,
    place: Option<&FoundPlace>,
    platform: Option<&Config>,
) {
    channels.entry(address.shape()).or_insert_with(|| {
        let audience = platform
            .map(|config| audience_of(config, address))
            .unwrap_or_default();
        let place = place.map(|place| format!("{}:{}", place.path, place.line));
        let unknown = audience
            .is_empty()
            .then(|| "cannot tell who hears it: name roles of the platform".to_owned());
        let notes: Vec<String> = place.into_iter().chain(unknown).collect();
        DraftChannel {
            address: address.to_string(),
            audience: if audience.is_empty() {
                "[customer]".into()
            } else {
                audience
            },
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    });
}

/// The audience that the platform's roles give a channel now.
fn audience_of(config: &Config, address: &ChannelAddress) -> String {
    let hearing = HearingContext {
        kinds: &config.kinds,
        environment: config.environment.as_deref(),
        subscriptions: None,
    };
    let mut members = Vec::new();
    for role in &config.roles {
        if let Ok(RoleReach::Heard { fixed, .. }) = hearing.reach(role, address, None) {
            let named = address
                .parameters()
                .zip(&fixed)
                .filter(|(_, fixed)| **fixed);
            let named: Vec<&str> = named.map(|(name, _)| name).collect();
            let extent = match named.len() {
                count if count == fixed.len() => "own".to_owned(),
                0 => "all".to_owned(),
                _ => format!("[{}]", named.join(", ")),
            };
            members.push(format!("{}: {extent}", role.name));
        }
    }
    if members.is_empty() {
        return String::new();
    }
    format!("{{ {} }}", members.join(", "))
}

/// The example detail and the channels of the routes that take an event by its exact names.
fn routed(
    config: &Config,
    source: &str,
    detail_type: &str,
) -> Option<(Value, Vec<ChannelAddress>)> {
    let is_meant = |key: &EventKey| {
        (key.source == source || key.source == "*")
            && (key.detail_type == detail_type || key.detail_type == "*")
            && (key.source != "*" || key.detail_type != "*")
    };
    let mut addresses: Vec<ChannelAddress> = Vec::new();
    for route in routes_of(config, is_meant) {
        for target in &route.targets {
            let address = ChannelAddress::of_target(target, &route.name);
            let is_new = |address: &ChannelAddress| {
                addresses
                    .iter()
                    .all(|known| known.shape() != address.shape())
            };
            if let Some(address) = address.filter(is_new) {
                addresses.push(address);
            }
        }
    }
    if addresses.is_empty() {
        return None;
    }
    let made = made_event(config, source, detail_type, is_meant);
    let detail = made.and_then(|mut made| made.remove("detail"));
    let empty = || Value::Object(serde_json::Map::new());
    Some((detail.unwrap_or_else(empty), addresses))
}

/// A name such as `order-placed` for `OrderPlaced`.
fn event_name(detail_type: &str, taken: &BTreeSet<String>) -> String {
    let mut name = String::new();
    for c in detail_type.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = match name.trim_end_matches('-') {
        "" => "event",
        name => name,
    };
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .unwrap_or_default()
}

/// Text as YAML: JSON strings are YAML.
fn yaml(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(fits);
    let is_reserved = ["true", "false", "null"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    match is_word && !is_reserved {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests;
