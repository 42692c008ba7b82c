//! Terraform as JSON: plans (`terraform show -json`), and sources (`.tf.json`).

use super::{InfraFile, InfraResource, ReadOutcome, elements, member, members, text, unknown};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TreeValue};

/// Reads a plan (Terraform documentation, "JSON Output Format", "Plan Representation"). A deleted
/// resource is passed over.
pub(super) fn read_plan(content: &str) -> ReadOutcome {
    let root = TreeValue::parse(content).map_err(|error| error.to_string())?;
    let mut out = InfraFile::default();
    for change in member(&root, "resource_changes")
        .map(elements)
        .unwrap_or_default()
    {
        let Some(body) = member(change, "change") else {
            continue;
        };
        let actions = member(body, "actions").map(elements).unwrap_or_default();
        let is_deleted =
            !actions.is_empty() && actions.iter().all(|one| text(one) == Some("delete"));
        let is_data = member(change, "mode").and_then(text) == Some("data");
        if is_deleted || is_data {
            continue;
        }
        let mut properties = member(body, "after")
            .cloned()
            .unwrap_or_else(|| TreeValue::empty_object(change.at));
        if let Some(open) = member(body, "after_unknown") {
            add_unknown(&mut properties, open);
        }
        let name = |key| {
            member(change, key)
                .and_then(text)
                .unwrap_or_default()
                .to_owned()
        };
        out.resources.push(InfraResource {
            id: name("address"),
            kind: name("type"),
            at: change.at,
            properties,
        });
    }
    Ok(out)
}

/// Marks values that are known only after the plan was applied.
fn add_unknown(properties: &mut TreeValue, open: &TreeValue) {
    let NodeValue::Object(known) = &mut properties.value else {
        return;
    };
    for one in members(open) {
        let is_open = one.value.value == NodeValue::Bool(true);
        let position = known.iter().position(|known| known.key == one.key);
        match position.and_then(|at| known.get_mut(at)) {
            Some(inner) if is_open => inner.value = unknown(inner.value.at),
            Some(inner) => add_unknown(&mut inner.value, &one.value),
            None if is_open => known.push(ObjectMember {
                key: one.key.clone(),
                key_at: one.key_at,
                value: unknown(one.value.at),
            }),
            None => {}
        }
    }
}

/// Reads a source in JSON (Terraform documentation, "JSON Configuration Syntax").
pub(super) fn read_source(content: &str) -> ReadOutcome {
    let root = TreeValue::parse(content).map_err(|error| error.to_string())?;
    let mut out = InfraFile::default();
    for kind in member(&root, "resource").map(members).unwrap_or_default() {
        for resource in members(&kind.value) {
            let bodies = match elements(&resource.value) {
                [] => std::slice::from_ref(&resource.value),
                bodies => bodies,
            };
            for body in bodies {
                out.resources.push(InfraResource {
                    id: format!("{}.{}", kind.key, resource.key),
                    kind: kind.key.to_string(),
                    at: resource.key_at,
                    properties: body.clone(),
                });
            }
        }
    }
    for module in member(&root, "module").map(members).unwrap_or_default() {
        out.resources.push(InfraResource {
            id: module.key.to_string(),
            kind: "module".to_owned(),
            at: module.key_at,
            properties: module.value.clone(),
        });
    }
    Ok(out)
}
