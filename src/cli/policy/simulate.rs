//! `eventcast policy simulate`: the rights of one client under its policies, in words.

use std::io::{BufRead, Write};

use clap::Args;
use serde::Serialize;

use super::documents::read_text;
use super::read_policies;
use crate::channel::filter::Filter;
use crate::cli::configuration::Configuration;
use crate::cli::json::write_json;
use crate::cli::user_error::UserError;
use crate::cli::{OutputFormat, Status};
use crate::config::Config;
use crate::escape::write_line;
use crate::policy::ask::{Ask, CONNECT_ATTRIBUTES};
use crate::policy::context::{ClientPrincipal, ClientThing, Context, ThingAttachment};
use crate::policy::query_report::{Policies, QueryReport};
use crate::policy::scope::Scope;
use crate::policy::simulate::Simulation;

pub(super) const HELP: &str = "\
A client receives messages on a topic when some filter that it may subscribe to matches the topic, \
and iot:Receive is allowed on it. All filters that match are tried, so that a wide one is found as \
well; what else a wide one would bring is looked for among the topics that the policies name. A \
policy is a document, or an answer that holds documents: that of `aws iot get-policy`, of a custom \
authorizer, or of `policy generate --format json`.

Examples:
  eventcast policy simulate --policy customer.json --client user-1 --receive order/1
  eventcast policy simulate --policy - --client c --connect < a.json
  eventcast policy simulate --policy a.json --client c --will c/gone --retain --persistent
  eventcast policy simulate --policy a.json b.json --client lamp1 --thing lamp1 --publish lamp1/on
  eventcast policy simulate --policy a.json --client c --connect --context aws:SourceIp=203.0.113.7
  eventcast policy simulate --policy a.json --facts client.json --subscribe 'order/+' --format json

Exit status: 0 everything asked for is allowed, 1 something is denied, 2 a policy or the question \
is not right.";

#[derive(Debug, Args)]
pub(in crate::cli) struct SimulateCommand {
    /// The client's policies: JSON text (beginning with `{`), files, or - for standard input
    #[arg(long, value_name = "JSON|FILE", required = true, num_args = 1..)]
    policy: Vec<String>,
    /// The MQTT client id
    #[arg(long, value_name = "ID", required_unless_present = "facts")]
    client: Option<String>,
    #[command(flatten)]
    asked: SimulatedActions,
    /// Publish with the RETAIN flag, and leave the will with it: iot:RetainPublish is asked for as well
    #[arg(long)]
    retain: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    facts: ClientFacts,
    #[command(flatten)]
    place: SimulatedEndpoint,
    #[command(flatten)]
    configuration: Configuration,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct SimulatedActions {
    /// May it connect?
    #[arg(long)]
    connect: bool,
    /// May it connect with a persistent session? (iot:ConnectAttributes has PersistentConnect)
    #[arg(long)]
    persistent: bool,
    /// May it connect and leave a will on this topic? (repeatable)
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    will: Vec<Filter>,
    /// May it subscribe to this filter? (repeatable)
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    subscribe: Vec<Filter>,
    /// May it publish to this topic? (repeatable)
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    publish: Vec<Filter>,
    /// May it receive messages on this topic or channel, such as order:1, by whatever filter? (repeatable)
    #[arg(long, value_name = "TOPIC|CHANNEL", value_parser = topic)]
    receive: Vec<Filter>,
    /// The older name of --receive
    #[arg(long, value_name = "TOPIC|CHANNEL", value_parser = topic, hide = true)]
    hear: Vec<Filter>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is known of the client")]
struct ClientFacts {
    /// How it proved who it is: certificate, cognito-authenticated, cognito-unauthenticated, iam, custom-authorizer
    #[arg(long, value_name = "KIND", value_parser = principal)]
    principal: Option<ClientPrincipal>,
    /// The thing that its principal is attached to
    #[arg(long, value_name = "NAME")]
    thing: Option<String>,
    /// The thing's type
    #[arg(long, value_name = "NAME", requires = "thing")]
    thing_type: Option<String>,
    /// An attribute of the thing (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, requires = "thing")]
    attribute: Vec<(String, String)>,
    /// The thing is the principal's only one, so that the client id may differ from its name
    #[arg(long, requires = "thing")]
    exclusive: bool,
    /// A value of a context key; give a key several times for several values
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    context: Vec<(String, String)>,
    /// The whole context as for `policy test`: JSON text, a file, or - for standard input; the other
    /// options take precedence
    #[arg(long, value_name = "JSON|FILE")]
    facts: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where it connects to (by default what the policies name)")]
struct SimulatedEndpoint {
    /// The Region in ARNs
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The account in ARNs
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// The partition in ARNs
    #[arg(long, value_name = "PARTITION")]
    partition: Option<String>,
}

fn filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| error.to_string())
}

fn topic(text: &str) -> Result<Filter, String> {
    Filter::exact(text).map_err(|error| error.to_string())
}

/// A kind of principal, as an argument.
pub(super) fn principal(word: &str) -> Result<ClientPrincipal, String> {
    ClientPrincipal::parse(word).ok_or_else(|| {
        let names: Vec<_> = ClientPrincipal::NAMES
            .iter()
            .map(|(name, _)| *name)
            .collect();
        format!("accepted: {}", names.join(", "))
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("accepted: a name, `=`, and a value".into()),
    }
}

impl ClientFacts {
    /// The context. An error is the user's.
    fn context(
        &self,
        client: Option<&str>,
        input: &mut Option<impl BufRead>,
    ) -> Result<Context, UserError> {
        let mut context = match &self.facts {
            Some(argument) => facts(argument, input)?,
            None => Context::default(),
        };
        if let Some(client) = client {
            context.client_id = Some(client.into());
        }
        context.principal = self.principal.or(context.principal);
        if let Some(name) = &self.thing {
            context.thing = Some(ClientThing {
                name: name.as_str().into(),
                type_name: self.thing_type.as_deref().map(Into::into),
                attributes: self
                    .attribute
                    .iter()
                    .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                    .collect(),
                attachment: if self.exclusive {
                    ThingAttachment::Exclusive
                } else {
                    ThingAttachment::NonExclusive
                },
            });
        }
        for (key, _) in &self.context {
            let values = self
                .context
                .iter()
                .filter(|(other, _)| other.eq_ignore_ascii_case(key));
            context.set(key, values.map(|(_, value)| value.as_str()));
        }
        Ok(context)
    }
}

fn facts(argument: &str, input: &mut Option<impl BufRead>) -> Result<Context, UserError> {
    let text = if argument.trim_start().starts_with('{') {
        argument.to_owned()
    } else {
        read_text(argument, input).map_err(|error| unfit(&error))?
    };
    let known = serde_json::from_str(&text);
    known.map_err(|error| unfit(&format!("reading the facts `{argument}`: {error}")))
}

fn unfit(error: &str) -> UserError {
    UserError::new(
        error,
        "give JSON text that begins with `{`, or a file; docs/policies.md has all facts",
    )
}

impl SimulatedEndpoint {
    /// The scope of the ARNs. An error is the user's.
    fn scope(&self, policies: &Policies) -> Result<Scope, UserError> {
        let Self {
            region,
            account,
            partition,
        } = self;
        let mut scope = match Scope::of(&policies.documents) {
            Ok(scope) => scope,
            // Parts that are left out are as with most accounts.
            Err(_) if region.is_some() && account.is_some() => Scope::default(),
            Err(error) => {
                return Err(UserError::new(
                    error,
                    "say which is meant with --region and --account",
                ));
            }
        };
        let set = |part: &mut Box<str>, given: &Option<String>| {
            if let Some(given) = given {
                *part = given.as_str().into();
            }
        };
        set(&mut scope.region, region);
        set(&mut scope.account, account);
        set(&mut scope.partition, partition);
        Ok(scope)
    }
}

impl SimulatedActions {
    fn questions(&self, received: Vec<Filter>, retain: bool) -> Vec<Ask> {
        let each = |filters: &[Filter], ask: fn(Filter) -> Ask| -> Vec<Ask> {
            filters.iter().cloned().map(ask).collect()
        };
        let connect = (self.connect || self.persistent).then_some(Ask::Connect);
        let will = |topic: &Filter| Ask::Will {
            topic: topic.clone(),
            retain,
        };
        let publish = if retain { Ask::Retain } else { Ask::Publish };
        connect
            .into_iter()
            .chain(each(&self.subscribe, Ask::Subscribe))
            .chain(self.will.iter().map(will))
            .chain(each(&self.publish, publish))
            .chain(received.into_iter().map(Ask::Hear))
            .collect()
    }

    /// The topics of --receive, channels replaced by theirs. `None`, after a report, when one has a
    /// fault.
    fn received(
        &self,
        configuration: &Configuration,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<Vec<Filter>>> {
        if !self.hear.is_empty() {
            writeln!(messages, "warning: --hear is the older name of --receive")?;
        }
        let named: Vec<&Filter> = self.receive.iter().chain(&self.hear).collect();
        if !named.iter().any(|topic| may_be_channel(topic.as_str())) {
            return Ok(Some(named.into_iter().cloned().collect()));
        }
        let config = match configuration.file.exists() {
            true => match configuration.read_checked(messages)? {
                Some(config) => Some(config),
                None => return Ok(None),
            },
            false => None,
        };
        let mut received = Vec::new();
        for topic in named {
            let text = topic.as_str();
            match &config {
                None if may_be_channel(text) => {
                    write_line(
                        messages,
                        format_args!(
                            "note: `{text}` is taken for a topic; for channels name the configuration with --config"
                        ),
                    )?;
                    received.push(topic.clone());
                }
                None => received.push(topic.clone()),
                Some(config) => match channel_topic(text, config) {
                    Ok(topic) => received.push(topic),
                    Err(error) => {
                        write_line(messages, format_args!("error: --receive: {error}"))?;
                        writeln!(messages, "help: give a topic, or a channel such as order:1")?;
                        return Ok(None);
                    }
                },
            }
        }
        Ok(Some(received))
    }
}

/// Returns `true` where a text can be a channel: a name, a colon, and an id.
fn may_be_channel(text: &str) -> bool {
    let name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !name.is_empty() && name.chars().all(fits)
    };
    text.split_once(':').is_some_and(|(kind, _)| name(kind))
}

/// The topic of a channel that a configuration declares; another text is a topic itself.
fn channel_topic(text: &str, config: &Config) -> Result<Filter, String> {
    let declared = text
        .split_once(':')
        .and_then(|(kind, id)| Some((config.kinds.get(kind)?, id)));
    let topic = match declared {
        None => text.to_owned(),
        Some((kind, id)) if !kind.id().accepts(id) => {
            let (name, format) = (kind.name(), kind.id());
            return Err(format!(
                "`{id}` is not a valid id for channel `{name}` (expected {format})"
            ));
        }
        Some((kind, id)) => match &config.environment {
            Some(environment) => format!("{environment}/{}/{id}", kind.name()),
            None => format!("{}/{id}", kind.name()),
        },
    };
    Filter::exact(&topic).map_err(|error| error.to_string())
}

impl SimulateCommand {
    /// An option that has no effect, with what to do.
    fn unfit(&self) -> Option<UserError> {
        let published = !self.asked.publish.is_empty() || !self.asked.will.is_empty();
        (self.retain && !published).then(|| {
            UserError::new(
                "--retain is about what is published",
                "give --publish or --will with it",
            )
        })
    }
}

/// All answers about one client.
#[derive(Serialize)]
struct SimulationReport {
    client: Option<Box<str>>,
    /// Region and account in the ARNs.
    endpoint: String,
    /// `true` where everything that was asked is allowed.
    allowed: bool,
    /// `true` where the client may connect at all.
    may_connect: bool,
    answers: Vec<QueryReport>,
}

/// Runs the command.
pub(super) fn run(
    command: &SimulateCommand,
    mut input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if let Some(error) = command.unfit() {
        error.write(messages)?;
        return Ok(Status::CannotAnswer);
    }
    let Some(policies) = read_policies(&command.policy, &mut input, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let Some(received) = command.asked.received(&command.configuration, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let known = command
        .facts
        .context(command.client.as_deref(), &mut input)
        .and_then(|context| Ok((context, command.place.scope(&policies)?)));
    let (mut context, scope) = match known {
        Ok(known) => known,
        Err(error) => {
            error.write(messages)?;
            return Ok(Status::CannotAnswer);
        }
    };
    if command.asked.persistent {
        context.add(CONNECT_ATTRIBUTES, "PersistentConnect");
    }
    let simulation = Simulation {
        documents: &policies.documents,
        scope: &scope,
        context: &context,
    };
    let answers: Vec<QueryReport> = command
        .asked
        .questions(received, command.retain)
        .iter()
        .map(|ask| QueryReport::new(ask, simulation.ask(ask), &policies))
        .collect();
    let report = SimulationReport {
        may_connect: simulation.connect().is_allowed(),
        client: context.client_id.clone(),
        endpoint: scope.prefix(),
        allowed: answers.iter().all(|answer| answer.allowed),
        answers,
    };
    match command.format {
        OutputFormat::Json => {
            write_json(&report, out)?;
        }
        OutputFormat::Text => write_text(&report, out)?,
    }
    Ok(if report.allowed {
        Status::Yes
    } else {
        Status::No
    })
}

fn write_text(report: &SimulationReport, out: &mut impl Write) -> anyhow::Result<()> {
    let client = report.client.as_deref().unwrap_or("(no client id)");
    write_line(
        out,
        format_args!("client `{client}` at {}", report.endpoint),
    )?;
    for answer in &report.answers {
        writeln!(out)?;
        write_line(out, format_args!("{}", answer.headline()))?;
        answer.write_grounds("  ", out)?;
    }
    let asks_to_connect = report.answers.iter().any(QueryReport::is_about_connecting);
    if !report.may_connect && !asks_to_connect {
        writeln!(
            out,
            "\nnote: it may not connect under these policies; see --connect"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
