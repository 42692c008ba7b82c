//! `eventcast policy simulate`: what one client may do under its policies, in words.

use std::fs;
use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::read_policies;
use crate::channel::filter::Filter;
use crate::cli::json::write_json;
use crate::cli::{Format, Status};
use crate::escape::{escaped, write_line};
use crate::policy::ask::Ask;
use crate::policy::context::{Attachment, Context, Principal, Thing};
use crate::policy::scope::Scope;
use crate::policy::simulate::Simulation;
use crate::policy::told::{Policies, Told};

pub(super) const HELP: &str = "\
A client hears a topic when some filter that it may subscribe to matches the topic, and it may \
receive messages on it. All filters that match are tried, so that a wide one is found as well; what \
else a wide one would let the client hear is looked for among the topics that the policies name.

Examples:
  eventcast policy simulate --policy customer.json --client user-1 --hear order/1
  eventcast policy simulate --policy a.json b.json --client lamp1 --thing lamp1 --publish lamp1/on
  eventcast policy simulate --policy a.json --client c --connect --context aws:SourceIp=203.0.113.7
  eventcast policy simulate --policy a.json --facts client.json --subscribe 'order/+' --format json

Exit status: 0 everything asked for is allowed, 1 something is denied, 2 a policy or the question \
is not right.";

#[derive(Debug, Args)]
pub(in crate::cli) struct Simulate {
    /// The client's policies: JSON text (beginning with `{`) or files
    #[arg(long, value_name = "JSON|FILE", required = true, num_args = 1..)]
    policy: Vec<String>,
    /// The MQTT client id
    #[arg(long, value_name = "ID", required_unless_present = "facts")]
    client: Option<String>,
    #[command(flatten)]
    asked: Asked,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    facts: Facts,
    #[command(flatten)]
    place: Endpoint,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Asked {
    /// May it connect?
    #[arg(long)]
    connect: bool,
    /// May it subscribe to this filter? (repeatable)
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    subscribe: Vec<Filter>,
    /// May it publish to this topic? (repeatable)
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    publish: Vec<Filter>,
    /// Would a message on this topic be delivered to it? (repeatable)
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    receive: Vec<Filter>,
    /// May it hear this topic, by whatever filter? (repeatable)
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    hear: Vec<Filter>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is known of the client")]
struct Facts {
    /// How it proved who it is: certificate, cognito-authenticated, cognito-unauthenticated, iam, custom-authorizer
    #[arg(long, value_name = "KIND", value_parser = principal)]
    principal: Option<Principal>,
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
    /// The whole context as for `policy test`: JSON text or a file; the other options stand above it
    #[arg(long, value_name = "JSON|FILE")]
    facts: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where it connects to (by default what the policies name)")]
struct Endpoint {
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
pub(super) fn principal(word: &str) -> Result<Principal, String> {
    Principal::parse(word).ok_or_else(|| {
        let names: Vec<_> = Principal::NAMES.iter().map(|(name, _)| *name).collect();
        format!("accepted: {}", names.join(", "))
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("accepted: a name, `=`, and a value".into()),
    }
}

impl Facts {
    /// The context. An error is the user's.
    fn context(&self, client: Option<&str>) -> anyhow::Result<Context> {
        let mut context = match &self.facts {
            Some(argument) => facts(argument)?,
            None => Context::default(),
        };
        if let Some(client) = client {
            context.client_id = Some(client.into());
        }
        context.principal = self.principal.or(context.principal);
        if let Some(name) = &self.thing {
            context.thing = Some(Thing {
                name: name.as_str().into(),
                type_name: self.thing_type.as_deref().map(Into::into),
                attributes: self
                    .attribute
                    .iter()
                    .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                    .collect(),
                attachment: if self.exclusive {
                    Attachment::Exclusive
                } else {
                    Attachment::NonExclusive
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

fn facts(argument: &str) -> anyhow::Result<Context> {
    let text = if argument.trim_start().starts_with('{') {
        argument.to_owned()
    } else {
        fs::read_to_string(argument).map_err(|error| unfit(argument, &error))?
    };
    serde_json::from_str(&text).map_err(|error| unfit(argument, &error))
}

fn unfit(argument: &str, error: &dyn std::error::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "reading the facts `{}`: {}\nhelp: give JSON text that begins with `{{`, or a file; docs/policies.md has all facts",
        escaped(argument),
        escaped(&error.to_string()),
    )
}

impl Endpoint {
    /// The scope of the ARNs. An error is the user's.
    fn scope(&self, policies: &Policies) -> anyhow::Result<Scope> {
        let Self {
            region,
            account,
            partition,
        } = self;
        let mut scope = match Scope::of(&policies.documents) {
            Ok(scope) => scope,
            // What is left out is as with most accounts.
            Err(_) if region.is_some() && account.is_some() => Scope::default(),
            Err(error) => {
                anyhow::bail!(
                    "{}\nhelp: say which is meant with --region and --account",
                    escaped(&error.to_string())
                );
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

impl Asked {
    fn questions(&self) -> Vec<Ask> {
        let each = |filters: &[Filter], ask: fn(Filter) -> Ask| -> Vec<Ask> {
            filters.iter().cloned().map(ask).collect()
        };
        let connect = self.connect.then_some(Ask::Connect);
        connect
            .into_iter()
            .chain(each(&self.subscribe, Ask::Subscribe))
            .chain(each(&self.publish, Ask::Publish))
            .chain(each(&self.receive, Ask::Receive))
            .chain(each(&self.hear, Ask::Hear))
            .collect()
    }
}

/// All answers about one client.
#[derive(Serialize)]
struct Report {
    client: Option<Box<str>>,
    /// What the ARNs begin with.
    endpoint: String,
    /// Whether everything that was asked is allowed.
    allowed: bool,
    /// Whether the client may connect at all.
    may_connect: bool,
    answers: Vec<Told>,
}

/// Runs the command.
pub(super) fn run(
    command: &Simulate,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(policies) = read_policies(&command.policy, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let known = command
        .facts
        .context(command.client.as_deref())
        .and_then(|context| Ok((context, command.place.scope(&policies)?)));
    let (context, scope) = match known {
        Ok(known) => known,
        Err(error) => {
            writeln!(messages, "error: {error:#}")?;
            return Ok(Status::CannotAnswer);
        }
    };
    let simulation = Simulation {
        documents: &policies.documents,
        scope: &scope,
        context: &context,
    };
    let answers: Vec<Told> = command
        .asked
        .questions()
        .iter()
        .map(|ask| Told::new(ask, simulation.ask(ask), &policies))
        .collect();
    let report = Report {
        may_connect: simulation.connect().is_allowed(),
        client: context.client_id.clone(),
        endpoint: scope.prefix(),
        allowed: answers.iter().all(|answer| answer.allowed),
        answers,
    };
    match command.format {
        Format::Json => {
            write_json(&report, out)?;
        }
        Format::Text => write_text(&report, out)?,
    }
    Ok(if report.allowed {
        Status::Yes
    } else {
        Status::No
    })
}

fn write_text(report: &Report, out: &mut impl Write) -> anyhow::Result<()> {
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
    let asks_to_connect = report.answers.iter().any(Told::is_about_connecting);
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
