//! One table of what is measured: names, kinds, meanings. The manual's page on metrics is made of
//! it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::build_info;
use super::instrument::{Counter, Gauge, Histogram, ReasonCounter, Spread};

/// Labels of one number: name and value. The values come from closed sets: reasons, and the routes
/// of the configuration.
pub type Labels = Vec<(&'static str, String)>;

/// A metric's value at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// Of a counter.
    Count(u64),
    /// Of a counter with labels: one number for each set of them.
    Counts(Vec<(Labels, u64)>),
    /// Of a gauge.
    Level(i64),
    /// Of a histogram of seconds.
    Times(Spread),
    /// Labels that do not change while the process lives.
    Facts(Labels),
}

/// A metric with its place in the table.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The name in the table.
    pub name: &'static str,
    /// Meaning of the metric.
    pub about: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Current value.
    pub value: MetricValue,
}

macro_rules! metrics {
    (
        Routes { $($by_route:ident: $about_route:literal,)* }
        $($kind:ident($value:ident, $labels:expr) { $($name:ident: $about:literal,)* })*
    ) => {
        /// Counters of one route.
        #[derive(Debug, Default)]
        pub struct RouteCounters {
            $(#[doc = $about_route] pub $by_route: Counter,)*
        }

        /// Measurements of the daemon.
        #[derive(Debug, Default)]
        pub struct Metrics {
            routes: Mutex<BTreeMap<Arc<str>, Arc<RouteCounters>>>,
            $($(#[doc = $about] pub $name: $kind,)*)*
        }

        impl Metrics {
            /// All metrics, in the order of the table.
            pub fn all(&self) -> Vec<Measured> {
                let mut all = vec![Measured {
                    name: "build",
                    about: "The version and the Cargo features of this build, and its commit where that is known; always 1.",
                    labels: &["version", "features", "commit"],
                    value: MetricValue::Facts(build_info::labels()),
                }];
                $($(all.push(Measured {
                    name: stringify!($name),
                    about: $about,
                    labels: $labels,
                    value: metrics!(@value self.$name.$value()),
                });)*)*
                $(all.push(Measured {
                    name: stringify!($by_route),
                    about: $about_route,
                    labels: &["route"],
                    value: self.by_route(|route| &route.$by_route),
                });)*
                all
            }

            /// Writes one log line with a field for each counter and gauge that is not zero.
            pub fn log(&self, message: &'static str) {
                $(let $by_route = self.by_route(|route| &route.$by_route).field();)*
                $($(let $name = metrics!(@value self.$name.$value()).field();)*)*
                tracing::info!($($by_route,)* $($($name,)*)* "{message}");
            }
        }
    };
    (@value $self:ident.$name:ident.count()) => { MetricValue::Count($self.$name.get()) };
    (@value $self:ident.$name:ident.by_reason()) => { by_word("reason", &$self.$name) };
    (@value $self:ident.$name:ident.by_limit()) => { by_word("limit", &$self.$name) };
    (@value $self:ident.$name:ident.level()) => { MetricValue::Level($self.$name.get()) };
    (@value $self:ident.$name:ident.times()) => { MetricValue::Times($self.$name.get()) };
}

metrics! {
    Routes {
        published: "Messages that the broker acknowledged.",
        conflated: "Messages replaced by a newer one for the same topic before they were sent (`conflate`).",
        expired: "Messages not published because their event was too old (`expires`).",
        throttled: "Messages that were refused for now and tried again.",
        over_share: "Deliveries handed back because a topic, or a message group, had more waiting than its share of what may be in flight.",
        skipped: "Events that the route left out because they give no right topic (`on_invalid_topic: skip`).",
    }
    Counter(count, &[]) {
        received: "Messages received from the queue.",
        redelivered: "Messages received more than once (redeliveries).",
        unusable: "Messages left in the queue because they came without an id, a receipt handle, or a body and attributes that are text.",
        decoded: "Deliveries whose body is an event.",
        routed: "Events that at least one route makes messages of.",
        unrouted: "Events that no route takes.",
        nothing_to_publish: "Events that routes take and have nothing to publish of: the lists under `[*]` have no elements.",
        replays_held_back: "Events replayed from an archive that routes take and hold back (`replay: false`).",
        leases_extended: "Leases extended because the work on a delivery took long.",
        leases_lost: "Deliveries given up because their lease had ended.",
        postponed: "Deliveries handed back because publishing did not succeed in time.",
        handed_back: "Deliveries handed back untouched because the process is ending.",
        deleted: "Deliveries finished and deleted from the queue, dead letters included.",
        left_to_redrive: "Deliveries that can never be published, left to the queue's own redrive: there is no dead-letter queue.",
        published_by_https: "Messages that IoT Core's data plane took because no connection had room (`publish: auto`).",
        possible_duplicates: "Finished deliveries that could not be deleted: they may come again.",
        receive_errors: "Failed calls of receive.",
    }
    ReasonCounter(by_reason, &["reason", "route"]) {
        dead_lettered: "Deliveries sent to the dead-letter queue, by the reason that dead letters carry and the route at fault, where one is.",
    }
    ReasonCounter(by_limit, &["limit", "route"]) {
        held_back: "Messages that had to wait, by what holds them back: connection (its messages or bytes a second), account (its messages a second), topic (its order, or its share), broker (acknowledgements, connections); queue counts receives that came back full while no more may be open.",
    }
    Gauge(level, &[]) {
        in_flight: "Deliveries between receiving and settling.",
        topics_over_share: "Topics that have more waiting than their share of what may be in flight.",
        connections: "Connections to the broker that are up.",
        queue_age_seconds: "How long the delivery received last had waited in the queue.",
    }
    Histogram(times, &[]) {
        publish_seconds: "From handing a message to the publisher to the broker's acknowledgement.",
        end_to_end_seconds: "From the event's own time to the broker's acknowledgement.",
    }
}

fn by_word(label: &'static str, counter: &ReasonCounter) -> MetricValue {
    let counts = counter.all().into_iter().map(|(word, route, count)| {
        let route = route.map(|route| ("route", route.as_ref().to_owned()));
        let word = (label, word.to_owned());
        ([word].into_iter().chain(route).collect(), count)
    });
    MetricValue::Counts(counts.collect())
}

impl Metrics {
    /// The counters of one route, which exist from the first call on. A caller that counts often
    /// keeps them.
    pub fn route(&self, name: &Arc<str>) -> Arc<RouteCounters> {
        Arc::clone(self.routes().entry(Arc::clone(name)).or_default())
    }

    fn by_route(&self, counter: impl Fn(&RouteCounters) -> &Counter) -> MetricValue {
        let routes = self.routes();
        let counts = routes.iter().map(|(name, counters)| {
            let labels = vec![("route", name.as_ref().to_owned())];
            (labels, counter(counters).get())
        });
        MetricValue::Counts(counts.collect())
    }

    fn routes(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Arc<RouteCounters>>> {
        // Nothing in here panics half-way through a change.
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages that had to wait: the limit that held them back, their route where it is known,
    /// how many.
    pub fn held_back_by_limit(&self) -> Vec<(&'static str, Option<Arc<str>>, u64)> {
        self.held_back.all()
    }

    /// All counters that are not zero, by name.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.all().into_iter().filter_map(|measured| {
            let count = measured.value.count()?;
            (count > 0).then_some((measured.name, count))
        });
        counts.collect()
    }
}

impl MetricValue {
    /// The sum that a counter has reached; `None` for other kinds.
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(*count),
            Self::Counts(counts) => Some(counts.iter().map(|(_, count)| count).sum()),
            Self::Level(_) | Self::Times(_) | Self::Facts(_) => None,
        }
    }

    /// The number as a field of a log line: those that are zero have none.
    fn field(&self) -> Option<u64> {
        let number = match self {
            Self::Level(level) => u64::try_from(*level).ok(),
            other => other.count(),
        };
        number.filter(|number| *number > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_their_labels() {
        let metrics = Metrics::default();
        metrics.received.add(3);
        metrics.deleted.one();
        metrics.dead_lettered.one("too_large", None);
        metrics
            .dead_lettered
            .one("not_authorized", Some("orders".into()));
        for (route, count) in [("orders", 2), ("tenants", 5), ("silent", 0)] {
            metrics.route(&Arc::from(route)).published.add(count);
        }
        let wanted = [
            ("dead_lettered", 2),
            ("deleted", 1),
            ("published", 7),
            ("received", 3),
        ];
        assert_eq!(metrics.counts(), wanted.into());
    }
}
