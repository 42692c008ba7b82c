//! View types of the inspector's JSON API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ledger::log::ClientActivity;
use super::trail::{EpochMicros, EventTimeline, micros};
use crate::config::Config;
use crate::dev::broker::control::ConnectionFacts;
use crate::policy::role::{Role, RoleEntry};
use crate::route::explain::RouteExplanation;
use crate::route::table::Route;

/// Addresses of the platform's endpoints.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PlatformAddresses {
    /// Endpoint of the bus, the queues and the page.
    pub endpoint: String,
    /// MQTT address of each transport, by the URL's scheme.
    pub mqtt: BTreeMap<&'static str, String>,
    /// File of the certificate authority that TLS clients must trust, where it is a local one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Bus that events are put on.
    pub bus: Option<String>,
    /// Queue that the bridge receives events from.
    pub queue: Option<String>,
}

/// Constant part of the platform's description.
#[derive(Debug, Serialize)]
pub struct PlatformView<'p> {
    pub(super) version: &'static str,
    /// Start of this process. A different value means that all earlier observations are lost.
    pub(super) started: EpochMicros,
    pub(super) addresses: &'p PlatformAddresses,
    pub(super) environment: Option<&'p str>,
    pub(super) channels: Vec<KindView<'p>>,
    pub(super) routes: Vec<RouteView>,
    pub(super) roles: Vec<RoleView<'p>>,
    /// `true` where tokens can be issued.
    pub(super) tokens: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct KindView<'p> {
    name: &'p str,
    id: String,
    example: String,
}

/// Route of the configuration.
#[derive(Debug, Serialize)]
pub struct RouteView {
    pub(super) name: String,
    pub(super) to: Vec<String>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) expires_seconds: Option<u64>,
    /// Example of a matching event.
    pub(super) example: Map<String, Value>,
    /// `true` where the example matches; for some patterns no example is found.
    pub(super) example_matches: bool,
}

impl RouteView {
    /// Finds a route by name.
    ///
    /// # Errors
    /// The route does not exist; one line with the existing ones.
    pub fn of(name: &str, config: &Config) -> Result<Self, String> {
        let route = config.routes.iter().find(|route| *route.name == *name);
        route.map(Self::from).ok_or_else(|| {
            let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
            format!(
                "there is no route `{name}`; there are `{}`",
                names.join("`, `")
            )
        })
    }
}

impl From<&Route> for RouteView {
    fn from(route: &Route) -> Self {
        let example = route.example();
        Self {
            name: route.name.to_string(),
            to: route.targets.iter().map(ToString::to_string).collect(),
            qos: route.qos.level(),
            retain: route.retain,
            expires_seconds: route.expires.map(|expires| expires.as_secs()),
            example: example.fields,
            example_matches: example.matches,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct RoleView<'p> {
    name: &'p str,
    bind: String,
    subscribe: Vec<String>,
    publish: Vec<String>,
    /// Example of claims that the role grants topics for.
    example: Map<String, Value>,
}

impl<'p> From<&'p Role> for RoleView<'p> {
    fn from(role: &'p Role) -> Self {
        let written = |entries: &[RoleEntry]| entries.iter().map(ToString::to_string).collect();
        Self {
            name: &role.name,
            bind: role.bind.to_string(),
            subscribe: written(&role.subscribe),
            publish: written(&role.publish),
            example: role.example(),
        }
    }
}

impl<'p> PlatformView<'p> {
    pub(super) fn new(
        config: &'p Config,
        addresses: &'p PlatformAddresses,
        started: EpochMicros,
        tokens: bool,
    ) -> Self {
        let kinds = config.kinds.values().map(|kind| KindView {
            name: kind.name(),
            id: kind.id().to_string(),
            example: kind.example(),
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started,
            addresses,
            environment: config.environment.as_deref(),
            channels: kinds.collect(),
            routes: config.routes.iter().map(RouteView::from).collect(),
            roles: config.roles.iter().map(RoleView::from).collect(),
            tokens,
        }
    }
}

/// Event with its timeline, and the result of each route.
#[derive(Debug, Serialize)]
pub struct EventView {
    #[serde(flatten)]
    pub(super) trail: EventTimeline,
    /// Body as text, where it is kept.
    pub(super) body: Option<String>,
    /// Result of each route for the event now; empty where the body is not kept.
    pub(super) routes: Vec<OutcomeView>,
    /// Reason why no route may publish the event.
    pub(super) refused: Option<String>,
    /// Reason why the body is no event.
    pub(super) not_an_event: Option<String>,
}

/// Result of a route for an event.
#[derive(Debug, Deserialize, Serialize)]
pub struct OutcomeView {
    /// The route.
    pub route: String,
    /// `true` where the route's pattern matches.
    pub matches: bool,
    /// Topics that the route publishes to.
    pub topics: Vec<String>,
    /// Reasons why the route does not match or publishes nothing, a line each.
    pub lines: Vec<String>,
}

impl From<RouteExplanation> for OutcomeView {
    fn from(explained: RouteExplanation) -> Self {
        let mismatches = explained.mismatches.iter().map(ToString::to_string);
        let refused = explained.refused;
        let refused = refused.map(|refused| format!("{}: {}", refused.reason, refused.detail));
        let publications = explained.publications.into_iter();
        let targets = explained.targets.into_iter();
        let nothing = targets.filter_map(|target| {
            let why = target.nothing?;
            Some(format!("{}: no message: {why}", target.target))
        });
        Self {
            route: explained.route,
            matches: explained.matches,
            topics: publications.map(|publication| publication.topic).collect(),
            lines: mismatches.chain(refused).chain(nothing).collect(),
        }
    }
}

/// Client in a list.
#[derive(Debug, Serialize)]
pub struct ClientView {
    pub(super) id: String,
    pub(super) connected: bool,
    pub(super) principal: Option<String>,
    pub(super) role: Option<String>,
    /// Time of the last connect or disconnect.
    pub(super) since: Option<EpochMicros>,
    pub(super) disconnect_reason: Option<&'static str>,
    /// Reason in words.
    pub(super) disconnect_why: Option<Box<str>>,
    pub(super) source: Option<String>,
    pub(super) subscriptions: Vec<SubscriptionView>,
    /// Number of messages that wait for the client.
    pub(super) queued: usize,
}

/// Subscription of a client.
#[derive(Debug, Serialize)]
pub struct SubscriptionView {
    pub(super) filter: String,
    pub(super) qos: u8,
}

impl ClientView {
    pub(super) fn new(
        id: &str,
        facts: Option<ConnectionFacts>,
        subscriptions: Option<Vec<(String, u8)>>,
        role: Option<String>,
    ) -> Self {
        let facts = facts.as_ref();
        let subscriptions = subscriptions.unwrap_or_default().into_iter();
        Self {
            id: id.to_owned(),
            connected: facts.is_some_and(|facts| facts.is_connected),
            principal: facts.and_then(|facts| facts.principal.as_ref().map(ToString::to_string)),
            role,
            since: facts.and_then(|facts| facts.since).map(micros),
            disconnect_reason: facts.and_then(|facts| facts.disconnect_reason),
            disconnect_why: facts.and_then(|facts| facts.disconnect_why.clone()),
            source: facts.and_then(|facts| facts.source.map(|source| source.to_string())),
            subscriptions: subscriptions
                .map(|(filter, qos)| SubscriptionView { filter, qos })
                .collect(),
            queued: facts.map_or(0, |facts| facts.queued),
        }
    }
}

/// Client with all details.
#[derive(Debug, Serialize)]
pub struct WholeClientView {
    #[serde(flatten)]
    pub(super) client: ClientView,
    pub(super) keep_alive: Option<u16>,
    pub(super) session_expiry: Option<u32>,
    pub(super) clean: Option<bool>,
    /// Policy documents; empty where the client was not connected, or may do everything.
    pub(super) policies: Vec<PolicyReport>,
    /// `true` where the client is connected and has no policies, so that it may do everything.
    pub(super) free: bool,
    /// Actions of the client, the latest first.
    pub(super) doings: Vec<ClientActivity>,
    /// Denials, the latest first.
    pub(super) denials: Vec<ClientActivity>,
}

/// Policy document.
#[derive(Debug, Serialize)]
pub struct PolicyReport {
    pub(super) name: String,
    pub(super) text: String,
}

/// Topic with all details.
#[derive(Debug, Serialize)]
pub struct TopicView {
    pub(super) topic: String,
    pub(super) channel: Option<String>,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) published_per_second: f64,
    pub(super) delivered_per_second: f64,
    pub(super) subscribers: Vec<SubscriberView>,
    /// Total number of subscribers.
    pub(super) subscriber_count: usize,
    pub(super) retained: Option<RetainedView>,
}

/// Subscriber of a topic.
#[derive(Debug, Serialize)]
pub struct SubscriberView {
    pub(super) client: String,
    pub(super) filter: String,
    pub(super) qos: u8,
    pub(super) connected: bool,
    /// `true` where the client's policies allow it to receive.
    pub(super) may_receive: Option<bool>,
}

/// Retained message of a topic.
#[derive(Debug, Serialize)]
pub struct RetainedView {
    pub(super) at: EpochMicros,
    pub(super) qos: u8,
    pub(super) size_bytes: usize,
    /// First characters of the payload, where it is text.
    pub(super) text: Option<String>,
}
