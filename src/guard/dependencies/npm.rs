//! npm: `package.json`.

use super::{ManifestOutcome, declared};
use crate::event::pattern::tree::{Member, Node, NodeValue};
use crate::guard::packages::PackageEcosystem::Npm;

/// Sections of `package.json` whose packages are part of what is shipped (npm documentation,
/// "package.json").
const SECTIONS: [&str; 3] = ["dependencies", "optionalDependencies", "peerDependencies"];

/// Reads a `package.json`.
pub fn manifest(path: &str, text: &str) -> ManifestOutcome {
    let root = Node::parse(text).map_err(|error| error.to_string())?;
    let sections = members(&root)
        .iter()
        .filter(|one| SECTIONS.contains(&&*one.key));
    let declared_in = sections.flat_map(|section| members(&section.value));
    let found = declared_in.filter_map(|member| {
        let name = aliased(member).unwrap_or_else(|| member.key.to_string());
        declared(Npm, path, &name, member.key_at.line, member.key_at.column)
    });
    Ok(found.collect())
}

/// The package behind an alias: `"socket": "npm:socket.io-client@4"`.
fn aliased(member: &Member) -> Option<String> {
    let NodeValue::String(bytes) = &member.value.value else {
        return None;
    };
    let target = std::str::from_utf8(bytes).ok()?.strip_prefix("npm:")?;
    // The name of a scope begins with `@` itself.
    let end = target.get(1..)?.find('@').map_or(target.len(), |at| at + 1);
    Some(target.get(..end)?.to_owned())
}

fn members(node: &Node) -> &[Member] {
    match &node.value {
        NodeValue::Object(members) => members,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_followed() {
        let text = r#"{"dependencies": {
            "a": "npm:socket.io-client@4.8.1", "b": "npm:@microsoft/signalr", "c": "npm:left-pad@1"}}"#;
        let found = manifest("package.json", text).unwrap();
        let names: Vec<&str> = found.iter().map(|one| &*one.matched).collect();
        assert_eq!(names, ["socket.io-client", "@microsoft/signalr"]);
    }
}
