//! Python: requirements files, `pyproject.toml`, `uv.lock`, `Pipfile`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ManifestOutcome, declared, place};
use crate::guard::finding::GuardFinding;
use crate::guard::packages::PackageEcosystem::Python;

/// Groups of dependencies that are not shipped.
const TOOLS: [&str; 8] = [
    "dev", "test", "tests", "testing", "docs", "doc", "lint", "typing",
];

/// Returns `true` for `requirements.txt`, `requirements-web.txt`, `requirements.in`; not for those
/// of tests and tools.
pub(super) fn is_requirements(name: &str) -> bool {
    let stem = name
        .strip_suffix(".txt")
        .or_else(|| name.strip_suffix(".in"));
    let parts = stem.and_then(|stem| stem.strip_prefix("requirements"));
    parts.is_some_and(|rest| {
        let mut words = rest.split(['-', '_', '.']);
        !words.any(|word| TOOLS.contains(&word))
    })
}

/// Reads a requirements file (pip documentation, "Requirements File Format").
pub(super) fn requirements(path: &str, text: &str) -> Vec<GuardFinding> {
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(index, line)| {
        let entry = line.trim_start();
        let is_entry = !entry.starts_with(['#', '-']);
        let name = requirement(entry).filter(|_| is_entry)?;
        declared(Python, path, name, index + 1, line.len() - entry.len() + 1)
    });
    found.collect()
}

/// The name that a requirement begins with (PEP 508).
fn requirement(text: &str) -> Option<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    text.get(..end).filter(|name| !name.is_empty())
}

/// Reads a `pyproject.toml`: PEP 621, and Poetry.
pub(super) fn project(path: &str, text: &str) -> ManifestOutcome {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let root = root.get_ref();
    let mut found = Vec::new();
    if let Some(project) = table(root, "project") {
        list(path, text, project.get("dependencies"), &mut found);
        for (group, entries) in table(project, "optional-dependencies")
            .into_iter()
            .flatten()
        {
            if !TOOLS.contains(&group.get_ref().as_ref()) {
                list(path, text, Some(entries), &mut found);
            }
        }
    }
    let poetry = table(root, "tool").and_then(|tool| table(tool, "poetry"));
    let poetry = poetry.and_then(|poetry| table(poetry, "dependencies"));
    keys(path, text, poetry, &mut found);
    Ok(found)
}

/// Reads a `Pipfile`.
pub(super) fn pipfile(path: &str, text: &str) -> ManifestOutcome {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let mut found = Vec::new();
    keys(path, text, table(root.get_ref(), "packages"), &mut found);
    Ok(found)
}

/// Reads a `uv.lock`: the dependencies of the workspace's packages.
pub(super) fn uv_lock(path: &str, text: &str) -> ManifestOutcome {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let mut found = Vec::new();
    let packages = root.get_ref().get("package").map(Spanned::get_ref);
    let Some(DeValue::Array(packages)) = packages else {
        return Ok(found);
    };
    for package in packages.iter() {
        let DeValue::Table(package) = package.get_ref() else {
            continue;
        };
        let source = table(package, "source");
        let is_own = source.is_some_and(|source| {
            ["editable", "virtual"]
                .iter()
                .any(|key| source.get(*key).is_some())
        });
        let Some(DeValue::Array(entries)) = package.get("dependencies").map(Spanned::get_ref)
        else {
            continue;
        };
        for entry in entries.iter().filter(|_| is_own) {
            if let DeValue::Table(inner) = entry.get_ref()
                && let Some(name) = inner.get("name").and_then(|one| one.get_ref().as_str())
            {
                let (line, column) = place(text, entry.span().start);
                found.extend(declared(Python, path, name, line, column));
            }
        }
    }
    Ok(found)
}

fn list(
    path: &str,
    text: &str,
    entries: Option<&Spanned<DeValue<'_>>>,
    found: &mut Vec<GuardFinding>,
) {
    let Some(DeValue::Array(entries)) = entries.map(Spanned::get_ref) else {
        return;
    };
    for entry in entries.iter() {
        if let Some(name) = entry.get_ref().as_str().and_then(requirement) {
            let (line, column) = place(text, entry.span().start);
            found.extend(declared(Python, path, name, line, column));
        }
    }
}

fn keys(path: &str, text: &str, entries: Option<&DeTable<'_>>, found: &mut Vec<GuardFinding>) {
    for (name, _) in entries.into_iter().flatten() {
        let (line, column) = place(text, name.span().start);
        found.extend(declared(Python, path, name.get_ref(), line, column));
    }
}

fn table<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
    match table.get(key)?.get_ref() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    }
}
