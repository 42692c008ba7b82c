//! Demand: the rates that a load asks of the platform in a second, in the mean and at the peak.
//!
//! Deliveries follow the load description: a message is delivered to `subscribers` clients that are
//! connected. Clients whose session is kept while they are away are further ones, for which the
//! broker stores messages of QoS 1.

use serde::Serialize;

use super::facts::PlatformFacts;
use crate::config::load_profile::{DAY, FanOut, LoadProfile};

/// Filters of one SUBSCRIBE packet (AWS General Reference, "AWS IoT Core endpoints and quotas").
const FILTERS_PER_SUBSCRIBE: f64 = 8.0;

/// Bytes of a message in one unit of IoT Core's bill (AWS IoT Core pricing, "Messaging").
pub const METERED_BYTES: f64 = 5_120.0;

/// Bytes beside the payload that are metered with it: topic, content type, `eb-id` and `eb-time`
/// (AWS IoT Core pricing, "Additional details", MQTT PUBLISH).
pub const METERED_EXTRA_BYTES: f64 = 200.0;

/// Rate in the mean and in the busiest second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RatePair {
    /// Rate in the mean.
    pub mean: f64,
    /// Rate in the busiest second.
    pub peak: f64,
}

impl RatePair {
    fn peaked(mean: f64, peak: f64) -> Self {
        Self {
            mean,
            peak: mean * peak,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            mean: self.mean + other.mean,
            peak: self.peak + other.peak,
        }
    }

    fn times(self, factor: f64) -> Self {
        Self {
            mean: self.mean * factor,
            peak: self.peak * factor,
        }
    }
}

/// Demand of one route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteDemand {
    /// The route.
    pub name: String,
    /// Events a second.
    pub events: RatePair,
    /// Messages a second that the bridge publishes.
    pub published: RatePair,
    /// Messages a second that clients receive.
    pub delivered: RatePair,
    /// Bytes of a payload.
    pub payload_bytes: f64,
    /// Units of the bill of one message.
    pub metered_units: f64,
    /// QoS of deliveries.
    pub qos: u8,
    /// `true` where the broker keeps the last message of a topic.
    pub retain: bool,
}

/// Demand of a platform.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadDemand {
    /// Clients that are connected.
    pub connected: RatePair,
    /// CONNECT packets a second.
    pub connects: RatePair,
    /// Topic filters that are subscribed to in a second.
    pub filters: RatePair,
    /// SUBSCRIBE packets a second.
    pub subscribes: RatePair,
    /// Events a second that reach the queue.
    pub events: RatePair,
    /// Messages a second that the bridge publishes.
    pub published: RatePair,
    /// Messages a second that clients publish.
    pub client_published: RatePair,
    /// Messages a second that clients receive.
    pub delivered: RatePair,
    /// The same of QoS 1.
    pub delivered_qos1: RatePair,
    /// Messages a second that are stored for clients which are away.
    pub stored: RatePair,
    /// Messages a second that are retained.
    pub retained: RatePair,
    /// Clients of the gateway that are connected.
    pub polling: RatePair,
    /// Calls of the authorizer a second.
    pub authorizer_calls: RatePair,
    /// Demand by route.
    pub routes: Vec<RouteDemand>,
}

/// Units of the bill of a message with so many bytes of payload.
pub fn metered_units(payload_bytes: f64) -> f64 {
    ((payload_bytes + METERED_EXTRA_BYTES) / METERED_BYTES)
        .ceil()
        .max(1.0)
}

impl LoadDemand {
    /// The demand of a load.
    pub fn of(profile: &LoadProfile, facts: &PlatformFacts) -> Self {
        let day = DAY.as_secs_f64();
        let part_of_day = profile.connected.as_secs_f64() / day;
        let mean = profile.clients * part_of_day;
        let connected = RatePair {
            mean,
            peak: (mean * profile.peak).min(profile.clients),
        };
        let connects = profile.clients * profile.reconnects_per_day / day;
        let connects = RatePair::peaked(connects, profile.peak);
        let packets = (profile.channels / FILTERS_PER_SUBSCRIBE).ceil();
        let routes: Vec<RouteDemand> = profile
            .routes
            .iter()
            .map(|load| route(load, profile, facts, connected))
            .collect();
        let sum = |part: &dyn Fn(&RouteDemand) -> RatePair| {
            let parts = routes.iter().map(part);
            parts.fold(RatePair::default(), RatePair::plus)
        };
        let unrouted = profile.unrouted.per_second(profile.clients);
        let publications = profile.publications.per_second(profile.clients);
        let qos1 = |route: &RouteDemand| route.delivered.times(f64::from(route.qos));
        let retained =
            |route: &RouteDemand| route.published.times(f64::from(u8::from(route.retain)));
        let delivered_qos1 = sum(&qos1);
        let stored = delivered_qos1.times(kept_sessions(profile) / connected.mean);
        let refreshes = connected.times(1.0 / facts.refresh.as_secs_f64());
        let has_authorizer = f64::from(u8::from(!profile.authorizer.is_zero()));
        Self {
            connected,
            connects,
            filters: connects.times(profile.channels),
            subscribes: connects.times(packets),
            events: sum(&|route| route.events).plus(RatePair::peaked(unrouted, profile.peak)),
            published: sum(&|route| route.published),
            client_published: RatePair::peaked(publications, profile.peak),
            delivered: sum(&|route| route.delivered),
            delivered_qos1,
            stored,
            retained: sum(&retained),
            polling: connected.times(profile.polling_share),
            authorizer_calls: connects.plus(refreshes).times(has_authorizer),
            routes,
        }
    }
}

/// Sessions that are kept at a time while their clients are away: for `away` at each reconnect, and
/// until they expire where a client leaves for the day.
fn kept_sessions(profile: &LoadProfile) -> f64 {
    let expiry = profile.session_expiry.as_secs_f64();
    let away = profile.away.as_secs_f64().min(expiry);
    let leaves = f64::from(u8::from(profile.connected < DAY));
    let returns = (profile.reconnects_per_day - leaves).max(0.0);
    profile.clients * (returns * away + leaves * expiry) / DAY.as_secs_f64()
}

fn route(
    load: &crate::config::load_profile::RouteLoad,
    profile: &LoadProfile,
    facts: &PlatformFacts,
    connected: RatePair,
) -> RouteDemand {
    let facts = facts.route(&load.name);
    let events = RatePair::peaked(load.events.per_second(profile.clients), profile.peak);
    let kept = if facts.conflate {
        1.0 - load.conflated_share
    } else {
        1.0
    };
    let published = events.times(load.topics.unwrap_or(facts.targets) * kept);
    let delivered = match load.subscribers {
        FanOut::Clients(clients) => published.times(clients),
        FanOut::All => RatePair {
            mean: published.mean * connected.mean,
            peak: published.peak * connected.peak,
        },
    };
    RouteDemand {
        name: load.name.clone(),
        events,
        published,
        delivered,
        payload_bytes: load.payload_bytes,
        metered_units: metered_units(load.payload_bytes),
        qos: load.qos.unwrap_or(facts.qos).min(facts.qos),
        retain: facts.retain,
    }
}
