//! `eventcast policy`: who may listen to what, asked offline and put into force.

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

use std::fs;
use std::io::{BufRead, Write};

use anyhow::Context as _;
use clap::Subcommand;

use super::Status;
use super::diagnostic::render;
use crate::config::fault::{Fault, Place, Severity};
use crate::policy::document::{Document, DocumentFault};
use crate::policy::told::Policies;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  eventcast policy generate --role customer --claims token.json > customer.json
  eventcast policy lint customer.json
  eventcast policy simulate --policy customer.json --client user-1 --hear order/1
  eventcast policy apply --name customer --policy customer.json --dry-run

`eventcast policy COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Compare two policies, or two sets of them, by what they allow
    #[command(after_help = diff::HELP)]
    Diff(diff::Diff),
    /// Generate the documents for a role and claims, for grants spelled out, or for the daemon
    #[command(after_help = generate::HELP)]
    Generate(Box<generate::Generate>),
    /// Look for what policies say and probably do not mean
    #[command(after_help = lint::HELP)]
    Lint(lint::Lint),
    /// Ask what one client may do, and why
    #[command(after_help = simulate::HELP)]
    Simulate(Box<simulate::Simulate>),
    /// Check policies against a table of expected decisions, or answer JSON lines from standard input
    #[command(after_help = test::HELP)]
    Test(test::Test),
    /// Put policies into force, and attach them
    #[cfg(feature = "admin")]
    #[command(after_help = deploy::apply::HELP)]
    Apply(deploy::apply::Apply),
    /// Detach policies, delete them, end connections
    #[cfg(feature = "admin")]
    #[command(after_help = deploy::revoke::HELP)]
    Revoke(deploy::revoke::Revoke),
    /// Show what is deployed
    #[cfg(feature = "admin")]
    #[command(after_help = deploy::show::HELP)]
    Show(deploy::show::Show),
}

/// Runs a command of this folder. `input` is standard input unless it is a terminal.
pub(super) fn run(
    command: Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Diff(command) => diff::run(&command, out, messages),
        Command::Generate(command) => generate::run(&command, out, messages),
        Command::Lint(command) => lint::run(&command, out, messages),
        Command::Simulate(command) => simulate::run(&command, out, messages),
        Command::Test(command) => test::run(&command, input, out, messages),
        #[cfg(feature = "admin")]
        Command::Apply(command) => deploy::apply::run(&command, out, messages),
        #[cfg(feature = "admin")]
        Command::Revoke(command) => deploy::revoke::run(&command, out, messages),
        #[cfg(feature = "admin")]
        Command::Show(command) => deploy::show::run(&command, out, messages),
    }
}

/// Reads documents from literal JSON and files. `None` when one of them is not right, which has been told then.
pub(super) fn read_policies(
    arguments: &[String],
    messages: &mut impl Write,
) -> anyhow::Result<Option<Policies>> {
    let mut policies = Policies::default();
    let mut sound = true;
    for (index, argument) in arguments.iter().enumerate() {
        let is_literal = argument.trim_start().starts_with(['{', '[']);
        let name = match is_literal {
            true if arguments.len() == 1 => "policy".to_owned(),
            true => format!("policy {}", index + 1),
            false => argument.clone(),
        };
        let text = if is_literal {
            argument.clone()
        } else {
            match fs::read_to_string(argument).with_context(|| format!("reading `{argument}`")) {
                Ok(text) => text,
                Err(error) => {
                    writeln!(
                        messages,
                        "error: {error:#}\nhelp: give a policy document, a file or JSON text"
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

/// Reads the documents of one text, and tells what is wrong with them; whether all is right.
fn read_all(
    policies: &mut Policies,
    name: &str,
    text: &str,
    messages: &mut impl Write,
) -> anyhow::Result<bool> {
    let texts = documents::split(text);
    let several = texts.len() > 1;
    let mut sound = true;
    for (index, text) in texts.into_iter().enumerate() {
        match Document::parse(&text) {
            Ok(document) if several => {
                policies.push(format!("{name}#{}", index + 1), text, document);
            }
            Ok(document) => policies.push(name.to_owned(), text, document),
            Err(error) => {
                sound = false;
                for fault in error.faults {
                    render(&document_fault(name, fault), &text, messages)?;
                }
            }
        }
    }
    Ok(sound)
}

/// A document's fault as all faults are shown.
fn document_fault(file: &str, fault: DocumentFault) -> Fault {
    Fault {
        severity: Severity::Error,
        code: fault.code,
        message: fault.message,
        place: Place::File {
            file: file.to_owned(),
            line: fault.at.line,
            column: fault.at.column,
        },
        key: fault.key,
        accepted: Some(fault.accepted),
        help: Some(fault.help),
    }
}
