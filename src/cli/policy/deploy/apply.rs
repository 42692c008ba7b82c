//! `eventcast policy apply`: policies are made, changed where their permissions differ, and attached.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::journal::key;
use super::list::{self, Columns, Place, Row, Unreadable};
use super::report::{Done, Failure, Outcome, Report, cannot_answer};
use super::run::{self, fail, take};
use super::{Access, Changes, block_on, elsewhere, look, stop, targets, unfit};
use crate::aws::control_plane::{ControlError, ControlPlane};
use crate::cli::Status;
use crate::cli::diagnostic::excerpt;
use crate::policy::deploy::plan::{self, Wanted};
use crate::policy::deploy::target::PolicyName;
use crate::policy::deploy::text::{PolicyText, UnfitText};
use crate::shutdown::Shutdown;

pub(in crate::cli::policy) const HELP: &str = "\
A policy that is not there is created. One whose document differs gets a new version, which is the default at once; when
there are five already, the oldest that is not the default is deleted first. Documents that differ only in layout, order or
the case of actions are the same. Nothing is detached without --prune-targets. What is as it should be costs one or two
reading calls, or none with --journal; so run it again after an interruption.

A list is a CSV file with the heading name,policy,targets (targets separated by spaces), or JSON lines with those keys
(targets an array). A policy is a file, looked for beside the list, or the document itself. A bad line is told of and
left out.

Calls stay below the API's default quotas, such as 10 CreatePolicy and 15 AttachPolicy a second: 10,000 policies take
about 17 minutes. A changed policy is in force after 6 to 8 minutes.

Examples:
  eventcast policy apply --name customer --policy customer.json --dry-run
  eventcast policy apply --name courier --policy courier.json --attach arn:aws:iot:eu-west-1:123456789012:thinggroup/couriers
  eventcast policy apply --from devices.csv --journal devices.journal

Exit status: 0 all is as asked for, 2 the question is not right (nothing was called), 3 some failed, or it was interrupted.";

/// The rounds of looking and acting while others change the same policy.
const ROUNDS: usize = 3;

const COLUMNS: Columns = Columns {
    known: &["name", "policy", "targets"],
    needed: &["name", "policy"],
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Apply {
    /// The policy's name
    #[arg(
        long,
        value_name = "NAME",
        requires = "policy",
        required_unless_present = "from"
    )]
    name: Option<String>,
    /// The document: JSON text (beginning with `{`), a file, or - for standard input
    #[arg(long, value_name = "JSON|FILE", requires = "name")]
    policy: Option<String>,
    /// Attach it to a certificate, a thing group (ARNs) or a Cognito identity (id; repeatable)
    #[arg(long, value_name = "TARGET", requires = "name")]
    attach: Vec<String>,
    /// A list of policies instead: a file that ends with .csv or .jsonl
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "policy", "attach"])]
    from: Option<PathBuf>,
    /// Detach policies from all targets that are not asked for
    #[arg(long)]
    prune_targets: bool,
    #[command(flatten)]
    changes: Changes,
}

/// One policy that is wanted.
struct Item {
    place: Place,
    wanted: Wanted,
}

impl Item {
    fn key(&self) -> String {
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

/// Runs the command.
pub(in crate::cli::policy) fn run(
    command: &Apply,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let asked = match &command.from {
        Some(path) => match list::read(path, COLUMNS) {
            Ok(rows) => from_list(path, rows, command.prune_targets),
            Err(why) => return cannot_answer(&why, messages),
        },
        None => match one(command, messages)? {
            Some(item) => vec![Ok(item)],
            None => return Ok(Status::CannotAnswer),
        },
    };
    block_on(deploy(command, asked, out, messages))
}

/// The one policy of the command line; `None`, and told, when it is none.
fn one(command: &Apply, messages: &mut impl Write) -> anyhow::Result<Option<Item>> {
    let name = command.name.as_deref().unwrap_or_default();
    let place = Place::default();
    let row = Row {
        place: place.clone(),
        name: name.to_owned(),
        targets: command.attach.clone(),
        ..Row::default()
    };
    let argument = command.policy.as_deref().unwrap_or_default();
    let (file, text) = match read_policy(argument, Path::new("")) {
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
    match item(&row, text, command.prune_targets) {
        Ok(item) => Ok(Some(item)),
        Err(failure) => {
            writeln!(messages, "{failure}")?;
            Ok(None)
        }
    }
}

/// A document's text and what to call it: literal JSON, standard input, or a file.
fn read_policy(argument: &str, folder: &Path) -> Result<(String, String), Unreadable> {
    if argument.trim_start().starts_with('{') {
        return Ok(("policy".into(), argument.to_owned()));
    }
    let mut text = String::new();
    let read = if argument == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(folder.join(argument))
    };
    match read {
        Ok(text) => Ok((argument.to_owned(), text)),
        Err(error) => Err(Unreadable {
            what: format!("reading the policy `{argument}`: {error}"),
            help: "name a file, or give the document itself".into(),
        }),
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
    for fault in &error.faults {
        let (line, column) = (fault.at.line, fault.at.column);
        writeln!(messages, "error[{}]: {}", fault.code, fault.message)?;
        writeln!(messages, "  --> {file}:{line}:{column}")?;
        excerpt(text, line, column, messages)?;
        if let Some(accepted) = &fault.accepted {
            writeln!(messages, "   = accepted: {accepted}")?;
        }
        if let Some(help) = &fault.help {
            writeln!(messages, "help: {help}")?;
        }
        writeln!(messages)?;
    }
    Ok(())
}

const TOO_LONG: &str = "divide it into policies of their own, or grant by patterns";

/// The policies of a list, each checked by itself and against those before it.
fn from_list(
    path: &Path,
    rows: Vec<Result<Row, Box<Failure>>>,
    only_these: bool,
) -> Vec<Result<Item, Box<Failure>>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut texts: HashMap<String, Result<PolicyText, (String, String)>> = HashMap::new();
    let mut lines: HashMap<PolicyName, u64> = HashMap::new();
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
        let line = row.place.line.unwrap_or_default();
        match lines.insert(item.wanted.name.clone(), line) {
            None => Ok(item),
            Some(first) => {
                lines.insert(item.wanted.name.clone(), first);
                let what = format!("the policy `{}` stands in line {first} already", row.name);
                let help = "put all targets of a policy into one line";
                Err(row.place.failure(&row.name, &row.name, what, help))
            }
        }
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
            UnfitText::NotADocument(error) => error.faults.first().and_then(|fault| {
                let accepted = fault
                    .accepted
                    .as_ref()
                    .map(|accepted| format!("accepted: {accepted}"));
                fault.help.clone().or(accepted)
            }),
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

async fn deploy(
    command: &Apply,
    asked: Vec<Result<Item, Box<Failure>>>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let changes = &command.changes;
    let access = match Access::open(changes.rate).await {
        Ok(access) => access,
        Err(error) => return stop(&error, Status::CannotAnswer, messages),
    };
    let region = access.plane.region().to_owned();
    let asked: Vec<_> = asked
        .into_iter()
        .map(|item| item.and_then(|item| here(item, &region)))
        .collect();
    if let (None, Some(Err(failure))) = (&command.from, asked.first()) {
        writeln!(messages, "{failure}")?;
        return Ok(Status::CannotAnswer);
    }
    let journal = match access.journal(changes, "policy apply").await {
        Ok(journal) => journal,
        Err(why) => return cannot_answer(&why, messages),
    };
    let mut report = Report {
        region,
        dry_run: changes.dry_run,
        asked: asked.len() as u64,
        ..Report::default()
    };
    let mut items = Vec::new();
    for item in asked {
        match item {
            Ok(item)
                if journal
                    .as_ref()
                    .is_some_and(|journal| journal.has(&item.key())) =>
            {
                report.count("skipped", 1);
            }
            Ok(item) => items.push(item),
            Err(failure) => {
                report.count("failed", 1);
                report.fail(*failure, messages)?;
            }
        }
    }
    let shutdown = Shutdown::default();
    let work = |item| apply(&access.plane, item, changes.dry_run);
    let told = (changes.format, &mut *out, &mut *messages);
    run::all(items, &shutdown, work, journal, &mut report, told).await?;
    report.calls = access.plane.calls_made().into_iter().collect();
    report.finish(changes.format, out)
}

fn here(item: Item, region: &str) -> Result<Item, Box<Failure>> {
    let name = item.wanted.name.as_str();
    match elsewhere(item.wanted.targets.iter(), name, region, &item.place) {
        Some(failure) => Err(failure),
        None => Ok(item),
    }
}

/// Sees to one policy.
async fn apply(plane: &ControlPlane, item: Item, dry_run: bool) -> Outcome {
    let Item { place, wanted } = &item;
    let name = wanted.name.as_str();
    let mut outcome = Outcome {
        name: name.to_owned(),
        line: place.line,
        key: Some(item.key()),
        ..Outcome::default()
    };
    let mut round = 0;
    loop {
        round += 1;
        match once(plane, &item, dry_run, &mut outcome).await {
            Ok(()) => return outcome,
            Err(ControlError::Outdated(_)) if round < ROUNDS => outcome.failures.clear(),
            Err(error) => {
                fail(error, name, name, place, &mut outcome);
                return outcome;
            }
        }
    }
}

/// Looks, plans and acts.
async fn once(
    plane: &ControlPlane,
    item: &Item,
    dry_run: bool,
    outcome: &mut Outcome,
) -> Result<(), ControlError> {
    let Item { place, wanted } = item;
    let current = look::before_apply(plane, wanted).await?;
    let steps = plan::apply(wanted, current.as_ref());
    if dry_run {
        outcome.steps = steps.iter().map(|step| Done::step(step, None)).collect();
        return Ok(());
    }
    let (name, document) = (wanted.name.as_str(), wanted.text.as_str());
    take(plane, name, document, &steps, place, outcome).await
}
