//! What a client may do by its policy documents, decided by the real evaluator ([`crate::policy`]).

use std::sync::Arc;

use crate::policy::arn::Arn;
use crate::policy::context::Context;
use crate::policy::document::Document;
use crate::policy::evaluate::{self, Request, Verdict, decide};
use crate::policy::explain::near_misses;
use crate::policy::scope::{Kind, Scope};
use crate::port::{Access, Action, Client, Decision};

/// The documents of one principal, and what else policies can ask about it.
#[derive(Clone, Debug)]
pub struct Documents {
    /// All policies that concern the client, pooled.
    pub documents: Arc<[Document]>,
    /// Partition, Region and account of the ARNs that are asked about.
    pub scope: Scope,
    /// How the client proved who it is, its thing and certificate. Its client id, address and host are added for each connection.
    pub context: Context,
}

impl Access for Documents {
    fn decide(&self, client: &Client, action: Action<'_>) -> Decision {
        let mut context = self.context.clone();
        context.client_id = Some((&*client.id).into());
        context.set("aws:SourceIp", [client.source.to_string()]);
        if let Some(name) = &client.domain_name {
            context.set("iot:DomainName", [&**name]);
        }
        let (name, kind, resource) = match action {
            Action::Connect { persistent, will } => {
                self.describe_connect(&mut context, persistent, will);
                ("iot:Connect", Kind::Client, &*client.id)
            }
            Action::Publish(topic) => ("iot:Publish", Kind::Topic, topic),
            Action::RetainPublish(topic) => ("iot:RetainPublish", Kind::Topic, topic),
            Action::Subscribe(filter) => ("iot:Subscribe", Kind::TopicFilter, filter),
            Action::Receive(topic) => ("iot:Receive", Kind::Topic, topic),
        };
        let resource = self.scope.arn(kind, resource);
        let request = Request {
            action: name,
            resource: Arn::new(&resource),
            context: &context,
        };
        let decision = decide(self.documents.iter(), &request);
        if decision.is_allowed() {
            Decision::Allowed
        } else {
            Decision::Denied(self.why(&request, &resource, &decision).into())
        }
    }
}

impl Documents {
    fn describe_connect(&self, context: &mut Context, persistent: bool, will: Option<&str>) {
        let attributes = [
            persistent.then_some("PersistentConnect"),
            will.map(|_| "LastWill"),
        ];
        let attributes: Vec<&str> = attributes.into_iter().flatten().collect();
        if !attributes.is_empty() {
            context.set("iot:ConnectAttributes", attributes);
        }
        if let Some(topic) = will {
            context.set("iot:LastWillTopic", [self.scope.arn(Kind::Topic, topic)]);
        }
    }

    /// One line: what was asked, and which statement said no, or came nearest to a yes.
    fn why(&self, request: &Request<'_>, resource: &str, decision: &evaluate::Decision) -> String {
        let asked = format!("{} on `{resource}`", request.action);
        let named = |at: &evaluate::StatementRef| {
            let statement = self
                .documents
                .get(at.document)
                .and_then(|document| document.statements.get(at.statement));
            let sid = statement.and_then(|statement| statement.sid.as_deref());
            let (document, statement) = (at.document + 1, at.statement + 1);
            match sid {
                Some(sid) => format!("statement `{sid}` of document {document}"),
                None => format!("statement {statement} of document {document}"),
            }
        };
        if decision.verdict == Verdict::ExplicitDeny {
            let denies = decision.statements.first().map_or_else(String::new, named);
            return format!("{asked}: {denies} denies it");
        }
        let nearest = near_misses(self.documents.iter(), request);
        match nearest.first() {
            Some(near) => {
                let reasons = near.reasons.join("; ");
                let statement = named(&near.statement);
                format!("{asked}: no statement allows it; nearest is {statement}: {reasons}")
            }
            None => format!("{asked}: no statement allows it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::context::Principal;

    fn documents(text: &str) -> Documents {
        let documents = [Document::parse(text).unwrap()];
        let mut context = Context::default();
        context.principal = Some(Principal::CustomAuthorizer);
        Documents {
            scope: Scope::of(&documents).unwrap(),
            documents: documents.into(),
            context,
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
        let client = |source: [u8; 4]| Client {
            id: "a".into(),
            source: source.into(),
            domain_name: None,
        };
        let connect = |persistent, will| Action::Connect { persistent, will };
        let mut told = Vec::new();
        for (source, action) in [
            ([127, 0, 0, 1], connect(false, None)),
            ([127, 0, 0, 1], connect(false, Some("status/a"))),
            ([127, 0, 0, 1], connect(true, None)),
            ([10, 0, 0, 1], connect(false, None)),
            ([127, 0, 0, 1], Action::Publish("status/a")),
            ([127, 0, 0, 1], Action::RetainPublish("status/a")),
            ([127, 0, 0, 1], Action::Publish("status/b")),
            ([127, 0, 0, 1], Action::Subscribe("order/#")),
            ([127, 0, 0, 1], Action::Subscribe("other/#")),
            ([127, 0, 0, 1], Action::Receive("order/2")),
            ([127, 0, 0, 1], Action::Receive("order/1")),
        ] {
            let decision = documents.decide(&client(source), action);
            told.push(format!("{action:?}\n    {decision:?}"));
        }
        insta::assert_snapshot!(told.join("\n"));
    }
}
