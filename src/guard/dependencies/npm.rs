//! npm: `package.json`, and the lock files of npm, pnpm and yarn.

use super::{ManifestOutcome, declared};
use crate::config::yaml;
use crate::event::pattern::tree::{NodeValue, ObjectMember, TreeValue};
use crate::guard::finding::GuardFinding;
use crate::guard::packages::PackageEcosystem::Npm;

/// Sections whose packages are part of what is shipped (npm documentation, "package.json").
const SECTIONS: [&str; 3] = ["dependencies", "optionalDependencies", "peerDependencies"];

/// Reads a `package.json`.
pub(super) fn manifest(path: &str, text: &str) -> ManifestOutcome {
    let root = json(text)?;
    Ok(sections(path, &root))
}

/// Reads a `package-lock.json`: the root and the workspaces (npm documentation,
/// "package-lock.json", "packages").
pub(super) fn lock(path: &str, text: &str) -> ManifestOutcome {
    let root = json(text)?;
    let packages = members(&root).iter().find(|one| &*one.key == "packages");
    let own = packages
        .map(|one| members(&one.value))
        .unwrap_or_default()
        .iter();
    let own = own.filter(|one| !one.key.contains("node_modules/"));
    Ok(own.flat_map(|one| sections(path, &one.value)).collect())
}

/// Reads a `pnpm-lock.yaml`: its importers are the packages of the workspace.
pub(super) fn pnpm_lock(path: &str, text: &str) -> ManifestOutcome {
    // The parts behind the importers are far larger, and name nothing that the repository declares.
    let end = ["\npackages:", "\nsnapshots:"]
        .iter()
        .filter_map(|part| text.find(part))
        .min();
    let text = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
    let root = yaml::parse_template(text).map_err(|error| error.message)?;
    let Some(root) = root else {
        return Ok(Vec::new());
    };
    let mut found = sections(path, &root);
    for importers in members(&root).iter().filter(|one| &*one.key == "importers") {
        for importer in members(&importers.value) {
            found.extend(sections(path, &importer.value));
        }
    }
    Ok(found)
}

/// Reads a `yarn.lock`: the entries of yarn 2 and later that are workspaces. The lock file of
/// yarn 1 does not say which packages the repository asks for; its `package.json` does.
pub(super) fn yarn_lock(path: &str, text: &str) -> Vec<GuardFinding> {
    let mut found = Vec::new();
    let (mut is_own, mut is_list) = (false, false);
    for (index, line) in text.lines().enumerate() {
        if !line.starts_with(' ') {
            is_own = line.contains("@workspace:");
            is_list = false;
        } else if !line.starts_with("    ") {
            is_list = line.trim_end() == "  dependencies:";
        } else if is_own && is_list {
            let entry = line.trim_start();
            let column = line.len() - entry.len() + 1;
            let (name, target) = entry.split_once(": ").unwrap_or((entry, ""));
            let target = target
                .trim_matches('"')
                .strip_prefix("npm:")
                .and_then(package_of);
            let name = target.unwrap_or(name.trim_matches('"'));
            found.extend(declared(Npm, path, name, index + 1, column));
        }
    }
    found
}

fn json(text: &str) -> Result<TreeValue, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    TreeValue::parse(text).map_err(|error| error.to_string())
}

fn sections(path: &str, node: &TreeValue) -> Vec<GuardFinding> {
    let sections = members(node)
        .iter()
        .filter(|one| SECTIONS.contains(&&*one.key));
    let dependencies = sections.flat_map(|section| {
        let is_peer = &*section.key == "peerDependencies";
        let all = members(&section.value).iter();
        all.filter(move |one| !(is_peer && is_optional_peer(node, &one.key)))
    });
    let found = dependencies.filter_map(|member| {
        let name = aliased(member).unwrap_or(&member.key);
        declared(Npm, path, name, member.key_at.line, member.key_at.column)
    });
    found.collect()
}

/// A peer that is used where somebody else brings it (npm documentation, "peerDependenciesMeta").
fn is_optional_peer(node: &TreeValue, name: &str) -> bool {
    let at = |node: &TreeValue, key: &str| {
        let found = members(node).iter().find(|one| &*one.key == key);
        found.map(|one| one.value.clone())
    };
    let meta = at(node, "peerDependenciesMeta").and_then(|meta| at(&meta, name));
    let is_optional = meta.and_then(|meta| at(&meta, "optional"));
    is_optional.is_some_and(|value| value.value == NodeValue::Bool(true))
        && at(node, "dependencies").is_none_or(|own| at(&own, name).is_none())
}

/// The package behind an alias: `"socket": "npm:socket.io-client@4"`, in pnpm's lock file
/// `version: socket.io-client@4.8.1` below the name.
fn aliased(member: &ObjectMember) -> Option<&str> {
    let value = match &member.value.value {
        NodeValue::Object(inner) => {
            &inner
                .iter()
                .find(|one| &*one.key == "specifier")?
                .value
                .value
        }
        value => value,
    };
    let NodeValue::String(bytes) = value else {
        return None;
    };
    package_of(std::str::from_utf8(bytes).ok()?.strip_prefix("npm:")?)
}

/// The name in `name@version`; the name of a scope begins with `@` itself.
fn package_of(target: &str) -> Option<&str> {
    let rest = target.get(1..)?;
    let name = target.get(..rest.find('@').map_or(target.len(), |at| at + 1))?;
    // `npm:^4.8.1` is a range and no name.
    name.starts_with(|c: char| c == '@' || c.is_ascii_alphabetic())
        .then_some(name)
}

fn members(node: &TreeValue) -> &[ObjectMember] {
    match &node.value {
        NodeValue::Object(members) => members,
        _ => &[],
    }
}
