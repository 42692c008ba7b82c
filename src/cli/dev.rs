//! `eventcast dev`: an event bus, queues and a broker on this machine, for development, tests and
//! benchmarks.

mod assemble;
mod beside;
mod broker;
mod people;
mod reload;
mod show;
mod signers;
mod sites;
mod tls;

use std::future::{pending, ready};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::assemble::Assembled;
use self::beside::Beside;
use self::broker::Clients;
use self::people::People;
use self::reload::{ReloadRequests, Reloader};
use self::show::{AddressDisplay, ServedConfig};
use self::signers::SignerLookup;
use self::sites::Sites;
use super::configuration::{Configuration, SHOP_NAME};
use super::{OutputFormat, Status, terminal};
use crate::cli::user_error::write_error;
use crate::config::{Config, duration};
use crate::dev::broker::door::tls::ListenerTls;
use crate::dev::broker::limits::{BrokerLimits, BrokerRules};
use crate::dev::control_plane::ControlPlaneParts;
use crate::dev::control_plane::registry::IotRegistry;
use crate::dev::inspector::Inspector;
use crate::dev::inspector::views::PlatformAddresses;
use crate::dev::{EndpointOptions, Platform};
use crate::policy::scope::Scope;
use crate::shutdown::Shutdown;
use crate::telemetry::logs;

#[derive(Debug, Args)]
#[command(after_help = "\
What it serves, all in memory:
  event buses, by EventBridge's JSON protocol, whose rules send to its own queues
  queues, by SQS's JSON protocol, standard and FIFO
  an MQTT broker with AWS IoT Core's behaviour and limits (MQTT 3.1, 3.1.1 and 5, QoS 0 and 1),
    and its HTTPS data plane: publish, retained messages, connections
  IoT Core's control plane: policies, certificates, things, by which clients with certificates are
    let in
  the bridge of the configuration between them: a rule leads the default bus to its queue
  a page that shows all of it: each event's way, clients, channels, why a client hears nothing

Any credentials are taken on the bus, queues and both planes; the account in ARNs is 000000000000. With roles in the configuration \
the broker asks clients for a token (eventcast listen, eventcast token mint --dev, or the page). Without eventcast.yaml a small shop \
is served. SIGHUP reloads the configuration, and so does --watch when its file changes. Requests of web pages of other sites are \
refused (docs/dev.md, \"Web pages\").

Examples:
  eventcast dev
  eventcast dev --demo
  eventcast dev --config shop.yaml --set environment=dev --watch
  eventcast dev --tls ~/.eventcast
  export AWS_ENDPOINT_URL=http://127.0.0.1:4566
  eventcast listen --role customer announcements
  aws events put-events --entries 'Source=shop.office,DetailType=Announced,Detail=\"{}\"'
  eventcast trace EVENT_ID
  eventcast dev --host 0.0.0.0 --allow-host eventcast
  eventcast dev --no-bridge --aws-key AKIDEVELOPMENT:secret
  eventcast dev --allow-origin http://localhost:5173
  eventcast dev --bare --port 0 --mqtt-port 0 --websocket-port 0 --delay 10ms --format json
  eventcast dev --limit filters-per-subscribe=20 --limit stored-per-second=off
  eventcast dev --aws-key AKIDEVELOPMENT:secret --aws-policy AKIDEVELOPMENT=policy.json
  eventcast policy apply --name courier --policy courier.json --attach $CERTIFICATE_ARN
  curl -d '{}' http://127.0.0.1:4566/topics/order/1

Version 1 of aws overlooks AWS_ENDPOINT_URL for queues: give it --endpoint-url. \
What a bus could not send, and clients that the broker refuses or sends away, are told on standard error (EVENTCAST_LOG=error silences it).

Faults, for tests of what uses it; GET tells how often each has struck, DELETE removes all:
  FAULT='{\"action\": \"ReceiveMessage\", \"fault\": \"refuse\", \"rate\": 0.1}'
  curl -d \"$FAULT\" http://127.0.0.1:4566/_dev/faults
  fault is refuse, throttle, drop (done, but the answer is lost) or delay (\"milliseconds\");
  \"times\" bounds it. For MQTT clients action is Connect, Publish, Subscribe, Unsubscribe or
  Deliver, fault also duplicate or disconnect, and \"client\" and \"topic\" narrow it; so they do
  for the data plane's calls, where Publish is HttpPublish.

Exit status: 0 ended by Ctrl-C or a signal, 2 the configuration, a limit or a log filter is not right, 3 a port is taken or a part has failed.")]
pub(super) struct Command {
    /// The port to listen on; 0 for any that is free
    #[arg(long, default_value = "4566")]
    port: u16,
    /// The address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The Region in ARNs and events
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// How long each call takes at least, such as 10ms
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    delay: Duration,
    /// How addresses and summaries are written
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    broker: broker::BrokerOptions,
    #[command(flatten)]
    sites: Sites,
    #[command(flatten)]
    configuration: Configuration,
    /// Serve the endpoints alone: no queue, no rule, no bridge, no roles and no page
    #[arg(long, conflicts_with = "demo")]
    bare: bool,
    /// Leave the bridge to another process: its queue and rule are made, and nothing receives from
    /// it
    #[arg(long, conflicts_with_all = ["bare", "demo"])]
    no_bridge: bool,
    /// Reload the configuration whenever its file changes, as SIGHUP does
    #[arg(long, conflicts_with_all = ["bare", "demo"])]
    watch: bool,
    /// Play the built-in shop: customers, couriers and support, and events at a lively rate
    #[arg(long)]
    demo: bool,
    /// How many events the demo puts on the bus in a second
    #[arg(long, value_name = "COUNT", default_value = "25", requires = "demo", value_parser = clap::value_parser!(u32).range(1..=2_000))]
    rate: u32,
    /// End by itself after a while, such as 10s
    #[arg(long, value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
}

/// Log filter without EVENTCAST_LOG: warnings, and clients that the broker refuses or disconnects.
const LOG: &str = "warn,eventcast::dev::broker=info";

/// Time for clients to receive the news that the broker ends.
const GOODBYE: Duration = Duration::from_secs(1);

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a time such as 10ms or 1s is wanted".to_owned())
}

/// Runs the command until it receives a signal to end.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if let Some(help) = command.broker.help() {
        out.write_all(help.as_bytes())?;
        return Ok(Status::Yes);
    }
    let limits = match command.broker.limits() {
        Ok(limits) => limits,
        Err(error) => {
            error.write(messages)?;
            return Ok(Status::CannotAnswer);
        }
    };
    let filter = terminal::log_filter(LOG);
    if let Err(error) = logs::start(logs::Format::Text, &filter) {
        write_error(messages, format_args!("{error}"), "correct EVENTCAST_LOG")?;
        return Ok(Status::CannotAnswer);
    }
    let config = match command.config(messages)? {
        Read::Config(config) => Some(*config),
        Read::None => None,
        Read::Wrong => return Ok(Status::CannotAnswer),
    };
    let registry = IotRegistry::new(&command.region);
    let asked_for = config
        .as_ref()
        .and_then(|config| config.authorizer.scope.clone());
    let scope = asked_for.unwrap_or_else(|| registry.scope());
    let signers = match command.broker.signers(&scope, messages)? {
        SignerLookup::Wrong => return Ok(Status::CannotAnswer),
        found => found,
    };
    let tls = match command.broker.tls(command.host, &registry, messages)? {
        tls::TlsLookup::Wrong => return Ok(Status::CannotAnswer),
        tls::TlsLookup::Tls(tls, authority) => Some((tls, authority)),
        tls::TlsLookup::Nothing => None,
    };
    let settings = DevSettings {
        limits,
        tls,
        config,
        signers,
        registry,
        scope,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let ended = runtime.block_on(serve(command, settings, out, messages));
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended.map(|()| Status::Yes)
}

/// The arguments, checked.
struct DevSettings {
    limits: (BrokerLimits, BrokerRules),
    /// TLS, and the file of the authority that clients are to trust.
    tls: Option<(ListenerTls, Option<PathBuf>)>,
    config: Option<Config>,
    signers: SignerLookup,
    registry: IotRegistry,
    /// Region and account in the ARNs of clients' requests.
    scope: Scope,
}

/// The configuration of the parts beside the bare endpoints.
enum Read {
    Config(Box<Config>),
    /// Nothing is.
    None,
    /// It has errors, which were reported.
    Wrong,
}

impl Command {
    /// Name of the configuration's source, for messages.
    fn source(&self) -> String {
        if self.is_shop() {
            SHOP_NAME.to_owned()
        } else {
            self.configuration.file.display().to_string()
        }
    }

    fn is_shop(&self) -> bool {
        self.demo || self.configuration.is_absent()
    }

    fn config(&self, messages: &mut impl Write) -> anyhow::Result<Read> {
        if (self.bare || self.demo) && self.configuration.is_typed() {
            let flag = if self.bare { "--bare" } else { "--demo" };
            write_error(
                messages,
                format_args!("`{flag}` reads no configuration, and `--config` names one"),
                "leave one of the two out",
            )?;
            return Ok(Read::Wrong);
        }
        if self.bare {
            return Ok(Read::None);
        }
        let config = if self.is_shop() {
            self.configuration.read_shop(messages)?
        } else {
            self.configuration.read_checked(messages)?
        };
        Ok(config.map_or(Read::Wrong, |config| Read::Config(Box::new(config))))
    }
}

/// Opens the ports, starts everything, and serves until it receives a signal to end.
async fn serve(
    command: &Command,
    settings: DevSettings,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    let address = SocketAddr::new(command.host, command.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}; choose another port with --port"))?;
    let people = match &settings.config {
        Some(config) => People::of(config, &settings.scope, messages)?,
        None => People::everybody(),
    };
    let clients = Clients {
        limits: &settings.limits,
        people: &people,
        signers: &settings.signers,
        registry: &settings.registry,
        tls: settings.tls.as_ref().map(|(tls, _)| tls),
        scope: &settings.scope,
        sites: command.sites.allowed(command.host),
    };
    let sites = Arc::clone(&clients.sites);
    let broker = command.broker.open(command.host, clients).await?;
    let handle = broker.broker.clone();
    let shutdown = Shutdown::default();
    let beside = Beside::new(
        settings.config.as_ref(),
        &broker,
        Arc::clone(&sites),
        shutdown.clone(),
    )?;
    let platform = Arc::new(Platform::new(EndpointOptions {
        region: command.region.clone(),
        delay: command.delay,
        broker: Some(handle.clone()),
        control_plane: Some(ControlPlaneParts {
            registry: settings.registry.clone(),
            endpoint: broker.endpoint(),
        }),
        sites,
        beside: beside.router(),
    }));
    let authority = settings.tls.as_ref().and_then(|(_, file)| file.as_ref());
    let mut addresses = PlatformAddresses {
        endpoint: format!("http://{}", listener.local_addr()?),
        mqtt: broker.urls(),
        authority: authority.map(|file| file.display().to_string()),
        ..PlatformAddresses::default()
    };
    let reload_requests = ReloadRequests::listen()?;
    let served = settings.config.as_ref();
    let served = served.map(|config| ServedConfig::of(command, config));
    let started_with = settings.config.clone();
    let assembled = match settings.config {
        Some(config) => {
            let region = &command.region;
            let parts = (&*platform, &handle, &people);
            Some(Assembled::prepare(config, region, parts, &mut addresses).await?)
        }
        None => None,
    };
    let mut tasks = JoinSet::new();
    let inspector = assembled.as_ref().map(|parts| Arc::clone(&parts.inspector));
    tasks.spawn(serve_platform(Arc::clone(&platform), listener, inspector));
    tasks.spawn(async move { broker.serve().await.context("serving the broker") });
    let mut bridges = JoinSet::new();
    if let Some(assembled) = assembled.as_ref().filter(|_| !command.no_bridge) {
        let bridge = assembled
            .reach(&addresses.endpoint, &command.region)
            .await?;
        let work = bridge.work(assembled.routes(), shutdown.clone());
        bridges.spawn(async move { work.await.map(drop).context("the bridge") });
    }
    let signals = shutdown.on_signals();
    tokio::pin!(signals);
    // A reader of the line that it is ready may send the signal to end at once.
    tokio::select! {
        biased;
        failed = &mut signals => failed.context("listening to signals")?,
        () = ready(()) => {}
    }
    let mut show = AddressDisplay::new(out, command.format);
    show.ready(&addresses, served.as_ref(), begin.elapsed())?;
    let reloader = Reloader {
        command,
        people: &people,
        scope: &settings.scope,
        broker: &handle,
        assembled: assembled.as_ref(),
        beside: &beside,
        started_with,
    };
    let demo = async {
        match (&assembled, command.demo) {
            (Some(assembled), true) => {
                assembled
                    .demo(platform, &people, command.rate, &mut show)
                    .await
            }
            _ => pending().await,
        }
    };
    tokio::select! {
        Some(ended) = tasks.join_next() => ended.context("a part of the platform")??,
        Some(ended) = bridges.join_next(), if !shutdown.is_draining() => ended.context("the bridge")??,
        failed = signals => failed.context("listening to signals")?,
        failed = demo => failed?,
        failed = reloader.follow(reload_requests, messages) => failed?,
        () = sleep(command.duration.unwrap_or(Duration::MAX)) => {}
        _ = shutdown.draining() => {}
    }
    if command.demo
        && let Some(assembled) = &assembled
    {
        show.moment(&assembled.moment(begin), true)?;
    }
    // The contents of the queue are lost with this process: there is nothing to drain for.
    bridges.shutdown().await;
    if let Some(assembled) = &assembled {
        assembled.see_off(&handle).await;
    }
    beside.close().await;
    handle.close(GOODBYE).await;
    Ok(())
}

async fn serve_platform(
    platform: Arc<Platform>,
    listener: TcpListener,
    inspector: Option<Arc<Inspector>>,
) -> anyhow::Result<()> {
    let served = platform.serve(listener, inspector.as_ref()).await;
    served.context("serving the bus and queues")
}
