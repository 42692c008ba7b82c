//! Questions about a client, and their answers with everything that an explanation needs.

use super::arn::ResourceArn;
use super::evaluate::{PolicyDecision, Request, Verdict, decide};
use super::explain::{NearMiss, near_misses};
use super::scope::ResourceKind;
use super::simulate::{FilterPath, Simulation};
use crate::channel::filter::Filter;

/// The context key of the attributes that a client requests with its CONNECT packet.
pub const CONNECT_ATTRIBUTES: &str = "iot:ConnectAttributes";

/// A question about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// May it connect?
    Connect,
    /// May it subscribe to a filter?
    Subscribe(Filter),
    /// May it publish to a topic?
    Publish(Filter),
    /// May it publish a retained message to a topic?
    Retain(Filter),
    /// May it connect and leave a will on a topic?
    Will {
        /// The will's topic.
        topic: Filter,
        /// Retain flag of the will.
        retain: bool,
    },
    /// Would a message on a topic be delivered to it, once it has subscribed?
    Receive(Filter),
    /// May it receive the messages on a topic: subscribe to some filter that matches it, and be
    /// delivered them?
    Hear(Filter),
    /// Any action on any resource.
    Action {
        /// Such as `iot:GetRetainedMessage`.
        action: String,
        /// An ARN, or the text after its fifth colon, such as `topic/order/1`.
        resource: String,
    },
}

/// Permissions of a client, with their reasons.
#[derive(Clone, Debug)]
pub struct PolicyAnswer {
    /// For `Hear`, explicit when the topic's own filter or Receive is denied in so many words.
    pub verdict: Verdict,
    /// The decisions behind it; for `Hear` that on the topic's own filter, and that on receiving.
    pub checks: Vec<PolicyCheck>,
    /// For `Hear`, the filters by which the client receives the topic.
    pub ways: Vec<FilterPath>,
    /// Further remarks on the answer, in words.
    pub notes: Vec<String>,
}

impl PolicyAnswer {
    /// Returns `true` where the client may do what was asked.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }
}

/// One decision and its grounds.
#[derive(Clone, Debug)]
pub struct PolicyCheck {
    /// The action.
    pub action: String,
    /// The ARN.
    pub resource: String,
    /// The decision.
    pub decision: PolicyDecision,
    /// For an implicit deny, the statements that allow the action, but not here.
    pub near_misses: Vec<NearMiss>,
}

impl Simulation<'_> {
    /// Answers a question.
    pub fn ask(&self, ask: &Ask) -> PolicyAnswer {
        let scope = self.scope;
        let client_id = self.context.client_id.as_deref().unwrap_or_default();
        match ask {
            Ask::Connect => self.connecting(),
            Ask::Subscribe(filter) => self.one(
                "iot:Subscribe",
                scope.arn(ResourceKind::TopicFilter, filter.as_str()),
            ),
            Ask::Publish(topic) => self.publishing(topic),
            Ask::Retain(topic) => {
                self.all(["iot:Publish", "iot:RetainPublish"].map(|action| {
                    self.check(action, scope.arn(ResourceKind::Topic, topic.as_str()))
                }))
            }
            Ask::Will { topic, retain } => {
                let arn = scope.arn(ResourceKind::Topic, topic.as_str());
                let mut context = self.context.clone();
                context.add(CONNECT_ATTRIBUTES, "LastWill");
                context.set("iot:LastWillTopic", [arn.as_str()]);
                let connecting = Simulation {
                    context: &context,
                    ..*self
                };
                let connect = scope.arn(ResourceKind::Client, client_id);
                let publish = self.check("iot:Publish", arn.clone());
                let retain = retain.then(|| self.check("iot:RetainPublish", arn));
                let checks = [connecting.check("iot:Connect", connect), publish];
                self.all(checks.into_iter().chain(retain))
            }
            Ask::Receive(topic) => self.one(
                "iot:Receive",
                scope.arn(ResourceKind::Topic, topic.as_str()),
            ),
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

    fn one(&self, action: &str, resource: String) -> PolicyAnswer {
        self.all([self.check(action, resource)])
    }

    /// Answer that sums up all of some checks.
    fn all(&self, checks: impl IntoIterator<Item = PolicyCheck>) -> PolicyAnswer {
        let checks: Vec<PolicyCheck> = checks.into_iter().collect();
        let is = |verdict| move |check: &PolicyCheck| check.decision.verdict == verdict;
        let verdict = if checks.iter().all(is(Verdict::Allowed)) {
            Verdict::Allowed
        } else if checks.iter().any(is(Verdict::ExplicitDeny)) {
            Verdict::ExplicitDeny
        } else {
            Verdict::ImplicitDeny
        };
        PolicyAnswer {
            verdict,
            checks,
            ways: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Connecting, with a note when a persistent session is refused.
    fn connecting(&self) -> PolicyAnswer {
        let client_id = self.context.client_id.as_deref().unwrap_or_default();
        let arn = self.scope.arn(ResourceKind::Client, client_id);
        let mut answer = self.one("iot:Connect", arn.clone());
        let mut context = self.context.clone();
        context.add(CONNECT_ATTRIBUTES, "PersistentConnect");
        let persistent = Simulation {
            context: &context,
            ..*self
        };
        if answer.is_allowed() && !persistent.decide("iot:Connect", &arn).is_allowed() {
            let note = "a persistent session is refused: a condition on iot:ConnectAttributes";
            answer.notes.push(note.to_owned());
        }
        answer
    }

    /// Publishing, with a note when a retained message is refused.
    fn publishing(&self, topic: &Filter) -> PolicyAnswer {
        let arn = self.scope.arn(ResourceKind::Topic, topic.as_str());
        let mut answer = self.one("iot:Publish", arn.clone());
        if answer.is_allowed() && !self.decide("iot:RetainPublish", &arn).is_allowed() {
            let note = "a retained message is refused: iot:RetainPublish is not allowed there";
            answer.notes.push(note.to_owned());
        }
        answer
    }

    fn check(&self, action: &str, resource: String) -> PolicyCheck {
        let request = Request {
            action,
            resource: ResourceArn::new(&resource),
            context: self.context,
        };
        let decision = decide(self.documents, &request);
        let near_misses = match decision.verdict {
            Verdict::ImplicitDeny => near_misses(self.documents, &request),
            _ => Vec::new(),
        };
        PolicyCheck {
            action: action.to_owned(),
            decision,
            near_misses,
            resource,
        }
    }

    fn hearing(&self, topic: &Filter) -> PolicyAnswer {
        let ways = self.hear(topic).filters;
        let name = topic.as_str();
        let subscribe = self.check(
            "iot:Subscribe",
            self.scope.arn(ResourceKind::TopicFilter, name),
        );
        let receive = self.check("iot:Receive", self.scope.arn(ResourceKind::Topic, name));
        let verdicts = [subscribe.decision.verdict, receive.decision.verdict];
        let verdict = if receive.decision.is_allowed() && !ways.is_empty() {
            Verdict::Allowed
        } else if verdicts.contains(&Verdict::ExplicitDeny) {
            Verdict::ExplicitDeny
        } else {
            Verdict::ImplicitDeny
        };
        PolicyAnswer {
            verdict,
            checks: vec![subscribe, receive],
            ways,
            notes: Vec::new(),
        }
    }
}
