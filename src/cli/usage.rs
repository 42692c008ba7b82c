//! The faults of a command line, in the words of all other messages: what was typed, what is
//! accepted, what to do.
//!
//! clap finds them. Where clap has no facts about one, clap's own words are given.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::user_error::UserError;
use crate::config::secret::masked_url;

/// The error for a command line that clap does not take.
pub(super) fn explained(error: &Error) -> UserError {
    let what = what(error).unwrap_or_else(|| {
        let told = error.render().to_string();
        let told = told.trim_start_matches("error: ");
        let told = told.split("\n\n").next().unwrap_or_default();
        told.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    });
    let what = masked_url(&what);
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let near = near
        .into_iter()
        .chain([ContextKind::SuggestedSubcommand])
        .find_map(|kind| words(error, kind).into_iter().next());
    let help = match near {
        Some(near) => format!("did you mean `{near}`? --help lists what there is"),
        None => "--help says what there is, with examples".to_owned(),
    };
    UserError::new(what, help)
}

/// The lines that a user reads.
#[cfg(test)]
pub(super) fn message(error: &Error) -> String {
    let mut lines = Vec::new();
    // Memory takes everything.
    let _ = explained(error).write(&mut lines);
    String::from_utf8_lossy(&lines).into_owned()
}

fn what(error: &Error) -> Option<String> {
    let first = |kind| words(error, kind).into_iter().next();
    let argument = || first(ContextKind::InvalidArg);
    Some(match error.kind() {
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error)?;
            let value = first(ContextKind::InvalidValue)?;
            format!("{} is `{value}`: {why}", flag(&argument()?))
        }
        ErrorKind::InvalidValue => {
            let accepted = words(error, ContextKind::ValidValue).join(", ");
            match first(ContextKind::InvalidValue).filter(|value| !value.is_empty()) {
                Some(value) => format!(
                    "{} is `{value}`; wanted is one of {accepted}",
                    flag(&argument()?)
                ),
                None => format!("{} has no value", argument()?),
            }
        }
        ErrorKind::UnknownArgument => format!("there is no argument `{}` here", argument()?),
        ErrorKind::InvalidSubcommand => {
            format!(
                "there is no command `{}`",
                first(ContextKind::InvalidSubcommand)?
            )
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = words(error, ContextKind::InvalidArg);
            format!("missing: {}", missing.join(", "))
        }
        ErrorKind::ArgumentConflict => {
            let others = words(error, ContextKind::PriorArg);
            match argument()? {
                again if others == [again.clone()] => format!("{} is given twice", flag(&again)),
                one if others.is_empty() => format!("{} does not go with the others", flag(&one)),
                one => {
                    let others: Vec<&str> = others.iter().map(|other| flag(other)).collect();
                    format!("{} does not go with {}", flag(&one), others.join(", "))
                }
            }
        }
        ErrorKind::TooManyValues => {
            let value = first(ContextKind::InvalidValue)?;
            format!(
                "{} takes no value, and is given `{value}`",
                flag(&argument()?)
            )
        }
        _ => return None,
    })
}

/// An argument without the name of its value: `--delay` of `--delay <TIME>`.
fn flag(argument: &str) -> &str {
    match argument.split_once(' ') {
        Some((flag, _)) if flag.starts_with('-') => flag,
        _ => argument,
    }
}

/// The texts of one kind in clap's error.
fn words(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::cli::Arguments;

    fn told(line: &str) -> String {
        let words = std::iter::once("eventcast").chain(line.split(' '));
        let error = Arguments::command()
            .try_get_matches_from(words)
            .unwrap_err();
        super::message(&error)
    }

    #[test]
    fn what_was_typed_forges_no_line_and_shows_no_secret() {
        for line in [
            "ro\u{1b}[31mutes",
            "routes check --con\u{1b}fg",
            "routes check --format x\nerror:\u{1b}",
            "dlq list --older-than x\nerror:",
        ] {
            let told = told(line);
            assert!(!told.contains('\u{1b}'), "{told:?}");
            assert!(!told.contains("\nerror:"), "{told:?}");
        }
        let url = told("policy wss://u:S3CRET@h:1/mqtt?token=S3CRET");
        assert!(url.contains("wss://…@h:1/mqtt?…"), "{url}");
        assert!(!url.contains("S3CRET"), "{url}");
    }

    #[test]
    fn faults_of_the_command_line() {
        let lines = [
            "routs check",
            "policy tset",
            "routes check --confg x",
            "doctor surplus",
            "routes check --format xml",
            "routes check --format",
            "routes check --format json --format text",
            "routes explain",
            "dlq list --older-than soon",
            "dlq replay --rate 0",
            "healthcheck --listen here",
            "doctor --publish a/+",
            "pattern test --event {}",
            "completions tcsh",
            "bridge --wait=yes",
        ];
        let told: Vec<String> = lines
            .iter()
            .map(|line| format!("$ eventcast {line}\n{}", told(line)))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
