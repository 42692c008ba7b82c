//! The broker of `eventcast dev`: its flags, its ports, and its addresses as they are written.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::people::People;
use super::signers::{SignerLookup, Signers};
use super::tls::{self, Files};
use crate::broker::Transport;
use crate::cli::user_error::UserError;
use crate::dev::broker::Broker;
use crate::dev::broker::door::tls::ListenerTls;
use crate::dev::broker::door::{ListenerEndpoint, ListenerProtocol};
use crate::dev::broker::limits::{BrokerLimits, BrokerRules};
use crate::dev::broker::signed::SignedUrlAuthorizer;
use crate::dev::broker::switch;
use crate::dev::control_plane::certified::CertificateAuthorizer;
use crate::dev::control_plane::registry::IotRegistry;
use crate::dev::sites::AllowedSites;
use crate::policy::scope::Scope;
use crate::port::Authorizer;

#[derive(Debug, Args)]
#[command(next_help_heading = "The broker")]
pub(super) struct BrokerOptions {
    /// The port for MQTT; 0 for any that is free
    #[arg(long, default_value = "1883", value_name = "PORT")]
    mqtt_port: u16,
    /// The port for MQTT over WebSocket, at /mqtt; 0 for any that is free
    #[arg(long, default_value = "9001", value_name = "PORT")]
    websocket_port: u16,
    /// The port for MQTT over TLS; 0 for any that is free
    #[arg(long, default_value = "8883", value_name = "PORT", requires = "secure")]
    mqtts_port: u16,
    /// The port for WebSockets over TLS; 0 for any that is free
    #[arg(long, default_value = "9443", value_name = "PORT", requires = "secure")]
    wss_port: u16,
    #[command(flatten)]
    tls: Files,
    /// What it is like: IoT Core with its limits, or a broker without any
    #[arg(long, value_enum, default_value = "iot-core")]
    broker: BrokerKind,
    /// Set one of its limits or rules, or switch it off; `help` lists them
    #[arg(long, value_name = "NAME=VALUE", value_parser = named)]
    limit: Vec<(String, String)>,
    #[command(flatten)]
    signers: Signers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BrokerKind {
    /// AWS IoT Core's behaviour and limits
    IotCore,
    /// What MQTT's specifications say, without QoS 2
    General,
}

fn named(text: &str) -> Result<(String, String), String> {
    if text == "help" {
        return Ok((text.to_owned(), String::new()));
    }
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "NAME=VALUE is wanted, such as filters-per-subscribe=20".to_owned())
}

/// The clients that the broker admits, and what bounds them.
#[derive(Clone)]
pub(super) struct Clients<'c> {
    pub(super) limits: &'c (BrokerLimits, BrokerRules),
    pub(super) people: &'c People,
    pub(super) signers: &'c SignerLookup,
    pub(super) registry: &'c IotRegistry,
    pub(super) tls: Option<&'c ListenerTls>,
    /// Region and account in the ARNs of their requests.
    pub(super) scope: &'c Scope,
    /// Hosts and origins whose WebSockets are opened.
    pub(super) sites: Arc<AllowedSites>,
}

impl Clients<'_> {
    /// The authorizers in their order: certificates first, then signatures where there are keys,
    /// then the others.
    fn authorizer(&self) -> Arc<dyn Authorizer> {
        let mut authorizer = Arc::clone(&self.people.authorizer);
        if let SignerLookup::Keys(keys) = self.signers {
            let asks_for_tokens = self.people.issuer.is_some();
            authorizer = Arc::new(SignedUrlAuthorizer::new(
                keys.clone(),
                authorizer,
                asks_for_tokens,
            ));
        }
        let registry = self.registry.clone();
        Arc::new(CertificateAuthorizer::new(
            registry,
            self.scope.clone(),
            authorizer,
        ))
    }
}

/// A broker with its ports open.
pub(super) struct Open {
    pub(super) broker: Broker,
    /// Scheme and address of each port.
    pub(super) addresses: Vec<(Transport, SocketAddr)>,
    endpoints: Vec<ListenerEndpoint>,
}

impl BrokerOptions {
    /// The text that `--limit help` prints, if it was asked for.
    pub(super) fn help(&self) -> Option<String> {
        let asked = self.limit.iter().any(|(name, _)| name == "help");
        let line =
            |switch: &switch::LimitOverride| format!("{:30} {}\n", switch.name, switch.about);
        asked.then(|| switch::SWITCHES.iter().map(line).collect())
    }

    /// Limits and rules as they were asked for.
    pub(super) fn limits(&self) -> Result<(BrokerLimits, BrokerRules), UserError> {
        let (mut limits, mut rules) = match self.broker {
            BrokerKind::IotCore => (BrokerLimits::iot_core(), BrokerRules::iot_core()),
            BrokerKind::General => (BrokerLimits::general(), BrokerRules::general()),
        };
        for (name, value) in &self.limit {
            switch::set(&mut limits, &mut rules, name, value).map_err(|error| {
                UserError::new(
                    format_args!("--limit: {error}"),
                    "`--limit help` lists limits and rules",
                )
            })?;
        }
        Ok((limits, rules))
    }

    /// The TLS material for the address that is listened on.
    pub(super) fn tls(
        &self,
        host: IpAddr,
        registry: &IotRegistry,
        messages: &mut impl io::Write,
    ) -> io::Result<tls::TlsLookup> {
        self.tls.read(host, registry, messages)
    }

    /// The keys of signers, at an endpoint with this scope.
    pub(super) fn signers(
        &self,
        scope: &Scope,
        messages: &mut impl io::Write,
    ) -> anyhow::Result<SignerLookup> {
        self.signers.read(scope, messages)
    }

    /// Opens the ports.
    pub(super) async fn open(&self, host: IpAddr, clients: Clients<'_>) -> anyhow::Result<Open> {
        let (limits, rules) = clients.limits.clone();
        let mut open = Open {
            broker: Broker::start(limits, rules, clients.authorizer())
                .with_sites(Arc::clone(&clients.sites)),
            addresses: Vec::new(),
            endpoints: Vec::new(),
        };
        let ports = [
            (Transport::Tcp, self.mqtt_port, "--mqtt-port"),
            (
                Transport::WebSocket,
                self.websocket_port,
                "--websocket-port",
            ),
            (Transport::Tls, self.mqtts_port, "--mqtts-port"),
            (Transport::SecureWebSocket, self.wss_port, "--wss-port"),
        ];
        for (transport, port, flag) in ports {
            if transport.is_secure() && clients.tls.is_none() {
                continue;
            }
            let address = SocketAddr::new(host, port);
            let listener = TcpListener::bind(address).await.with_context(|| {
                format!("listening on {address} for MQTT; choose another port with {flag}")
            })?;
            open.addresses.push((transport, listener.local_addr()?));
            open.endpoints.push(ListenerEndpoint {
                listener,
                carrier: if transport.is_websocket() {
                    ListenerProtocol::WebSocket
                } else {
                    ListenerProtocol::Plain
                },
                tls: clients.tls.filter(|_| transport.is_secure()).cloned(),
            });
        }
        Ok(open)
    }
}

impl Open {
    /// The address of a port, as clients have it.
    fn url(transport: Transport, address: SocketAddr) -> String {
        let path = if transport.is_websocket() {
            "/mqtt"
        } else {
            ""
        };
        format!("{}://{address}{path}", transport.scheme())
    }

    /// Host and port for clients with certificates: the secure port, or else the plain one.
    pub(super) fn endpoint(&self) -> Option<String> {
        let of = |wanted: Transport| {
            let mut addresses = self.addresses.iter();
            addresses.find(|(transport, _)| *transport == wanted)
        };
        let found = of(Transport::Tls).or_else(|| of(Transport::Tcp));
        found.map(|(_, address)| address.to_string())
    }

    /// The addresses by their schemes.
    pub(super) fn urls(&self) -> BTreeMap<&'static str, String> {
        let addresses = self.addresses.iter();
        addresses
            .map(|(transport, address)| (transport.scheme(), Self::url(*transport, *address)))
            .collect()
    }

    /// Lets clients in at all ports, until one of them fails.
    pub(super) async fn serve(self) -> io::Result<()> {
        let mut ports = JoinSet::new();
        for endpoint in self.endpoints {
            let broker = self.broker.clone();
            ports.spawn(async move { broker.serve(endpoint).await });
        }
        match ports.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(()),
        }
    }
}
