//! The contract that subscribers rely on: channels, their audiences, their messages and deliveries.
//! Two of these are compared.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::manifest::address::ChannelAddress;
use super::super::manifest::schema::PayloadSchema;
use super::super::manifest::{AudienceExtent, DeclaredDelivery, FeatureManifest};
use super::hearing::{HearingContext, RoleReach};
use super::routed::{PlatformRoutes, ServedDelivery};
use crate::config::Config;
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue};
use crate::route::publication::Qos;
use crate::route::table::Route;

/// The contract of a feature, or of a whole platform.
#[derive(Clone, Debug, Default)]
pub struct ServedContract {
    /// The channels.
    pub channels: Vec<ServedChannel>,
    /// Questions that could not be answered, a line each.
    pub unknown: Vec<String>,
}

/// A channel of a contract.
#[derive(Clone, Debug)]
pub struct ServedChannel {
    /// Its address.
    pub address: ChannelAddress,
    /// Its topics with `{}` for each parameter, the environment included.
    pub shape: String,
    /// The roles that may receive from it: for each parameter, whether the token names its value.
    pub audience: BTreeMap<String, Vec<bool>>,
    /// The delivery that the manifest declares.
    pub declared: DeclaredDelivery,
    /// The messages by event: source and detail type.
    pub messages: BTreeMap<EventKey, ServedMessage>,
    /// Position of its declaration.
    pub at: TextPosition,
}

/// A kind of event; `*` for any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    /// The envelope's `source`.
    pub source: String,
    /// The envelope's `detail-type`.
    pub detail_type: String,
}

/// The messages of one kind of event on a channel.
#[derive(Clone, Debug)]
pub struct ServedMessage {
    /// Their delivery; `None` where it is not known.
    pub delivery: Option<ServedDelivery>,
    /// The schema of the event's `detail`.
    pub schema: Option<PayloadSchema>,
    /// The route or event that declares them.
    pub name: String,
    /// Position of their declaration.
    pub at: TextPosition,
}

impl ServedContract {
    /// The contract of a manifest, with the deliveries that a platform gives its examples.
    pub fn of_manifest(manifest: &FeatureManifest, platform: Option<&PlatformRoutes<'_>>) -> Self {
        let environment = platform.and_then(PlatformRoutes::environment);
        let mut contract = Self::default();
        for (index, channel) in manifest.channels.iter().enumerate() {
            let names: Vec<&str> = channel.address.parameters().collect();
            let audience = channel.audience.iter().map(|member| {
                let fixed = |name: &&str| match &member.extent {
                    AudienceExtent::Own => true,
                    AudienceExtent::All => false,
                    AudienceExtent::Named(named) => named.iter().any(|known| known == name),
                };
                (member.role.clone(), names.iter().map(fixed).collect())
            });
            let events = manifest
                .events
                .iter()
                .filter(|event| event.to.contains(&index));
            let mut messages = BTreeMap::new();
            for event in events {
                let key = EventKey {
                    source: event.source.clone(),
                    detail_type: event.detail_type.clone(),
                };
                let message = ServedMessage {
                    delivery: platform
                        .and_then(|platform| platform.delivery(&event.examples, &channel.address)),
                    schema: event.schema.clone(),
                    name: event.name.clone(),
                    at: event.at,
                };
                add(&mut messages, key, message);
            }
            contract.channels.push(ServedChannel {
                shape: channel.address.topic(environment, |_| "{}"),
                address: channel.address.clone(),
                audience: audience.collect(),
                declared: channel.delivery,
                messages,
                at: channel.at,
            });
        }
        contract
    }

    /// The contract of a whole platform: every target of every route. Schemas are those of
    /// manifests, by event.
    pub fn of_platform(config: &Config, schemas: &BTreeMap<EventKey, PayloadSchema>) -> Self {
        let mut contract = Self::default();
        for route in &config.routes {
            let at = route.pattern.tree().at;
            for target in &route.targets {
                let Some(address) = ChannelAddress::of_target(target, &route.name) else {
                    continue;
                };
                let shape = address.topic(config.environment.as_deref(), |_| "{}");
                let place = contract
                    .channels
                    .iter()
                    .position(|known| known.shape == shape);
                let place = place.unwrap_or_else(|| {
                    contract.channels.push(ServedChannel {
                        shape,
                        address,
                        audience: BTreeMap::new(),
                        declared: DeclaredDelivery::default(),
                        messages: BTreeMap::new(),
                        at,
                    });
                    contract.channels.len() - 1
                });
                if let Some(channel) = contract.channels.get_mut(place) {
                    add_messages(channel, route, schemas, at);
                }
            }
        }
        contract.find_audiences(config, None);
        contract
    }

    fn find_audiences(&mut self, config: &Config, claims: Option<&BTreeMap<String, Value>>) {
        let hearing = HearingContext {
            kinds: &config.kinds,
            environment: config.environment.as_deref(),
            subscriptions: None,
        };
        for role in &config.roles {
            let claims = claims.and_then(|claims| claims.get(&*role.name));
            for channel in &mut self.channels {
                match hearing.reach(role, &channel.address, claims) {
                    Ok(RoleReach::Nothing) => {}
                    Ok(RoleReach::Heard { fixed, .. }) => {
                        channel.audience.insert(role.name.to_string(), fixed);
                    }
                    Err(why) => self.unknown.push(format!(
                        "what role `{}` hears of `{}`: {why}",
                        role.name, channel.address
                    )),
                }
            }
        }
    }
}

/// Adds a message, or merges it into the one that another declaration of its event made.
fn add(messages: &mut BTreeMap<EventKey, ServedMessage>, key: EventKey, message: ServedMessage) {
    match messages.get_mut(&key) {
        None => {
            messages.insert(key, message);
        }
        Some(known) => known.merge(message),
    }
}

impl ServedMessage {
    /// Adds another declaration of the same event: its weakest delivery, and one of the schemas.
    fn merge(&mut self, other: Self) {
        self.delivery = match (self.delivery, other.delivery) {
            (Some(one), Some(other)) => Some(one.weakest(other)),
            (one, other) => one.or(other),
        };
        self.schema = match (self.schema.take(), other.schema) {
            (Some(one), Some(other)) if one.part != other.part => Some(one.or(other)),
            (Some(one), Some(_)) => Some(one),
            // An event without a schema may be anything.
            _ => None,
        };
    }
}

fn add_messages(
    channel: &mut ServedChannel,
    route: &Route,
    schemas: &BTreeMap<EventKey, PayloadSchema>,
    at: TextPosition,
) {
    let delivery = ServedDelivery {
        qos: match route.qos {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
        },
        expires_seconds: route.expires.map(|expires| expires.as_secs()),
        conflate: route.conflate,
        retain: route.retain,
        payload: route.payload,
        size_bytes: 0,
    };
    for key in event_keys(route) {
        match channel.messages.get_mut(&key) {
            Some(known) => known.delivery = known.delivery.map(|known| known.weakest(delivery)),
            None => {
                let message = ServedMessage {
                    delivery: Some(delivery),
                    schema: schemas.get(&key).cloned(),
                    name: route.name.to_string(),
                    at,
                };
                channel.messages.insert(key, message);
            }
        }
    }
}

/// The events that a route's pattern names by exact sources and detail types.
pub fn event_keys(route: &Route) -> Vec<EventKey> {
    let tree = route.pattern.tree();
    let sources = exact_texts(tree, "source");
    let types = exact_texts(tree, "detail-type");
    let pair = |source: &String| {
        let source = source.clone();
        types.iter().map(move |detail_type| EventKey {
            source: source.clone(),
            detail_type: detail_type.clone(),
        })
    };
    sources.iter().flat_map(pair).collect()
}

/// The texts that a field of a pattern is compared with; `*` where there is any other test.
fn exact_texts(tree: &TreeValue, field: &str) -> Vec<String> {
    let any = || vec!["*".to_owned()];
    let NodeValue::Object(members) = &tree.value else {
        return any();
    };
    let Some(found) = members.iter().find(|found| *found.key == *field) else {
        return any();
    };
    let NodeValue::Array(tests) = &found.value.value else {
        return any();
    };
    let texts = tests.iter().map(|test| match &test.value {
        NodeValue::String(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    });
    texts.collect::<Option<Vec<_>>>().unwrap_or_else(any)
}
