//! `eventcast policy`: policies of clients, evaluated offline and deployed.

#[cfg(feature = "admin")]
mod deploy;
mod diff;
mod documents;
pub(super) mod generate;
mod granted;
mod junit;
mod lines;
mod lint;
mod simulate;
mod test;

use std::io::{BufRead, Write};

use clap::Subcommand;
use documents::read_text;

use super::Status;
use super::diagnostic::render;
use crate::config::fault::{Fault, Severity, ValuePlace};
use crate::escape::write_line;
use crate::event::pattern::tree::TextPosition;
use crate::policy::document::{Document, DocumentFault};
use crate::policy::query_report::Policies;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  eventcast policy generate --role customer --claims token.json > customer.json
  eventcast policy lint customer.json
  eventcast policy simulate --policy customer.json --client user-1 --receive order/1
  eventcast policy apply --name customer --policy customer.json --dry-run

`eventcast policy COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Compare two policies, or two sets of them, by what they allow
    #[command(after_help = diff::HELP)]
    Diff(diff::DiffCommand),
    /// Generate the documents for a role and claims, for grants spelled out, or for the daemon
    #[command(after_help = generate::HELP)]
    Generate(Box<generate::GenerateCommand>),
    /// Look for what policies say and probably do not mean
    #[command(after_help = lint::HELP)]
    Lint(lint::LintCommand),
    /// Ask what one client may do, and why
    #[command(after_help = simulate::HELP)]
    Simulate(Box<simulate::SimulateCommand>),
    /// Check policies against a table of expected decisions, or answer JSON lines from standard input
    #[command(after_help = test::HELP)]
    Test(test::TestCommand),
    /// Deploy policies, and attach them
    #[cfg(feature = "admin")]
    #[command(after_help = deploy::apply::HELP)]
    Apply(deploy::apply::ApplyCommand),
    /// Detach policies, delete them, end connections
    #[cfg(feature = "admin")]
    #[command(after_help = deploy::revoke::HELP)]
    Revoke(deploy::revoke::RevokeCommand),
    /// Show what is deployed
    #[cfg(feature = "admin")]
    #[command(after_help = deploy::show::HELP)]
    Show(deploy::show::ShowPoliciesCommand),
}

/// Runs a command of this folder. `input` is standard input unless it is a terminal.
pub(super) fn run(
    command: Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Diff(command) => diff::run(&command, input, out, messages),
        Command::Generate(command) => generate::run(&command, out, messages),
        Command::Lint(command) => lint::run(&command, input, out, messages),
        Command::Simulate(command) => simulate::run(&command, input, out, messages),
        Command::Test(command) => test::run(&command, input, out, messages),
        #[cfg(feature = "admin")]
        Command::Apply(command) => deploy::apply::run(&command, input, out, messages),
        #[cfg(feature = "admin")]
        Command::Revoke(command) => deploy::revoke::run(&command, out, messages),
        #[cfg(feature = "admin")]
        Command::Show(command) => deploy::show::run(&command, out, messages),
    }
}

/// The most characters of all documents of one client together: the cost of evaluation grows with
/// their product.
const TOGETHER_CHARACTERS: usize = 131_072;

/// Reads documents from literal JSON, files and standard input. Returns `None`, after a report,
/// when one of them has a fault.
pub(super) fn read_policies(
    arguments: &[String],
    input: &mut Option<impl BufRead>,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Policies>> {
    let mut policies = Policies::default();
    let mut sound = true;
    for (index, argument) in arguments.iter().enumerate() {
        let is_literal = argument.trim_start().starts_with(['{', '[']);
        let name = match is_literal {
            true if arguments.len() == 1 => "policy".to_owned(),
            true => format!("policy {}", index + 1),
            false if argument == "-" => "standard input".to_owned(),
            false => argument.clone(),
        };
        let text = if is_literal {
            argument.clone()
        } else {
            match read_text(argument, input) {
                Ok(text) => text,
                Err(error) => {
                    write_line(messages, format_args!("error: {error}"))?;
                    writeln!(
                        messages,
                        "help: give a policy document, a file, - for standard input, or JSON text"
                    )?;
                    sound = false;
                    continue;
                }
            }
        };
        sound &= read_all(&mut policies, &name, &text, messages)?;
    }
    Ok(sound.then_some(policies))
}

/// Reads the documents of one text, and reports their faults. Returns `true` where there is none.
fn read_all(
    policies: &mut Policies,
    name: &str,
    text: &str,
    messages: &mut impl Write,
) -> anyhow::Result<bool> {
    let parts = documents::split(text);
    let several = parts.len() > 1;
    let mut sound = true;
    for (index, part) in parts.into_iter().enumerate() {
        // A place is one of the whole text, unless the document was inside a string.
        let place = match part.member {
            Some(member) => format!("{name} ({member})"),
            None => name.to_owned(),
        };
        let name = match (part.member, several) {
            (Some(member), true) => format!("{name}#{} ({member})", index + 1),
            (Some(member), false) => format!("{name} ({member})"),
            (None, true) => format!("{name}#{}", index + 1),
            (None, false) => name.to_owned(),
        };
        if part.is_unknown {
            sound = false;
            let at = TextPosition { line: 1, column: 1 };
            render(&unknown_shape(&place, at), &part.text, messages)?;
            continue;
        }
        match Document::parse(&part.text) {
            Ok(document) => policies.push(name, part.text, document),
            Err(error) => {
                sound = false;
                for fault in error.faults {
                    render(&document_fault(&place, fault), &part.text, messages)?;
                }
            }
        }
    }
    let together: usize = policies.texts.iter().map(|text| text.trim().len()).sum();
    if together > TOGETHER_CHARACTERS {
        write_line(
            messages,
            format_args!("error: the documents up to `{name}` have {together} characters together"),
        )?;
        write_line(
            messages,
            format_args!(
                "help: give the policies of one client; {TOGETHER_CHARACTERS} characters are read, and IoT Core takes ten policies of 2,048"
            ),
        )?;
        return Ok(false);
    }
    Ok(sound)
}

/// The fault of an object that is no document and holds none.
fn unknown_shape(file: &str, at: TextPosition) -> Fault {
    Fault {
        severity: Severity::Error,
        code: "unknown-shape",
        message: "the text is neither a policy document nor an answer that holds one".to_owned(),
        place: ValuePlace::File {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
        },
        key: String::new(),
        accepted: Some(documents::ACCEPTED.to_owned()),
        help: Some("give the document itself, or one of these".to_owned()),
    }
}

/// A document's fault as all faults are shown.
fn document_fault(file: &str, fault: DocumentFault) -> Fault {
    Fault {
        severity: Severity::Error,
        code: fault.code,
        message: fault.message,
        place: ValuePlace::File {
            file: file.to_owned(),
            line: fault.at.line,
            column: fault.at.column,
        },
        key: fault.key,
        accepted: Some(fault.accepted),
        help: Some(fault.help),
    }
}
