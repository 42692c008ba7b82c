//! Dependencies that a repository declares: manifests and lock files of package managers.
//!
//! From a lock file the direct dependencies of the repository are read, and not those of its
//! dependencies: those are not the feature's choice.

mod cargo;
mod go;
mod jvm;
mod npm;
mod python;

use super::finding::{GuardFinding, SourceRegion};
use super::packages::{PackageEcosystem, dependency};
use super::rules::realtime_dependency::RULE;

/// Outcome of reading a manifest: its findings, or the reason why it does not parse.
pub(super) type ManifestOutcome = Result<Vec<GuardFinding>, String>;

/// Reads a file, if its name is one of a package manager.
pub(super) fn scan(path: &str, text: &str) -> Option<ManifestOutcome> {
    Some(match file_name(path) {
        "package.json" => npm::manifest(path, text),
        "package-lock.json" | "npm-shrinkwrap.json" => npm::lock(path, text),
        "pnpm-lock.yaml" => npm::pnpm_lock(path, text),
        "yarn.lock" => Ok(npm::yarn_lock(path, text)),
        "Cargo.toml" => cargo::manifest(path, text),
        "pyproject.toml" => python::project(path, text),
        "uv.lock" => python::uv_lock(path, text),
        "Pipfile" => python::pipfile(path, text),
        "go.mod" => Ok(go::module(path, text)),
        "pom.xml" => Ok(jvm::maven(path, text)),
        "build.gradle" | "build.gradle.kts" => Ok(jvm::gradle(path, text)),
        name if name.ends_with(".versions.toml") => jvm::catalog(path, text),
        name if python::is_requirements(name) => Ok(python::requirements(path, text)),
        _ => return None,
    })
}

/// Returns `true` for the names of manifests and lock files.
pub(super) fn is_manifest(path: &str) -> bool {
    let name = file_name(path);
    matches!(
        name,
        "package.json"
            | "package-lock.json"
            | "npm-shrinkwrap.json"
            | "pnpm-lock.yaml"
            | "yarn.lock"
            | "Cargo.toml"
            | "pyproject.toml"
            | "uv.lock"
            | "Pipfile"
            | "go.mod"
            | "pom.xml"
            | "build.gradle"
            | "build.gradle.kts"
    ) || name.ends_with(".versions.toml")
        || python::is_requirements(name)
}

/// Returns `true` for lock files, whose findings are those of a manifest again.
pub(super) fn is_lock(path: &str) -> bool {
    let name = file_name(path);
    name.contains("lock") || name == "npm-shrinkwrap.json"
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The finding for one declared dependency, if it is one.
fn declared(
    ecosystem: PackageEcosystem,
    path: &str,
    name: &str,
    line: usize,
    column: usize,
) -> Option<GuardFinding> {
    let known = dependency(ecosystem, name)?;
    known.is_whole().then(|| {
        let region = SourceRegion::at(line, column);
        let message = format!("the dependency `{name}` is a real-time layer of its own");
        GuardFinding::new(&RULE, path, region, known.name, message)
    })
}

/// Line and column of a byte, both from 1.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}
