//! `eventcast man`: the manual pages of the command line, made of the same text as `--help`.
//!
//! clap_mangen renders arguments. The text after them in `--help` is rendered here, since examples
//! keep their lines: roff(7) joins lines of text, and leaves those between `.nf` and `.fi` alone.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::user_error::write_error;
use super::{Arguments, Status, short_version};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eventcast man > eventcast.1
  eventcast man policy lint > eventcast-policy-lint.1
  eventcast man --directory ~/.local/share/man/man1

Exit status: 0 printed or written, 2 there is no such command, 3 a file cannot be written.")]
pub(super) struct Command {
    /// The command to print the page of; eventcast itself unless given
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the pages of all commands into a directory, such as one that man(1) searches
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "command")]
    directory: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let top = built();
    if let Some(directory) = &command.directory {
        let count = write_all(&top, directory)?;
        writeln!(
            messages,
            "note: {count} manual pages are written to {}",
            directory.display()
        )?;
        return Ok(Status::Yes);
    }
    let mut found = &top;
    for name in &command.command {
        let Some(below) = visible(found).find(|below| below.get_name() == name) else {
            let names: Vec<_> = visible(found).map(clap::Command::get_name).collect();
            let help = if names.is_empty() {
                format!("`{}` has no commands below it", way(found))
            } else {
                format!("the commands of `{}` are {}", way(found), names.join(", "))
            };
            let what = format_args!("`{}` has no command `{name}`", way(found));
            write_error(messages, what, help)?;
            return Ok(Status::CannotAnswer);
        };
        found = below;
    }
    render(found, out)?;
    Ok(Status::Yes)
}

/// The whole command line with the names that its parts take from each other.
fn built() -> clap::Command {
    let mut top = Arguments::command().disable_help_subcommand(true);
    top.build();
    top
}

/// Returns the commands below one that `--help` lists.
fn visible(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
}

/// A command as it is typed, such as `eventcast policy lint`.
fn way(command: &clap::Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

/// Writes a command's page and those of all commands below it; returns their number.
fn write_all(command: &clap::Command, directory: &Path) -> anyhow::Result<usize> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create the directory {}", directory.display()))?;
    let mut count = 1;
    let file = directory.join(Man::new(command.clone()).get_filename());
    let mut page = Vec::new();
    render(command, &mut page)?;
    fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    for below in visible(command) {
        count += write_all(below, directory)?;
    }
    Ok(count)
}

/// Writes one page in roff, for man(1) and mandoc(1).
fn render(command: &clap::Command, out: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(command.clone())
        .source(format!("eventcast {}", short_version()))
        .manual("eventcast manual");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if visible(command).next().is_some() {
        man.render_subcommands_section(out)?;
    }
    let after = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    after.map_or(Ok(()), |after| notes(&after.to_string(), out))
}

/// Renders the text after the options in `--help`: paragraphs, and indented lines as they are.
fn notes(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["NOTES"]);
    let mut verbatim = false;
    let mut begun = false;
    for line in text.lines() {
        let indented = line.starts_with("  ");
        if indented != verbatim {
            if indented {
                roff.control("RS", ["4"]);
                roff.control("nf", []);
            } else {
                roff.control("fi", []);
                roff.control("RE", []);
            }
            verbatim = indented;
        }
        if line.trim().is_empty() {
            if begun {
                roff.control("PP", []);
            }
            begun = false;
        } else {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            begun = true;
        }
    }
    if verbatim {
        roff.control("fi", []);
        roff.control("RE", []);
    }
    roff.to_writer(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(arguments: &[&str]) -> (Status, String, String) {
        let command = Command {
            command: arguments.iter().map(ToString::to_string).collect(),
            directory: None,
        };
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let status = run(&command, &mut out, &mut messages).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status, text(out), text(messages))
    }

    #[test]
    fn examples_keep_their_lines() {
        let mut page = Vec::new();
        let text = "Examples:\n  one --two\n  .three\n\nSome text\nthat goes on.";
        notes(text, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        let body = page.split_once(".SH NOTES\n").unwrap().1;
        assert_eq!(
            body,
            "Examples:\n.RS 4\n.nf\none \\-\\-two\n\\&.three\n.fi\n.RE\n.PP\nSome text\nthat goes on.\n"
        );
    }

    #[test]
    fn each_command_has_a_page_of_its_own() {
        fn each(command: &clap::Command, count: &mut usize) {
            let arguments: Vec<&str> = way(command).split(' ').skip(1).collect();
            let (status, page, messages) = printed(&arguments);
            assert_eq!(status, Status::Yes, "{messages}");
            let title = way(command).replace(' ', "-");
            assert!(page.contains(&format!(".TH {title} 1")), "{page}");
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "NOTES"] {
                assert!(page.contains(&format!("\n.SH {section}\n")), "{page}");
            }
            *count += 1;
            for below in visible(command) {
                each(below, count);
            }
        }
        let mut count = 0;
        each(&built(), &mut count);
        assert!(count > 25, "{count}");
    }

    #[test]
    fn unknown_commands_are_refused_with_those_that_exist() {
        for (arguments, help) in [
            (&["polcy"][..], "the commands of `eventcast` are bridge, "),
            (
                &["config", "shw"][..],
                "the commands of `eventcast config` are schema, show",
            ),
            (
                &["init", "x"][..],
                "`eventcast init` has no commands below it",
            ),
        ] {
            let (status, page, messages) = printed(arguments);
            assert_eq!((status, page.as_str()), (Status::CannotAnswer, ""));
            assert!(messages.contains(help), "{messages}");
        }
    }
}
