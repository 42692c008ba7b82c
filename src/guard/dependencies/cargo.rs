//! Cargo: `Cargo.toml`. Its lock file does not separate dependencies of tests from others.

use toml::de::{DeTable, DeValue};

use super::{ManifestOutcome, declared, place};
use crate::guard::finding::GuardFinding;
use crate::guard::packages::PackageEcosystem::Cargo;

/// Reads a manifest (The Cargo Book, "Specifying Dependencies").
pub(super) fn manifest(path: &str, text: &str) -> ManifestOutcome {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let mut found = Vec::new();
    section(path, text, root.get_ref(), &mut found);
    if let Some(workspace) = table(root.get_ref(), "workspace") {
        section(path, text, workspace, &mut found);
    }
    for (_, target) in table(root.get_ref(), "target").into_iter().flatten() {
        if let DeValue::Table(target) = target.get_ref() {
            section(path, text, target, &mut found);
        }
    }
    Ok(found)
}

fn section(path: &str, text: &str, table_of: &DeTable<'_>, found: &mut Vec<GuardFinding>) {
    for (name, value) in table(table_of, "dependencies").into_iter().flatten() {
        let renamed = match value.get_ref() {
            DeValue::Table(inner) => inner.get("package").and_then(|one| one.get_ref().as_str()),
            _ => None,
        };
        let (line, column) = place(text, name.span().start);
        let name = renamed.unwrap_or(name.get_ref());
        found.extend(declared(Cargo, path, name, line, column));
    }
}

fn table<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
    match table.get(key)?.get_ref() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    }
}
