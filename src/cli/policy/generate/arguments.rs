//! The arguments of `policy generate`, and the faults that they can have.

use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::cli::input::{self, INPUT_BYTES};
use crate::cli::user_error::UserError;
use crate::config::Config;
use crate::config::queue_name::QueueName;
use crate::policy::generate::{DocumentForm, GenerateError};
use crate::policy::scope::Scope;

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct GrantSubject {
    /// A role of the configuration
    #[arg(long, value_name = "NAME")]
    pub(super) role: Option<String>,
    /// A principal, whose grants are spelled out: its client ids are this, alone or followed by `-` and anything
    #[arg(long, value_name = "NAME")]
    pub(super) client: Option<String>,
    /// A part of the platform
    #[arg(long = "for", value_enum, value_name = "PART")]
    pub(super) part: Option<BridgePart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BridgePart {
    /// The daemon and `eventcast doctor`: its queues, its connections, the topics of its routes
    Bridge,
    /// `eventcast doctor --upstream`: settings of queues, rules, targets and keys, nothing that
    /// changes them
    Doctor,
    /// `eventcast dlq`: list, show, replay and purge
    Dlq,
    /// `eventcast dlq list` and `show` alone
    DlqRead,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --role")]
pub(super) struct ClaimArguments {
    /// A claim of the token; values with commas between them are a list, none are an empty list (repeatable)
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]", value_parser = claim, conflicts_with_all = ["client", "part"])]
    pub(super) claim: Vec<(String, Value)>,
    /// All claims: JSON text (beginning with `{`), a file, or `-`; --claim takes precedence
    #[arg(long, value_name = "JSON|FILE", conflicts_with_all = ["client", "part"])]
    pub(super) claims: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --client")]
pub(super) struct SpelledClaim {
    /// A channel, all channels of a kind (order:*) or a topic filter to subscribe to (repeatable)
    #[arg(long, value_name = "GRANT", conflicts_with_all = ["role", "part"])]
    pub(super) subscribe: Vec<String>,
    /// A channel, all channels of a kind or a topic to publish to (repeatable)
    #[arg(long, value_name = "GRANT", conflicts_with_all = ["role", "part"])]
    pub(super) publish: Vec<String>,
    /// Let what is published be retained
    #[arg(long, requires = "publish")]
    pub(super) retain: bool,
}

#[derive(Debug, Args)]
#[command(
    next_help_heading = "Where IoT Core is (by default authorizer.region and account, or where the queue is)"
)]
pub(super) struct EndpointArguments {
    /// The Region in ARNs
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    pub(super) region: Option<String>,
    /// The account in ARNs
    #[arg(long, value_name = "ACCOUNT", env = "AWS_ACCOUNT_ID")]
    pub(super) account: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DocumentFormat {
    /// The answer of a custom authorizer: up to 10 documents
    Authorizer,
    /// A named IoT policy, for a certificate, a thing group or a Cognito identity
    Iot,
    /// A session policy for an STS call, which narrows what the role allows
    Session,
    /// A policy of an IAM role
    Iam,
}

impl From<DocumentFormat> for DocumentForm {
    fn from(form: DocumentFormat) -> Self {
        match form {
            DocumentFormat::Authorizer => Self::Authorizer,
            DocumentFormat::Iot => Self::Named,
            DocumentFormat::Session => Self::Session,
            DocumentFormat::Iam => Self::Role,
        }
    }
}

pub(in crate::cli) fn claim(text: &str) -> Result<(String, Value), String> {
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

/// Region and account of IoT Core, as one source gives them.
#[derive(Clone, Copy, Default)]
pub(super) struct LocatedScope<'s> {
    pub(super) region: Option<&'s str>,
    pub(super) account: Option<&'s str>,
}

impl<'s> LocatedScope<'s> {
    /// Region and account of the configuration's authorizer.
    pub(super) fn by_authorizer(config: &'s Config) -> Self {
        let scope = config.authorizer.scope.as_ref();
        Self {
            region: scope.map(|scope| &*scope.region),
            account: scope.map(|scope| &*scope.account),
        }
    }

    /// Region and account of the daemon's queue, or else of its dead-letter queue.
    pub(super) fn by_queue(config: &'s Config) -> Self {
        let bridge = &config.bridge;
        let queue = bridge.queue.as_ref().or(bridge.dead_letter_queue.as_ref());
        let queue = queue.and_then(|url| QueueName::of_url(url));
        Self {
            region: queue.as_ref().and_then(|queue| queue.region),
            account: queue.map(|queue| queue.account),
        }
    }
}

/// Reason why nothing is generated.
pub(super) enum GenerateRefusal {
    /// The configuration, the claims or the arguments: what is wrong, and what to do.
    Input(UserError),
    /// There is no room.
    Room(GenerateError),
}

impl From<anyhow::Error> for GenerateRefusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Input(UserError::plain(format_args!("{error:#}")))
    }
}

impl From<UserError> for GenerateRefusal {
    fn from(error: UserError) -> Self {
        Self::Input(error)
    }
}

impl From<GenerateError> for GenerateRefusal {
    fn from(error: GenerateError) -> Self {
        Self::Room(error)
    }
}

impl ClaimArguments {
    pub(super) fn read(&self) -> Result<Value, UserError> {
        let mut claims = match &self.claims {
            None => Map::new(),
            Some(argument) => {
                let text = if argument.trim_start().starts_with('{') {
                    argument.clone()
                } else {
                    input::read_text(Path::new(argument), INPUT_BYTES)
                        .map_err(|error| unfit(argument, &error))?
                };
                serde_json::from_str(&text).map_err(|error| unfit(argument, &error))?
            }
        };
        for (name, value) in &self.claim {
            claims.insert(name.clone(), value.clone());
        }
        Ok(Value::Object(claims))
    }
}

fn unfit(argument: &str, error: &dyn std::error::Error) -> UserError {
    UserError::new(
        format_args!("reading the claims `{argument}`: {error}"),
        "give a JSON object: text that begins with `{`, a file, or `-` for standard input",
    )
}

impl EndpointArguments {
    /// The scope of ARNs: as the command line or the environment has it, or else as a configuration
    /// does, which names it or where its queue is.
    pub(super) fn scope(&self, known: &[LocatedScope<'_>]) -> Result<Scope, GenerateRefusal> {
        let given = LocatedScope {
            region: self.region.as_deref(),
            account: self.account.as_deref(),
        };
        let all = || std::iter::once(&given).chain(known);
        let region = all().find_map(|known| known.region);
        let account = all().find_map(|known| known.account);
        let (missing, help) = match (region, account) {
            (Some(region), Some(account)) => {
                return Ok(Scope::try_new(region, account).map_err(anyhow::Error::new)?);
            }
            (None, None) => (
                "the Region and the account of IoT Core are not known",
                "set authorizer.region and authorizer.account in the configuration, give --region and --account, or set AWS_REGION and AWS_ACCOUNT_ID",
            ),
            (None, Some(_)) => (
                "the Region of IoT Core is not known",
                "set authorizer.region in the configuration, give --region, or set AWS_REGION",
            ),
            (Some(_), None) => (
                "the account of IoT Core is not known",
                "set authorizer.account in the configuration, give --account, or set AWS_ACCOUNT_ID",
            ),
        };
        Err(UserError::new(missing, help).into())
    }
}
