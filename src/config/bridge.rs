//! The `bridge` section: where events come from, where publications go, and how hard the daemon works.

mod pace;

use std::net::SocketAddr;
use std::time::Duration;

use super::check::{Faults, ParseDuration};
use super::secret::{MASK, masked_url};
use super::section::{listen_address, number, time};
use super::{member, text};
use crate::broker::BrokerAddress;
use crate::channel::limits::CLIENT_ID_BYTES;
use crate::event::pattern::tree::TreeValue;

/// Configuration of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// The queue's URL.
    pub queue: Option<String>,
    /// The dead-letter queue's URL.
    pub dead_letter_queue: Option<String>,
    /// The broker; without it IoT Core is asked for the account's endpoint.
    pub broker: Option<BrokerAddress>,
    /// Way of publishing.
    pub publish: Publish,
    /// Identity towards the broker.
    pub credentials: BrokerCredentials,
    /// Protection of the connection by TLS.
    pub tls: Tls,
    /// Prefix of the daemon's MQTT client ids.
    pub client_id: String,
    /// The fewest and the most MQTT connections.
    pub connections: (usize, usize),
    /// Limits of the sending rate.
    pub pace: PaceLimits,
    /// The most deliveries between receiving and settling.
    pub in_flight: usize,
    /// The bytes of their bodies from which on nothing more is received.
    pub in_flight_bytes: usize,
    /// The least and the most long polls at a time.
    pub pollers: (usize, usize),
    /// Time that a long poll waits.
    pub wait: Duration,
    /// Time for which an event may be worked on.
    pub hold: Duration,
    /// Time that an acknowledgement over MQTT may take before its connection counts as lost.
    pub publish_timeout: Duration,
    /// Time that draining may take.
    pub drain: Duration,
    /// Address at which health and metrics are served.
    pub listen: Option<SocketAddr>,
    /// The namespace of CloudWatch embedded metrics, where they are wanted.
    pub embedded_metrics: Option<String>,
}

/// Limits of sending, by the second; `None` where nothing limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceLimits {
    /// Publishes on one connection.
    pub publishes: Option<u32>,
    /// Bytes on one connection.
    pub bytes: Option<u32>,
    /// Unacknowledged messages on one connection.
    pub unacknowledged: u16,
    /// Publishes of all tasks together.
    pub account: Option<u32>,
    /// Publishes of this task: its part of the limit of all tasks together.
    pub task: Option<u32>,
    /// The number of tasks is asked of ECS, and `task` follows from it.
    pub counts_tasks: bool,
    /// The number of tasks that share the limit, by the configuration.
    pub tasks: u32,
}

/// Ways of publishing messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publish {
    /// Over MQTT connections to the broker.
    Mqtt,
    /// By calls of IoT Core's data plane.
    Https(DataPlaneCalls),
    /// Over MQTT connections, and by calls of the data plane where they have no room.
    Auto(DataPlaneCalls),
}

/// Calls of IoT Core's data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPlaneCalls {
    /// Its URL; without it the environment or IoT Core says it.
    pub endpoint: Option<String>,
    /// The most calls under way at a time.
    pub most: u16,
}

impl Publish {
    /// The calls of the data plane, where it is called.
    pub fn data_plane(&self) -> Option<&DataPlaneCalls> {
        match self {
            Self::Mqtt => None,
            Self::Https(calls) | Self::Auto(calls) => Some(calls),
        }
    }

    /// Returns `true` where MQTT connections are made.
    pub fn has_connections(&self) -> bool {
        !matches!(self, Self::Https(_))
    }
}

/// Identity that the daemon presents to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerCredentials {
    /// Nobody, or the subject of the certificate of `tls`.
    None,
    /// The role that every AWS SDK finds: it signs the WebSocket's address.
    Aws,
    /// The bearer of a token for an IoT custom authorizer.
    Authorizer(CustomAuthorizer),
}

/// A token for an IoT custom authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomAuthorizer {
    /// The authorizer's name; without one the account's default decides.
    pub name: Option<String>,
    /// The name under which it looks for the token.
    pub token_key: String,
    /// The token.
    pub token: HiddenText,
    /// The token's signature, where the authorizer asks for one.
    pub signature: Option<HiddenText>,
}

/// Text that no log and no message ever shows.
#[derive(Clone, PartialEq, Eq)]
pub struct HiddenText(pub String);

impl std::fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The files of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Authorities to trust; without them the system's are.
    pub ca: Option<String>,
    /// A certificate with its chain, and its key.
    pub identity: Option<(String, String)>,
    /// The application protocol to ask for (ALPN).
    pub alpn: Option<String>,
}

pub(super) fn read(root: &TreeValue, faults: &mut Faults<'_>) -> BridgeConfig {
    let empty = TreeValue::empty_object(root.at);
    let node = member(root, "bridge").unwrap_or(&empty);
    let duration = |key: &str, default: u64| {
        text(node, key)
            .and_then(|text| text.parse_duration())
            .unwrap_or(Duration::from_secs(default))
    };
    let pollers = member(node, "pollers").unwrap_or(&empty);
    let connections = member(node, "connections").unwrap_or(&empty);
    let broker = broker(node, faults);
    let longest_wait = Duration::from_secs(20);
    let wait = time(
        node,
        ("bridge", "wait"),
        longest_wait,
        (Duration::ZERO, longest_wait),
        "0s to 20s, which is what SQS takes",
        faults,
    );
    let bridge = BridgeConfig {
        queue: url(node, "queue", faults),
        dead_letter_queue: url(node, "dead_letter_queue", faults),
        credentials: credentials(node, broker.as_ref(), faults),
        tls: tls(node, broker.as_ref(), faults),
        publish: publish(node, faults),
        broker,
        client_id: client_id(node, faults),
        connections: (
            number(connections, "min", 2),
            number(connections, "max", 200),
        ),
        pace: pace::read(member(node, "pace").unwrap_or(&empty), faults),
        in_flight: number(node, "in_flight", 1_000),
        in_flight_bytes: number(node, "in_flight_bytes", 64 * 1024 * 1024),
        pollers: (number(pollers, "min", 1), number(pollers, "max", 16)),
        wait,
        hold: duration("hold", 600),
        publish_timeout: duration("publish_timeout", 30),
        drain: duration("drain", 25),
        listen: listen_address(node, ("bridge", "listen"), "0.0.0.0:9464", faults),
        embedded_metrics: text(node, "embedded_metrics"),
    };
    for (key, node, (least, most)) in [
        ("bridge.pollers", pollers, bridge.pollers),
        ("bridge.connections", connections, bridge.connections),
    ] {
        if least > most {
            let message = format!("`{key}` has min {least} above max {most}");
            faults.error("out-of-range", key, node.at, message).help =
                Some("raise max or lower min".into());
        }
    }
    bridge
}

/// Bytes that follow the client id of the configuration: a `-`, 16 hexadecimal digits, a `-` and
/// the number of the connection.
const CLIENT_ID_SUFFIX_BYTES: usize = 1 + 16 + 1 + 4;

/// The beginning of the daemon's MQTT client ids, which IoT Core bounds (quotas, "Client ID size").
fn client_id(node: &TreeValue, faults: &mut Faults<'_>) -> String {
    let Some(id) = text(node, "client_id") else {
        return "eventcast".into();
    };
    let most = CLIENT_ID_BYTES - CLIENT_ID_SUFFIX_BYTES;
    let problem = if id.len() > most {
        format!(
            "has {} bytes; {CLIENT_ID_SUFFIX_BYTES} more follow",
            id.len()
        )
    } else if id.starts_with('$') || id.chars().any(char::is_control) {
        format!("is `{}`", id.escape_debug())
    } else {
        return id;
    };
    let at = member(node, "client_id").unwrap_or(node).at;
    let message = format!("`bridge.client_id` {problem}");
    let fault = faults.error("bad-client-id", "bridge.client_id", at, message);
    fault.accepted = Some(format!(
        "at most {most} bytes, without control characters and without a `$` at the beginning"
    ));
    id
}

/// One task's part of the account's limit, one at least: less than one for each task cannot be
/// shared out.
pub fn share(account: u32, tasks: u32) -> u32 {
    (account / tasks.max(1)).max(1)
}

/// The keys that only one way of publishing knows.
const ONLY_MQTT: [&str; 10] = [
    "broker",
    "credentials",
    "tls",
    "authorizer",
    "client_id",
    "connections",
    "publish_timeout",
    "pace.publishes",
    "pace.bytes",
    "pace.unacknowledged",
];
const ONLY_HTTPS: [&str; 2] = ["endpoint", "calls"];

fn publish(node: &TreeValue, faults: &mut Faults<'_>) -> Publish {
    let asked = text(node, "publish");
    let asked = asked.as_deref().unwrap_or("mqtt");
    let https = asked == "https";
    let idle: &[&str] = match asked {
        "https" => &ONLY_MQTT,
        "auto" => &[],
        _ => &ONLY_HTTPS,
    };
    let member_at = |path: &str| {
        let mut keys = path.split('.');
        keys.try_fold(node, |node, key| member(node, key))
    };
    for key in idle {
        if let Some(member) = member_at(key) {
            let (way, other) = if https {
                ("https", "mqtt")
            } else {
                ("mqtt", "https")
            };
            let key = format!("bridge.{key}");
            let message = format!("`{key}` does nothing with `publish: {way}`");
            faults.error("does-not-fit", &key, member.at, message).help =
                Some(format!("leave it out, or set `publish: {other}` or `auto`"));
        }
    }
    if asked == "mqtt" {
        return Publish::Mqtt;
    }
    let endpoint = text(node, "endpoint");
    if let Some(url) = &endpoint
        && (!(url.starts_with("https://") || url.starts_with("http://"))
            || url.contains(['@', '?', '#'])
            || url.contains(char::is_whitespace))
    {
        let at = member(node, "endpoint").unwrap_or(node).at;
        let message = format!("`bridge.endpoint` is `{}`", shown(url));
        faults
            .error("bad-url", "bridge.endpoint", at, message)
            .accepted = Some("https://HOST".into());
    }
    let most = u16::try_from(number(node, "calls", 64)).unwrap_or(u16::MAX);
    let calls = DataPlaneCalls { endpoint, most };
    if https {
        Publish::Https(calls)
    } else {
        Publish::Auto(calls)
    }
}

/// An address as a message may show it: the text before an `@` may be a password, with a scheme or
/// without one.
fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, rest)) if !before.contains("://") => format!("{MASK}@{}", masked_url(rest)),
        _ => masked_url(url).into_owned(),
    }
}

fn url(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> Option<String> {
    let url = text(node, key)?;
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let whole = rest.and_then(|rest| rest.split_once('/'));
    // User information and queries are no part of a queue's URL, and would be written to logs with it.
    let odd = |text: &str| text.contains(['@', '?', '#']) || text.contains(char::is_whitespace);
    if whole.is_none_or(|(host, path)| host.is_empty() || path.is_empty() || odd(host) || odd(path))
    {
        let at = member(node, key).unwrap_or(node).at;
        let key = format!("bridge.{key}");
        let fault = faults.error("bad-url", &key, at, format!("`{key}` is `{}`", shown(&url)));
        fault.accepted = Some(
            "a queue's URL such as `https://sqs.eu-central-1.amazonaws.com/123456789012/events`"
                .into(),
        );
    }
    Some(url)
}

fn broker(node: &TreeValue, faults: &mut Faults<'_>) -> Option<BrokerAddress> {
    let url = text(node, "broker")?;
    let broker = BrokerAddress::parse(&url);
    if broker.is_none() {
        let at = member(node, "broker").unwrap_or(node).at;
        let message = format!("`bridge.broker` is `{}`", shown(&url));
        faults
            .error("bad-url", "bridge.broker", at, message)
            .accepted = Some(
            "mqtt://HOST[:PORT], mqtts://HOST[:PORT], ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]"
                .into(),
        );
    }
    broker
}

/// Returns `true` where a broker is AWS IoT Core, by its name.
pub(super) fn is_iot_core(broker: &BrokerAddress) -> bool {
    let host = broker.host.to_ascii_lowercase();
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

fn credentials(
    node: &TreeValue,
    broker: Option<&BrokerAddress>,
    faults: &mut Faults<'_>,
) -> BrokerCredentials {
    let section = member(node, "authorizer");
    let asked = text(node, "credentials");
    let word = asked.as_deref().unwrap_or(match (section, broker) {
        (Some(_), _) => "authorizer",
        (None, None)
            if member(node, "tls").is_some_and(|tls| text(tls, "certificate").is_some()) =>
        {
            "none"
        }
        (None, None) => "aws",
        (None, Some(broker)) if is_iot_core(broker) && broker.transport.is_websocket() => "aws",
        (None, Some(_)) => "none",
    });
    let at = member(node, "credentials").unwrap_or(node).at;
    if let Some(section) = section.filter(|_| word != "authorizer") {
        let key = "bridge.authorizer";
        let message = format!("`{key}` does nothing with `bridge.credentials: {word}`");
        faults.error("does-not-fit", key, section.at, message).help =
            Some("set `credentials: authorizer`, or leave the section out".into());
    }
    match word {
        "aws" => {
            if let Some(broker) = broker.filter(|broker| !broker.transport.is_websocket()) {
                let message =
                    format!("`bridge.credentials` is `aws`, and `bridge.broker` `{broker}`");
                faults
                    .error("does-not-fit", "bridge.credentials", at, message)
                    .help = Some(
                    "AWS credentials sign the address of a WebSocket: use wss://HOST; or a certificate by bridge.tls"
                        .into(),
                );
            }
            BrokerCredentials::Aws
        }
        "authorizer" => match section {
            Some(section) => BrokerCredentials::Authorizer(CustomAuthorizer {
                name: text(section, "name"),
                token_key: text(section, "token_key").unwrap_or_else(|| "token".into()),
                // A missing token is a fault already.
                token: HiddenText(text(section, "token").unwrap_or_default()),
                signature: text(section, "signature").map(HiddenText),
            }),
            None => {
                let message =
                    "`bridge.credentials` is `authorizer`, and there is no `bridge.authorizer`";
                faults
                    .error("does-not-fit", "bridge.credentials", at, message)
                    .help =
                    Some("name the token there, or by EVENTCAST_BRIDGE_AUTHORIZER_TOKEN".into());
                BrokerCredentials::None
            }
        },
        _ => {
            let certificate = member(node, "tls").and_then(|tls| text(tls, "certificate"));
            if broker.is_none() && certificate.is_none() && text(node, "broker").is_none() {
                let message = "`bridge.credentials` is `none`, and there is no `bridge.broker`";
                faults
                    .error("does-not-fit", "bridge.credentials", at, message)
                    .help = Some(
                    "IoT Core takes nobody without credentials: leave it out, name a certificate in bridge.tls, or set bridge.broker"
                        .into(),
                );
            }
            BrokerCredentials::None
        }
    }
}

fn tls(node: &TreeValue, broker: Option<&BrokerAddress>, faults: &mut Faults<'_>) -> Tls {
    let section = member(node, "tls");
    let of = |key| section.and_then(|section| text(section, key));
    let at = section.unwrap_or(node).at;
    if section.is_some()
        && let Some(broker) = broker.filter(|broker| !broker.transport.is_secure())
    {
        let message = format!("there is `bridge.tls`, and `bridge.broker` is `{broker}`");
        faults.error("does-not-fit", "bridge.tls", at, message).help =
            Some("use mqtts:// or wss://, or leave `tls` out".into());
    }
    let identity = match (of("certificate"), of("key")) {
        (None, None) => None,
        (certificate, key) => {
            if certificate.is_none() || key.is_none() {
                let message = "`bridge.tls` has only one of `certificate` and `key`";
                faults.error("does-not-fit", "bridge.tls", at, message).help =
                    Some("name both files, or neither".into());
            }
            certificate.zip(key)
        }
    };
    let alpn = of("alpn").or_else(|| usual_alpn(broker?, node, identity.is_some()));
    Tls {
        ca: of("ca"),
        identity,
        alpn,
    }
}

/// Application protocol (ALPN) that IoT Core requires where port 443 carries MQTT rather than HTTPS
/// (developer guide, "Device communication protocols").
fn usual_alpn(broker: &BrokerAddress, node: &TreeValue, certificate: bool) -> Option<String> {
    use crate::broker::Transport;
    let mqtt_on_443 = broker.transport == Transport::Tls && broker.port == 443;
    let protocol = match (certificate, member(node, "authorizer")) {
        (_, Some(_)) => "mqtt",
        (true, None) => "x-amzn-mqtt-ca",
        (false, None) => return None,
    };
    (mqtt_on_443 && is_iot_core(broker)).then(|| protocol.to_owned())
}
