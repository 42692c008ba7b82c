//! `eventcast gateway conformance`: the rules of the gateway's protocol, tried on a running
//! deployment from outside.

#[cfg(feature = "dev")]
mod development;
mod junit;
mod show;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use crate::cli::input::{self, INPUT_BYTES};
use crate::cli::json::write_json;
use crate::cli::runtime::block_on;
use crate::cli::user_error::UserError;
use crate::cli::{ReportFormat, Status, progress};
use crate::conformance::address::GatewayAddress;
use crate::conformance::publish::TestPublisher;
use crate::conformance::report::RuleReport;
use crate::conformance::transport::TlsClient;
use crate::conformance::{ProbeChannel, Suite, SuiteProgress, rules};

#[derive(Debug, Args)]
#[command(after_help = "\
Opens sessions, polls and streams at the address, as clients do, has messages published, breaks connections off, and compares \
what comes back with the protocol (docs/gateway.md). Some rules are tried through proxies that run in this process, on the \
loopback interface, and that hold back, cut or slice answers. A rule that needs more than was given is not tried, and says what \
it needs. A run takes about two minutes, with --quick half of one.

Against `eventcast dev`, --dev mints the tokens, takes channels of a role, and publishes by the data plane beside the gateway. \
Elsewhere give a token, a channel that it grants, and a command that publishes a message: {channel}, {topic} and {id} in it are \
replaced, and the payload must carry the id somewhere.

Examples:
  eventcast gateway conformance http://127.0.0.1:4566 --dev
  eventcast gateway conformance http://127.0.0.1:4566 --dev --quick --only poll --only stream
  eventcast gateway conformance https://rt.example.com --token-file token --channel order:$ID \\
    --publish 'aws iot-data publish --topic {topic} --qos 1 --cli-binary-format raw-in-base64-out \\
      --payload \"{\\\"id\\\": \\\"{id}\\\"}\"' --origin https://shop.example.com --format junit > report.xml
  eventcast gateway conformance --list

Exit status: 0 every rule that was tried holds, 1 one is broken, 2 the suite cannot be run: arguments, nobody answers, the token \
is refused, messages cannot be published.")]
pub(in crate::cli) struct Command {
    /// The gateway's address, such as https://rt.example.com; /rt/v1 is added
    #[arg(value_name = "URL", required_unless_present = "list")]
    url: Option<String>,
    /// A token; `-` reads it from standard input
    #[arg(
        long,
        value_name = "TOKEN",
        env = "EVENTCAST_GATEWAY_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// A file with the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A token of another principal, which must not use the first one's sessions
    #[arg(long, value_name = "TOKEN")]
    other_token: Option<String>,
    /// Take tokens, channels and the way to publish from the `eventcast dev` at the address
    #[cfg(feature = "dev")]
    #[arg(long, conflicts_with_all = ["token_file", "other_token", "channel"])]
    dev: bool,
    /// The role of --dev; without it the first that grants a channel
    #[cfg(feature = "dev")]
    #[arg(long, value_name = "NAME", requires = "dev")]
    role: Option<String>,
    /// A channel that the token grants (repeatable; messages are published to the first)
    #[arg(long, value_name = "CHANNEL")]
    channel: Vec<String>,
    /// A channel that the token does not grant
    #[arg(long, value_name = "CHANNEL")]
    denied_channel: Option<String>,
    /// A shell command that publishes one message, with {channel}, {topic} and {id}
    #[arg(long, value_name = "COMMAND")]
    publish: Option<String>,
    /// The address of another task of the same deployment
    #[arg(long, value_name = "URL")]
    second: Option<String>,
    /// A shell command that makes the gateway drain, such as 'kill -TERM 4711'; it is run last
    #[arg(long, value_name = "COMMAND")]
    drain: Option<String>,
    /// Open up to this many sessions in search of the quota
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    quota: Option<u32>,
    /// An origin of web pages that the deployment allows, such as https://shop.example.com
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Certificates of the authorities to trust, as PEM; without it those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Leave out what takes more than ten seconds
    #[arg(long)]
    quick: bool,
    /// Try only rules whose name begins with this, such as poll or cors.preflight (repeatable)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Print the rules, and try none
    #[arg(long)]
    list: bool,
    /// How the report is written
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
}

/// Runs the command. `input` is standard input, if it is piped.
pub(super) fn run(
    command: &Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if command.list {
        match command.format {
            ReportFormat::Json => {
                let list = rules()
                    .map(|rule| serde_json::json!({ "rule": rule.name, "title": rule.title }));
                write_json(&list.collect::<Vec<_>>(), out)?;
            }
            ReportFormat::Text | ReportFormat::Junit => show::list(out)?,
        }
        return Ok(Status::Yes);
    }
    let ran = block_on(async {
        let suite = match command.suite(input).await {
            Ok(suite) => suite,
            Err(error) => return Err(error),
        };
        let bar = Bar::new(suite.count());
        let ran = suite.run(&bar).await;
        bar.0.finish_and_clear();
        ran.map_err(|why| {
            UserError::new(
                format_args!("the suite cannot be run on {}: {why}", suite.address),
                "check the address, the token, the channel and --publish",
            )
        })
    })?;
    let report = match ran {
        Ok(report) => report,
        Err(error) => {
            error.write(messages)?;
            return Ok(Status::CannotAnswer);
        }
    };
    match command.format {
        ReportFormat::Text => show::report(&report, out)?,
        ReportFormat::Json => write_json(&report, out)?,
        ReportFormat::Junit => junit::write(&report, out)?,
    }
    Ok(match report.broken {
        0 => Status::Yes,
        _ => Status::No,
    })
}

/// Progress on a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(rules: usize) -> Self {
        Self(progress::bar(
            rules as u64,
            "{spinner} {pos}/{len} rules, {elapsed} {msg}",
            "",
        ))
    }
}

impl SuiteProgress for Bar {
    fn begins(&self, rule: &'static str) {
        self.0.set_message(rule);
    }

    fn ends(&self, _: &RuleReport) {
        self.0.inc(1);
    }
}

impl Command {
    async fn suite(&self, input: Option<impl BufRead>) -> Result<Suite, UserError> {
        let url = self.url.as_deref().unwrap_or_default();
        let address = read_address("URL", url)?;
        let second = self.second.as_deref();
        let second = second
            .map(|url| read_address("--second", url))
            .transpose()?;
        for only in &self.only {
            if !rules().any(|rule| rule.name.starts_with(only.as_str())) {
                return Err(UserError::new(
                    format_args!("no rule begins with `{only}`"),
                    "`eventcast gateway conformance --list` prints the rules",
                ));
            }
        }
        let is_secure = address.is_secure || second.as_ref().is_some_and(|one| one.is_secure);
        let tls = match is_secure {
            true => Some(self.tls()?),
            false => None,
        };
        #[cfg_attr(
            not(feature = "dev"),
            allow(unused_mut, reason = "without it nothing is completed")
        )]
        let mut suite = Suite {
            second,
            tls,
            token: self.token(input)?.unwrap_or_default(),
            other_token: self.other_token.clone(),
            channels: self.channel.iter().map(|name| channel(name)).collect(),
            denied_channel: self.denied_channel.clone(),
            publisher: self.publish.clone().map(TestPublisher::Command),
            origin: self.origin.clone(),
            drain: self.drain.clone(),
            quota: self.quota,
            is_quick: self.quick,
            only: self.only.clone(),
            address,
        };
        #[cfg(feature = "dev")]
        if self.dev {
            development::complete(&mut suite, self.role.as_deref()).await?;
        }
        if suite.token.is_empty() {
            return Err(UserError::new(
                "no token is given",
                "give one with --token, --token-file or EVENTCAST_GATEWAY_TOKEN; --dev mints one",
            ));
        }
        if suite.channels.is_empty() {
            return Err(UserError::new(
                "no channel is given",
                "name one that the token grants with --channel, such as order:ID",
            ));
        }
        Ok(suite)
    }

    fn tls(&self) -> Result<TlsClient, UserError> {
        let pem = match &self.ca {
            None => None,
            Some(file) => Some(input::read(file, INPUT_BYTES).map_err(|error| {
                UserError::new(
                    format_args!("reading the certificates `{}`: {error}", file.display()),
                    "give a PEM file with --ca",
                )
            })?),
        };
        TlsClient::trusting(pem.as_deref()).map_err(|error| {
            let file = self.ca.as_deref().map(Path::display);
            let file = file.map_or_else(|| "of the system".to_owned(), |file| format!("`{file}`"));
            UserError::new(
                format_args!("the certificates {file}: {error}"),
                "give a PEM file with --ca",
            )
        })
    }

    fn token(&self, input: Option<impl BufRead>) -> Result<Option<String>, UserError> {
        let help =
            "give the token itself, a file of it with --token-file, or pipe it in with --token -";
        let token = match (&self.token_file, self.token.as_deref()) {
            (Some(file), _) => Some(input::read_text(file, INPUT_BYTES).map_err(|error| {
                UserError::new(
                    format_args!("reading the token `{}`: {error}", file.display()),
                    help,
                )
            })?),
            (None, Some("-")) => {
                let Some(input) = input else {
                    return Err(UserError::new(
                        "`-` reads standard input, which is a terminal",
                        help,
                    ));
                };
                let read = input::text_of(input, INPUT_BYTES);
                Some(read.map_err(|error| {
                    UserError::new(format_args!("reading standard input: {error}"), help)
                })?)
            }
            (None, token) => token.map(str::to_owned),
        };
        let token = token.map(|token| token.trim().to_owned());
        match token {
            Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => Err(
                UserError::new("the token has characters that no header may have", help),
            ),
            token => Ok(token),
        }
    }
}

/// A channel by its name.
fn channel(name: &str) -> ProbeChannel {
    ProbeChannel {
        name: name.to_owned(),
        topic: None,
    }
}

fn read_address(argument: &str, url: &str) -> Result<GatewayAddress, UserError> {
    GatewayAddress::parse(url).map_err(|accepted| {
        UserError::new(
            format_args!("{argument} is `{}`", crate::cli::http::shown(url)),
            accepted,
        )
    })
}
