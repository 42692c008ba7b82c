//! Example events of a manifest, run through the platform's routes.

use bytes::Bytes;

use super::super::manifest::address::ChannelAddress;
use super::super::manifest::example::ExampleBody;
use crate::config::Config;
use crate::route::explain::{EventExplanation, PublicationFacts, explain};
use crate::route::payload::PayloadShape;
use crate::route::table::{RouteRefusal, RouteTable};

/// The id in place of the queue's.
const MESSAGE_ID: &str = "example";

/// A platform's routes, compiled.
#[derive(Debug)]
pub struct PlatformRoutes<'p> {
    /// The configuration.
    pub config: &'p Config,
    table: RouteTable,
}

/// The delivery that the routes give a message of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedDelivery {
    /// MQTT quality of service.
    pub qos: u8,
    /// Seconds for which a message is worth delivering; `None` without a bound.
    pub expires_seconds: Option<u64>,
    /// `true` where only the newest of waiting messages is published.
    pub conflate: bool,
    /// `true` where the broker keeps the last one.
    pub retain: bool,
    /// The part of the event that is sent.
    pub payload: PayloadShape,
    /// The length of the payload.
    pub size_bytes: usize,
}

impl<'p> PlatformRoutes<'p> {
    /// Compiles the routes of a configuration.
    pub fn new(config: &'p Config) -> Self {
        Self {
            table: config.route_table(),
            config,
        }
    }

    /// The first level of every topic.
    pub fn environment(&self) -> Option<&'p str> {
        self.config.environment.as_deref()
    }

    /// Explains an example by the routes; nothing is too old.
    ///
    /// # Errors
    /// [`RouteRefusal`] when it is no event.
    pub fn explain(&self, example: &ExampleBody) -> Result<EventExplanation, RouteRefusal> {
        let body = Bytes::copy_from_slice(example.body.as_bytes());
        explain(&self.table, &body, MESSAGE_ID, None)
    }

    /// The messages of an explanation that go to channels of an address, each with its route.
    pub fn sent<'e>(
        &self,
        explanation: &'e EventExplanation,
        address: &ChannelAddress,
    ) -> Vec<(&'e str, &'e PublicationFacts)> {
        let routes = explanation.routes.iter();
        let sent = routes.flat_map(|route| {
            let publications = route.publications.iter();
            publications.map(|publication| (route.route.as_str(), publication))
        });
        sent.filter(|(_, publication)| {
            address
                .values(self.environment(), &publication.topic)
                .is_some()
        })
        .collect()
    }

    /// The delivery that examples get on an address: of several messages the weakest promise each.
    /// `None` where none arrives.
    pub fn delivery(
        &self,
        examples: &[ExampleBody],
        address: &ChannelAddress,
    ) -> Option<ServedDelivery> {
        let mut weakest: Option<ServedDelivery> = None;
        for example in examples {
            let Ok(explanation) = self.explain(example) else {
                continue;
            };
            for (route, publication) in self.sent(&explanation, address) {
                let Some(route) = self
                    .config
                    .routes
                    .iter()
                    .find(|known| *known.name == *route)
                else {
                    continue;
                };
                let served = ServedDelivery {
                    qos: publication.qos,
                    expires_seconds: publication.expires_seconds,
                    conflate: route.conflate,
                    retain: publication.retain,
                    payload: route.payload,
                    size_bytes: publication.size_bytes,
                };
                weakest = Some(weakest.map_or(served, |known| known.weakest(served)));
            }
        }
        weakest
    }
}

impl ServedDelivery {
    /// The delivery that holds of both.
    pub fn weakest(self, other: Self) -> Self {
        let shorter = match (self.expires_seconds, other.expires_seconds) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            qos: self.qos.min(other.qos),
            expires_seconds: shorter,
            conflate: self.conflate || other.conflate,
            retain: self.retain && other.retain,
            payload: self.payload,
            size_bytes: self.size_bytes.max(other.size_bytes),
        }
    }
}
