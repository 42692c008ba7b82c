//! The requests of `eventcast policy apply`: one policy of the command line, or a list of them,
//! checked before any call.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, Write};
use std::path::Path;

use super::bulk::RequestedItems;
use super::journal::key;
use super::list::{ListColumns, ListPosition, ListRow, UnreadableList};
use super::report::{ItemFailure, cannot_answer};
use super::{SeenPolicies, bulk, targets, unfit};
use crate::cli::diagnostic::render;
use crate::cli::policy::documents::{self, bounded, read_text};
use crate::cli::policy::{document_fault, lint};
use crate::cli::user_error::write_error;
use crate::policy::deploy::plan::WantedDocument;
use crate::policy::deploy::target::{AttachmentTarget, PolicyName};
use crate::policy::deploy::text::{PolicyText, UnfitText};
use crate::policy::document::Document;
use crate::policy::lint::FindingLevel;
use crate::policy::query_report::Policies;

pub(super) const COLUMNS: ListColumns = ListColumns {
    known: &["name", "policy", "targets"],
    needed: &["name", "policy"],
};

/// Options for reading documents.
#[derive(Clone, Copy)]
pub(super) struct ReadOptions {
    /// `true` where policies are detached from all other targets.
    pub(super) only_these: bool,
    /// `true` where a document with errors of the lints is refused.
    pub(super) lint: bool,
}

/// One policy that is wanted.
pub(super) struct WantedPolicy {
    pub(super) place: ListPosition,
    pub(super) wanted: WantedDocument,
}

impl WantedPolicy {
    /// The key by which a journal identifies it.
    pub(super) fn key(&self) -> String {
        let WantedDocument {
            name,
            text,
            targets,
            only_these,
        } = &self.wanted;
        let targets: Vec<&str> = targets.iter().map(|target| target.as_str()).collect();
        key(&(name.as_str(), text.canonical(), targets, only_these))
    }
}

impl bulk::BulkItem for WantedPolicy {
    fn name(&self) -> &str {
        self.wanted.name.as_str()
    }

    fn place(&self) -> &ListPosition {
        &self.place
    }

    fn targets(&self) -> impl Iterator<Item = &AttachmentTarget> {
        self.wanted.targets.iter()
    }
}

/// The one policy of the command line; `None`, after a report, when it has a fault.
pub(super) fn one(
    row: &ListRow,
    how: ReadOptions,
    input: &mut Option<impl BufRead>,
    messages: &mut impl Write,
) -> anyhow::Result<Option<WantedPolicy>> {
    let argument = row.policy.as_deref().unwrap_or_default();
    let read = read_policy(argument, Path::new(""), input);
    let (file, text) = match read {
        Ok(read) => read,
        Err(why) => {
            cannot_answer(&why, messages)?;
            return Ok(None);
        }
    };
    let text = match PolicyText::parse(&text) {
        Ok(text) => text,
        Err(unfit) => {
            explain(&unfit, &file, &text, messages)?;
            return Ok(None);
        }
    };
    if how.lint && !passes(&file, text.as_str(), messages)? {
        return Ok(None);
    }
    match item(row, text, how.only_these) {
        Ok(item) => Ok(Some(item)),
        Err(failure) => {
            failure.write(messages)?;
            Ok(None)
        }
    }
}

/// Writes the findings of the lints in one document. Returns `true` where none is an error.
fn passes(file: &str, text: &str, messages: &mut impl Write) -> anyhow::Result<bool> {
    let policies = alone(file, text)?;
    let findings = lint::found(&policies, None);
    lint::write_findings(&findings, &policies, messages)?;
    let errors = lint::count(&findings, FindingLevel::Error);
    if errors > 0 {
        write_error(
            messages,
            format_args!(
                "the policy was not applied: the lints find {}",
                lint::counted(errors, "error")
            ),
            "correct the document, or apply it all the same with --no-lint",
        )?;
    }
    Ok(errors == 0)
}

/// One document by itself.
fn alone(file: &str, text: &str) -> anyhow::Result<Policies> {
    let mut policies = Policies::default();
    policies.push(file.to_owned(), text.to_owned(), Document::parse(text)?);
    Ok(policies)
}

/// A document's text and its name in messages: literal JSON, a file, or standard input. An answer
/// that holds one document is read as well.
fn read_policy(
    argument: &str,
    folder: &Path,
    input: &mut Option<impl BufRead>,
) -> Result<(String, String), UnreadableList> {
    let (name, text) = if argument.trim_start().starts_with('{') {
        ("policy".to_owned(), argument.to_owned())
    } else if argument == "-" {
        let text = read_text(argument, input).map_err(unreadable)?;
        ("standard input".to_owned(), text)
    } else {
        let path = folder.join(argument).display().to_string();
        let read = File::open(path).map_err(|error| error.to_string());
        let text = read.and_then(bounded);
        let text =
            text.map_err(|error| unreadable(format!("reading the policy `{argument}`: {error}")))?;
        (argument.to_owned(), text)
    };
    let mut parts = documents::split(&text);
    match parts.pop().filter(|_| parts.is_empty()) {
        Some(part) if part.is_unknown => Err(UnreadableList {
            what: format!("`{name}` is neither a policy document nor an answer that holds one"),
            help: format!("give {}", documents::ACCEPTED),
        }),
        Some(part) => Ok((name, part.text)),
        None => Err(UnreadableList {
            what: format!("`{name}` holds {} documents", parts.len() + 1),
            help: "a policy of IoT Core has one document: apply each under its own name".into(),
        }),
    }
}

fn unreadable(what: String) -> UnreadableList {
    UnreadableList {
        what,
        help: "name a file, or give the document itself".into(),
    }
}

/// Everything that is wrong with a document, each with its line.
fn explain(
    unfit: &UnfitText,
    file: &str,
    text: &str,
    messages: &mut impl Write,
) -> anyhow::Result<()> {
    let UnfitText::NotADocument(error) = unfit else {
        write_error(
            messages,
            format_args!("{file}: {unfit}"),
            format_args!("{TOO_LONG}"),
        )?;
        return Ok(());
    };
    for fault in error.faults.clone() {
        render(&document_fault(file, fault), text, messages)?;
    }
    Ok(())
}

const TOO_LONG: &str = "divide it into policies of their own, or grant by patterns";

/// The policies of a list, each checked by itself and against those before it.
pub(super) fn from_list(
    path: &Path,
    rows: RequestedItems<ListRow>,
    how: ReadOptions,
) -> RequestedItems<WantedPolicy> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut texts: HashMap<String, Result<PolicyText, (String, String)>> = HashMap::new();
    let mut once = SeenPolicies::default();
    let mut checked = |row: ListRow| {
        let policy = row.policy.clone().unwrap_or_default();
        let text = texts
            .entry(policy.clone())
            .or_insert_with(|| policy_text(&policy, folder, how.lint));
        let text = text.clone().map_err(|(what, help)| {
            row.place
                .failure(&row.name, &shortened(&policy), what, &help)
        })?;
        let item = item(&row, text, how.only_these)?;
        once.check(&row).map(|()| item)
    };
    rows.into_iter()
        .map(|row| row.and_then(&mut checked))
        .collect()
}

/// A list's policy, checked; what is wrong in one line, and what to do.
fn policy_text(policy: &str, folder: &Path, lint: bool) -> Result<PolicyText, (String, String)> {
    if policy.is_empty() {
        return Err((
            "no policy is given".into(),
            "name a file, or give the document itself".into(),
        ));
    }
    // Standard input is no policy of a list.
    let mut nothing = None::<&[u8]>;
    let (name, text) =
        read_policy(policy, folder, &mut nothing).map_err(|why| (why.what, why.help))?;
    let parsed = PolicyText::parse(&text).map_err(|unfit| {
        let help = match &unfit {
            UnfitText::NotADocument(error) => error.faults.first().map(|fault| fault.help.clone()),
            UnfitText::TooLong { .. } => Some(TOO_LONG.to_owned()),
        };
        (unfit.to_string(), help.unwrap_or_default())
    })?;
    if lint {
        lint_alone(&name, parsed.as_str())?;
    }
    Ok(parsed)
}

/// The first error that the lints find in a document, in one line, and what to do.
fn lint_alone(name: &str, text: &str) -> Result<(), (String, String)> {
    let policies = alone(name, text).map_err(|error| (error.to_string(), String::new()))?;
    let findings = lint::found(&policies, None);
    let first = findings
        .iter()
        .find(|finding| finding.rule.level == FindingLevel::Error);
    match first {
        None => Ok(()),
        Some(finding) => {
            let more = lint::count(&findings, FindingLevel::Error) - 1;
            let more = if more > 0 {
                format!(", and {more} more")
            } else {
                String::new()
            };
            let what = format!("{} ({}{more})", finding.message, finding.rule.code);
            Err((
                what,
                format!(
                    "{}; or apply it all the same with --no-lint",
                    finding.rule.fix
                ),
            ))
        }
    }
}

/// A document's beginning.
fn shortened(policy: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = policy.chars().take(SHOWN).collect();
    if shown.len() < policy.len() {
        shown.push('…');
    }
    shown
}

fn item(
    row: &ListRow,
    text: PolicyText,
    only_these: bool,
) -> Result<WantedPolicy, Box<ItemFailure>> {
    let name = PolicyName::parse(&row.name)
        .map_err(|bad| unfit(&bad, &row.name, &row.name, &row.place))?;
    Ok(WantedPolicy {
        place: row.place.clone(),
        wanted: WantedDocument {
            name,
            text,
            targets: targets(&row.targets, &row.name, &row.place)?,
            only_these,
        },
    })
}
