//! Permissions that pooled policy documents give one client: the answer to a broker's questions, by
//! the real evaluator ([`crate::policy`]).
//!
//! The origin of the documents does not matter here: a custom authorizer's, those attached to a
//! certificate, an IAM user's. All that concern a client are pooled, and a deny in one of them
//! wins, as AWS has it (IAM user guide, "Policy evaluation logic").

use std::sync::Arc;

use crate::policy::arn::ResourceArn;
use crate::policy::context::Context;
use crate::policy::document::Document;
use crate::policy::draft::Draft;
use crate::policy::evaluate::{self, Request, StatementRef, Verdict, decide};
use crate::policy::explain::near_misses;
use crate::policy::query_report::Policies;
use crate::policy::scope::{ResourceKind, Scope};
use crate::port::{AccessDecision, ClientAccess, ClientAction, Grounds, RequestingClient};

/// The documents of one principal, and the other facts that policies can ask for.
#[derive(Clone, Debug)]
pub struct Documents {
    /// The role that they were made for.
    pub role: Option<Box<str>>,
    /// All policies that concern the client, pooled.
    pub policies: Arc<Policies>,
    /// Partition, Region and account of the ARNs that are asked about.
    pub scope: Scope,
    /// Proof of the client's identity, its thing and certificate. Its client id, address and host
    /// are added for each connection.
    pub context: Context,
    /// Reason why there are no documents, where there are none: the client receives it instead of
    /// "no statement allows it".
    pub none: Option<Box<str>>,
}

/// Generated documents under the names that explanations have for them.
///
/// # Errors
/// One line, where one of them cannot be read.
pub fn policies(drafts: &[Draft]) -> Result<Policies, &'static str> {
    let mut policies = Policies::default();
    for (index, draft) in drafts.iter().enumerate() {
        // As a person reads it, since explanations name lines.
        let text = draft.pretty();
        let document = Document::parse(&text);
        let document = document.map_err(|_| "the generated documents cannot be read")?;
        policies.push(format!("policy {}", index + 1), text, document);
    }
    Ok(policies)
}

impl ClientAccess for Documents {
    fn decide(&self, client: &RequestingClient, action: ClientAction<'_>) -> AccessDecision {
        let mut context = self.context(client);
        let (name, kind, resource) = match action {
            ClientAction::Connect { persistent, will } => {
                self.describe_connect(&mut context, persistent, will);
                ("iot:Connect", ResourceKind::Client, &*client.id)
            }
            ClientAction::Publish(topic) => ("iot:Publish", ResourceKind::Topic, topic),
            ClientAction::RetainPublish(topic) => ("iot:RetainPublish", ResourceKind::Topic, topic),
            ClientAction::Subscribe(filter) => ("iot:Subscribe", ResourceKind::TopicFilter, filter),
            ClientAction::Receive(topic) => ("iot:Receive", ResourceKind::Topic, topic),
        };
        let resource = self.scope.arn(kind, resource);
        let request = Request {
            action: name,
            resource: ResourceArn::new(&resource),
            context: &context,
        };
        let decision = decide(&self.policies.documents, &request);
        if decision.is_allowed() {
            AccessDecision::Allowed
        } else {
            AccessDecision::Denied(self.why(&request, &resource, &decision).into())
        }
    }

    fn grounds(&self, client: &RequestingClient) -> Option<Grounds> {
        Some(Grounds {
            role: self.role.clone(),
            policies: Arc::clone(&self.policies),
            scope: self.scope.clone(),
            context: self.context(client),
        })
    }
}

impl Documents {
    /// Values that policies may ask of a client, whatever it does.
    fn context(&self, client: &RequestingClient) -> Context {
        let mut context = self.context.clone();
        context.client_id = Some((&*client.id).into());
        context.set("aws:SourceIp", [client.source.to_string()]);
        if let Some(name) = &client.domain_name {
            context.set("iot:DomainName", [&**name]);
        }
        context
    }

    fn describe_connect(&self, context: &mut Context, persistent: bool, will: Option<&str>) {
        let attributes = [
            persistent.then_some("PersistentConnect"),
            will.map(|_| "LastWill"),
        ];
        // None of them is an answer too.
        context.set("iot:ConnectAttributes", attributes.into_iter().flatten());
        if let Some(topic) = will {
            context.set(
                "iot:LastWillTopic",
                [self.scope.arn(ResourceKind::Topic, topic)],
            );
        }
    }

    /// One line: the question, and the statement that denied it, or that came nearest to allowing
    /// it.
    fn why(
        &self,
        request: &Request<'_>,
        resource: &str,
        decision: &evaluate::PolicyDecision,
    ) -> String {
        let asked = format!("{} on `{resource}`", request.action);
        if let Some(none) = self.none.as_ref()
            && self.policies.documents.is_empty()
        {
            return format!("{asked}: {none}");
        }
        if decision.verdict == Verdict::ExplicitDeny {
            let denies = decision.statements.first();
            let denies = denies.map_or_else(String::new, |at| self.named(at));
            return format!("{asked}: {denies} denies it");
        }
        let nearest = near_misses(&self.policies.documents, request);
        match nearest.first() {
            Some(near) => {
                let reasons = near.reasons.join("; ");
                let statement = self.named(&near.statement);
                format!("{asked}: no statement allows it; nearest is {statement}: {reasons}")
            }
            None => format!("{asked}: no statement allows it"),
        }
    }

    fn named(&self, at: &StatementRef) -> String {
        let policies = &self.policies;
        let document = policies.documents.get(at.document);
        let statement = document.and_then(|document| document.statements.get(at.statement));
        let sid = statement.and_then(|statement| statement.sid.as_deref());
        let name = policies.names.get(at.document).map_or("", String::as_str);
        match sid {
            Some(sid) => format!("statement `{sid}` of {name}"),
            None => format!("statement {} of {name}", at.statement + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::context::ClientPrincipal;

    fn documents(text: &str) -> Documents {
        let mut policies = Policies::default();
        let document = Document::parse(text).unwrap();
        policies.push("document 1".into(), text.into(), document);
        let mut context = Context::default();
        context.principal = Some(ClientPrincipal::CustomAuthorizer);
        Documents {
            role: None,
            scope: Scope::of(&policies.documents).unwrap(),
            policies: Arc::new(policies),
            context,
            none: None,
        }
    }

    const TEXT: &str = r#"{"Version": "2012-10-17", "Statement": [
        {"Sid": "Connect", "Effect": "Allow", "Action": "iot:Connect",
         "Resource": "arn:aws:iot:eu-central-1:123456789012:client/${iot:ClientId}",
         "Condition": {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]},
                       "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}},
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:RetainPublish"],
         "Resource": "arn:aws:iot:eu-central-1:123456789012:topic/status/${iot:ClientId}"},
        {"Effect": "Allow", "Action": "iot:Subscribe",
         "Resource": "arn:aws:iot:eu-central-1:123456789012:topicfilter/order/*"},
        {"Effect": "Allow", "Action": "iot:Receive",
         "Resource": "arn:aws:iot:eu-central-1:123456789012:topic/order/*"},
        {"Sid": "Not1", "Effect": "Deny", "Action": "iot:Receive",
         "Resource": "arn:aws:iot:eu-central-1:123456789012:topic/order/1"}]}"#;

    #[test]
    fn decisions_and_why() {
        let documents = documents(TEXT);
        let client = |source: [u8; 4]| RequestingClient {
            id: "a".into(),
            source: source.into(),
            domain_name: None,
        };
        let connect = |persistent, will| ClientAction::Connect { persistent, will };
        let mut told = Vec::new();
        for (source, action) in [
            ([127, 0, 0, 1], connect(false, None)),
            ([127, 0, 0, 1], connect(false, Some("status/a"))),
            ([127, 0, 0, 1], connect(true, None)),
            ([10, 0, 0, 1], connect(false, None)),
            ([127, 0, 0, 1], ClientAction::Publish("status/a")),
            ([127, 0, 0, 1], ClientAction::RetainPublish("status/a")),
            ([127, 0, 0, 1], ClientAction::Publish("status/b")),
            ([127, 0, 0, 1], ClientAction::Subscribe("order/#")),
            ([127, 0, 0, 1], ClientAction::Subscribe("other/#")),
            ([127, 0, 0, 1], ClientAction::Receive("order/2")),
            ([127, 0, 0, 1], ClientAction::Receive("order/1")),
        ] {
            let decision = documents.decide(&client(source), action);
            told.push(format!("{action:?}\n    {decision:?}"));
        }
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn without_documents_it_is_said_why() {
        let nobody = Documents {
            policies: Arc::default(),
            none: Some("no policy is attached".into()),
            ..documents(TEXT)
        };
        let client = RequestingClient {
            id: "a".into(),
            source: [127, 0, 0, 1].into(),
            domain_name: None,
        };
        let AccessDecision::Denied(why) = nobody.decide(&client, ClientAction::Publish("t")) else {
            panic!("it is allowed");
        };
        assert_eq!(
            &*why,
            "iot:Publish on `arn:aws:iot:eu-central-1:123456789012:topic/t`: no policy is attached"
        );
        let grounds = nobody.grounds(&client).unwrap();
        assert!(grounds.policies.documents.is_empty());
    }
}
