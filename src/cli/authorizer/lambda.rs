//! The program `eventcast-authorizer`: the custom authorizer as a function of AWS Lambda, on a
//! runtime of the operating system (AWS Lambda developer guide, "Building Lambda functions with
//! Rust").
//!
//! The configuration comes from EVENTCAST_CONFIG_TEXT, from the parameter of Systems Manager that
//! EVENTCAST_CONFIG_PARAMETER names, or from the file that EVENTCAST_CONFIG names (eventcast.yaml
//! beside the program). It is read once: an error in it ends the program before it takes an event,
//! and Lambda's log has the messages. After that every event is answered.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use serde_json::Value;

use crate::authorizer::function::AuthorizerFunction;
use crate::aws::client::{by_variables, function};
use crate::aws::parameter::parameter;
use crate::cli::Status;
use crate::cli::authority::{KeyChoice, authority, has_no_keys};
use crate::cli::configuration::Configuration;
use crate::cli::environment::{prepare, variable};
use crate::cli::user_error::{write_any, write_error};
use crate::telemetry::logs;

/// Variable with the filter of log lines, as of the daemon.
const LOG_VARIABLE: &str = "EVENTCAST_LOG";

/// Variable with the name of the parameter that holds the configuration.
const PARAMETER_VARIABLE: &str = "EVENTCAST_CONFIG_PARAMETER";

/// Runs the function until Lambda ends the process.
pub fn main() -> ExitCode {
    let mut messages = io::stderr();
    match prepare(&mut messages) {
        Ok(true) => {}
        Ok(false) | Err(_) => return Status::CannotAnswer.into(),
    }
    match serve(&mut messages) {
        Ok(status) => status.into(),
        Err(error) => {
            // A closed standard error is all that can go wrong, and nobody reads it.
            let _ = write_any(&mut messages, &error);
            Status::Failed.into()
        }
    }
}

fn serve(messages: &mut impl Write) -> anyhow::Result<Status> {
    let filter = variable(LOG_VARIABLE).unwrap_or_else(|| "info".into());
    logs::start(logs::Format::Json, &filter).map_err(anyhow::Error::msg)?;
    // One event at a time, or a few that wait for the network: one thread, and a start without
    // others.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let Some(function) = configured(messages).await? else {
            return Ok(Status::CannotAnswer);
        };
        let function = Arc::new(function);
        let answer = service_fn(move |event: LambdaEvent<Value>| {
            let function = Arc::clone(&function);
            async move { Ok::<_, Error>(function.decide(&event.payload).await.answer) }
        });
        run_concurrent(answer)
            .await
            .map_err(|error| anyhow::anyhow!("the runtime of Lambda: {error}"))?;
        Ok(Status::Yes)
    })
}

/// The function by its configuration; `None` (and reported) when that is not right.
async fn configured(messages: &mut impl Write) -> anyhow::Result<Option<AuthorizerFunction>> {
    let configuration = match variable(PARAMETER_VARIABLE) {
        None => Configuration::of_environment(),
        Some(name) => match parameter(&function(), &name).await {
            Ok(text) => Configuration::of_text(&name, text),
            Err(why) => {
                write_error(
                    messages,
                    format_args!("the configuration in the parameter `{name}`: {why}"),
                    "correct EVENTCAST_CONFIG_PARAMETER, and allow ssm:GetParameter on it",
                )?;
                return Ok(None);
            }
        },
    };
    let Some(config) = configuration.read_checked(messages)? else {
        return Ok(None);
    };
    if has_no_keys(&config) {
        write_error(
            messages,
            "no keys are known that a token could be believed by",
            "set authorizer.keys_url, authorizer.keys or authorizer.issuers in the configuration",
        )?;
        return Ok(None);
    }
    let authority = authority(&config, KeyChoice::Configured, by_variables, messages)?;
    Ok(authority.map(|authority| {
        AuthorizerFunction::new(Arc::new(authority), &config.authorizer.token_key)
    }))
}
