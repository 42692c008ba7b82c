//! The `roles` section: what a kind of client may subscribe and publish to.

use super::check::{Faults, join, text_of};
use super::fault::Severity;
use super::{elements, flag, member};
use crate::channel::{IdFormat, Kinds};
use crate::event::pattern::tree::{Member, Node, NodeValue};
use crate::policy::role::{Entry, Role, Use};

pub(super) fn read(root: &Node, kinds: &Kinds, faults: &mut Faults<'_>) -> Vec<Role> {
    let Some(NodeValue::Object(members)) = member(root, "roles").map(|node| &node.value) else {
        return Vec::new();
    };
    let mut roles: Vec<Role> = Vec::new();
    for section in members {
        let Some(role) = role(section, kinds, faults) else {
            continue;
        };
        warn_of_shared_client_ids(&role, &roles, section, faults);
        roles.push(role);
    }
    roles
}

fn role(section: &Member, kinds: &Kinds, faults: &mut Faults<'_>) -> Option<Role> {
    let (name, node) = (&section.key, &section.value);
    let key = format!("roles.{name}");
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(fits) {
        let message = format!("role name `{name}` must be letters, digits, `-` and `_`");
        faults
            .error("bad-role", &key, section.key_at, message)
            .accepted = Some("a name such as `customer`".into());
    }
    let role = Role {
        name: name.clone(),
        subscribe: entries(node, &key, "subscribe", Use::Subscribe, kinds, faults),
        publish: entries(node, &key, "publish", Use::Publish, kinds, faults),
        retain: flag(node, "retain"),
        // Read last, so that the other faults of a role without `bind` are told as well.
        bind: member(node, "bind")
            .and_then(|bind| entry(bind, &join(&key, "bind"), Use::Bind, kinds, faults))?,
    };
    if member(node, "subscribe").is_none() && member(node, "publish").is_none() {
        let message = format!("role `{name}` grants nothing");
        faults
            .error("empty-role", &key, section.key_at, message)
            .help = Some("add subscribe: [\"order:{claims.orders[*]}\"], or publish".into());
    }
    if role.retain && role.publish.is_empty() {
        let at = member(node, "retain").unwrap_or(node).at;
        let message = format!("`{key}.retain` stands without `publish`");
        faults
            .error("does-not-fit", &join(&key, "retain"), at, message)
            .help = Some("retaining is a property of what is published; leave it out".into());
    }
    Some(role)
}

fn entries(
    node: &Node,
    role: &str,
    name: &str,
    purpose: Use,
    kinds: &Kinds,
    faults: &mut Faults<'_>,
) -> Vec<Entry> {
    let mut read = Vec::new();
    for (index, node) in elements(node, name).iter().enumerate() {
        read.extend(entry(
            node,
            &format!("{role}.{name}[{index}]"),
            purpose,
            kinds,
            faults,
        ));
    }
    read
}

fn entry(
    node: &Node,
    key: &str,
    purpose: Use,
    kinds: &Kinds,
    faults: &mut Faults<'_>,
) -> Option<Entry> {
    let NodeValue::String(written) = &node.value else {
        return None;
    };
    let written = text_of(written);
    if written.is_empty() {
        // Reported as a wrong type.
        return None;
    }
    match Entry::parse(&written, purpose, kinds) {
        Ok(entry) => Some(entry),
        Err(error) => {
            let message = format!("grant `{written}`: {}", error.message);
            faults.error("bad-grant", key, node.at, message).help = error.help;
            None
        }
    }
}

/// Where ids that look like this one fit, those of a uuid fit.
const A_UUID: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

/// Client ids are bound to the id alone: user 7 and courier 7 would have the same ones.
fn warn_of_shared_client_ids(
    role: &Role,
    before: &[Role],
    section: &Member,
    faults: &mut Faults<'_>,
) {
    let Some(kind) = role.bind.kind() else {
        return;
    };
    let shared = before.iter().find(|known| {
        known.bind.kind().is_some_and(|other| {
            let unique = match (kind.id(), other.id()) {
                // UUIDs are given out once.
                (IdFormat::Uuid, IdFormat::Uuid) => true,
                (IdFormat::Uuid, pattern) | (pattern, IdFormat::Uuid) => !pattern.accepts(A_UUID),
                (IdFormat::Pattern(_), IdFormat::Pattern(_)) => false,
            };
            kind.name() != other.name() && !unique
        })
    });
    if let Some(other) = shared {
        let key = format!("roles.{}.bind", role.name);
        let at = member(&section.value, "bind").map_or(section.key_at, |bind| bind.at);
        let message = format!(
            "`{}` and `{}` bind client ids to different channels, and equal ids would share client ids",
            other.name, role.name
        );
        let fault = faults.error("shared-client-ids", &key, at, message);
        fault.severity = Severity::Warning;
        fault.help =
            Some("bind both to one kind of channel, or give the kinds ids that differ".into());
    }
}
