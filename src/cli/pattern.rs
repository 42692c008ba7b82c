//! `eventcast pattern test`: does a pattern match an event, and if not, why.

use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::diagnostic::excerpt;
use super::json::write_json;
use super::lines::answer_each;
use super::{OutputFormat, Status};
use crate::cli::input::{INPUT_BYTES, read_text, text_of};
use crate::cli::user_error::write_error;
use crate::escape::write_line;
use crate::event::decode_error::DecodeError;
use crate::event::pattern::explain::{PatternExplainer, PatternExplanation, PatternMismatch};
use crate::event::pattern::tree::TextPosition;
use crate::event::pattern::{Pattern, PatternError};
use crate::event::scan::scan;
use crate::event::scanned::ValueKind;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  eventcast pattern test --pattern rule.json --event event.json

`eventcast pattern COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Test a pattern against an event, or many from standard input
    #[command(after_help = TEST_HELP)]
    Test(PatternTestCommand),
}

const TEST_HELP: &str = "\
Examples:
  eventcast pattern test --pattern '{\"source\":[\"shop.orders\"]}' --event event.json
  eventcast pattern test --pattern rule.json --event - --format json < event.json
  eventcast pattern test < cases.jsonl

Without --pattern, JSON lines are read from standard input, each {\"id\", \"pattern\", \"event\"}; pattern and \
event are JSON text or values, and event may be absent. Each is answered, in order, by a line \
{\"id\", \"valid\", \"matches\", \"error\"}.

Exit status: 0 the pattern matches (or all lines were answered), 1 it does not, 2 the pattern or the \
event is not valid.";

#[derive(Debug, Args)]
pub(super) struct PatternTestCommand {
    /// The pattern: JSON text (beginning with `{`), a file, or `-` for standard input
    #[arg(long, value_name = "JSON|FILE|-", requires = "event")]
    pattern: Option<String>,
    /// The event: JSON text (beginning with `{`), a file, or `-` for standard input
    #[arg(long, value_name = "JSON|FILE|-", requires = "pattern")]
    event: Option<String>,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// Runs a command of this file. `input` is standard input unless it is a terminal.
pub(super) fn run(
    command: Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Command::Test(test) = command;
    match (test.pattern, test.event, input) {
        (Some(pattern), Some(event), input) => {
            let mut input = input;
            let texts = text(&pattern, &mut input)
                .and_then(|pattern| Ok((pattern, text(&event, &mut input)?)));
            match texts {
                Ok((text, event)) => one(&pattern, &text, &event, test.format, out, messages),
                Err(error) => {
                    write_line(messages, format_args!("error: {error:#}"))?;
                    writeln!(
                        messages,
                        "help: give JSON text that begins with `{{`, a file, or - for standard input"
                    )?;
                    Ok(Status::CannotAnswer)
                }
            }
        }
        (_, _, Some(input)) => lines(input, out),
        (_, _, None) => {
            write_error(
                messages,
                "no pattern",
                "give --pattern and --event, or pipe JSON lines to standard input; see --help",
            )?;
            Ok(Status::CannotAnswer)
        }
    }
}

/// The text of an argument: literal JSON, standard input, or the content of a file. Standard input
/// is read once.
fn text(argument: &str, input: &mut Option<impl BufRead>) -> anyhow::Result<String> {
    if argument.trim_start().starts_with(['{', '[']) {
        return Ok(argument.to_owned());
    }
    if argument == "-" {
        let input = input
            .take()
            .context("standard input is a terminal or was read already: nothing comes from it")?;
        return text_of(input, INPUT_BYTES).context("reading standard input");
    }
    read_text(Path::new(argument), INPUT_BYTES).with_context(|| format!("reading `{argument}`"))
}

/// The answer for one pattern and one event.
#[derive(Serialize)]
struct PatternAnswer {
    valid: bool,
    matches: Option<bool>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<PatternMismatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

fn one(
    pattern_argument: &str,
    pattern_text: &str,
    event_text: &str,
    format: OutputFormat,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let pattern = Pattern::parse(pattern_text);
    let outcome = match &pattern {
        Ok(pattern) => explain(pattern, event_text),
        Err(error) => Err(error.aws_text()),
    };
    let status = match &outcome {
        Ok(explanation) if explanation.matches => Status::Yes,
        Ok(_) => Status::No,
        Err(_) => Status::CannotAnswer,
    };
    match format {
        OutputFormat::Json => {
            let answer = PatternAnswer {
                valid: pattern.is_ok(),
                matches: outcome.as_ref().ok().map(|explanation| explanation.matches),
                error: outcome.as_ref().err().cloned(),
                reasons: outcome.map_or_else(|_| Vec::new(), |explanation| explanation.mismatches),
                warnings: pattern.iter().flat_map(warnings).collect(),
            };
            write_json(&answer, out)?;
        }
        OutputFormat::Text => {
            for warning in pattern.iter().flat_map(warnings) {
                write_line(messages, format_args!("warning: {warning}"))?;
            }
            match (pattern, outcome) {
                (Err(error), _) => invalid(&error, pattern_argument, pattern_text, messages)?,
                (Ok(_), Err(error)) => write_line(messages, format_args!("error: {error}"))?,
                (Ok(_), Ok(explanation)) => verdict(&explanation, out)?,
            }
        }
    }
    Ok(status)
}

fn warnings(pattern: &Pattern) -> Vec<String> {
    let warning = |warning: &crate::event::pattern::PatternWarning| match &*warning.path {
        "" => warning.message.clone(),
        path => format!("`{path}`: {}", warning.message),
    };
    pattern.warnings().iter().map(warning).collect()
}

/// Matches event text. The error is one line for a person.
fn explain(pattern: &Pattern, event: &str) -> Result<PatternExplanation, String> {
    let explainer = PatternExplainer::new(pattern);
    let body = Bytes::copy_from_slice(event.as_bytes());
    let scanned =
        scan(&body, explainer.fields()).map_err(|error| format!("the event is {error}"))?;
    if scanned.root() != ValueKind::Object {
        return Err(DecodeError::of_root(&scanned).to_string());
    }
    explainer
        .explain(&scanned)
        .map_err(|error| error.to_string())
}

fn verdict(explanation: &PatternExplanation, out: &mut impl Write) -> anyhow::Result<()> {
    if explanation.matches {
        writeln!(out, "match")?;
        return Ok(());
    }
    writeln!(out, "no match")?;
    let many = explanation.mismatches.len() > 1;
    for (index, mismatch) in explanation.mismatches.iter().enumerate() {
        if many {
            write_line(out, format_args!("  alternative {}: {mismatch}", index + 1))?;
        } else {
            write_line(out, format_args!("  {mismatch}"))?;
        }
    }
    Ok(())
}

/// An invalid pattern with its line and a caret under the fault.
fn invalid(
    error: &PatternError,
    argument: &str,
    text: &str,
    messages: &mut impl Write,
) -> anyhow::Result<()> {
    let TextPosition { line, column } = error.at;
    let file = if argument == text {
        "pattern"
    } else {
        argument
    };
    write_line(messages, format_args!("error: {}", error.aws_text()))?;
    write!(messages, "  --> {file}:{line}:{column}")?;
    if !error.path.is_empty() {
        write!(messages, ", at `{}`", error.path)?;
    }
    writeln!(messages)?;
    excerpt(text, line, column, messages)?;
    if let Some(help) = &error.help {
        write_line(messages, format_args!("help: {help}"))?;
    }
    Ok(())
}

/// One question of the line protocol.
#[derive(Deserialize)]
struct PatternCase<'l> {
    #[serde(borrow, default)]
    id: Option<&'l RawValue>,
    #[serde(borrow)]
    pattern: &'l RawValue,
    #[serde(borrow, default)]
    event: Option<&'l RawValue>,
}

/// One answer of the line protocol.
#[derive(Serialize)]
struct LineAnswer<'l> {
    id: Option<&'l RawValue>,
    valid: Option<bool>,
    matches: Option<bool>,
    error: Option<String>,
}

/// Answers JSON lines, one for one and in order.
fn lines(input: impl BufRead, out: &mut impl Write) -> anyhow::Result<Status> {
    answer_each(input, out, |number, line, out| {
        let (answer, understood) = match serde_json::from_slice::<PatternCase<'_>>(line) {
            Ok(case) => (answer(&case), true),
            Err(error) => {
                let answer = LineAnswer {
                    id: None,
                    valid: None,
                    matches: None,
                    error: Some(format!("line {number}: {error}")),
                };
                (answer, false)
            }
        };
        serde_json::to_writer(out, &answer)?;
        Ok(understood)
    })
}

fn answer<'l>(case: &PatternCase<'l>) -> LineAnswer<'l> {
    let mut answer = LineAnswer {
        id: case.id,
        valid: Some(false),
        matches: None,
        error: None,
    };
    let pattern = match Pattern::parse(&text_or_value(case.pattern)) {
        Ok(pattern) => pattern,
        Err(error) => {
            answer.error = Some(error.aws_text());
            return answer;
        }
    };
    answer.valid = Some(true);
    if let Some(event) = case.event.filter(|event| event.get() != "null") {
        match explain(&pattern, &text_or_value(event)) {
            Ok(explanation) => answer.matches = Some(explanation.matches),
            Err(error) => answer.error = Some(error),
        }
    }
    answer
}

/// A JSON string's content, or a value's own text: spelling and repeated keys are kept either way.
fn text_or_value(value: &RawValue) -> String {
    serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(pattern: &str, event: &str, format: OutputFormat) -> (Status, String, String) {
        let command = Command::Test(PatternTestCommand {
            pattern: Some(pattern.into()),
            event: Some(event.into()),
            format,
        });
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let status = run(command, None::<&[u8]>, &mut out, &mut messages).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status, text(out), text(messages))
    }

    #[test]
    fn a_match() {
        let (status, out, messages) = tested(r#"{"a":[1]}"#, r#"{"a":1.0}"#, OutputFormat::Text);
        assert_eq!((status, &*out, &*messages), (Status::Yes, "match\n", ""));
    }

    #[test]
    fn reasons() {
        let reason = |pattern, event| {
            let (status, out, _) = tested(pattern, event, OutputFormat::Text);
            assert_eq!(status, Status::No);
            out
        };
        insta::assert_snapshot!(reason(r#"{"a":{"b":["x",{"prefix":"y"}]}}"#, r#"{"a":[{"b":"z"},{"b":1}]}"#), @r#"
        no match
          `a.b` is "z", 1; wanted ["x",{"prefix":"y"}]
        "#);
        insta::assert_snapshot!(reason(r#"{"a":["x"]}"#, r#"{"b":1}"#), @r#"
        no match
          the event has no `a`; wanted ["x"]
        "#);
        insta::assert_snapshot!(reason(r#"{"a":{"x":[1],"y":[2]}}"#, r#"{"a":[{"x":1},{"y":2}]}"#), @"
        no match
          `a.x`, `a.y` hold each by itself, but not in the same array elements
        ");
        insta::assert_snapshot!(reason(r#"{"$or":[{"a":[1]},{"b":[{"exists":false}]}]}"#, r#"{"b":1}"#), @r#"
        no match
          alternative 1: the event has no `a`; wanted [1]
          alternative 2: `b` is 1; wanted [{"exists":false}]
        "#);
    }

    #[test]
    fn reasons_say_what_is_there() {
        let reason = |pattern: &str, event: &str| {
            let (status, out, _) = tested(pattern, event, OutputFormat::Text);
            assert_eq!(status, Status::No);
            out.replacen("no match\n  ", "", 1)
        };
        let exists = |path: &str| format!(r#"{{"detail":{{"{path}":[{{"exists":true}}]}}}}"#);
        insta::assert_snapshot!(reason(&exists("oldImage"), r#"{"detail":{"oldImage":{"type":"x"}}}"#), @r#"`detail.oldImage` is an object, and patterns match only the values in it; wanted [{"exists":true}]"#);
        insta::assert_snapshot!(reason(&exists("watchers"), r#"{"detail":{"watchers":[]}}"#), @r#"`detail.watchers` is an empty array, which counts as absent; wanted [{"exists":true}]"#);
        insta::assert_snapshot!(reason(r#"{"detail":{"orderId":["1"]}}"#, r#"{"detail":"{\"orderId\":\"1\"}"}"#), @r#"`detail` is text, JSON in a string, not an object; wanted ["1"]"#);
        insta::assert_snapshot!(reason(r#"{"detail":{"orderId":["1"]}}"#, r#"{"detail":null}"#), @r#"`detail` is null, not an object; wanted ["1"]"#);
        insta::assert_snapshot!(reason(r#"{"detail":{"orderId":["1"]}}"#, r#"{"detail":{}}"#), @r#"the event has no `detail.orderId`; wanted ["1"]"#);
        insta::assert_snapshot!(reason(r#"{"a":{"b":["1"]}}"#, r#"{"a":[{"b":[]},{"b":{}}]}"#), @r#"`a[1].b` is an object, and patterns match only the values in it; wanted ["1"]"#);
        insta::assert_snapshot!(reason(r#"{"a":{"b":["1"]}}"#, r#"{"a":[17]}"#), @r#"`a[0]` is a number, not an object; wanted ["1"]"#);
    }

    #[test]
    fn standard_input_takes_the_place_of_a_file() {
        let test = |pattern: &str, event: &str, input: &str| {
            let command = Command::Test(PatternTestCommand {
                pattern: Some(pattern.into()),
                event: Some(event.into()),
                format: OutputFormat::Text,
            });
            let (mut out, mut messages) = (Vec::new(), Vec::new());
            let status = run(command, Some(input.as_bytes()), &mut out, &mut messages).unwrap();
            (status, String::from_utf8(messages).unwrap())
        };
        assert_eq!(test(r#"{"a":[1]}"#, "-", r#"{"a":1}"#).0, Status::Yes);
        assert_eq!(test("-", r#"{"a":2}"#, r#"{"a":[1]}"#).0, Status::No);
        let (status, messages) = test("-", "-", "{}");
        assert_eq!(status, Status::CannotAnswer);
        assert!(messages.contains("was read already"), "{messages}");
        let (status, messages) = test(r#"{"a":[1]}"#, "-", "[1,2]");
        assert_eq!(status, Status::CannotAnswer);
        assert!(messages.contains("an array of 2"), "{messages}");
    }

    #[test]
    fn an_invalid_pattern_shows_where() {
        let (status, out, messages) =
            tested("{\"a\":\n  [{\"prefx\": \"x\"}]}", "{}", OutputFormat::Text);
        assert_eq!((status, &*out), (Status::CannotAnswer, ""));
        insta::assert_snapshot!(messages, @r#"
        error: Event pattern is not valid. Reason: Unrecognized match type prefx
          --> pattern:2:5, at `a[0]`
           |   [{"prefx": "x"}]}
           |     ^
        help: did you mean `prefix`?
        "#);
    }

    #[test]
    fn warnings_are_told() {
        let (_, _, messages) = tested(
            r#"{"a":[{"wildcard":"*a*b*c*d*e*f*"}, 12345678901234567890]}"#,
            "{}",
            OutputFormat::Text,
        );
        insta::assert_snapshot!(messages, @"
        warning: `a`: EventBridge may refuse the wildcard as too complex (7 stars, complexity 8; 5 and 7 are known to pass)
        warning: `a`: the number 12345678901234567890 is outside -5.0e9 to 5.0e9 with 15 digits, which is what EventBridge documents
        ");
    }

    #[test]
    fn json() {
        let (_, out, _) = tested(r#"{"a":["x"]}"#, r#"{"a":"y"}"#, OutputFormat::Json);
        insta::assert_snapshot!(out, @r#"
        {
          "valid": true,
          "matches": false,
          "error": null,
          "reasons": [
            {
              "reason": "value",
              "field": "a",
              "wanted": "[\"x\"]",
              "found": [
                "\"y\""
              ]
            }
          ]
        }
        "#);
    }

    #[test]
    fn bad_input() {
        let (status, _, messages) = tested("no-such-file.json", "{}", OutputFormat::Text);
        assert_eq!(status, Status::CannotAnswer);
        assert!(
            messages.starts_with("error: reading `no-such-file.json`: "),
            "{messages}"
        );
        let (status, _, messages) = tested("{\"a\":[1]}", "{\"a\":}", OutputFormat::Text);
        assert_eq!(
            (status, &*messages),
            (
                Status::CannotAnswer,
                "error: the event is not JSON: an unexpected character at byte 5\n"
            )
        );
    }

    #[test]
    fn json_lines() {
        let input = concat!(
            r#"{"id":1,"pattern":"{\"a\":[1]}","event":"{\"a\":1}"}"#,
            "\n",
            r#"{"id":"two","pattern":{"a":["x"],"a":[300]},"event":{"a":3.0e2}}"#,
            "\n\n",
            r#"{"id":[3],"pattern":{"a":[]}}"#,
            "\n",
            r#"{"id":4,"pattern":{"a":[1]}}"#,
            "\n",
            "nonsense\n",
            r#"{"id":6,"pattern":{"a":[1]},"event":"{"}"#,
        );
        let command = Command::Test(PatternTestCommand {
            pattern: None,
            event: None,
            format: OutputFormat::Text,
        });
        let mut out = Vec::new();
        let status = run(command, Some(input.as_bytes()), &mut out, &mut Vec::new()).unwrap();
        assert_eq!(status, Status::CannotAnswer);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        {"id":1,"valid":true,"matches":true,"error":null}
        {"id":"two","valid":true,"matches":true,"error":null}
        {"id":[3],"valid":false,"matches":null,"error":"Event pattern is not valid. Reason: Empty arrays are not allowed"}
        {"id":4,"valid":true,"matches":null,"error":null}
        {"id":null,"valid":null,"matches":null,"error":"line 6: expected ident at line 1 column 2"}
        {"id":6,"valid":true,"matches":null,"error":"the event is not JSON: the text ends too early at byte 1"}
        "#);
    }
}
