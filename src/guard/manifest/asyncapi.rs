//! A manifest from an AsyncAPI 3 document: its channels and messages with `x-realtime`.
//!
//! Channels without `x-realtime` are other transports' and not looked at. AsyncAPI Specification
//! 3.0.0 (<https://www.asyncapi.com/docs/reference/specification/v3.0.0>), "Channel Object",
//! "Message Object"; 3.1.0 has the same.

use super::example::ExampleBody;
use super::keys::{CHANNEL_EXTENSION, MESSAGE_EXTENSION, ROOT_EXTENSION};
use super::read::{channel, check_examples, claims, platform, push_channel, unused_channels};
use super::schema::{PayloadSchema, pointed};
use super::{DeclaredChannel, DeclaredEvent, FeatureManifest, string};
use crate::config::check::{self, Faults};
use crate::config::shape::Shape;
use crate::config::{elements, member, text};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TreeValue};

/// The key of extensions.
const EXTENSION: &str = "x-realtime";

/// The most references from one to the next.
const MAX_REFERENCES: usize = 8;

/// Reads the tree of an AsyncAPI document.
pub(super) fn manifest(
    file: &str,
    root: &TreeValue,
    version: &TreeValue,
    faults: &mut Faults<'_>,
) -> Option<FeatureManifest> {
    let written = string(version).unwrap_or_else(|| version.to_json());
    if !written.starts_with("3.") {
        let message = format!("`asyncapi` is `{written}`");
        let fault = faults.error("unknown-version", "asyncapi", version.at, message);
        fault.accepted = Some("3.0.0, 3.1.0".into());
        fault.help = Some(
            "npx @asyncapi/cli convert FILE --target-version 3.0.0 converts older documents".into(),
        );
        return None;
    }
    let Some(extension) = member(root, EXTENSION) else {
        let fault = faults.error(
            "missing-key",
            EXTENSION,
            root.at,
            format!("the document has no `{EXTENSION}`"),
        );
        fault.accepted = Some("x-realtime: { platform: { config: eventcast.yaml } }".into());
        fault.help =
            Some("it says which platform's configuration the channels are proved with".into());
        return None;
    };
    check::check(
        extension,
        &Shape::Section(ROOT_EXTENSION),
        EXTENSION,
        faults,
    );
    let mut channels = Vec::new();
    let mut events: Vec<(*const TreeValue, DeclaredEvent)> = Vec::new();
    for found in members(root, "channels") {
        let key = format!("channels.{}", found.key);
        let node = followed(root, &found.value);
        let Some(extension) = member(node, EXTENSION) else {
            continue;
        };
        if let Some(index) = declared(node, extension, &key, &mut channels, faults) {
            for message in members(node, "messages") {
                let key = format!("{key}.messages.{}", message.key);
                event(root, message, index, &key, &mut events, faults);
            }
        }
    }
    let events: Vec<DeclaredEvent> = events.into_iter().map(|(_, event)| event).collect();
    if channels.is_empty() && faults.found.is_empty() {
        let message = format!("no channel has `{EXTENSION}`");
        faults
            .error("missing-key", "channels", root.at, message)
            .help = Some(
            "add x-realtime: { audience: [ROLE] } to the channels of the real-time layer".into(),
        );
    }
    unused_channels(&channels, &events, faults);
    let title = member(root, "info").and_then(|info| text(info, "title"));
    Some(FeatureManifest {
        file: file.to_owned(),
        feature: text(extension, "feature").or(title)?,
        owner: text(extension, "owner"),
        platform: platform(
            member(extension, "platform")?,
            "x-realtime.platform",
            faults,
        )?,
        claims: claims(extension, "x-realtime.claims", faults),
        channels,
        events,
    })
}

fn members<'n>(node: &'n TreeValue, key: &str) -> &'n [ObjectMember] {
    match member(node, key).map(|node| &node.value) {
        Some(NodeValue::Object(members)) => members,
        _ => &[],
    }
}

/// The object that references lead to; the last one where they have no end.
fn followed<'n>(root: &'n TreeValue, node: &'n TreeValue) -> &'n TreeValue {
    let mut node = node;
    for _ in 0..MAX_REFERENCES {
        let next = member(node, "$ref").and_then(string);
        match next.and_then(|reference| pointed(root, &reference)) {
            Some(next) => node = next,
            None => return node,
        }
    }
    node
}

/// Reads a channel, and returns its place among the others.
fn declared(
    node: &TreeValue,
    extension: &TreeValue,
    key: &str,
    channels: &mut Vec<DeclaredChannel>,
    faults: &mut Faults<'_>,
) -> Option<usize> {
    let extension_key = format!("{key}.{EXTENSION}");
    check::check(
        extension,
        &Shape::Section(CHANNEL_EXTENSION),
        &extension_key,
        faults,
    );
    let written = member(extension, "channel").or_else(|| member(node, "address"));
    let Some(written) = written.filter(|written| string(written).is_some()) else {
        let message = format!("`{key}` has no `address`");
        let fault = faults.error("missing-key", &format!("{key}.address"), node.at, message);
        fault.accepted = Some("a topic such as order/{orderId}".into());
        fault.help =
            Some("or name the channel in x-realtime: { channel: \"order:{orderId}\" }".into());
        return None;
    };
    let mut read = channel(extension, written, &extension_key, faults)?;
    read.about = text(node, "summary")
        .or_else(|| text(node, "description"))
        .or(read.about);
    push_channel(read, &format!("{key}.address"), channels, faults);
    channels.len().checked_sub(1)
}

/// Reads a message of a channel, or adds the channel to the message that another one names too.
fn event(
    root: &TreeValue,
    message: &ObjectMember,
    channel: usize,
    key: &str,
    events: &mut Vec<(*const TreeValue, DeclaredEvent)>,
    faults: &mut Faults<'_>,
) {
    let node = followed(root, &message.value);
    let identity = std::ptr::from_ref(node);
    if let Some((_, known)) = events.iter_mut().find(|(known, _)| *known == identity) {
        known.to.push(channel);
        return;
    }
    let Some(extension) = member(node, EXTENSION) else {
        let fault = faults.error(
            "missing-key",
            &format!("{key}.{EXTENSION}"),
            node.at,
            format!("`{key}` has no `{EXTENSION}`"),
        );
        fault.accepted =
            Some("x-realtime: { source: shop.orders, detail-type: OrderPlaced }".into());
        fault.help = Some("it says which event of the bus the message is made of".into());
        return;
    };
    let extension_key = format!("{key}.{EXTENSION}");
    check::check(
        extension,
        &Shape::Section(MESSAGE_EXTENSION),
        &extension_key,
        faults,
    );
    let (Some(source), Some(detail_type)) =
        (text(extension, "source"), text(extension, "detail-type"))
    else {
        return;
    };
    let kind = (&*source, &*detail_type);
    let key_of = |name| (&*extension_key, name);
    let mut examples = ExampleBody::read_list(extension, key_of("examples"), kind, faults);
    let counter_examples =
        ExampleBody::read_list(extension, key_of("counter_examples"), kind, faults);
    // The document's own examples are messages; one that is a whole event is an example too.
    for (index, example) in elements(node, "examples").iter().enumerate() {
        let whole =
            member(example, "payload").filter(|payload| member(payload, "detail").is_some());
        if let Some(payload) = whole {
            let key = format!("{key}.examples[{index}].payload");
            examples.extend(ExampleBody::read(
                payload,
                &key,
                &source,
                &detail_type,
                faults,
            ));
        }
    }
    if examples.is_empty() {
        let fault = faults.error(
            "missing-key",
            &format!("{extension_key}.examples"),
            extension.at,
            format!("`{key}` has no example of its event"),
        );
        fault.accepted = Some("examples: [{ detail: { orderId: 1 } }], in `x-realtime`".into());
        fault.help = Some("or an example of the message whose `payload` is a whole event".into());
    }
    let schema = detail_schema(root, node)
        .and_then(|schema| PayloadSchema::read(schema, root, &format!("{key}.payload"), faults));
    check_examples(&examples, schema.as_ref(), &extension_key, faults);
    let name = text(node, "name").unwrap_or_else(|| message.key.to_string());
    events.push((
        identity,
        DeclaredEvent {
            name,
            source,
            detail_type,
            to: vec![channel],
            schema,
            examples,
            counter_examples,
            at: node.at,
        },
    ));
}

/// The schema of the event's `detail`: a member of the payload's, or the payload's itself.
fn detail_schema<'n>(root: &'n TreeValue, message: &'n TreeValue) -> Option<&'n TreeValue> {
    let payload = followed(root, member(message, "payload")?);
    // The multi-format schema object has the schema in a member of its own.
    let payload = match member(payload, "schemaFormat") {
        Some(_) => followed(root, member(payload, "schema")?),
        None => payload,
    };
    let properties = member(payload, "properties");
    // A CloudEvent has it in `data`.
    let name = match properties.and_then(|properties| member(properties, "specversion")) {
        Some(_) => "data",
        None => "detail",
    };
    let detail = properties.and_then(|properties| member(properties, name));
    Some(detail.map_or(payload, |detail| followed(root, detail)))
}
