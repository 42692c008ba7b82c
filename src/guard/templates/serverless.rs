//! The Serverless Framework: `serverless.yml`, its WebSocket events and its own resources.

use super::{InfraFile, InfraResource, ReadOutcome, elements, member, members};
use crate::config::yaml;
use crate::event::pattern::tree::TreeValue;

/// Returns `true` for the names that the framework reads.
pub(super) fn is_named(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(
        name,
        "serverless.yml" | "serverless.yaml" | "serverless.json"
    )
}

/// Reads a service. An event `websocket` makes an API as `AWS::Serverless::WebSocketApi` does.
pub(super) fn read(content: &str) -> ReadOutcome {
    let root = yaml::parse_template(content).map_err(|error| error.message)?;
    let Some(root) = root else {
        return Ok(InfraFile::default());
    };
    let mut out = InfraFile::default();
    for function in member(&root, "functions").map(members).unwrap_or_default() {
        let events = member(&function.value, "events")
            .map(elements)
            .unwrap_or_default();
        let socket = events.iter().find_map(|event| {
            let found = members(event).iter().find(|one| &*one.key == "websocket");
            found.map(|one| one.key_at)
        });
        if let Some(at) = socket {
            out.resources.push(InfraResource {
                id: function.key.to_string(),
                kind: "AWS::Serverless::WebSocketApi".to_owned(),
                at,
                properties: TreeValue::empty_object(at),
            });
        }
        if let Some(url) = member(&function.value, "url")
            && let Some(mode) = member(url, "invokeMode")
        {
            out.resources.push(InfraResource {
                id: function.key.to_string(),
                kind: "AWS::Lambda::Url".to_owned(),
                at: mode.at,
                properties: TreeValue::object_of("InvokeMode", mode.clone(), mode.at),
            });
        }
    }
    let own = member(&root, "resources").and_then(|own| member(own, "Resources"));
    for resource in own.map(members).unwrap_or_default() {
        let kind = member(&resource.value, "Type").and_then(super::text);
        out.resources.push(InfraResource {
            id: resource.key.to_string(),
            kind: kind.unwrap_or_default().to_owned(),
            at: resource.key_at,
            properties: member(&resource.value, "Properties")
                .cloned()
                .unwrap_or_else(|| TreeValue::empty_object(resource.key_at)),
        });
    }
    Ok(out)
}
