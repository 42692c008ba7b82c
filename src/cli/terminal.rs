//! Amount and colours of the output: `--quiet` and `--color`, with NO_COLOR (no-color.org) and
//! CLICOLOR_FORCE (bixense.com/clicolors).
//!
//! The choice is made once, before a command runs, and holds for the process. Until then everything
//! is plain, as in tests and in what goes to a log.

use std::io::{self, IsTerminal as _, Stderr, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::{Args, ValueEnum};

use super::environment;

static QUIET: AtomicBool = AtomicBool::new(false);
static COLOURED_OUTPUT: AtomicBool = AtomicBool::new(false);
static COLOURED_MESSAGES: AtomicBool = AtomicBool::new(false);

/// When diagnostics are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set; with CLICOLOR_FORCE everywhere.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The options that every command has.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct TerminalOptions {
    /// When findings and errors are coloured: auto follows the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    color: Color,
    /// Leave out progress, notes and summaries that find nothing; logs are those of errors
    #[arg(short, long, global = true, help_heading = "Global options")]
    quiet: bool,
}

impl TerminalOptions {
    /// Puts the options into effect.
    pub(super) fn apply(self) {
        QUIET.store(self.quiet, Relaxed);
        let coloured = |is_terminal| is_coloured(self.color, is_terminal, environment::variable);
        COLOURED_OUTPUT.store(coloured(io::stdout().is_terminal()), Relaxed);
        COLOURED_MESSAGES.store(coloured(io::stderr().is_terminal()), Relaxed);
    }
}

fn is_coloured(
    color: Color,
    is_terminal: bool,
    variable: impl Fn(&'static str) -> Option<String>,
) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if variable("NO_COLOR").is_some() => false,
        Color::Auto => {
            let forced = variable("CLICOLOR_FORCE").is_some_and(|value| value != "0");
            let is_dumb = variable("TERM").is_some_and(|term| term == "dumb");
            let is_off = variable("CLICOLOR").is_some_and(|value| value == "0");
            forced || (is_terminal && !is_dumb && !is_off)
        }
    }
}

/// Returns `true` where only results, findings and errors are wanted.
pub(super) fn is_quiet() -> bool {
    QUIET.load(Relaxed)
}

/// The level of logs unless EVENTCAST_LOG says otherwise.
pub(super) fn log_filter(usual: &str) -> String {
    let usual = if is_quiet() { "error" } else { usual };
    environment::variable("EVENTCAST_LOG").unwrap_or_else(|| usual.to_owned())
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    is_coloured: bool,
}

impl Palette {
    /// No colours.
    pub(super) const PLAIN: Self = Self { is_coloured: false };

    /// The colours of standard output.
    pub(super) fn of_output() -> Self {
        let is_coloured = COLOURED_OUTPUT.load(Relaxed);
        Self { is_coloured }
    }

    /// The colours of standard error.
    pub(super) fn of_messages() -> Self {
        let is_coloured = COLOURED_MESSAGES.load(Relaxed);
        Self { is_coloured }
    }

    /// Text in a style, by its codes of ECMA-48, section 8.3.117 (SGR).
    pub(super) fn paint(self, codes: &str, text: &str) -> String {
        if self.is_coloured {
            format!("\u{1b}[{codes}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Standard error, without notes where only errors are wanted.
pub(super) struct Messages {
    inner: Stderr,
    line: Vec<u8>,
}

impl Messages {
    pub(super) fn new() -> Self {
        Self {
            inner: io::stderr(),
            line: Vec::new(),
        }
    }
}

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !is_quiet() {
            return self.inner.write(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if !is_note(&line) {
                    self.inner.write_all(&line)?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        if !is_note(&self.line) {
            // A closed standard error is all that can go wrong, and nobody reads it.
            let _ = self.inner.write_all(&self.line);
        }
    }
}

fn is_note(line: &[u8]) -> bool {
    line.starts_with(b"note: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(color: Color, is_terminal: bool, variables: &[(&str, &str)], expected: bool) {
        let variable = |name: &str| {
            let mut known = variables.iter();
            let found = known.find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        let coloured = is_coloured(color, is_terminal, variable);
        assert_eq!(coloured, expected, "{color:?} {is_terminal} {variables:?}");
    }

    #[test]
    fn colours_on_demand() {
        let no = [("NO_COLOR", "1")];
        let force = [("CLICOLOR_FORCE", "1")];
        check(Color::Auto, true, &[], true);
        check(Color::Auto, false, &[], false);
        check(Color::Auto, true, &no, false);
        check(Color::Auto, false, &force, true);
        check(Color::Auto, false, &[no[0], force[0]], false);
        check(Color::Auto, false, &[("CLICOLOR_FORCE", "0")], false);
        check(Color::Auto, true, &[("CLICOLOR", "0")], false);
        check(Color::Auto, true, &[("TERM", "dumb")], false);
        check(Color::Always, false, &no, true);
        check(Color::Never, true, &force, false);
    }
}
