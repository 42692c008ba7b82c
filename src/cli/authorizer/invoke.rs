//! `eventcast authorizer invoke`: one event of IoT Core, answered by the code of the Lambda
//! function.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::authorizer::answer::AuthorizerResponse;
use crate::authorizer::function::{AuthorizerFunction, FunctionDecision, FunctionRefusal};
use crate::aws::client::by_environment;
use crate::channel::limits::AUTHORIZER_DOCUMENTS;
use crate::cli::authority::{KeyChoice, authority, has_no_keys};
use crate::cli::configuration::Configuration;
use crate::cli::input::{self, INPUT_BYTES};
use crate::cli::json::write_json;
use crate::cli::runtime::block_on;
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status};
use crate::escape::write_line;

pub(super) const HELP: &str = "\
The event is what IoT Core sends to a custom authorizer (AWS IoT Core developer guide, \"Defining your \
Lambda function\"); every member may be missing. The answer is the function's own: --format json prints \
it as IoT Core gets it. The keys are those of the configuration, or the development key with --dev.

Examples:
  eventcast authorizer invoke connect.json
  printf '{\"token\":\"%s\"}' \"$TOKEN\" | eventcast authorizer invoke --dev -
  eventcast authorizer invoke --format json connect.json

Exit status: 0 the client is let in, 1 it is refused, 2 the event, the configuration or the keys are \
not right, or a key set or the list of revoked tokens cannot be read.";

#[derive(Debug, Args)]
pub(in crate::cli) struct Invoke {
    /// The file of the event, or - to read it from standard input
    #[arg(value_name = "EVENT.json|-")]
    event: String,
    /// Believe the development key, and no other
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    configuration: Configuration,
    /// Format of the answer: json is what IoT Core gets
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// The answer for programs: the members that IoT Core gets, and the reason of a refusal, which it
/// does not get.
#[derive(Serialize)]
struct InvokeReport<'a> {
    #[serde(flatten)]
    answer: &'a AuthorizerResponse,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Runs the command.
pub(super) fn run(
    command: &Invoke,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let configuration = &command.configuration;
    let Some(config) = configuration.read_for_tokens(command.dev, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    if !command.dev && has_no_keys(&config) {
        write_error(
            messages,
            "no keys are known that a token could be believed by",
            "set authorizer.keys or keys_url in the configuration, or believe the development key with --dev",
        )?;
        return Ok(Status::CannotAnswer);
    }
    let choice = match command.dev {
        true => KeyChoice::Development,
        false => KeyChoice::Configured,
    };
    let Some(authority) = authority(&config, choice, by_environment, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let Some(event) = command.event(input, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let function = AuthorizerFunction::new(Arc::new(authority), &config.authorizer.token_key);
    let decision = block_on(function.decide(&event))?;
    match command.format {
        OutputFormat::Json => {
            let reason = decision.outcome.as_ref().err().map(ToString::to_string);
            let answer = &decision.answer;
            write_json(&InvokeReport { answer, reason }, out)?;
        }
        OutputFormat::Text => text(&decision, out, messages)?,
    }
    Ok(match &decision.outcome {
        Ok(_) => Status::Yes,
        Err(FunctionRefusal::Rejection(rejection)) if rejection.is_transient() => {
            Status::CannotAnswer
        }
        Err(_) => Status::No,
    })
}

impl Invoke {
    fn event(
        &self,
        input: Option<impl BufRead>,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<Value>> {
        const HELP: &str = "give the JSON object that IoT Core sends, such as {\"token\": \"…\"}";
        let text = match (self.event.as_str(), input) {
            ("-", Some(input)) => {
                input::text_of(input, INPUT_BYTES).context("reading the event from standard input")
            }
            ("-", None) => {
                let help =
                    "pipe it to standard input: eventcast authorizer invoke - < connect.json";
                write_error(messages, "no event", help)?;
                return Ok(None);
            }
            (file, _) => input::read_text(Path::new(file), INPUT_BYTES)
                .with_context(|| format!("reading `{file}`")),
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                write_error(messages, format_args!("{error:#}"), HELP)?;
                return Ok(None);
            }
        };
        match serde_json::from_str(&text) {
            Ok(event @ Value::Object(_)) => Ok(Some(event)),
            Ok(_) => {
                write_error(messages, "the event is not a JSON object", HELP)?;
                Ok(None)
            }
            Err(error) => {
                write_error(
                    messages,
                    format_args!("the event is no JSON: {error}"),
                    HELP,
                )?;
                Ok(None)
            }
        }
    }
}

fn text(
    decision: &FunctionDecision,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<()> {
    let FunctionDecision { answer, outcome } = decision;
    let admission = match outcome {
        Ok(admission) => admission,
        Err(refusal) => {
            write_line(out, format_args!("not let in: {refusal}"))?;
            return Ok(());
        }
    };
    let subject = admission.verified.subject().unwrap_or("none");
    write_line(out, format_args!("let in"))?;
    write_line(out, format_args!("subject {subject}"))?;
    write_line(out, format_args!("role {}", admission.role()))?;
    write_line(
        out,
        format_args!(
            "IoT Core: principal {}, connected for {}s at most, asks again after {}s",
            answer.principal_id,
            answer.disconnect_after_in_seconds,
            answer.refresh_after_in_seconds
        ),
    )?;
    let documents = answer.policy_documents.len();
    write_line(
        out,
        format_args!(
            "{} channels in {documents} of {AUTHORIZER_DOCUMENTS} documents",
            admission.grants.channels()
        ),
    )?;
    for document in &answer.policy_documents {
        write_line(out, format_args!("{}", document.minified()))?;
    }
    for note in &admission.notes {
        write_line(messages, format_args!("note: {note}"))?;
    }
    Ok(())
}
