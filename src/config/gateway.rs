//! The `gateway` section: where clients without WebSockets are served, and by which broker.
//!
//! Sealing keys are secrets of all tasks together. They come by the environment alone: a file is
//! kept, copied and shown, and a flag is seen by every process of the machine.

use std::net::SocketAddr;
use std::time::Duration;

use super::bridge::{HiddenText, is_iot_core};
use super::check::{Faults, text_of};
use super::fault::ValuePlace;
use super::section::{listen_address, number, time};
use super::shape::DefaultValue::{Number, Text};
use super::shape::{KnownKey, Shape, optional};
use super::{elements, member, text};
use crate::broker::{BrokerAddress, Transport};
use crate::event::pattern::tree::{NodeValue, TreeValue};

pub(super) const KEYS: &[KnownKey] = &[
    optional(
        "listen",
        Shape::Text {
            example: "0.0.0.0:8080",
        },
        "Where clients are served over HTTP, behind a load balancer that ends TLS. Default 127.0.0.1:8080.",
    ).default(Text("127.0.0.1:8080")),
    optional(
        "metrics",
        Shape::Text {
            example: "0.0.0.0:9464",
        },
        "Where /livez, /readyz and /metrics are served over HTTP. Without it the first two are served beside the API alone.",
    ),
    optional(
        "broker",
        Shape::Text {
            example: "mqtts://abc-ats.iot.eu-central-1.amazonaws.com:443",
        },
        "The MQTT broker that clients are connected to: mqtts://HOST[:PORT] (TLS) or mqtt://HOST[:PORT]. WebSockets are not used: they \
         cost much more memory.",
    ),
    optional(
        "authorizer",
        Shape::Text {
            example: "platform",
        },
        "The custom authorizer that clients' tokens are shown to. Without it the account's default authorizer decides.",
    ),
    optional(
        "token_key",
        Shape::Text { example: "token" },
        "The name under which the authorizer looks for the token in the MQTT user name. Without it the token is the MQTT password.",
    ),
    optional(
        "tls",
        Shape::Section(TLS),
        "TLS to the broker. Without it the system's certificate authorities are trusted.",
    ),
    optional(
        "origins",
        Shape::PossiblyEmptyList(&Shape::Text {
            example: "https://shop.example",
        }),
        "Origins whose pages are served (CORS), as browsers send them. Requests of pages of other origins are refused.",
    ),
    optional(
        "client_address",
        Shape::Choice(CLIENT_ADDRESS),
        "Where a client's address is read: peer (the connection's own address, the default), or x-forwarded-for (the last one of that header, which the \
         load balancer before the gateway has added).",
    ).default(Text("peer")),
    optional(
        "sealing_key",
        Shape::Text {
            example: "the output of `openssl rand -base64 32`",
        },
        "The secret of sessions and cursors: Base64 of 32 bytes or more, the same for all tasks. By EVENTCAST_GATEWAY_SEALING_KEY only.",
    ),
    optional(
        "previous_sealing_key",
        Shape::Text {
            example: "the one before",
        },
        "The secret before, during a rotation: what it sealed is still opened. By EVENTCAST_GATEWAY_PREVIOUS_SEALING_KEY only.",
    ),
    optional(
        "session_expiry",
        Shape::Duration,
        "How long the broker keeps the messages of a client that does not poll, 30s to 1h. Default 5m.",
    ).default(Text("5m")),
    optional(
        "linger",
        Shape::Duration,
        "How long the connection to the broker stays open between polls, 1s to 5m. Default 30s.",
    ).default(Text("30s")),
    optional(
        "connect_interval",
        Shape::Duration,
        "The least time between two connections of one client id, 0s to 1m: IoT Core takes one in ten seconds in effect. Default 10s.",
    ).default(Text("10s")),
    optional(
        "drain",
        Shape::Duration,
        "How long the process may take to finish after SIGTERM. Default 25s: ECS kills after 30s.",
    ).default(Text("25s")),
    optional(
        "limits",
        Shape::Section(LIMITS),
        "What clients may ask for. Each limit is off with 0, and none depends on another.",
    ),
];

const TLS: &[KnownKey] = &[optional(
    "ca",
    Shape::Text { example: "ca.pem" },
    "PEM file with the certificate authorities to trust instead of the system's.",
)];

const LIMITS: &[KnownKey] = &[
    optional(
        "body_bytes",
        Shape::Integer {
            least: 8_192,
            most: 1_048_576,
        },
        "Bytes of a request's body. Default 65536.",
    ).default(Number(65_536)),
    optional(
        "channels",
        Shape::Integer {
            least: 0,
            most: 1_000,
        },
        "Channels of a session. Default 50, IoT Core's subscriptions of a connection.",
    ).default(Number(50)),
    optional(
        "sessions",
        Shape::Integer {
            least: 0,
            most: 1_000_000,
        },
        "Sessions with an open connection at one task. Default 20000.",
    ).default(Number(20_000)),
    optional(
        "sessions_per_principal",
        Shape::Integer {
            least: 0,
            most: 100_000,
        },
        "The same of one principal. Default 20.",
    ).default(Number(20)),
    optional(
        "requests_per_second",
        Shape::Integer {
            least: 0,
            most: 100_000,
        },
        "Requests a second for the sessions of one principal, and twice as many at once. Default 100.",
    ).default(Number(100)),
    optional(
        "sessions_per_second",
        Shape::Integer {
            least: 0,
            most: 100_000,
        },
        "New sessions a second from one address, and ten times as many at once. Default 50.",
    ).default(Number(50)),
];

const CLIENT_ADDRESS: &[&str] = &["peer", "x-forwarded-for"];

/// The service for clients without WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Address for clients.
    pub listen: SocketAddr,
    /// Address for operators.
    pub metrics: Option<SocketAddr>,
    /// The broker.
    pub broker: Option<BrokerAddress>,
    /// The authorizer's name.
    pub authorizer: Option<String>,
    /// The name of the token in the MQTT user name.
    pub token_key: Option<String>,
    /// The file of authorities to trust.
    pub ca: Option<String>,
    /// The application protocol to ask for (ALPN).
    pub alpn: Option<String>,
    /// Origins whose pages are served.
    pub origins: Vec<String>,
    /// `true` where a load balancer says where clients are.
    pub is_forwarded: bool,
    /// The secret that seals.
    pub sealing_key: Option<HiddenText>,
    /// The secret before.
    pub previous_sealing_key: Option<HiddenText>,
    /// Time that the broker keeps a session without a connection.
    pub session_expiry: Duration,
    /// Time that a connection stays open between polls.
    pub linger: Duration,
    /// The least time between two connections of one client id.
    pub connect_interval: Duration,
    /// Time that the process may take to finish.
    pub drain: Duration,
    /// Limits of clients.
    pub limits: GatewayLimits,
}

/// Limits of clients; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Channels of a session.
    pub channels: Option<usize>,
    /// Sessions of a task.
    pub sessions: Option<usize>,
    /// Sessions of a principal at a task.
    pub sessions_per_principal: Option<usize>,
    /// Requests a second of a principal.
    pub requests_per_second: Option<u32>,
    /// New sessions a second from an address.
    pub sessions_per_second: Option<u32>,
}

const PATH: &str = "gateway";

const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8_080);

pub(super) fn read(root: &TreeValue, faults: &mut Faults<'_>) -> GatewayConfig {
    let empty = TreeValue::empty_object(root.at);
    let node = member(root, PATH).unwrap_or(&empty);
    let broker = broker(node, faults);
    let second = Duration::from_secs;
    let times = [
        (
            "session_expiry",
            300,
            (second(30), second(3_600)),
            "30s to 1h",
        ),
        ("linger", 30, (second(1), second(300)), "1s to 5m"),
        (
            "connect_interval",
            10,
            (Duration::ZERO, second(60)),
            "0s to 1m",
        ),
        ("drain", 25, (second(1), second(600)), "1s to 10m"),
    ];
    let [session_expiry, linger, connect_interval, drain] =
        times.map(|(key, default, bounds, accepted)| {
            let key = (PATH, key);
            time(node, key, second(default), bounds, accepted, faults)
        });
    let [sealing_key, previous_sealing_key] =
        ["sealing_key", "previous_sealing_key"].map(|key| secret(node, key, faults));
    let tls = member(node, "tls");
    // IoT Core takes MQTT on port 443 by this name only (developer guide, "Device communication
    // protocols").
    let alpn = broker.as_ref().filter(|broker| {
        broker.transport == Transport::Tls && broker.port == 443 && is_iot_core(broker)
    });
    GatewayConfig {
        listen: listen_address(node, (PATH, "listen"), "0.0.0.0:8080", faults).unwrap_or(LISTEN),
        metrics: listen_address(node, (PATH, "metrics"), "0.0.0.0:8080", faults),
        alpn: alpn.map(|_| "mqtt".to_owned()),
        broker,
        authorizer: text(node, "authorizer"),
        token_key: text(node, "token_key"),
        ca: tls.and_then(|tls| text(tls, "ca")),
        origins: origins(node, faults),
        is_forwarded: text(node, "client_address").as_deref() == Some("x-forwarded-for"),
        sealing_key,
        previous_sealing_key,
        session_expiry,
        linger,
        connect_interval,
        drain,
        limits: limits(member(node, "limits").unwrap_or(&empty)),
    }
}

fn limits(node: &TreeValue) -> GatewayLimits {
    let of = |key, default| {
        let number = number(node, key, default);
        (number > 0).then_some(number)
    };
    let rate = |key, default| {
        let number = number(node, key, default);
        (number > 0).then(|| u32::try_from(number).unwrap_or(u32::MAX))
    };
    GatewayLimits {
        body_bytes: of("body_bytes", 65_536).unwrap_or(65_536),
        channels: of("channels", 50),
        sessions: of("sessions", 20_000),
        sessions_per_principal: of("sessions_per_principal", 20),
        requests_per_second: rate("requests_per_second", 100),
        sessions_per_second: rate("sessions_per_second", 50),
    }
}

fn broker(node: &TreeValue, faults: &mut Faults<'_>) -> Option<BrokerAddress> {
    let url = text(node, "broker")?;
    let broker = BrokerAddress::parse(&url).filter(|broker| !broker.transport.is_websocket());
    if broker.is_none() {
        let at = member(node, "broker").unwrap_or(node).at;
        let shown = super::secret::masked_url(&url);
        let message = format!("`gateway.broker` is `{shown}`");
        faults
            .error("bad-url", "gateway.broker", at, message)
            .accepted = Some("mqtts://HOST[:PORT] or mqtt://HOST[:PORT]".into());
    }
    broker
}

/// Origins as browsers send them (RFC 6454, section 6.2): scheme, host and port, and nothing
/// behind.
fn origins(node: &TreeValue, faults: &mut Faults<'_>) -> Vec<String> {
    let mut origins = Vec::new();
    for origin in elements(node, "origins") {
        let NodeValue::String(written) = &origin.value else {
            continue;
        };
        let written = text_of(written);
        let rest = written
            .strip_prefix("https://")
            .or_else(|| written.strip_prefix("http://"));
        let odd = |c: char| matches!(c, '/' | '?' | '#' | '@' | '*') || c.is_whitespace();
        let fits = rest.is_some_and(|rest| {
            !rest.is_empty() && !rest.contains(odd) && !rest.contains(char::is_uppercase)
        });
        if !fits {
            let message = format!(
                "`gateway.origins` has `{}`",
                super::secret::masked_url(&written)
            );
            faults
                .error("bad-origin", "gateway.origins", origin.at, message)
                .accepted = Some(
                "an origin such as `https://shop.example`: scheme, host and port, without a path"
                    .into(),
            );
        }
        origins.push(written);
    }
    origins
}

/// A sealing key, which the environment alone may hold.
fn secret(node: &TreeValue, name: &str, faults: &mut Faults<'_>) -> Option<HiddenText> {
    let value = text(node, name)?;
    let at = member(node, name).unwrap_or(node).at;
    let is_variable = match (faults.place)(at) {
        ValuePlace::Override { name } => !name.starts_with("--"),
        ValuePlace::File { .. } => false,
    };
    if !is_variable {
        let key = format!("gateway.{name}");
        let message = format!("`{key}` is a secret, and others may read it here");
        faults.error("secret-in-sight", &key, at, message).help = Some(format!(
            "set EVENTCAST_GATEWAY_{} in the environment of the process",
            name.to_uppercase()
        ));
    }
    Some(HiddenText(value))
}
