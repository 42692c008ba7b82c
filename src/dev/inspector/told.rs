//! What the inspector tells, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ledger::log::ClientActivity;
use super::trail::{EpochMicros, EventTimeline, micros};
use crate::config::Config;
use crate::dev::broker::control::ConnectionFacts;
use crate::policy::role::{Entry, Role};
use crate::route::explain::RouteExplanation;
use crate::route::table::Route;

/// Where everything is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PlatformAddresses {
    /// The bus and the queues, and the page.
    pub endpoint: String,
    /// MQTT over each transport, by the URL's scheme.
    pub mqtt: BTreeMap<&'static str, String>,
    /// The file of the authority that clients with TLS are to trust, where it is one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The bus that events are put on.
    pub bus: Option<String>,
    /// The queue that the bridge takes events from.
    pub queue: Option<String>,
}

/// What there is, which does not change.
#[derive(Debug, Serialize)]
pub struct PlatformView<'p> {
    pub(super) version: &'static str,
    /// When this process began: other than before, everything seen before is forgotten.
    pub(super) started: EpochMicros,
    pub(super) addresses: &'p PlatformAddresses,
    pub(super) environment: Option<&'p str>,
    pub(super) channels: Vec<ToldKind<'p>>,
    pub(super) routes: Vec<ToldRoute>,
    pub(super) roles: Vec<ToldRole<'p>>,
    /// Whether tokens can be made.
    pub(super) tokens: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldKind<'p> {
    name: &'p str,
    id: String,
    example: String,
}

/// A route.
#[derive(Debug, Serialize)]
pub struct ToldRoute {
    pub(super) name: String,
    pub(super) to: Vec<String>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) expires_seconds: Option<u64>,
    /// An event that it takes.
    pub(super) example: Map<String, Value>,
    /// Whether it does; for some patterns no example is found.
    pub(super) example_matches: bool,
}

impl ToldRoute {
    /// The route of a name.
    ///
    /// # Errors
    /// That there is none, and which there are, in one line.
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

impl From<&Route> for ToldRoute {
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
pub(super) struct ToldRole<'p> {
    name: &'p str,
    bind: String,
    subscribe: Vec<String>,
    publish: Vec<String>,
    /// Claims that it gives grants for.
    example: Map<String, Value>,
}

impl<'p> From<&'p Role> for ToldRole<'p> {
    fn from(role: &'p Role) -> Self {
        let written = |entries: &[Entry]| entries.iter().map(ToString::to_string).collect();
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
        let kinds = config.kinds.values().map(|kind| ToldKind {
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
            routes: config.routes.iter().map(ToldRoute::from).collect(),
            roles: config.roles.iter().map(ToldRole::from).collect(),
            tokens,
        }
    }
}

/// An event with its way, and what the routes do with it.
#[derive(Debug, Serialize)]
pub struct ToldEvent {
    #[serde(flatten)]
    pub(super) trail: EventTimeline,
    /// Its body as text, where it is kept.
    pub(super) body: Option<String>,
    /// What the routes do with it now; none where the body is not kept.
    pub(super) routes: Vec<ToldOutcome>,
    /// Why nothing of it is published, whatever single routes do.
    pub(super) refused: Option<String>,
    /// Why it is no event.
    pub(super) not_an_event: Option<String>,
}

/// What a route does with an event.
#[derive(Debug, Deserialize, Serialize)]
pub struct ToldOutcome {
    /// The route.
    pub route: String,
    /// Whether its pattern matches.
    pub matches: bool,
    /// Where it publishes.
    pub topics: Vec<String>,
    /// Why it does not match or publishes nothing, a line each.
    pub lines: Vec<String>,
}

impl From<RouteExplanation> for ToldOutcome {
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

/// A client in a list.
#[derive(Debug, Serialize)]
pub struct ToldClient {
    pub(super) id: String,
    pub(super) connected: bool,
    pub(super) principal: Option<String>,
    pub(super) role: Option<String>,
    /// Since when it is connected, or is not.
    pub(super) since: Option<EpochMicros>,
    pub(super) disconnect_reason: Option<&'static str>,
    /// The same in words.
    pub(super) disconnect_why: Option<Box<str>>,
    pub(super) source: Option<String>,
    pub(super) subscriptions: Vec<ToldSubscription>,
    /// Messages that wait for it.
    pub(super) queued: usize,
}

/// A subscription.
#[derive(Debug, Serialize)]
pub struct ToldSubscription {
    pub(super) filter: String,
    pub(super) qos: u8,
}

impl ToldClient {
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
                .map(|(filter, qos)| ToldSubscription { filter, qos })
                .collect(),
            queued: facts.map_or(0, |facts| facts.queued),
        }
    }
}

/// A client with all that is known of it.
#[derive(Debug, Serialize)]
pub struct ToldClientWhole {
    #[serde(flatten)]
    pub(super) client: ToldClient,
    pub(super) keep_alive: Option<u16>,
    pub(super) session_expiry: Option<u32>,
    pub(super) clean: Option<bool>,
    /// Its policy documents; none where it was not connected, or may do everything.
    pub(super) policies: Vec<ToldPolicy>,
    /// Whether it may do everything: it is connected, and there are no policies for it.
    pub(super) free: bool,
    /// What it did, the latest first.
    pub(super) doings: Vec<ClientActivity>,
    /// What it was refused, the latest first.
    pub(super) denials: Vec<ClientActivity>,
}

/// A policy document.
#[derive(Debug, Serialize)]
pub struct ToldPolicy {
    pub(super) name: String,
    pub(super) text: String,
}

/// A topic with all that is known of it.
#[derive(Debug, Serialize)]
pub struct ToldTopic {
    pub(super) topic: String,
    pub(super) channel: Option<String>,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) published_per_second: f64,
    pub(super) delivered_per_second: f64,
    pub(super) subscribers: Vec<ToldSubscriber>,
    /// How many there are.
    pub(super) subscriber_count: usize,
    pub(super) retained: Option<ToldRetained>,
}

/// A client that has subscribed to a topic.
#[derive(Debug, Serialize)]
pub struct ToldSubscriber {
    pub(super) client: String,
    pub(super) filter: String,
    pub(super) qos: u8,
    pub(super) connected: bool,
    /// Whether its policies let it receive.
    pub(super) may_receive: Option<bool>,
}

/// A retained message.
#[derive(Debug, Serialize)]
pub struct ToldRetained {
    pub(super) at: EpochMicros,
    pub(super) qos: u8,
    pub(super) size_bytes: usize,
    /// The beginning of the payload, where it is text.
    pub(super) text: Option<String>,
}
