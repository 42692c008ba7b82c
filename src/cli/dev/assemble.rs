//! From a configuration made for AWS to one that finds everything on this machine, and to the parts
//! that run beside the endpoints: the bridge, the inspector, the demo.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::people::People;
use super::show::{AddressDisplay, Moment};
use crate::aws::client;
use crate::broker::BrokerAddress;
use crate::cli::bridge::inside::Inside;
use crate::config::Config;
use crate::config::bridge::{BrokerCredentials, CustomAuthorizer, HiddenText, Publish, Tls};
use crate::dev::Platform;
use crate::dev::broker::Broker;
use crate::dev::demo::Demo;
use crate::dev::inspector::Inspector;
use crate::dev::inspector::views::PlatformAddresses;
use crate::dev::prepare::Prepared;
use crate::port::Issuer;
use crate::route::table::RouteTable;

/// The names of the queue and its dead-letter queue, where the configuration has none.
const QUEUES: (&str, &str) = ("eventcast", "eventcast-dlq");

/// Interval between two summaries of the demo.
const MOMENTS: Duration = Duration::from_secs(1);

/// Longest time for the bridge's connections to end, and the interval between two looks at them.
const GOING: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(2);

/// The parts beside the bare endpoints.
pub(super) struct Assembled {
    pub(super) inspector: Arc<Inspector>,
    config: Arc<Config>,
    /// The routes that the bridge goes by.
    routes: watch::Sender<Arc<RouteTable>>,
    prepared: Prepared,
    address: BrokerAddress,
    demo: std::sync::OnceLock<Demo>,
}

impl Assembled {
    /// Makes queues and a rule, and points the configuration there.
    pub(super) async fn prepare(
        mut config: Config,
        region: &str,
        (platform, broker, people): (&Platform, &Broker, &People),
        addresses: &mut PlatformAddresses,
    ) -> anyhow::Result<Self> {
        let (queue, dead_letters) = queue_names(&config);
        let prepared = platform.prepare(&addresses.endpoint, region, &queue, &dead_letters);
        let prepared = prepared.await.map_err(anyhow::Error::msg)?;
        let address = addresses
            .mqtt
            .get("mqtt")
            .and_then(|url| BrokerAddress::parse(url));
        let address = address.context("the broker has no port for MQTT")?;
        point(&mut config, &prepared, &address, people);
        addresses.bus = Some(prepared.bus.to_owned());
        addresses.queue = Some(prepared.queue.clone());
        let config = Arc::new(config);
        let issuer = people
            .issuer
            .clone()
            .map(|issuer| issuer as Arc<dyn Issuer>);
        let inspector = Inspector::new(
            Arc::clone(&config),
            broker.clone(),
            issuer,
            addresses.clone(),
        );
        Ok(Self {
            inspector: Arc::new(inspector),
            routes: watch::Sender::new(Arc::new(config.route_table())),
            config,
            prepared,
            address,
            demo: std::sync::OnceLock::new(),
        })
    }

    /// Connects the bridge to the queue and to the broker.
    pub(super) async fn reach(&self, endpoint: &str, region: &str) -> anyhow::Result<Inside> {
        let aws = client::stand_in(endpoint, region).await;
        let config = Config::clone(&self.config);
        let metrics = Arc::clone(self.inspector.bridge_metrics());
        let bridge = Inside::reach(config, &self.prepared.queue, &aws, metrics).await;
        bridge.context("starting the bridge")
    }

    /// The routes that the bridge goes by, and those of later reloads.
    pub(super) fn routes(&self) -> watch::Receiver<Arc<RouteTable>> {
        self.routes.subscribe()
    }

    /// Routes by another configuration from now on, and shows it; returns the prefix of the
    /// bridge's client ids.
    pub(super) fn set_config(&self, mut config: Config, people: &People) -> String {
        self.routes.send_replace(Arc::new(config.route_table()));
        point(&mut config, &self.prepared, &self.address, people);
        self.inspector.set_config(Arc::new(config));
        self.client_ids()
    }

    fn client_ids(&self) -> String {
        format!("{}-", self.config.bridge.client_id)
    }

    /// Plays the demo for ever, and reports its progress.
    pub(super) async fn demo(
        &self,
        platform: Arc<Platform>,
        people: &People,
        rate: u32,
        show: &mut AddressDisplay<'_, impl Write>,
    ) -> anyhow::Result<()> {
        let issuer = people.issuer.clone().context("the shop has roles")?;
        let demo = Demo::new(platform, issuer, self.address.clone(), rate);
        let demo = self.demo.get_or_init(|| demo);
        let begin = Instant::now();
        let tell = async {
            let mut clock = interval(MOMENTS);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            clock.tick().await;
            loop {
                clock.tick().await;
                if let Err(error) = show.moment(&self.moment(begin), false) {
                    return anyhow::Error::from(error);
                }
            }
        };
        tokio::select! {
            failed = demo.play() => failed.map_err(anyhow::Error::msg).context("the demo"),
            failed = tell => Err(failed),
        }
    }

    /// Waits until the broker has seen that the bridge is gone. The broker gets nothing more from
    /// it.
    pub(super) async fn see_off(&self, broker: &Broker) {
        let client_ids = self.client_ids();
        let gone = async {
            while broker.clients(0, |id| id.starts_with(&client_ids)).1 > 0 {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(GOING, gone).await;
    }

    /// The demo's state at this moment.
    pub(super) fn moment(&self, begin: Instant) -> Moment {
        Moment {
            pulse: self.inspector.pulse(),
            clients: self.inspector.client_count(),
            heard: self.demo.get().map_or(0, Demo::heard),
            seconds: begin.elapsed().as_secs(),
        }
    }
}

/// The queues' names: those of the configuration's URLs, so that a queue here is called as it is on
/// AWS.
fn queue_names(config: &Config) -> (String, String) {
    let name = |url: &Option<String>, usual: &str| {
        let name = url.as_deref().and_then(|url| url.rsplit('/').next());
        name.filter(|name| !name.is_empty())
            .unwrap_or(usual)
            .to_owned()
    };
    let queue = name(&config.bridge.queue, QUEUES.0);
    let usual = match queue.strip_suffix(".fifo") {
        Some(stem) => format!("{stem}-dlq.fifo"),
        None => QUEUES.1.to_owned(),
    };
    (queue, name(&config.bridge.dead_letter_queue, &usual))
}

/// Points the daemon at the queues and the broker of this machine.
fn point(config: &mut Config, prepared: &Prepared, address: &BrokerAddress, people: &People) {
    let bridge = &mut config.bridge;
    bridge.queue = Some(prepared.queue.clone());
    bridge.dead_letter_queue = Some(prepared.dead_letter_queue.clone());
    bridge.broker = Some(address.clone());
    bridge.publish = Publish::Mqtt;
    bridge.credentials = BrokerCredentials::Authorizer(CustomAuthorizer {
        name: None,
        token_key: people.token_key.clone(),
        token: HiddenText(people.bridge_token.clone()),
        signature: None,
    });
    bridge.tls = Tls::default();
    bridge.listen = None;
    bridge.embedded_metrics = None;
}
