//! AsyncAPI 3.0.0 of a platform: messages that it sends to clients, and those that clients may
//! send.
//!
//! AsyncAPI Specification 3.0.0 (<https://www.asyncapi.com/docs/reference/specification/v3.0.0>)
//! and its MQTT bindings 0.2.0 (<https://github.com/asyncapi/bindings/tree/master/mqtt>). Every
//! parameter of an address is declared: the official parser lets others pass, generators do not.
//! The parts with `x-realtime` make the document a manifest, so that `eventcast guard contract
//! --manifest` proves it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::payload::payload_schema;
use super::{event_name, slug, unique};
use crate::config::Config;
use crate::event::envelope::Envelope;
use crate::guard::contract::made_event::made_event;
use crate::guard::contract::routed::ServedDelivery;
use crate::guard::contract::served::{EventKey, ServedChannel, ServedContract, ServedMessage};
use crate::guard::manifest::address::ChannelAddress;
use crate::guard::manifest::schema::PayloadSchema;
use crate::route::payload::PayloadShape;

/// The version of the MQTT bindings; in documents of 3.0.0 the official parser takes no other.
const BINDING: &str = "0.2.0";

/// The title page of a document.
#[derive(Clone, Debug)]
pub struct DocumentTitle {
    /// The title.
    pub title: String,
    /// The document's own version.
    pub version: String,
    /// The endpoint of IoT Core, where it is known.
    pub endpoint: Option<String>,
    /// The name of the configuration file.
    pub file: String,
}

/// Makes the document.
pub fn asyncapi(config: &Config, contract: &ServedContract, title: &DocumentTitle) -> Value {
    let mut document = AsyncApiDocument {
        config,
        channels: Map::new(),
        operations: Map::new(),
        messages: Map::new(),
    };
    for channel in &contract.channels {
        document.add(channel);
    }
    for role in &config.roles {
        for entry in &role.publish {
            document.add_publish(&role.name, &entry.to_string(), entry.kind().is_some());
        }
    }
    let mut root = Map::new();
    root.insert("asyncapi".into(), "3.0.0".into());
    root.insert(
        "info".into(),
        json!({
            "title": title.title,
            "version": title.version,
            "description": "Messages are delivered at least once: the user property `eb-id` is the event's id, by which a client drops duplicates.",
        }),
    );
    root.insert("defaultContentType".into(), "application/json".into());
    if let Some(endpoint) = &title.endpoint {
        root.insert(
            "servers".into(),
            json!({ "iot": { "host": endpoint, "protocol": "secure-mqtt", "protocolVersion": "5", "description": "AWS IoT Core; browsers connect to wss://HOST/mqtt" } }),
        );
    }
    root.insert(
        "x-realtime".into(),
        json!({ "platform": { "config": title.file } }),
    );
    root.insert("channels".into(), Value::Object(document.channels));
    root.insert("operations".into(), Value::Object(document.operations));
    root.insert(
        "components".into(),
        json!({ "messages": document.messages }),
    );
    Value::Object(root)
}

struct AsyncApiDocument<'c> {
    config: &'c Config,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
}

impl AsyncApiDocument<'_> {
    fn add(&mut self, channel: &ServedChannel) {
        let id = self.channel_id(&channel.address);
        let mut messages = Map::new();
        // One operation for messages that are delivered alike.
        let mut alike: BTreeMap<(u8, bool, Option<u64>), Vec<Value>> = BTreeMap::new();
        for (key, message) in &channel.messages {
            let delivery = message.delivery;
            let component = self.message(key, message);
            let name = unique(&slug(&component, &['-', '_']), |name| {
                messages.contains_key(name)
            });
            messages.insert(
                name.clone(),
                json!({ "$ref": format!("#/components/messages/{component}") }),
            );
            let group =
                delivery.map(|delivery| (delivery.qos, delivery.retain, delivery.expires_seconds));
            alike
                .entry(group.unwrap_or((1, false, None)))
                .or_default()
                .push(json!({ "$ref": format!("#/channels/{id}/messages/{name}") }));
        }
        let mut value = self.channel(&channel.address, messages);
        let weakest = channel
            .messages
            .values()
            .filter_map(|message| message.delivery);
        let weakest = weakest.reduce(ServedDelivery::weakest);
        value.insert("x-realtime".into(), extension(channel, weakest));
        self.channels.insert(id.clone(), Value::Object(value));
        for ((qos, retain, expires), refs) in alike {
            let name = unique(&format!("send-{id}"), |name| {
                self.operations.contains_key(name)
            });
            let mut binding = json!({ "qos": qos, "retain": retain, "bindingVersion": BINDING });
            if let (Some(seconds), Value::Object(binding)) = (expires, &mut binding) {
                binding.insert("messageExpiryInterval".into(), seconds.into());
            }
            let operation = json!({
                "action": "send",
                "channel": { "$ref": format!("#/channels/{id}") },
                "messages": refs,
                "bindings": { "mqtt": binding },
            });
            self.operations.insert(name, operation);
        }
    }

    /// Adds a channel that clients of a role may publish to.
    fn add_publish(&mut self, role: &str, written: &str, is_kind: bool) {
        let Some(address) = published(written, is_kind) else {
            return;
        };
        let template = address.template(self.config.environment.as_deref());
        let known = self
            .channels
            .iter()
            .find(|(_, channel)| {
                channel
                    .get("address")
                    .is_some_and(|known| *known == template)
            })
            .map(|(id, _)| id.clone());
        let id = known.unwrap_or_else(|| {
            let id = self.channel_id(&address);
            let channel = self.channel(&address, Map::new());
            self.channels.insert(id.clone(), Value::Object(channel));
            id
        });
        let component = "client-message";
        self.messages.entry(component).or_insert_with(
            || json!({ "name": component, "title": "A message of a client", "payload": {} }),
        );
        let messages = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.get_mut("messages"));
        if let Some(Value::Object(messages)) = messages {
            let reference = json!({ "$ref": format!("#/components/messages/{component}") });
            messages.insert(component.into(), reference);
        }
        let name = unique(&format!("receive-{id}"), |name| {
            self.operations.contains_key(name)
        });
        let operation = json!({
            "action": "receive",
            "summary": format!("Role {role} may publish here."),
            "channel": { "$ref": format!("#/channels/{id}") },
            "messages": [{ "$ref": format!("#/channels/{id}/messages/{component}") }],
        });
        self.operations.insert(name, operation);
    }

    fn channel_id(&self, address: &ChannelAddress) -> String {
        let name = match address.is_kind() {
            true => address.first_level().to_owned(),
            false => slug(&address.to_string(), &['-', '_']),
        };
        unique(&name, |name| self.channels.contains_key(name))
    }

    fn channel(
        &self,
        address: &ChannelAddress,
        messages: Map<String, Value>,
    ) -> Map<String, Value> {
        let mut channel = Map::new();
        let template = address.template(self.config.environment.as_deref());
        channel.insert("address".into(), template.into());
        let mut parameters = Map::new();
        for name in address.parameters() {
            let mut parameter = Map::new();
            let kind = self
                .config
                .kinds
                .get(address.first_level())
                .filter(|_| address.is_kind());
            if let Some(kind) = kind {
                let about = format!("An id of channel `{}`: {}.", kind.name(), kind.id());
                parameter.insert("description".into(), about.into());
                parameter.insert("examples".into(), json!([kind.example()]));
            }
            parameters.insert(name.to_owned(), Value::Object(parameter));
        }
        if !parameters.is_empty() {
            channel.insert("parameters".into(), Value::Object(parameters));
        }
        channel.insert("messages".into(), Value::Object(messages));
        channel
    }

    /// Adds the message of an event, and returns its name among the components.
    fn message(&mut self, key: &EventKey, message: &ServedMessage) -> String {
        let payload = message
            .delivery
            .map_or(PayloadShape::Event, |delivery| delivery.payload);
        let schema = message.schema.as_ref().map(|schema| &schema.written);
        let mut value = Map::new();
        let title = match key.detail_type.as_str() {
            "*" => &message.name,
            detail_type => detail_type,
        };
        value.insert("name".into(), title.into());
        value.insert("contentType".into(), payload.content_type().into());
        let schema = payload_schema(payload, self.config.envelope, key, schema);
        value.insert("payload".into(), schema);
        value.insert("headers".into(), user_properties());
        value.insert(
            "x-realtime".into(),
            self.event_extension(key, message.schema.as_ref()),
        );
        let value = Value::Object(value);
        let name = event_name(key, &message.name);
        // An event that routes send in two shapes is two messages.
        let is_other = |name: &str| self.messages.get(name).is_some_and(|known| *known != value);
        let name = unique(&name, is_other);
        self.messages.insert(name.clone(), value);
        name
    }

    /// The event of the bus, with an example of it where one can be made up that fits the schema.
    fn event_extension(&self, key: &EventKey, schema: Option<&PayloadSchema>) -> Value {
        let made = made_event(self.config, &key.source, &key.detail_type, |known| {
            known == key
        });
        let text = |wanted: &str, field: &str| {
            let made = made.as_ref().and_then(|made| made.get(field));
            match (wanted, made) {
                ("*", Some(Value::String(text))) => text.clone(),
                (wanted, _) => wanted.to_owned(),
            }
        };
        let mut extension = Map::new();
        extension.insert("source".into(), text(&key.source, "source").into());
        let detail_type = text(&key.detail_type, "detail-type");
        extension.insert("detail-type".into(), detail_type.into());
        let fits = |made: &Map<String, Value>| {
            let detail = made.get("detail").unwrap_or(&Value::Null);
            schema.is_none_or(|schema| schema.violations(detail).is_empty())
        };
        if let Some(fields) = made.filter(fits) {
            let example = match self.config.envelope {
                Envelope::EventBridge => Value::Object(fields),
                _ => json!({ "body": fields }),
            };
            extension.insert("examples".into(), json!([example]));
        }
        Value::Object(extension)
    }
}

/// The audience and the delivery of a channel, as a manifest declares them.
fn extension(channel: &ServedChannel, weakest: Option<ServedDelivery>) -> Value {
    let mut audience = Map::new();
    let names: Vec<&str> = channel.address.parameters().collect();
    for (role, fixed) in &channel.audience {
        let named: Vec<&str> = names
            .iter()
            .zip(fixed)
            .filter(|(_, fixed)| **fixed)
            .map(|(name, _)| *name)
            .collect();
        let extent = match named.len() {
            0 if !names.is_empty() => json!("all"),
            count if count == names.len() => json!("own"),
            _ => json!(named),
        };
        audience.insert(role.clone(), extent);
    }
    let mut extension = Map::new();
    // Without the environment, which `address` begins with.
    extension.insert("channel".into(), channel.address.to_string().into());
    if !audience.is_empty() {
        extension.insert("audience".into(), Value::Object(audience));
    }
    if let Some(weakest) = weakest {
        let mut delivery =
            json!({ "qos": weakest.qos, "conflate": weakest.conflate, "retain": weakest.retain });
        if let (Some(seconds), Value::Object(delivery)) = (weakest.expires_seconds, &mut delivery) {
            delivery.insert("expires".into(), format!("{seconds}s").into());
        }
        extension.insert("delivery".into(), delivery);
    }
    Value::Object(extension)
}

/// The user properties that each message has.
fn user_properties() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["eb-id", "eb-route"],
        "properties": {
            "eb-id": text,
            "eb-source": text,
            "eb-detail-type": text,
            "eb-time": text,
            "eb-route": text,
            "eb-oversize": text,
            "traceparent": text,
        },
    })
}

/// The address of an entry of a role, its claims as parameters.
fn published(written: &str, is_kind: bool) -> Option<ChannelAddress> {
    let mut address = String::new();
    let mut rest = written;
    while let Some((before, behind)) = rest.split_once('{') {
        let (claim, after) = behind.split_once('}')?;
        let path = claim.split('|').next().unwrap_or_default();
        let last = path.rsplit('.').next().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name: String = last
            .split('[')
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|c| fits(*c))
            .collect();
        address.push_str(before);
        address.push_str(&format!("{{{name}}}"));
        rest = after;
    }
    address.push_str(rest);
    if let Some((kind, id)) = address.split_once(':').filter(|_| is_kind)
        && (id == "*" || id.contains('{'))
    {
        return ChannelAddress::parse(&format!("{kind}:{{{kind}Id}}")).ok();
    }
    ChannelAddress::parse(&address).ok()
}
