//! Errors for the user in lines of their own: `error:` with what is wrong, `help:` with what to do.
//!
//! An error often quotes text that others wrote: claims, names of policies, answers of a service.
//! Each part is therefore escaped as one line, so that nothing quoted begins a line that looks like
//! one of ours. No text of `src/cli/` joins the two lines itself; `tests/architecture.rs` fails
//! when one does.

use std::fmt::{self, Display};
use std::io::{self, Write};

use crate::escape::write_line;

/// One or several faults of the input, each with advice where there is some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserError {
    faults: Vec<(String, Option<String>)>,
}

impl UserError {
    /// A fault without advice.
    pub(super) fn plain(what: impl Display) -> Self {
        Self {
            faults: vec![(what.to_string(), None)],
        }
    }

    /// A fault with advice.
    pub(super) fn new(what: impl Display, help: impl Display) -> Self {
        Self::plain(what).help(help)
    }

    /// Faults without advice; `None` when there are none.
    pub(super) fn of_all(faults: impl IntoIterator<Item = impl Display>) -> Option<Self> {
        let faults = faults.into_iter().map(Self::plain);
        faults.reduce(Self::and)
    }

    /// The same with advice after the last fault.
    pub(super) fn help(mut self, help: impl Display) -> Self {
        if let Some((_, last)) = self.faults.last_mut() {
            *last = Some(help.to_string());
        }
        self
    }

    /// Both, one after the other.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.faults.extend(other.faults);
        self
    }

    /// Writes each fault, and its advice, as a line.
    pub(super) fn write(&self, messages: &mut (impl Write + ?Sized)) -> io::Result<()> {
        for (what, help) in &self.faults {
            write_line(messages, format_args!("error: {what}"))?;
            if let Some(help) = help {
                write_line(messages, format_args!("help: {help}"))?;
            }
        }
        Ok(())
    }
}

impl Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (what, _)) in self.faults.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for UserError {}

/// Writes an error and advice, a line each.
pub(super) fn write_error(
    messages: &mut (impl Write + ?Sized),
    what: impl Display,
    help: impl Display,
) -> io::Result<()> {
    write_line(messages, format_args!("error: {what}"))?;
    write_line(messages, format_args!("help: {help}"))
}

/// Writes any error: its whole chain as one line, or as a [`UserError`] if it is one.
pub(super) fn write_any(
    messages: &mut (impl Write + ?Sized),
    error: &anyhow::Error,
) -> io::Result<()> {
    match error.downcast_ref::<UserError>() {
        Some(error) => error.write(messages),
        None => write_line(messages, format_args!("error: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &anyhow::Error, expected: &str) {
        let mut messages = Vec::new();
        write_any(&mut messages, error).unwrap();
        assert_eq!(String::from_utf8(messages).unwrap(), expected);
    }

    #[test]
    fn what_is_quoted_begins_no_line() {
        let forged = "x\nerror: forged\r\n\u{1b}[2Khelp: forged\u{2028}";
        let shown = "x\\nerror: forged\\r\\n\\u{1b}[2Khelp: forged\\u{2028}";
        let both = UserError::new(format!("`{forged}`"), forged).and(UserError::plain(forged));
        check(
            &both.into(),
            &format!("error: `{shown}`\nhelp: {shown}\nerror: {shown}\n"),
        );
        let chain = anyhow::anyhow!("inner {forged}").context(forged);
        check(&chain, &format!("error: {shown}: inner {shown}\n"));
        let mut messages = Vec::new();
        write_error(&mut messages, forged, forged).unwrap();
        let written = String::from_utf8(messages).unwrap();
        assert_eq!(written, format!("error: {shown}\nhelp: {shown}\n"));
    }

    #[test]
    fn all_faults_are_written() {
        assert_eq!(UserError::of_all([""; 0]), None);
        let all = UserError::of_all(["a", "b"]).unwrap().help("c");
        assert_eq!(all.to_string(), "a; b");
        check(&all.into(), "error: a\nerror: b\nhelp: c\n");
    }
}
