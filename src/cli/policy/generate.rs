//! `eventcast policy generate`: the documents for a role and claims, for grants spelled out, or for the daemon itself.

use std::fs;
use std::io::Write;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::channel::template::TemplateError;
use crate::cli::configuration::Configuration;
use crate::cli::{Format, Status};
use crate::config::Config;
use crate::config::permission::Queue;
use crate::policy::draft::Draft;
use crate::policy::generate::{self, Form, GenerateError, Generated};
use crate::policy::grant::Grants;
use crate::policy::principal::PrincipalName;
use crate::policy::role::{Entry, Use};
use crate::policy::scope::Scope;

pub(super) const HELP: &str = "\
Standard output holds the documents and nothing else: one for `iot`, `session` and `iam`, up to ten for `authorizer`. Each was evaluated
before it is printed: what is granted is allowed, and what is next to it is not.

Examples:
  eventcast policy generate --role customer --claim sub=5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11 --claim orders=
  eventcast policy generate --role customer --claims token.json --as session --minify
  eventcast policy generate --client backoffice --subscribe 'order:*' --publish announcements --as iot
  eventcast policy generate --for bridge > bridge-role.json

Exit status: 0 printed, 1 the grants are more than there is room for, 2 the configuration, the claims or the grants are not right.";

#[derive(Debug, Args)]
pub(in crate::cli) struct Generate {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    claims: Claims,
    #[command(flatten)]
    spelled: Spelled,
    /// What the documents are for [default: authorizer; for the bridge: iam]
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Option<As>,
    #[command(flatten)]
    endpoint: Endpoint,
    /// Subscriptions that a connection may have, where the account's quota was raised
    #[arg(long, value_name = "NUMBER")]
    subscriptions: Option<usize>,
    #[command(flatten)]
    configuration: Configuration,
    /// Leave out all white space
    #[arg(long)]
    minify: bool,
    /// How the answer is written: text is the documents alone, json one object with sizes and notes
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// A role of the configuration
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// A principal, whose grants are spelled out: its client ids are this, alone or followed by `-` and anything
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// A part of the platform
    #[arg(long = "for", value_enum, value_name = "PART")]
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The daemon: what its routes publish, its queues, its connections
    Bridge,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --role")]
struct Claims {
    /// A claim of the token; values with commas between them are a list, none are an empty list (repeatable)
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]", value_parser = claim, conflicts_with_all = ["client", "part"])]
    claim: Vec<(String, Value)>,
    /// All claims: JSON text (beginning with `{`) or a file; --claim stands above it
    #[arg(long, value_name = "JSON|FILE", conflicts_with_all = ["client", "part"])]
    claims: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --client")]
struct Spelled {
    /// A channel, all channels of a kind (order:*) or a topic filter to subscribe to (repeatable)
    #[arg(long, value_name = "GRANT", conflicts_with_all = ["role", "part"])]
    subscribe: Vec<String>,
    /// A channel, all channels of a kind or a topic to publish to (repeatable)
    #[arg(long, value_name = "GRANT", conflicts_with_all = ["role", "part"])]
    publish: Vec<String>,
    /// Let what is published be retained
    #[arg(long, requires = "publish")]
    retain: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where IoT Core is (for the bridge by default where its queue is)")]
struct Endpoint {
    /// The Region in ARNs
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    region: Option<String>,
    /// The account in ARNs
    #[arg(long, value_name = "ACCOUNT", env = "AWS_ACCOUNT_ID")]
    account: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum As {
    /// The answer of a custom authorizer: up to 10 documents
    Authorizer,
    /// A named IoT policy, for a certificate, a thing group or a Cognito identity
    Iot,
    /// A session policy for an STS call, which narrows what the role allows
    Session,
    /// A policy of an IAM role
    Iam,
}

impl From<As> for Form {
    fn from(form: As) -> Self {
        match form {
            As::Authorizer => Self::Authorizer,
            As::Iot => Self::Named,
            As::Session => Self::Session,
            As::Iam => Self::Role,
        }
    }
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("accepted: a name, `=`, and a value or several with commas between them")?;
    let value = match value {
        "" => Value::Array(Vec::new()),
        one if !one.contains(',') => one.into(),
        many => many.split(',').map(Value::from).collect(),
    };
    Ok((name.to_owned(), value))
}

/// What went wrong, by whose fault it is.
enum Refusal {
    /// The configuration, the claims or the arguments: what is wrong, and what to do.
    Input(String),
    /// There is no room.
    Room(GenerateError),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Input(format!("error: {error:#}"))
    }
}

impl From<GenerateError> for Refusal {
    fn from(error: GenerateError) -> Self {
        Self::Room(error)
    }
}

/// Runs the command.
pub(super) fn run(
    command: &Generate,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(config) = command.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    answer(command, &config, out, messages)
}

fn answer(
    command: &Generate,
    config: &Config,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command.generated(config) {
        Ok((form, generated)) => {
            command.write(form, &generated, out, messages)?;
            Ok(Status::Yes)
        }
        Err(Refusal::Input(told)) => {
            writeln!(messages, "{told}")?;
            Ok(Status::CannotAnswer)
        }
        Err(Refusal::Room(error)) => {
            writeln!(messages, "error: {error}\nhelp: {}", help(&error))?;
            Ok(match error {
                GenerateError::Unsound(_) => Status::Failed,
                _ => Status::No,
            })
        }
    }
}

fn help(error: &GenerateError) -> &'static str {
    match error {
        GenerateError::Subscriptions { .. } => {
            "grant fewer channels, or a wider channel that they share; --subscriptions says that the account's quota was raised"
        }
        GenerateError::Room { .. } => {
            "grant fewer channels, or a wider channel that they share; shorter ids and topics help as well"
        }
        GenerateError::Unsound(_) => "please report it, with the configuration and the claims",
    }
}

impl Generate {
    fn generated(&self, config: &Config) -> Result<(As, Generated), Refusal> {
        if self.whose.part.is_some() {
            return self.for_bridge(config);
        }
        let grants = match &self.whose.role {
            Some(role) => self.grants_of_role(role, config)?,
            None => self.grants_spelled(config)?,
        };
        let form = self.form.unwrap_or(As::Authorizer);
        let scope = self.endpoint.scope(None)?;
        let generated = generate::generate(&grants, &scope, form.into(), self.subscriptions)?;
        Ok((form, generated))
    }

    fn grants_of_role(&self, name: &str, config: &Config) -> Result<Grants, Refusal> {
        let role = config.roles.iter().find(|role| *role.name == *name);
        let role = role.ok_or_else(|| {
            let known: Vec<&str> = config.roles.iter().map(|role| &*role.name).collect();
            let help = match known.as_slice() {
                [] => "add roles to the configuration".to_owned(),
                known => format!("roles are {}", known.join(", ")),
            };
            Refusal::Input(format!("error: there is no role `{name}`\nhelp: {help}"))
        })?;
        let claims = self.claims.read()?;
        Grants::of(role, &claims, config.environment.as_deref()).map_err(|errors| {
            let errors = errors.iter().map(|error| format!("error: {error}\n"));
            Refusal::Input(format!(
                "{}help: give the claims of a token with --claim NAME=VALUE or --claims FILE",
                errors.collect::<String>()
            ))
        })
    }

    fn grants_spelled(&self, config: &Config) -> Result<Grants, Refusal> {
        let mut told = String::new();
        let mut entries = |texts: &[String], purpose, flag: &str| {
            let mut entries = Vec::new();
            for text in texts {
                match Entry::parse(text, purpose, &config.kinds) {
                    Ok(entry) => entries.push(entry),
                    Err(TemplateError { message, help, .. }) => {
                        told += &format!("error: {flag} `{text}`: {message}\n");
                        told += &help.map_or_else(String::new, |help| format!("help: {help}\n"));
                    }
                }
            }
            entries
        };
        let Spelled {
            subscribe,
            publish,
            retain,
        } = &self.spelled;
        let subscribe = entries(subscribe, Use::Subscribe, "--subscribe");
        let publish = entries(publish, Use::Publish, "--publish");
        let name = self.whose.client.as_deref().unwrap_or_default();
        let principal = PrincipalName::parse(name)
            .map_err(|error| told += &format!("error: --client: {error}\n"));
        let (true, Ok(principal)) = (told.is_empty(), principal) else {
            return Err(Refusal::Input(told.trim_end().to_owned()));
        };
        let environment = config.environment.as_deref();
        Grants::explicit(principal, &subscribe, &publish, *retain, environment).map_err(|errors| {
            let errors: Vec<_> = errors
                .iter()
                .map(|error| format!("error: {error}"))
                .collect();
            Refusal::Input(errors.join("\n"))
        })
    }

    fn for_bridge(&self, config: &Config) -> Result<(As, Generated), Refusal> {
        let form = self.form.unwrap_or(As::Iam);
        let queue = config.bridge.queue.as_deref().and_then(Queue::of_url);
        let scope = self.endpoint.scope(queue.as_ref())?;
        let needs = config.needs(&scope).map_err(anyhow::Error::new)?;
        let (permissions, notes) = match form {
            As::Iam | As::Session => (&needs.role, needs.role_notes),
            As::Iot | As::Authorizer => (&needs.broker, needs.broker_notes),
        };
        if permissions.is_empty() {
            return Err(Refusal::Input(
                "error: the bridge reaches the broker by its role, or the broker is not IoT Core\nhelp: leave out --as for the role's policy"
                    .into(),
            ));
        }
        let documents = generate::documents(permissions, form.into())?;
        Ok((form, Generated { documents, notes }))
    }

    fn write(
        &self,
        form: As,
        generated: &Generated,
        out: &mut impl Write,
        messages: &mut impl Write,
    ) -> anyhow::Result<()> {
        if self.format == Format::Json {
            serde_json::to_writer_pretty(&mut *out, &Report::new(form, generated))?;
            writeln!(out)?;
            return Ok(());
        }
        for note in &generated.notes {
            writeln!(messages, "note: {note}")?;
        }
        for document in &generated.documents {
            let text = if self.minify {
                document.minified()
            } else {
                document.pretty()
            };
            writeln!(out, "{text}")?;
        }
        Ok(())
    }
}

impl Claims {
    fn read(&self) -> anyhow::Result<Value> {
        let mut claims = match &self.claims {
            None => Map::new(),
            Some(argument) => {
                let text = if argument.trim_start().starts_with('{') {
                    argument.clone()
                } else {
                    fs::read_to_string(argument)
                        .with_context(|| format!("reading the claims `{argument}`"))?
                };
                serde_json::from_str(&text)
                    .with_context(|| format!("reading the claims `{argument}`"))?
            }
        };
        for (name, value) in &self.claim {
            claims.insert(name.clone(), value.clone());
        }
        Ok(Value::Object(claims))
    }
}

impl Endpoint {
    /// The scope of ARNs: as told, or where a queue is.
    fn scope(&self, queue: Option<&Queue<'_>>) -> Result<Scope, Refusal> {
        let region = self.region.as_deref();
        let account = self.account.as_deref();
        let region = region.or(queue.and_then(|queue| queue.region));
        let account = account.or(queue.map(|queue| queue.account));
        let missing = |what: &str, flag: &str, variable: &str| {
            Refusal::Input(format!(
                "error: the {what} of IoT Core is not known\nhelp: name it with --{flag}, or set {variable}"
            ))
        };
        let region = region.ok_or_else(|| missing("Region", "region", "AWS_REGION"))?;
        let account = account.ok_or_else(|| missing("account", "account", "AWS_ACCOUNT_ID"))?;
        Ok(Scope::try_new(region, account).map_err(anyhow::Error::new)?)
    }
}

/// The answer for programs.
#[derive(Serialize)]
struct Report<'g> {
    form: &'static str,
    documents: &'g [Draft],
    /// The size of each document without white space.
    characters: Vec<usize>,
    notes: &'g [String],
}

impl<'g> Report<'g> {
    fn new(form: As, generated: &'g Generated) -> Self {
        let size = |draft: &Draft| draft.minified().len();
        Self {
            form: match form {
                As::Authorizer => "authorizer",
                As::Iot => "iot",
                As::Session => "session",
                As::Iam => "iam",
            },
            characters: generated.documents.iter().map(size).collect(),
            documents: &generated.documents,
            notes: &generated.notes,
        }
    }
}

#[cfg(test)]
mod tests;
