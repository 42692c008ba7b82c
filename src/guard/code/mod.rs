//! Code by its syntax trees.
//!
//! Rules speak of things and not of spellings: the constructor behind an alias, a cast, a member
//! of `window` or a re-export of another file is the same constructor. `bindings` follows names
//! within a file, `links` over the files of a repository. Patterns over single nodes cannot say
//! that; the rules of teams (`team`) are such patterns.

mod bindings;
mod language;
mod links;
mod modules;
mod origin;
mod polling;
mod prefilter;
mod script;
mod services;
mod source;
mod streams;
mod team;

use self::language::CodeLanguage;
use self::origin::{CodeOrigin, OriginRoot};
use self::source::{ParseRefusal, SourceTree};
use crate::guard::finding::GuardFinding;
use crate::guard::packages::{PackageEcosystem, packages};
use crate::guard::report::{SkipReason, SkippedFile};

pub use self::links::RepositoryLinks;
pub use self::team::{TeamRules, TestOutcome};

/// Findings of a file, and the things that it exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeScan {
    pub(crate) findings: Vec<GuardFinding>,
    pub(crate) skipped: Vec<SkippedFile>,
    exports: Vec<(String, CodeOrigin)>,
    /// `true` where the file was parsed.
    pub(crate) is_parsed: bool,
}

/// Returns `true` where there is a grammar for a path.
pub(crate) fn has_grammar(path: &str) -> bool {
    CodeLanguage::of(path).is_some()
}

/// Returns `true` where a path can name other files of the repository.
pub fn is_script(path: &str) -> bool {
    CodeLanguage::of(path).is_some_and(CodeLanguage::is_script)
}

/// Scans a file. It is parsed where it has a word that a rule asks for, or where `is_linked` says
/// that another file leads to it.
pub(crate) fn scan(
    path: &str,
    text: &str,
    links: &RepositoryLinks,
    is_linked: bool,
    is_expired: &dyn Fn() -> bool,
) -> CodeScan {
    let mut scan = CodeScan::default();
    let Some(language) = CodeLanguage::of(path) else {
        return scan;
    };
    if !is_linked && !prefilter::may_match(language, text.as_bytes()) {
        return scan;
    }
    let skip = |region, reason, detail: &str| SkippedFile {
        path: path.to_owned(),
        region,
        reason,
        detail: detail.to_owned(),
    };
    let source = match SourceTree::parse(text, language.grammar(), is_expired) {
        Ok(source) => source,
        Err(refusal) => {
            let (reason, detail) = match refusal {
                ParseRefusal::TimedOut => (SkipReason::TimedOut, ""),
                ParseRefusal::NoGrammar => (SkipReason::NotParsed, "the grammar cannot be loaded"),
                ParseRefusal::TooDeep => (SkipReason::NotParsed, "it is nested too deeply"),
            };
            scan.skipped.push(skip(None, reason, detail));
            return scan;
        }
    };
    scan.is_parsed = true;
    if let Some(region) = source.error() {
        let detail = "a part of it is not understood";
        scan.skipped
            .push(skip(Some(region), SkipReason::NotParsed, detail));
    }
    if language.is_script() {
        (scan.findings, scan.exports) = script::read(path, &source, links);
    } else {
        scan.findings = services::read(path, language, &source);
    }
    scan
}

impl CodeScan {
    /// Adds the file's exports to the links of the repository. Returns `true` where a rule asks for
    /// one of them.
    pub(crate) fn link(&mut self, path: &str, links: &mut RepositoryLinks) -> bool {
        let exports = std::mem::take(&mut self.exports);
        let wanted: Vec<(String, CodeOrigin)> = exports
            .into_iter()
            .filter(|(name, origin)| {
                let followed = match name.as_str() {
                    "*" if matches!(origin.root, OriginRoot::Module(_)) => {
                        return links.has_exports(path, origin);
                    }
                    _ => links.follow(path, origin.clone()),
                };
                is_wanted(&followed)
            })
            .collect();
        let is_new = !wanted.is_empty();
        links.add(path, wanted);
        is_new
    }
}

/// A thing that a rule asks for.
fn is_wanted(origin: &CodeOrigin) -> bool {
    match &origin.root {
        OriginRoot::Global => origin.sole_global().is_some_and(|name| {
            matches!(
                name,
                "WebSocket"
                    | "MozWebSocket"
                    | "EventSource"
                    | "WebTransport"
                    | "setInterval"
                    | "setTimeout"
            )
        }),
        OriginRoot::Package(name) => packages(PackageEcosystem::Npm).any(|one| one.name == name),
        OriginRoot::Module(_) => false,
    }
}
