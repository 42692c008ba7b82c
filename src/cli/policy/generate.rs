//! `eventcast policy generate`: the documents for a role and claims, for grants spelled out, or for
//! the daemon itself.

pub(in crate::cli) mod arguments;

use std::io::Write;

use arguments::{
    BridgePart, ClaimArguments, DocumentFormat, EndpointArguments, GenerateRefusal, GrantSubject,
    LocatedScope, SpelledClaim,
};
use clap::Args;
use serde::Serialize;

use crate::channel::template::TemplateError;
use crate::cli::configuration::Configuration;
use crate::cli::json::write_json;
use crate::cli::user_error::{UserError, write_error};
use crate::cli::{OutputFormat, Status};
use crate::config::Config;
use crate::config::permission::{DEFAULT_CLUSTER, DeadLetterAccess};
use crate::escape::write_line;
use crate::policy::draft::Draft;
use crate::policy::generate::{self, GenerateError, Generated};
use crate::policy::grant::Grants;
use crate::policy::principal::{ClientIdBinding, ClientIdRules, PrincipalName};
use crate::policy::role::{RoleEntry, Use};

pub(super) const HELP: &str = "\
Standard output holds the documents and nothing else: one for `iot`, `session` and `iam`, up to \
ten for `authorizer`. Each was evaluated before it is printed: what is granted is allowed, and what \
is next to it is not. docs/roles.md explains roles.

Examples:
  eventcast policy generate --role customer --claims token.json
  eventcast policy generate --role customer --claims t.json --claim orders=$A --as session --minify
  eventcast policy generate --client backoffice --subscribe 'order:*' --publish news --as iot
  eventcast policy generate --for bridge > bridge-role.json
  eventcast policy generate --for dlq > operator-role.json

Exit status: 0 printed, 1 the grants are more than there is room for, 2 the configuration, the \
claims or the grants are not right.";

#[derive(Debug, Args)]
pub(in crate::cli) struct GenerateCommand {
    #[command(flatten)]
    whose: GrantSubject,
    /// What the documents are for [default: authorizer; with --for: iam]
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Option<DocumentFormat>,
    /// Subscriptions that a connection may have, where the account's quota was raised
    #[arg(long, value_name = "NUMBER")]
    subscriptions: Option<usize>,
    /// The cluster whose tasks the bridge counts, where bridge.pace.count_tasks is ecs
    #[arg(
        long,
        value_name = "NAME",
        default_value = DEFAULT_CLUSTER,
        value_parser = cluster,
        conflicts_with_all = ["role", "client"]
    )]
    cluster: String,
    /// Leave out all white space
    #[arg(long)]
    minify: bool,
    /// Format of the answer: text is the documents alone, json one object with sizes and notes
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    configuration: Configuration,
    // Each of these begins a heading of its own, which ends with the next one.
    #[command(flatten)]
    claims: ClaimArguments,
    #[command(flatten)]
    spelled: SpelledClaim,
    #[command(flatten)]
    endpoint: EndpointArguments,
}

/// A cluster's name (ECS API reference, CreateCluster: 1 to 255 letters, digits, `_` and `-`).
fn cluster(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if text.is_empty() || text.len() > 255 || !text.chars().all(is_plain) {
        return Err("accepted: 1 to 255 letters, digits, `_` and `-`".into());
    }
    Ok(text.to_owned())
}

/// Runs the command.
pub(super) fn run(
    command: &GenerateCommand,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(config) = command.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    answer(command, &config, out, messages)
}

fn answer(
    command: &GenerateCommand,
    config: &Config,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command.generated(config) {
        Ok((form, generated)) => {
            command.write(form, &generated, out, messages)?;
            Ok(Status::Yes)
        }
        Err(GenerateRefusal::Input(error)) => {
            error.write(messages)?;
            Ok(Status::CannotAnswer)
        }
        Err(GenerateRefusal::Room(error)) => {
            write_error(messages, format_args!("{error}"), help(&error))?;
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

fn ungranted(errors: impl IntoIterator<Item = impl std::fmt::Display>) -> UserError {
    UserError::of_all(errors).unwrap_or_else(|| UserError::plain("nothing can be granted"))
}

impl GenerateCommand {
    fn generated(&self, config: &Config) -> Result<(DocumentFormat, Generated), GenerateRefusal> {
        if let Some(part) = self.whose.part {
            return self.for_part(part, config);
        }
        let grants = match &self.whose.role {
            Some(role) => self.grants_of_role(role, config),
            None => self.grants_spelled(config),
        };
        let form = self.form.unwrap_or(DocumentFormat::Authorizer);
        let known = [
            LocatedScope::by_authorizer(config),
            LocatedScope::by_queue(config),
        ];
        // Everything that is missing is reported at once.
        let (grants, scope) = match (grants, self.endpoint.scope(&known)) {
            (Ok(grants), Ok(scope)) => (grants, scope),
            (Err(GenerateRefusal::Input(one)), Err(GenerateRefusal::Input(other))) => {
                return Err(GenerateRefusal::Input(one.and(other)));
            }
            (Err(refusal), _) | (_, Err(refusal)) => return Err(refusal),
        };
        let generated = generate::generate(&grants, &scope, form.into(), self.subscriptions)?;
        Ok((form, generated))
    }

    fn grants_of_role(&self, name: &str, config: &Config) -> Result<Grants, GenerateRefusal> {
        let role = config.roles.iter().find(|role| *role.name == *name);
        let role = role.ok_or_else(|| {
            let known: Vec<&str> = config.roles.iter().map(|role| &*role.name).collect();
            let help = match known.as_slice() {
                [] => "add roles to the configuration".to_owned(),
                known => format!("roles are {}", known.join(", ")),
            };
            GenerateRefusal::Input(UserError::new(
                format_args!("there is no role `{name}`"),
                help,
            ))
        })?;
        let claims = self.claims.read()?;
        Grants::of(role, &claims, config.environment.as_deref()).map_err(|errors| {
            ungranted(errors)
                .help("give the claims of a token with --claim NAME=VALUE or --claims FILE")
                .into()
        })
    }

    fn grants_spelled(&self, config: &Config) -> Result<Grants, GenerateRefusal> {
        let mut faults = Vec::new();
        let mut entries = |texts: &[String], purpose, flag: &str| {
            let mut entries = Vec::new();
            for text in texts {
                match RoleEntry::parse(text, purpose, &config.kinds) {
                    Ok(entry) => entries.push(entry),
                    Err(TemplateError { message, help, .. }) => {
                        let fault = UserError::plain(format_args!("{flag} `{text}`: {message}"));
                        faults.push(match help {
                            Some(help) => fault.help(help),
                            None => fault,
                        });
                    }
                }
            }
            entries
        };
        let SpelledClaim {
            subscribe,
            publish,
            retain,
        } = &self.spelled;
        let subscribe = entries(subscribe, Use::Subscribe, "--subscribe");
        let publish = entries(publish, Use::Publish, "--publish");
        let name = self.whose.client.as_deref().unwrap_or_default();
        let principal = PrincipalName::parse(
            name,
            &ClientIdRules {
                binding: ClientIdBinding::of_name(name),
                reserved: Some(config.bridge.client_id.as_str().into()),
            },
        )
        .map_err(|error| UserError::plain(format_args!("--client: {error}")));
        let principal = match (faults.into_iter().reduce(UserError::and), principal) {
            (None, Ok(principal)) => principal,
            (Some(faults), Ok(_)) => return Err(faults.into()),
            (None, Err(fault)) => return Err(fault.into()),
            (Some(faults), Err(fault)) => return Err(faults.and(fault).into()),
        };
        let environment = config.environment.as_deref();
        Grants::explicit(principal, &subscribe, &publish, *retain, environment)
            .map_err(|errors| ungranted(errors).into())
    }

    fn for_part(
        &self,
        part: BridgePart,
        config: &Config,
    ) -> Result<(DocumentFormat, Generated), GenerateRefusal> {
        let form = self.form.unwrap_or(DocumentFormat::Iam);
        let known = [
            LocatedScope::by_queue(config),
            LocatedScope::by_authorizer(config),
        ];
        let scope = self.endpoint.scope(&known)?;
        let required = match part {
            BridgePart::Bridge => config
                .bridge_permissions(&scope)
                .map(|required| required.within_cluster(&scope, &self.cluster)),
            BridgePart::Doctor => config.doctor_permissions(&scope),
            BridgePart::Dlq => config.dead_letter_permissions(&scope, DeadLetterAccess::Change),
            BridgePart::DlqRead => config.dead_letter_permissions(&scope, DeadLetterAccess::Read),
        };
        let required = required.map_err(anyhow::Error::new)?;
        let (permissions, notes) = match form {
            DocumentFormat::Iam | DocumentFormat::Session => (&required.role, required.role_notes),
            DocumentFormat::Iot | DocumentFormat::Authorizer => {
                (&required.broker, required.broker_notes)
            }
        };
        if permissions.is_empty() {
            let error = match part {
                BridgePart::Bridge | BridgePart::Doctor => {
                    "the bridge reaches the broker by its role, or the broker is not IoT Core"
                }
                BridgePart::Dlq | BridgePart::DlqRead => {
                    "IoT Core has no part in `eventcast dlq`, which needs an IAM policy"
                }
            };
            return Err(UserError::new(error, "leave out --as for the role's policy").into());
        }
        let documents = generate::documents(permissions, form.into())?;
        Ok((form, Generated { documents, notes }))
    }

    fn write(
        &self,
        form: DocumentFormat,
        generated: &Generated,
        out: &mut impl Write,
        messages: &mut impl Write,
    ) -> anyhow::Result<()> {
        if self.format == OutputFormat::Json {
            write_json(&GenerateReport::new(form, generated), out)?;
            return Ok(());
        }
        for note in &generated.notes {
            write_line(messages, format_args!("note: {note}"))?;
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

/// The answer for programs.
#[derive(Serialize)]
struct GenerateReport<'g> {
    form: &'static str,
    documents: &'g [Draft],
    /// The size of each document without white space.
    characters: Vec<usize>,
    notes: &'g [String],
}

impl<'g> GenerateReport<'g> {
    fn new(form: DocumentFormat, generated: &'g Generated) -> Self {
        let size = |draft: &Draft| draft.minified().len();
        Self {
            form: match form {
                DocumentFormat::Authorizer => "authorizer",
                DocumentFormat::Iot => "iot",
                DocumentFormat::Session => "session",
                DocumentFormat::Iam => "iam",
            },
            characters: generated.documents.iter().map(size).collect(),
            documents: &generated.documents,
            notes: &generated.notes,
        }
    }
}

#[cfg(test)]
mod tests;
