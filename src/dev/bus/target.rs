//! A rule's target: its allowed settings, and the message it makes of an event.
//!
//! Targets are queues of this process. A queue that does not exist when an event comes is no error of the target, as in AWS:
//! the event goes to the target's dead-letter queue, or nowhere, and the log says so. Nothing in here is worth another try,
//! so a retry policy is kept and has nothing to do.

use super::super::queue::wire::InternalMessage;
use super::super::refusal::ApiRefusal;
use super::constraint::{self, ConstraintViolations, invalid};
use super::event::BusEvent;
use super::path::JsonPath;
use super::template::{InputTemplate, InputTemplateError};
use super::wire;
use crate::event::pattern::tree::TreeValue;

/// A checked target.
#[derive(Clone, Debug)]
pub(super) struct RuleTarget {
    pub(super) id: String,
    /// The queue's ARN.
    pub(super) arn: String,
    /// The ARN of the queue for events that could not be sent.
    pub(super) dead_letters: Option<String>,
    /// As it was asked for.
    pub(super) written: wire::TargetInputShape,
    input: TargetInput,
}

/// Input that a target receives.
#[derive(Clone, Debug)]
enum TargetInput {
    Event,
    Constant(String),
    Path(JsonPath),
    Template(InputTemplate),
}

/// Reason why an event was not sent to a target, in the words of AWS's dead-letter messages (user
/// guide, "Using dead-letter queues").
#[derive(Debug)]
pub(super) struct DeliveryFailure {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl RuleTarget {
    /// Checks a target. `queues` is the beginning of the ARNs of this process's queues.
    pub(super) fn try_new(
        written: wire::TargetInputShape,
        queues: &str,
    ) -> Result<Self, ApiRefusal> {
        let id = written.id.clone().unwrap_or_default();
        let arn = written.arn.clone().unwrap_or_default();
        if !arn.starts_with("arn:") {
            return Err(invalid(format!(
                "Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
            )));
        }
        let dead_letters = written.dead_letter_config.clone();
        let dead_letters = dead_letters.and_then(|dead_letters| dead_letters.arn);
        for arn in [Some(&arn), dead_letters.as_ref()].into_iter().flatten() {
            if !arn.starts_with(queues) {
                return Err(invalid(format!(
                    "Parameter {arn} is not valid. Reason: eventcast dev sends to its own queues only, whose ARNs begin with {queues}."
                )));
            }
        }
        if let Some((name, _)) = written.others.iter().find(|(_, value)| !value.is_null()) {
            return Err(invalid(format!(
                "Parameter(s) {name} must not be specified for target: {id}."
            )));
        }
        if arn.ends_with(".fifo") && written.sqs_parameters.is_none() {
            return Err(invalid(format!(
                "Parameter(s) SqsParameters must be specified for target: {id}."
            )));
        }
        Ok(Self {
            input: input(&written, &id)?,
            id,
            arn,
            dead_letters,
            written,
        })
    }

    /// The message for the queue.
    pub(super) fn message(
        &self,
        event: &BusEvent,
        rule_arn: &str,
        rule_name: &str,
    ) -> Result<InternalMessage, DeliveryFailure> {
        let body = match &self.input {
            TargetInput::Event => event.text.clone(),
            TargetInput::Constant(text) => text.clone(),
            TargetInput::Path(path) => {
                let found = event.tree().and_then(|tree| path.find(tree));
                let missing = || DeliveryFailure {
                    code: "INVALID_PARAMETER",
                    message: "the event has nothing at InputPath".into(),
                };
                found.map(|node| node.to_json()).ok_or_else(missing)?
            }
            TargetInput::Template(template) => template
                .write(event, rule_arn, rule_name)
                .ok_or_else(|| DeliveryFailure {
                    code: "INVALID_JSON",
                    message: "the input transformer made no JSON of the event".into(),
                })?,
        };
        let sqs = self.written.sqs_parameters.as_ref();
        Ok(InternalMessage {
            body,
            group: sqs.and_then(|sqs| sqs.message_group_id.clone()),
            trace_header: event.trace_header.clone(),
            attributes: Vec::new(),
            from: None,
        })
    }
}

fn input(written: &wire::TargetInputShape, id: &str) -> Result<TargetInput, ApiRefusal> {
    match (
        &written.input,
        &written.input_path,
        &written.input_transformer,
    ) {
        (None, None, None) => Ok(TargetInput::Event),
        (Some(text), None, None) => match TreeValue::parse(text) {
            Ok(_) => Ok(TargetInput::Constant(text.clone())),
            Err(error) => Err(invalid(format!(
                "JSON syntax error in input for target {id} at line {}, column {}.",
                error.at.line, error.at.column
            ))),
        },
        (None, Some(path), None) => match JsonPath::parse(path) {
            Some(path) => Ok(TargetInput::Path(path)),
            None => Err(invalid(format!(
                "Invalid InputPath for target {id}: {path}."
            ))),
        },
        (None, None, Some(transformer)) => transform(transformer, id).map(TargetInput::Template),
        _ => Err(invalid(format!(
            "Only one of Input, InputPath, or InputTransformer must be provided for target {id}."
        ))),
    }
}

fn transform(transformer: &wire::InputTransformer, id: &str) -> Result<InputTemplate, ApiRefusal> {
    let paths = transformer.input_paths_map.clone().unwrap_or_default();
    let text = transformer.input_template.as_deref().unwrap_or_default();
    InputTemplate::parse(text, &paths).map_err(|fault| {
        invalid(match fault {
            InputTemplateError::Placeholder(name) => {
                format!("InputTemplate for target {id} contains invalid placeholder {name}.")
            }
            InputTemplateError::Path(name) => {
                let path = paths.get(&name).map(String::as_str).unwrap_or_default();
                format!("Invalid InputPath for target {id}: {path}.")
            }
            InputTemplateError::Form(at) => format!(
                "Invalid InputTemplate for target {id} : [Source: (String)\"{text}\"; line: {}, column: {}].",
                at.line, at.column
            ),
        })
    })
}

/// The constraints on targets' members.
pub(super) fn check(targets: &[wire::TargetInputShape], found: &mut ConstraintViolations) {
    for (index, target) in targets.iter().enumerate() {
        let at = |member: &str| format!("targets.{}.member.{member}", index + 1);
        found.required(&at("id"), target.id.as_deref(), constraint::NAME);
        found.required(&at("arn"), target.arn.as_deref(), constraint::ARN);
        found.optional(&at("roleArn"), target.role_arn.as_deref(), constraint::ARN);
        found.optional(&at("input"), target.input.as_deref(), constraint::INPUT);
        let path = target.input_path.as_deref();
        found.optional(&at("inputPath"), path, constraint::INPUT_PATH);
        if let Some(sqs) = &target.sqs_parameters {
            let group = sqs.message_group_id.as_deref();
            found.optional(
                &at("sqsParameters.messageGroupId"),
                group,
                constraint::GROUP,
            );
        }
        if let Some(dead_letters) = &target.dead_letter_config {
            let arn = dead_letters.arn.as_deref();
            found.optional(&at("deadLetterConfig.arn"), arn, constraint::ARN);
        }
        if let Some(retry) = &target.retry_policy {
            let attempts = at("retryPolicy.maximumRetryAttempts");
            found.number(&attempts, retry.maximum_retry_attempts, (0, 185));
            let age = at("retryPolicy.maximumEventAgeInSeconds");
            found.number(&age, retry.maximum_event_age_in_seconds, (60, 86_400));
        }
        if let Some(transformer) = &target.input_transformer {
            let at = |member: &str| at(&format!("inputTransformer.{member}"));
            let template = transformer.input_template.as_deref();
            found.required(&at("inputTemplate"), template, constraint::TEMPLATE);
            let paths = transformer.input_paths_map.as_ref();
            let count = paths.map_or(0, std::collections::BTreeMap::len);
            found.list(&at("inputPathsMap"), Some(count), (0, 100));
            for (name, path) in paths.into_iter().flatten() {
                found.optional(&at("inputPathsMap"), Some(name), constraint::VARIABLE);
                found.optional(&at("inputPathsMap"), Some(path), constraint::INPUT_PATH);
            }
        }
    }
}
