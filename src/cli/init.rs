//! `eventcast init`: a commented configuration to start from.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::Status;
use super::input::is_standard;
use super::new_file::write_new;

/// The file that is written.
const TEMPLATE: &str = include_str!("init/eventcast.yaml");

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eventcast init
  eventcast init shop.yaml
  eventcast init - | less

Then:
  eventcast routes check
  eventcast dev

Exit status: 0 written, 2 the file is there already, 3 it cannot be written.")]
pub(super) struct Command {
    /// The file to write; `-` is standard output
    #[arg(value_name = "FILE", default_value = "eventcast.yaml")]
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if is_standard(&command.file) {
        out.write_all(TEMPLATE.as_bytes())?;
        return Ok(Status::Yes);
    }
    let notes = (
        "eventcast routes check checks it, eventcast dev serves it",
        "name another file, or replace it with --force",
    );
    write_new(&command.file, TEMPLATE, command.force, notes, messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigSource, load};

    fn faults(text: &str) -> Vec<String> {
        let source = ConfigSource {
            file: "eventcast.yaml",
            text,
            ..ConfigSource::default()
        };
        let faults = load(&source).faults;
        faults
            .iter()
            .map(|fault| format!("{}: {}", fault.place, fault.message))
            .collect()
    }

    #[test]
    fn the_template_is_clean() {
        assert_eq!(faults(TEMPLATE), [""; 0]);
    }

    /// The file has no fault with every commented key put in, either.
    #[test]
    fn what_is_commented_out_is_right() {
        let is_key = |line: &str| {
            let line = line.trim_start();
            line.strip_prefix("# ").is_some_and(|rest| {
                let rest = rest.trim_start();
                rest.starts_with("- ")
                    || rest.split_once(':').is_some_and(|(key, value)| {
                        key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                            && (value.is_empty() || value.starts_with(' '))
                    })
            })
        };
        let body = TEMPLATE.split_once("\n\n").map_or("", |(_, body)| body);
        let whole: String = body
            .lines()
            .map(|line| match line.find("# ") {
                Some(at) if is_key(line) => format!("{}{}\n", &line[..at], &line[at + 2..]),
                _ => format!("{line}\n"),
            })
            .collect();
        for key in [
            "environment: dev",
            "    bind: user",
            "  queue: https",
            "  - user:{detail",
        ] {
            assert!(whole.contains(key), "{key}: {whole}");
        }
        assert_eq!(faults(&whole), [""; 0], "{whole}");
    }
}
