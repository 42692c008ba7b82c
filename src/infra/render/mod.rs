//! Files of infrastructure that follow from the configuration.
//!
//! The same configuration makes the same bytes: keys are in the order of their names, and nothing
//! depends on the clock, the machine or the environment. Values that the configuration does not
//! know (the bus, keys, accounts of operators) are parameters of the templates.

mod alarms;
mod parameters;
pub mod pattern;
mod roles;
mod rule;

use serde_json::Value;

use crate::config::Config;
use crate::config::permission::PermissionError;
use crate::config::queue_name::QueueName;
use crate::event::envelope::Envelope;
use crate::plan::fleet::TaskCount;
use crate::policy::generate::GenerateError;
use crate::policy::scope::{Scope, ScopeError};

use pattern::RulePattern;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedFile {
    /// Its name, such as `rule.json`.
    pub name: &'static str,
    /// JSON, or lines `NAME=VALUE` of parameters; it ends in a newline.
    pub text: String,
}

/// All files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The files, in the order of their names.
    pub files: Vec<RenderedFile>,
    /// Remarks for a person, a line each.
    pub notes: Vec<String>,
}

/// Reason why a configuration makes no infrastructure.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A rule cannot send the envelope that the bridge reads.
    #[error("`envelope` is `{0}`: no rule can be made for it")]
    Envelope(&'static str),
    /// Region and account are not known.
    #[error("`bridge.queue` is `{0}`, which does not name Region, account and queue")]
    Queue(Box<str>),
    /// A queue is not configured.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// A part of the queue's URL cannot be part of an ARN.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The permissions do not fit a policy.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// Draining takes longer than ECS waits.
    #[error("`bridge.drain` is {0}s, and ECS waits for 120s at most")]
    Drain(u64),
    /// A stack has no room for that many alarms.
    #[error("{0} routes have more alarms than the 500 resources that a stack may have")]
    Routes(usize),
    /// A pattern is not JSON text.
    #[error("the pattern of a route cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl RenderError {
    /// Advice for a person.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Envelope(_) => {
                "a rule for `envelope: eventbridge` sends whole events; write the rule for SNS or an input transformer yourself"
            }
            Self::Queue(_) | Self::Scope(_) => {
                "accepted: https://sqs.eu-central-1.amazonaws.com/123456789012/events"
            }
            Self::Permission(_) => "set it in the configuration",
            Self::Generate(_) => "use shorter topics, or fewer targets",
            Self::Drain(_) => "set bridge.drain to 105s or less",
            Self::Routes(_) => "put routes that are watched together into one",
            Self::Json(_) => "leave lone surrogates out of patterns",
        }
    }
}

/// Names that the files share.
struct Names {
    /// The queue's name without `.fifo`.
    queue: String,
    /// The dead-letter queue's name without `.fifo`.
    dead_letter_queue: String,
    is_fifo: bool,
    scope: Scope,
}

impl Names {
    fn of(config: &Config) -> Result<Self, RenderError> {
        let url = config.bridge.queue.as_deref();
        let url = url.ok_or(PermissionError::NoQueue {
            key: "bridge.queue",
        })?;
        let queue = QueueName::of_url(url).ok_or_else(|| RenderError::Queue(url.into()))?;
        let region = queue.region.or_else(|| {
            let scope = config.authorizer.scope.as_ref();
            scope.map(|scope| &*scope.region)
        });
        let region = region.ok_or_else(|| RenderError::Queue(url.into()))?;
        let bare = |name: &str| name.strip_suffix(FIFO).unwrap_or(name).to_owned();
        let letters = config.bridge.dead_letter_queue.as_deref();
        let letters = letters.and_then(QueueName::of_url);
        Ok(Self {
            queue: bare(queue.name),
            dead_letter_queue: letters
                .map_or_else(|| format!("{}-dlq", bare(queue.name)), |one| bare(one.name)),
            is_fifo: queue.name.ends_with(FIFO),
            scope: Scope::try_new(region, queue.account)?,
        })
    }

    fn whole(&self, name: &str) -> String {
        format!("{name}{}", if self.is_fifo { FIFO } else { "" })
    }
}

/// Ending of the names of FIFO queues.
const FIFO: &str = ".fifo";

/// Makes all files.
///
/// # Errors
/// [`RenderError`] when the configuration lacks what the files need.
pub fn render(config: &Config) -> Result<Rendered, RenderError> {
    render_for(config, None)
}

/// Makes all files; the bounds of the bridge's tasks are those of a plan, where there is one.
///
/// # Errors
/// [`RenderError`] when the configuration lacks what the files need.
pub fn render_for(config: &Config, planned: Option<&TaskCount>) -> Result<Rendered, RenderError> {
    match config.envelope {
        Envelope::EventBridge => {}
        Envelope::Sns => return Err(RenderError::Envelope("sns")),
        Envelope::Raw => return Err(RenderError::Envelope("raw")),
    }
    let names = Names::of(config)?;
    let trees: Vec<_> = config
        .routes
        .iter()
        .map(|route| route.pattern.tree())
        .collect();
    let pattern = RulePattern::of(&trees);
    let mut notes: Vec<String> = pattern.note().into_iter().collect();
    let (subscriber, more) = rule::subscriber(&trees, &names)?;
    notes.extend(more);
    let (roles, more) = roles::template(config, &names.scope)?;
    notes.extend(more);
    notes.extend(parameters::note(&config.bridge, planned));
    let terraform = parameters::terraform(config, &names, &pattern, &roles, planned)?;
    let parameters = parameters::all(config, &names, planned)?;
    let mut files = vec![
        file("alarms.json", alarms::template(&config.routes)?)?,
        file("roles.json", roles)?,
        file("rule.json", rule::template(&pattern, &names)?)?,
        file("subscriber.json", subscriber)?,
        file("eventcast.auto.tfvars.json", terraform)?,
    ];
    let parameters = parameters.into_iter();
    files.extend(parameters.map(|(name, text)| RenderedFile { name, text }));
    files.sort_by_key(|file| file.name);
    Ok(Rendered { files, notes })
}

fn file(name: &'static str, value: Value) -> Result<RenderedFile, RenderError> {
    let text = serde_json::to_string_pretty(&sorted(value))?;
    Ok(RenderedFile {
        name,
        text: text + "\n",
    })
}

/// Keys in the order of their names, whatever map serde_json was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            let members = members.into_iter();
            members.map(|(key, value)| (key, sorted(value))).collect()
        }
        Value::Array(elements) => elements.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// An object with one more member.
fn with(mut object: Value, key: &str, member: Value) -> Value {
    if let Value::Object(members) = &mut object {
        members.insert(key.to_owned(), member);
    }
    object
}

/// `Fn::Sub` of an ARN of a queue in the stack's own account and Region.
fn queue_arn(name: &str) -> Value {
    serde_json::json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:{name}") })
}

#[cfg(test)]
mod tests;
