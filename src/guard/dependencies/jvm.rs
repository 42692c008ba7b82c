//! Java: `pom.xml`, Gradle's build files and its catalogs of versions.

use std::sync::LazyLock;

use regex::Regex;
use toml::de::{DeTable, DeValue};

use super::{ManifestOutcome, declared, place};
use crate::guard::finding::GuardFinding;
use crate::guard::packages::PackageEcosystem::Maven;

/// Reads the dependencies of a `pom.xml`, without those of tests (Maven documentation, "POM
/// Reference").
pub(super) fn maven(path: &str, text: &str) -> Vec<GuardFinding> {
    let mut found = Vec::new();
    let clean = without_comments(text);
    let mut at = 0;
    while let Some(start) = clean.get(at..).and_then(|rest| rest.find("<dependency>")) {
        let start = at + start;
        let rest = clean.get(start..).unwrap_or_default();
        let end = rest.find("</dependency>").unwrap_or(rest.len());
        let body = rest.get(..end).unwrap_or_default();
        at = start + end.max(1);
        let element = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            Some(rest.split('<').next().unwrap_or_default().trim())
        };
        let (Some(group), Some(artifact)) = (element("groupId"), element("artifactId")) else {
            continue;
        };
        if element("scope") != Some("test") {
            let (line, column) = place(&clean, start);
            found.extend(declared(
                Maven,
                path,
                &format!("{group}:{artifact}"),
                line,
                column,
            ));
        }
    }
    found
}

/// Text with comments blanked, so that places stay.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        let end = after.find("-->").map_or(after.len(), |at| at + 3);
        let comment = after.get(..end).unwrap_or_default();
        out.push_str(before);
        out.push_str("    ");
        out.extend(comment.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = after.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Reads a build file of Gradle: dependencies that are written out, without those of tests.
pub(super) fn gradle(path: &str, text: &str) -> Vec<GuardFinding> {
    static DECLARED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#"(?m)^[ \t]*(?:implementation|api|compile|compileOnly|runtimeOnly|runtime)[ \t(]+["']([^"':\s]+:[^"':\s]+)"#,
        )
        .ok()
    });
    let Some(declared_as) = DECLARED.as_ref() else {
        return Vec::new();
    };
    let found = declared_as.captures_iter(text).filter_map(|found| {
        let name = found.get(1)?;
        let (line, column) = place(text, name.start());
        declared(Maven, path, name.as_str(), line, column)
    });
    found.collect()
}

/// Reads a catalog of versions: `module = "group:name"`, or `group` and `name`.
pub(super) fn catalog(path: &str, text: &str) -> ManifestOutcome {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let mut found = Vec::new();
    let Some(DeValue::Table(libraries)) = root.get_ref().get("libraries").map(|one| one.get_ref())
    else {
        return Ok(found);
    };
    for (key, library) in libraries {
        let name = match library.get_ref() {
            DeValue::Table(inner) => {
                let part = |name: &str| inner.get(name).and_then(|one| one.get_ref().as_str());
                match (part("module"), part("group"), part("name")) {
                    (Some(module), _, _) => module.to_owned(),
                    (None, Some(group), Some(name)) => format!("{group}:{name}"),
                    _ => continue,
                }
            }
            value => match value
                .as_str()
                .map(|text| text.splitn(3, ':').collect::<Vec<_>>())
            {
                Some(parts) if parts.len() >= 2 => {
                    parts.iter().take(2).copied().collect::<Vec<_>>().join(":")
                }
                _ => continue,
            },
        };
        let (line, column) = place(text, key.span().start);
        found.extend(declared(Maven, path, &name, line, column));
    }
    Ok(found)
}
