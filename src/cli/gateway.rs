//! `eventcast gateway`: polls and streams for clients without WebSockets.

mod conformance;

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::net::TcpListener;

use super::configuration::Configuration;
use super::input::{self, INPUT_BYTES};
use super::user_error::write_error;
use super::{Status, terminal};
use crate::broker::BrokerAddress;
use crate::config::Config;
use crate::config::bridge::HiddenText;
use crate::config::fault::Fault;
use crate::config::gateway::GatewayConfig;
use crate::gateway::api::cors::Origins;
use crate::gateway::api::{Gateway, GatewayOptions};
use crate::gateway::directory::{Directory, IssuerRoles};
use crate::gateway::limits::Limits;
use crate::gateway::link::BrokerSettings;
use crate::gateway::seal::{SealingKeys, SealingSecret};
use crate::gateway::serve::{Listeners, serve};
use crate::gateway::sessions::Sessions;
use crate::mqtt::auth::{Pem, TlsConfig, TlsFiles};
use crate::shutdown::Shutdown;
use crate::telemetry::logs;

#[derive(Debug, Args)]
#[command(after_help = "\
Clients that cannot open a WebSocket hear the same channels by HTTP: POST /rt/v1/session, then /rt/v1/poll or /rt/v1/stream \
(docs/gateway.md). Each session is a connection to the broker with the client's own token, so that the broker decides what the client \
may hear; the gateway itself needs no AWS credentials. TLS is ended by a load balancer before it.

Any task serves any session, when all have the same EVENTCAST_GATEWAY_SEALING_KEY. Without one a random key is made, and sessions end \
with the process. SIGTERM or Ctrl-C answers waiting polls at once and ends streams, and the broker keeps the sessions for other tasks; \
a second one, a second later or more, stops at once. SIGHUP reads channels and roles anew. EVENTCAST_LOG sets what is logged.

Examples:
  eventcast gateway
  eventcast gateway --set gateway.broker=mqtt://127.0.0.1:1883
  EVENTCAST_GATEWAY_SEALING_KEY=$(openssl rand -base64 32) eventcast gateway --config shop.yaml
  eventcast gateway conformance http://127.0.0.1:4566 --dev

Exit status: 0 told to end and drained, 2 the configuration is not right, 3 failed or cut short.")]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Command {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    configuration: Configuration,
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    log_format: super::bridge::LogFormat,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Try every rule of the gateway's protocol on a running deployment
    Conformance(conformance::Command),
}

/// The names that a configuration gives to clients and channels.
pub(super) fn directory(config: &Config) -> Directory {
    let issuers = config.authorizer.issuers.iter().map(|known| IssuerRoles {
        issuer: known.issuer.clone(),
        role_claim: known.role_claim.clone(),
    });
    Directory {
        kinds: config.kinds.clone(),
        environment: config.environment.clone(),
        roles: config.roles.clone(),
        issuers: issuers.collect(),
    }
}

/// Runs the command. `input` is standard input, if it is piped.
pub(super) fn run(
    command: &Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match &command.task {
        Some(Task::Conformance(task)) => conformance::run(task, input, out, messages),
        None => serve_until_end(command, messages),
    }
}

/// Runs the gateway until it receives a signal to end.
fn serve_until_end(command: &Command, messages: &mut impl Write) -> anyhow::Result<Status> {
    let Some(config) = command.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let section = &config.gateway;
    let Some(broker) = section.broker.clone() else {
        let file = command.configuration.file.display();
        write_error(
            messages,
            format_args!("{file}: `gateway.broker` is not set"),
            "set it there, by EVENTCAST_GATEWAY_BROKER, or with --set gateway.broker=mqtts://…",
        )?;
        return Ok(Status::CannotAnswer);
    };
    let Some(keys) = keys(section, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let Some(settings) = settings(section, broker, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let settings = BrokerSettings {
        grants_interval: config.authorizer.refresh,
        ..settings
    };
    let filter = terminal::log_filter("info");
    if let Err(error) = logs::start(command.log_format.into(), &filter) {
        write_error(messages, format_args!("{error}"), "correct EVENTCAST_LOG")?;
        return Ok(Status::CannotAnswer);
    }
    if section.sealing_key.is_none() {
        tracing::warn!(
            "EVENTCAST_GATEWAY_SEALING_KEY is not set: sessions end with this process, and no other task serves them"
        );
    }
    let shutdown = Shutdown::default();
    let options = GatewayOptions {
        limits: limits(section),
        origins: Origins::Listed(section.origins.clone().into()),
        is_forwarded: section.is_forwarded,
    };
    let sessions = Sessions::new(keys, settings, directory(&config));
    let gateway = Gateway::new(sessions, shutdown.clone(), options);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let drained = runtime.block_on(run_until_drained(command, section, &gateway, &shutdown));
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    Ok(if drained? {
        Status::Yes
    } else {
        Status::Failed
    })
}

/// Returns `true` where everything ended in order.
async fn run_until_drained(
    command: &Command,
    section: &GatewayConfig,
    gateway: &Arc<Gateway>,
    shutdown: &Shutdown,
) -> anyhow::Result<bool> {
    let signals = shutdown.on_signals();
    let bind = async |address, key: &str| {
        let bound = TcpListener::bind(address).await;
        bound.with_context(|| format!("listening on {address} ({key})"))
    };
    let api = bind(section.listen, "gateway.listen").await?;
    let metrics = match section.metrics {
        Some(address) => Some(bind(address, "gateway.metrics").await?),
        None => None,
    };
    if let Some(metrics) = &metrics {
        let address = metrics.local_addr().context("reading gateway.metrics")?;
        tracing::info!(%address, "health and metrics are served");
    }
    let address = api.local_addr().context("reading gateway.listen")?;
    tracing::info!(%address, version = crate::version::VERSION, "gateway ready");
    let listeners = Listeners { api, metrics };
    tokio::select! {
        served = serve(gateway, listeners, section.drain) => Ok(served?),
        failed = signals => {
            failed.context("listening to signals")?;
            Ok(false)
        }
        failed = reload(command, gateway) => Err(failed),
    }
}

/// Reads names anew at each SIGHUP; with any fault the old ones stay. Ends only when signals cannot
/// be listened to.
async fn reload(command: &Command, gateway: &Gateway) -> anyhow::Error {
    let apply = |config: Config, _: &[Fault]| {
        gateway.sessions().set_directory(directory(&config));
        tracing::info!("channels and roles are reloaded; the `gateway` section takes a restart");
    };
    let source = &command.configuration;
    source.reload_at_signals("the old one stays", apply).await
}

fn keys(section: &GatewayConfig, messages: &mut impl Write) -> anyhow::Result<Option<SealingKeys>> {
    let mut read = |name: &str,
                    written: &Option<HiddenText>|
     -> anyhow::Result<Option<Option<SealingSecret>>> {
        let Some(written) = written else {
            return Ok(Some(None));
        };
        match SealingSecret::parse(&written.0) {
            Ok(secret) => Ok(Some(Some(secret))),
            Err(error) => {
                write_error(
                    messages,
                    format_args!("{name} cannot be used: {error}"),
                    "make one with `openssl rand -base64 32`",
                )?;
                Ok(None)
            }
        }
    };
    let current = read("EVENTCAST_GATEWAY_SEALING_KEY", &section.sealing_key)?;
    let previous = read(
        "EVENTCAST_GATEWAY_PREVIOUS_SEALING_KEY",
        &section.previous_sealing_key,
    )?;
    let (Some(current), Some(previous)) = (current, previous) else {
        return Ok(None);
    };
    let current = match current {
        Some(current) => current,
        None => SealingSecret::random().context("making a sealing key")?,
    };
    let keys = SealingKeys::try_new(current, previous).context("making a sealing key")?;
    Ok(Some(keys))
}

fn settings(
    section: &GatewayConfig,
    broker: BrokerAddress,
    messages: &mut impl Write,
) -> anyhow::Result<Option<BrokerSettings>> {
    let tls = if broker.transport.is_secure() {
        let authorities = match &section.ca {
            Some(file) => {
                let name = format!("`gateway.tls.ca` `{file}`");
                match input::read_text(Path::new(file), INPUT_BYTES) {
                    Ok(text) => Some(Pem {
                        name,
                        text: text.into_bytes(),
                    }),
                    Err(error) => {
                        write_error(
                            messages,
                            format_args!("reading {name}: {error}"),
                            "name a PEM file; it is looked for where the command runs",
                        )?;
                        return Ok(None);
                    }
                }
            }
            None => None,
        };
        let files = TlsFiles {
            authorities,
            identity: None,
            protocol: section.alpn.clone(),
        };
        match TlsConfig::try_new(&files) {
            Ok(tls) => Some(tls.config()),
            Err(error) => {
                write_error(messages, format_args!("{error}"), "correct gateway.tls")?;
                return Ok(None);
            }
        }
    } else {
        None
    };
    Ok(Some(BrokerSettings {
        tls,
        authorizer: section.authorizer.clone(),
        token_key: section.token_key.clone(),
        session_expiry: section.session_expiry,
        connect_interval: section.connect_interval,
        linger: section.linger,
        ..BrokerSettings::plain(broker)
    }))
}

fn limits(section: &GatewayConfig) -> Limits {
    let limits = section.limits;
    Limits {
        body_bytes: limits.body_bytes,
        channels: limits.channels,
        sessions: limits.sessions,
        sessions_per_principal: limits.sessions_per_principal,
        requests_per_second: limits.requests_per_second,
        sessions_per_second: limits.sessions_per_second,
    }
}
