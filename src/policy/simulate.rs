//! Permissions of one client, asked in the words of MQTT: connect, subscribe, publish, and receive.
//!
//! AWS IoT Core makes three separate checks before a message arrives: iot:Subscribe on the filter
//! as sent, once; MQTT matching of the topic against the filter; iot:Receive on the topic, at every
//! delivery. So a client may receive a topic when some filter that it may subscribe to matches the
//! topic, and Receive on it is allowed. All filters that can match a topic of eight levels are few
//! enough to try every one; only the names of shared subscriptions are without bound, and are taken
//! from the documents.

use super::arn::ResourceArn;
use super::context::Context;
use super::document::{Document, Effect};
use super::evaluate::{PolicyDecision, Request, decide};
use super::scope::{ResourceKind, Scope};
use crate::channel::filter::Filter;

/// A level, or the name of a shared subscription, that represents all those that no document names.
const ANY: &str = "any";

/// The most names of shared subscriptions that are tried.
const SHARES: usize = 64;

/// One client and its policies.
#[derive(Clone, Copy, Debug)]
pub struct Simulation<'s> {
    /// All policies that concern the client.
    pub documents: &'s [Document],
    /// Scope that it connects to.
    pub scope: &'s Scope,
    /// The client.
    pub context: &'s Context,
}

/// Answer to whether a client may receive a topic, and by which filters.
#[derive(Clone, Debug)]
pub struct ReceiveAnalysis {
    /// The decision on iot:Receive.
    pub receive: PolicyDecision,
    /// The filters that the client may subscribe to and that match the topic: the topic itself first, if it is one, then only
    /// those that no other covers.
    pub filters: Vec<FilterPath>,
}

impl ReceiveAnalysis {
    /// Returns `true` where the client may receive the topic.
    pub fn is_possible(&self) -> bool {
        self.receive.is_allowed() && !self.filters.is_empty()
    }
}

/// A filter by which a client receives a topic.
#[derive(Clone, Debug)]
pub struct FilterPath {
    /// The filter.
    pub filter: Filter,
    /// Decision on the subscription, with its statements.
    pub decision: PolicyDecision,
    /// Another topic that it would receive by the filter, if one was found.
    pub also: Option<String>,
}

impl Simulation<'_> {
    /// The decision on any action and ARN.
    pub fn decide(&self, action: &str, resource: &str) -> PolicyDecision {
        let request = Request {
            action,
            resource: ResourceArn::new(resource),
            context: self.context,
        };
        decide(self.documents, &request)
    }

    /// May it connect, under the client id of its context?
    pub fn connect(&self) -> PolicyDecision {
        let client_id = self.context.client_id.as_deref().unwrap_or_default();
        self.decide(
            "iot:Connect",
            &self.scope.arn(ResourceKind::Client, client_id),
        )
    }

    /// May it subscribe to a filter?
    pub fn subscribe(&self, filter: &Filter) -> PolicyDecision {
        let resource = self.scope.arn(ResourceKind::TopicFilter, filter.as_str());
        self.decide("iot:Subscribe", &resource)
    }

    /// May it publish to a topic?
    pub fn publish(&self, topic: &str) -> PolicyDecision {
        self.decide("iot:Publish", &self.scope.arn(ResourceKind::Topic, topic))
    }

    /// Would a message on a topic be delivered to it, once it has subscribed?
    pub fn receive(&self, topic: &str) -> PolicyDecision {
        self.decide("iot:Receive", &self.scope.arn(ResourceKind::Topic, topic))
    }

    /// Finds the filters by which the client may receive a topic. `topic` has to be a topic that a
    /// client can subscribe to.
    pub fn hear(&self, topic: &Filter) -> ReceiveAnalysis {
        let allowed: Vec<(Filter, PolicyDecision)> = self
            .filters_of(topic)
            .into_iter()
            .map(|filter| {
                let decision = self.subscribe(&filter);
                (filter, decision)
            })
            .filter(|(_, decision)| decision.is_allowed())
            .collect();
        let widest = |filter: &Filter| {
            !allowed
                .iter()
                .any(|(other, _)| other.covers(filter) && !filter.covers(other))
        };
        let mut ways: Vec<FilterPath> = Vec::new();
        for (filter, decision) in &allowed {
            let exact = filter == topic;
            // A share is reported only when the client receives more by it than by a filter of its
            // own.
            let repeated = ways
                .iter()
                .any(|way| way.filter.covers(filter) && filter.covers(&way.filter));
            if exact || (widest(filter) && !repeated) {
                ways.push(FilterPath {
                    also: if exact {
                        None
                    } else {
                        self.also(filter, topic)
                    },
                    filter: filter.clone(),
                    decision: decision.clone(),
                });
            }
        }
        ReceiveAnalysis {
            receive: self.receive(topic.as_str()),
            filters: ways,
        }
    }

    /// Every filter that matches a topic: the topic first, shared ones last.
    fn filters_of(&self, topic: &Filter) -> Vec<Filter> {
        let plain: Vec<Filter> = filters_matching(topic.as_str());
        let shares = self.share_names();
        let shared = shares.iter().flat_map(|share| {
            plain
                .iter()
                .filter_map(move |filter| Filter::parse(&format!("$share/{share}/{filter}")).ok())
        });
        let shared: Vec<Filter> = shared.collect();
        plain.into_iter().chain(shared).collect()
    }

    /// Names of shared subscriptions that documents may allow, and one for all others: every level of what their patterns match,
    /// since a `*` may hide the beginning of `$share/<name>/…`.
    fn share_names(&self) -> Vec<String> {
        let mut names = vec![ANY.to_owned()];
        for sample in self.samples("topicfilter/$share/", &[ANY, "", "/"]) {
            for name in sample.split('/') {
                let is_name = !name.is_empty() && !name.contains(['+', '#', '$']);
                if is_name && name != "topicfilter" && !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        names.truncate(SHARES);
        names
    }

    /// Texts that patterns of allowing statements match, so far as they may begin with `prefix`.
    fn samples(&self, prefix: &str, runs: &[&str]) -> Vec<String> {
        self.documents
            .iter()
            .flat_map(|document| &document.statements)
            .filter(|statement| statement.effect == Effect::Allow)
            .flat_map(|statement| statement.resources.listed())
            .flat_map(|resource| resource.pattern.samples(prefix, runs, self.context))
            .collect()
    }

    /// A topic other than `topic` that the client would receive through a filter. Made of the
    /// filter itself and of the topics that documents name, so none may be found where one exists.
    fn also(&self, filter: &Filter, topic: &Filter) -> Option<String> {
        let written = filter.matched_part().replace(['+', '#'], ANY);
        let named = self.samples("topic/", &[ANY, ""]);
        let named = named.iter().filter_map(|name| name.strip_prefix("topic/"));
        std::iter::once(&*written)
            .chain(named)
            .find(|other| {
                Filter::exact(other).is_ok()
                    && *other != topic.as_str()
                    && filter.matches(other)
                    && self.receive(other).is_allowed()
            })
            .map(str::to_owned)
    }
}

/// Every filter without a share that matches a topic: each level as it is or as `+`, and the rest as `#` from any level on.
/// Reserved topics have no wildcard in first place. At most 511 filters for eight levels.
fn filters_matching(topic: &str) -> Vec<Filter> {
    let mut beginnings = vec![String::new()];
    let mut found = Vec::new();
    for (index, level) in topic.split('/').enumerate() {
        let reserved = index == 0 && level.starts_with('$');
        let slash = if index == 0 { "" } else { "/" };
        if !reserved {
            found.extend(beginnings.iter().map(|begun| format!("{begun}{slash}#")));
        }
        beginnings = beginnings
            .iter()
            .flat_map(|begun| {
                let wild = (!reserved).then(|| format!("{begun}{slash}+"));
                std::iter::once(format!("{begun}{slash}{level}")).chain(wild)
            })
            .collect();
    }
    beginnings.extend(found);
    // A wildcard may make a filter too long for IoT Core.
    beginnings
        .iter()
        .filter_map(|filter| Filter::parse(filter).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVE_ALL: &str = r#",{"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:us-east-1:123456789012:topic/*"}"#;

    /// Returns the filters by which a client that may subscribe to some patterns receives a topic,
    /// each with another topic that it would receive.
    fn heard(filters: &[&str], receive: &str, topic: &str) -> Vec<String> {
        let resources: Vec<String> = filters
            .iter()
            .map(|filter| Scope::default().arn(ResourceKind::TopicFilter, filter))
            .collect();
        let document = Document::parse(&format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"iot:Subscribe","Resource":{resources:?}}}{receive}]}}"#
        ))
        .unwrap();
        let simulation = Simulation {
            documents: &[document],
            scope: &Scope::default(),
            context: &Context::of_client("c"),
        };
        let hearing = simulation.hear(&Filter::parse(topic).unwrap());
        assert_eq!(
            hearing.is_possible(),
            !hearing.filters.is_empty() && hearing.receive.is_allowed()
        );
        hearing
            .filters
            .iter()
            .map(|way| format!("{} ({})", way.filter, way.also.as_deref().unwrap_or("-")))
            .collect()
    }

    #[test]
    fn every_filter_that_matches_is_tried() {
        let mut filters: Vec<String> = filters_matching("a/b")
            .iter()
            .map(Filter::to_string)
            .collect();
        assert_eq!(filters[0], "a/b");
        filters.sort();
        assert_eq!(filters, ["#", "+/#", "+/+", "+/b", "a/#", "a/+", "a/b"]);
        let reserved: Vec<String> = filters_matching("$aws/x")
            .iter()
            .map(Filter::to_string)
            .collect();
        assert_eq!(reserved, ["$aws/x", "$aws/+", "$aws/#"]);
        let deep = "1/2/3/4/5/6/7/8";
        let all = filters_matching(deep);
        assert_eq!(all.len(), 256 + 255);
        assert!(all.iter().all(|filter| filter.matches(deep)));
    }

    #[test]
    fn ways_to_hear_a_topic() {
        assert_eq!(heard(&["order/1"], RECEIVE_ALL, "order/1"), ["order/1 (-)"]);
        assert_eq!(heard(&["order/2"], RECEIVE_ALL, "order/1"), [""; 0]);
        assert_eq!(
            heard(&["order/*"], RECEIVE_ALL, "order/1"),
            ["order/1 (-)", "order/# (order/any)"]
        );
        assert_eq!(
            heard(&["+/1", "order/1"], RECEIVE_ALL, "order/1"),
            ["order/1 (-)", "+/1 (any/1)"]
        );
        // One wildcard character is enough for `#`.
        assert_eq!(
            heard(&["order/?"], RECEIVE_ALL, "order/12"),
            ["order/# (order/any)"]
        );
    }

    #[test]
    fn a_narrow_receive_keeps_a_wide_filter_from_leaking() {
        let receive = |topics: &str| {
            format!(r#",{{"Effect":"Allow","Action":"iot:Receive","Resource":[{topics}]}}"#)
        };
        let one = r#""arn:aws:iot:us-east-1:123456789012:topic/order/1""#;
        let two = r#""arn:aws:iot:us-east-1:123456789012:topic/order/2?""#;
        assert_eq!(
            heard(&["order/+"], &receive(one), "order/1"),
            ["order/+ (-)"]
        );
        assert_eq!(
            heard(&["order/+"], &receive(&format!("{one},{two}")), "order/1"),
            ["order/+ (order/2x)"]
        );
    }

    #[test]
    fn shared_subscriptions_are_ways_too() {
        assert_eq!(
            heard(&["$share/team/order/1"], RECEIVE_ALL, "order/1"),
            ["$share/team/order/1 (-)"]
        );
        assert_eq!(
            heard(&["$share/*/order/1"], RECEIVE_ALL, "order/1"),
            ["$share/any/order/1 (-)"]
        );
        assert_eq!(
            heard(&["*-team/order/1"], RECEIVE_ALL, "order/1"),
            ["$share/any-team/order/1 (-)"]
        );
        assert_eq!(
            heard(&["$share/${iot:ClientId}/order/1"], RECEIVE_ALL, "order/1"),
            ["$share/c/order/1 (-)"]
        );
    }
}
