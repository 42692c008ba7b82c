//! The `roles` section: topics that a kind of client may subscribe and publish to.

use std::fmt;

use super::check::{Faults, join, text_of};
use super::fault::Severity;
use super::placeholder::{Roots, foreign};
use super::{elements, flag, member, text};
use crate::channel::id_extension::IdExtension;
use crate::channel::{IdFormat, Kinds};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TreeValue};
use crate::policy::principal::{ClientIdBinding, ClientIdRules};
use crate::policy::role::{Role, RoleEntry, Use};

pub(super) fn read(
    root: &TreeValue,
    kinds: &Kinds,
    bridge_client_id: &str,
    faults: &mut Faults<'_>,
) -> Vec<Role> {
    let Some(NodeValue::Object(members)) = member(root, "roles").map(|node| &node.value) else {
        return Vec::new();
    };
    let mut roles: Vec<Role> = Vec::new();
    for section in members {
        let Some(role) = role(section, kinds, bridge_client_id, faults) else {
            continue;
        };
        // The ids of a channel whose format cannot be read are not known.
        if faults
            .found
            .iter()
            .all(|fault| fault.code != "bad-id-format")
        {
            warn_of_reserved_client_ids(&role, section, faults);
            check_shared_client_ids(&role, &roles, section, faults);
        }
        roles.push(role);
    }
    roles
}

fn role(
    section: &ObjectMember,
    kinds: &Kinds,
    bridge_client_id: &str,
    faults: &mut Faults<'_>,
) -> Option<Role> {
    let (name, node) = (&section.key, &section.value);
    let key = format!("roles.{name}");
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(fits) {
        let message = format!("role name `{name}` must be letters, digits, `-` and `_`");
        faults
            .error("bad-role", &key, section.key_at, message)
            .accepted = Some("a name such as `customer`".into());
    }
    let subscribe = entries(node, &key, "subscribe", Use::Subscribe, kinds, faults);
    let publish = entries(node, &key, "publish", Use::Publish, kinds, faults);
    // Read last, so that the other faults of a role without `bind` are reported as well.
    let bind = member(node, "bind")?;
    let bind = entry(bind, &join(&key, "bind"), Use::Bind, kinds, faults)?;
    let role = Role {
        name: name.clone(),
        client_ids: ClientIdRules {
            binding: binding(node, &bind),
            reserved: Some(bridge_client_id.into()),
        },
        bind,
        subscribe,
        publish,
        retain: flag(node, "retain"),
    };
    let is_empty = |name| {
        matches!(
            member(node, name).map(|node| &node.value),
            None | Some(NodeValue::Array(_))
        ) && elements(node, name).is_empty()
    };
    if is_empty("subscribe") && is_empty("publish") {
        let message = format!("role `{name}` grants nothing");
        faults
            .error("empty-role", &key, section.key_at, message)
            .help = Some("add subscribe: [\"order:{claims.orders[*]}\"], or publish".into());
    }
    if role.retain && role.publish.is_empty() {
        let at = member(node, "retain").unwrap_or(node).at;
        let message = format!("`{key}.retain` has no `publish` beside it");
        faults
            .error("does-not-fit", &join(&key, "retain"), at, message)
            .help = Some("retaining is a property of what is published; leave it out".into());
    }
    Some(role)
}

fn entries(
    node: &TreeValue,
    role: &str,
    name: &str,
    purpose: Use,
    kinds: &Kinds,
    faults: &mut Faults<'_>,
) -> Vec<RoleEntry> {
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
    node: &TreeValue,
    key: &str,
    purpose: Use,
    kinds: &Kinds,
    faults: &mut Faults<'_>,
) -> Option<RoleEntry> {
    let NodeValue::String(written) = &node.value else {
        return None;
    };
    let written = text_of(written);
    if written.is_empty() {
        // Reported as a wrong type.
        return None;
    }
    // `${…}` and wildcards are refused below; what is left in names that nobody has is only a warning.
    let foreign = foreign(&written, Roots::Claims);
    match RoleEntry::parse(&written, purpose, kinds) {
        Ok(entry) => {
            for found in foreign {
                let message = format!(
                    "grant `{written}`: `{}` is a placeholder of {}, not of eventcast",
                    found.written, found.tools
                );
                let fault = faults.error("foreign-placeholder", key, node.at, message);
                fault.severity = Severity::Warning;
                fault.help = Some(found.help);
            }
            Some(entry)
        }
        Err(error) => {
            let message = format!("grant `{written}`: {}", error.message);
            let mut meant = foreign.into_iter().filter(|found| found.is_field);
            let meant = meant.next().map(|found| found.help);
            faults.error("bad-grant", key, node.at, message).help = meant.or(error.help);
            None
        }
    }
}

/// The binding as written, or as the format of the channel's ids makes it.
fn binding(role: &TreeValue, bind: &RoleEntry) -> ClientIdBinding {
    match text(role, "client_ids").as_deref() {
        Some("exact") => ClientIdBinding::Exact,
        Some("prefix") => ClientIdBinding::Prefix,
        _ => bind.kind().map_or_else(ClientIdBinding::default, |kind| {
            ClientIdBinding::of_format(kind.id())
        }),
    }
}

/// Ids that every role refuses, since the bridge's connections have client ids that begin with them.
fn warn_of_reserved_client_ids(role: &Role, section: &ObjectMember, faults: &mut Faults<'_>) {
    let (Some(kind), Some(reserved)) = (role.bind.kind(), role.client_ids.reserved.as_deref())
    else {
        return;
    };
    // All beginnings that end before a hyphen, and the whole: `live-bridge` may be bound as `live` too.
    let ends = reserved
        .match_indices('-')
        .map(|(at, _)| at)
        .chain([reserved.len()]);
    let taken = ends
        .filter_map(|end| reserved.get(..end))
        .find(|id| role.client_ids.is_reserved(id) && kind.id().accepts(id));
    if let Some(id) = taken {
        let key = format!("roles.{}.bind", role.name);
        let at = member(&section.value, "bind").map_or(section.key_at, |bind| bind.at);
        let message = format!(
            "role `{}` accepts the principal `{id}`, whose client ids would be the bridge's (bridge.client_id: `{reserved}`); \
             tokens with it are refused",
            role.name
        );
        let fault = faults.error("reserved-client-ids", &key, at, message);
        fault.severity = Severity::Warning;
        fault.help = Some(format!(
            "set bridge.client_id to a name that is not an id of channel `{}`, or narrow the ids' pattern",
            kind.name()
        ));
    }
}

/// Sample UUID: a pattern that matches it is taken to match the ids of a uuid channel.
const A_UUID: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

/// Client ids are bound to the id alone: user 7 and courier 7 would have the same ones.
fn check_shared_client_ids(
    role: &Role,
    before: &[Role],
    section: &ObjectMember,
    faults: &mut Faults<'_>,
) {
    let Some(kind) = role.bind.kind() else {
        return;
    };
    // The ids of a channel whose format cannot be read are not known.
    if faults
        .found
        .iter()
        .any(|fault| fault.code == "bad-id-format")
    {
        return;
    }
    let shared = |known: &&Role| {
        known.bind.kind().is_some_and(|other| {
            let unique = match (kind.id(), other.id()) {
                // UUIDs are given out once.
                (IdFormat::Uuid, IdFormat::Uuid) => true,
                (IdFormat::Uuid, pattern) | (pattern, IdFormat::Uuid) => !pattern.accepts(A_UUID),
                (IdFormat::Pattern(_), IdFormat::Pattern(_)) => false,
            };
            // One kind may be bound exactly by one role and with suffixes by another.
            let suffixed = known.client_ids.binding != role.client_ids.binding
                && kind.id().may_contain_hyphen();
            !unique && (kind.name() != other.name() || suffixed)
        })
    };
    let shared: Vec<(&Role, Option<Takeover<'_>>)> = before
        .iter()
        .filter(shared)
        .map(|known| (known, Takeover::of(known, role)))
        .collect();
    // A principal that can take another's client ids comes before a mere likeness.
    let certain = shared.iter().find(|(_, takeover)| takeover.is_some());
    let Some((other, takeover)) = certain.or(shared.first()) else {
        return;
    };
    let key = format!("roles.{}.bind", role.name);
    let at = member(&section.value, "bind").map_or(section.key_at, |bind| bind.at);
    let names = format!("`{}` and `{}`", other.name, role.name);
    if let Some(takeover) = takeover {
        let message = format!("{names} bind client ids of which one is another's: {takeover}");
        let fault = faults.error("shared-client-ids", &key, at, message);
        fault.help = Some(format!(
            "set client_ids: exact for `{}`, or give the channels ids of which none begins another's",
            takeover.by.name
        ));
        return;
    }
    let why = if other.client_ids.binding == role.client_ids.binding {
        "bind client ids to different channels, and equal ids would share client ids"
    } else {
        "bind client ids in different ways: where one role lets `-` and anything follow a principal, the result may be a \
         principal of the other"
    };
    let fault = faults.error("shared-client-ids", &key, at, format!("{names} {why}"));
    fault.severity = Severity::Warning;
    fault.help =
        Some("bind both to one kind of channel, give the kinds ids that differ, or set client_ids: exact for both".into());
}

/// A principal's client id that is another principal's: IoT Core ends the other's connection then,
/// and hands over its persistent session.
struct Takeover<'r> {
    /// The role whose principals may have any text behind their name.
    by: &'r Role,
    of: &'r Role,
    name: String,
    client_id: String,
}

impl<'r> Takeover<'r> {
    /// The takeover between two roles that their formats allow; `None` too where that is not known.
    fn of(one: &'r Role, other: &'r Role) -> Option<Self> {
        let (by, of) = match (one.client_ids.binding, other.client_ids.binding) {
            (ClientIdBinding::Prefix, ClientIdBinding::Exact) => (one, other),
            (ClientIdBinding::Exact, ClientIdBinding::Prefix) => (other, one),
            // Names that others may follow have no hyphen, and exact ones are followed by nothing.
            _ => return None,
        };
        match IdExtension::of(by.bind.kind()?.id(), of.bind.kind()?.id()) {
            IdExtension::Possible { id, extended } => Some(Self {
                by,
                of,
                name: id,
                client_id: extended,
            }),
            IdExtension::Never | IdExtension::Unknown => None,
        }
    }
}

impl fmt::Display for Takeover<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a client of principal `{}` may connect as `{}`, which role `{}` takes for a principal",
            self.name.escape_debug(),
            self.client_id.escape_debug(),
            self.of.name
        )
    }
}
