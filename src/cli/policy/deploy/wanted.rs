//! What `eventcast policy apply` is asked for: one policy of the command line, or a list of them, checked before any call.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::bulk::Asked;
use super::journal::key;
use super::list::{Columns, Place, Row, Unreadable};
use super::report::{Failure, cannot_answer};
use super::{Once, bulk, targets, unfit};
use crate::cli::diagnostic::render;
use crate::cli::policy::document_fault;
use crate::policy::deploy::plan::Wanted;
use crate::policy::deploy::target::{PolicyName, Target};
use crate::policy::deploy::text::{PolicyText, UnfitText};

pub(super) const COLUMNS: Columns = Columns {
    known: &["name", "policy", "targets"],
    needed: &["name", "policy"],
};

/// One policy that is wanted.
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) wanted: Wanted,
}

impl Item {
    /// What a journal knows it by.
    pub(super) fn key(&self) -> String {
        let Wanted {
            name,
            text,
            targets,
            only_these,
        } = &self.wanted;
        let targets: Vec<&str> = targets.iter().map(|target| target.as_str()).collect();
        key(&(name.as_str(), text.canonical(), targets, only_these))
    }
}

impl bulk::Item for Item {
    fn name(&self) -> &str {
        self.wanted.name.as_str()
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.wanted.targets.iter()
    }
}

/// The one policy of the command line; `None`, and told, when it is none.
pub(super) fn one(
    row: &Row,
    only_these: bool,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Item>> {
    let argument = row.policy.as_deref().unwrap_or_default();
    let read = if argument == "-" {
        read_input()
    } else {
        read_policy(argument, Path::new(""))
    };
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
    match item(row, text, only_these) {
        Ok(item) => Ok(Some(item)),
        Err(failure) => {
            writeln!(messages, "{failure}")?;
            Ok(None)
        }
    }
}

/// A document's text and what to call it: literal JSON, or a file.
fn read_policy(argument: &str, folder: &Path) -> Result<(String, String), Unreadable> {
    if argument.trim_start().starts_with('{') {
        return Ok(("policy".into(), argument.to_owned()));
    }
    match fs::read_to_string(folder.join(argument)) {
        Ok(text) => Ok((argument.to_owned(), text)),
        Err(error) => Err(unreadable(argument, &error)),
    }
}

/// The document on standard input.
fn read_input() -> Result<(String, String), Unreadable> {
    match io::read_to_string(io::stdin()) {
        Ok(text) => Ok(("standard input".into(), text)),
        Err(error) => Err(unreadable("-", &error)),
    }
}

fn unreadable(policy: &str, error: &io::Error) -> Unreadable {
    Unreadable {
        what: format!("reading the policy `{policy}`: {error}"),
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
        writeln!(messages, "error: {file}: {unfit}\nhelp: {TOO_LONG}")?;
        return Ok(());
    };
    for fault in error.faults.clone() {
        render(&document_fault(file, fault), text, messages)?;
    }
    Ok(())
}

const TOO_LONG: &str = "divide it into policies of their own, or grant by patterns";

/// The policies of a list, each checked by itself and against those before it.
pub(super) fn from_list(path: &Path, rows: Asked<Row>, only_these: bool) -> Asked<Item> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut texts: HashMap<String, Result<PolicyText, (String, String)>> = HashMap::new();
    let mut once = Once::default();
    let mut checked = |row: Row| {
        let policy = row.policy.clone().unwrap_or_default();
        let text = texts
            .entry(policy.clone())
            .or_insert_with(|| policy_text(&policy, folder));
        let text = text.clone().map_err(|(what, help)| {
            row.place
                .failure(&row.name, &shortened(&policy), what, &help)
        })?;
        let item = item(&row, text, only_these)?;
        once.check(&row).map(|()| item)
    };
    rows.into_iter()
        .map(|row| row.and_then(&mut checked))
        .collect()
}

/// A list's policy, checked; what is wrong in one line, and what to do.
fn policy_text(policy: &str, folder: &Path) -> Result<PolicyText, (String, String)> {
    if policy.is_empty() {
        return Err((
            "no policy is given".into(),
            "name a file, or give the document itself".into(),
        ));
    }
    let (_, text) = read_policy(policy, folder).map_err(|why| (why.what, why.help))?;
    PolicyText::parse(&text).map_err(|unfit| {
        let help = match &unfit {
            UnfitText::NotADocument(error) => error.faults.first().map(|fault| fault.help.clone()),
            UnfitText::TooLong { .. } => Some(TOO_LONG.to_owned()),
        };
        (unfit.to_string(), help.unwrap_or_default())
    })
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

fn item(row: &Row, text: PolicyText, only_these: bool) -> Result<Item, Box<Failure>> {
    let name = PolicyName::parse(&row.name)
        .map_err(|bad| unfit(&bad, &row.name, &row.name, &row.place))?;
    Ok(Item {
        place: row.place.clone(),
        wanted: Wanted {
            name,
            text,
            targets: targets(&row.targets, &row.name, &row.place)?,
            only_these,
        },
    })
}
