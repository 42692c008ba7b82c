//! Questions about a client, and their answers with everything that an explanation needs.

use super::arn::Arn;
use super::evaluate::{Decision, Request, Verdict, decide};
use super::explain::{NearMiss, near_misses};
use super::scope::Kind;
use super::simulate::{Simulation, Way};
use crate::channel::filter::Filter;

/// A question about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// May it connect?
    Connect,
    /// May it subscribe to a filter?
    Subscribe(Filter),
    /// May it publish to a topic?
    Publish(Filter),
    /// Would a message on a topic be delivered to it?
    Receive(Filter),
    /// May it hear a topic: subscribe to some filter that matches it, and receive?
    Hear(Filter),
    /// Any action on any resource.
    Action {
        /// Such as `iot:GetRetainedMessage`.
        action: String,
        /// An ARN, or what stands behind its fifth colon, such as `topic/order/1`.
        resource: String,
    },
}

/// What a client may do, and why.
#[derive(Clone, Debug)]
pub struct Answer {
    /// For `Hear`, explicit when the topic's own filter or Receive is denied in so many words.
    pub verdict: Verdict,
    /// The decisions behind it; for `Hear` that on the topic's own filter, and that on receiving.
    pub checks: Vec<Check>,
    /// For `Hear`, the filters by which the client hears the topic.
    pub ways: Vec<Way>,
}

impl Answer {
    /// Whether it may.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }
}

/// One decision and its grounds.
#[derive(Clone, Debug)]
pub struct Check {
    /// The action.
    pub action: String,
    /// The ARN.
    pub resource: String,
    /// The decision.
    pub decision: Decision,
    /// For an implicit deny, the statements that allow the action, but not here.
    pub near_misses: Vec<NearMiss>,
}

impl Simulation<'_> {
    /// Answers a question.
    pub fn ask(&self, ask: &Ask) -> Answer {
        let scope = self.scope;
        let client_id = self.context.client_id.as_deref().unwrap_or_default();
        match ask {
            Ask::Connect => self.one("iot:Connect", scope.arn(Kind::Client, client_id)),
            Ask::Subscribe(filter) => self.one(
                "iot:Subscribe",
                scope.arn(Kind::TopicFilter, filter.as_str()),
            ),
            Ask::Publish(topic) => self.one("iot:Publish", scope.arn(Kind::Topic, topic.as_str())),
            Ask::Receive(topic) => self.one("iot:Receive", scope.arn(Kind::Topic, topic.as_str())),
            Ask::Hear(topic) => self.hearing(topic),
            Ask::Action { action, resource } => {
                let is_short = !resource.starts_with("arn:") && resource != "*";
                let resource = if is_short {
                    scope.arn_of(resource)
                } else {
                    resource.clone()
                };
                self.one(action, resource)
            }
        }
    }

    fn one(&self, action: &str, resource: String) -> Answer {
        let check = self.check(action, resource);
        Answer {
            verdict: check.decision.verdict,
            checks: vec![check],
            ways: Vec::new(),
        }
    }

    fn check(&self, action: &str, resource: String) -> Check {
        let request = Request {
            action,
            resource: Arn::new(&resource),
            context: self.context,
        };
        let decision = decide(self.documents, &request);
        let near_misses = match decision.verdict {
            Verdict::ImplicitDeny => near_misses(self.documents, &request),
            _ => Vec::new(),
        };
        Check {
            action: action.to_owned(),
            decision,
            near_misses,
            resource,
        }
    }

    fn hearing(&self, topic: &Filter) -> Answer {
        let ways = self.hear(topic).filters;
        let name = topic.as_str();
        let subscribe = self.check("iot:Subscribe", self.scope.arn(Kind::TopicFilter, name));
        let receive = self.check("iot:Receive", self.scope.arn(Kind::Topic, name));
        let verdicts = [subscribe.decision.verdict, receive.decision.verdict];
        let verdict = if receive.decision.is_allowed() && !ways.is_empty() {
            Verdict::Allowed
        } else if verdicts.contains(&Verdict::ExplicitDeny) {
            Verdict::ExplicitDeny
        } else {
            Verdict::ImplicitDeny
        };
        Answer {
            verdict,
            checks: vec![subscribe, receive],
            ways,
        }
    }
}
