//! Decision of all policies of a principal together on one request.
//!
//! Everything is denied that no statement allows; a statement that denies wins over all that allow,
//! whichever document it is in (IAM user guide, "Policy evaluation logic"; AWS IoT Core pools all
//! policies of a principal). The result has the shape of iot:TestAuthorization: the decision, the
//! statements that made it, and the context keys that were missing.

use serde::Serialize;

use super::arn::ResourceArn;
use super::context::Context;
use super::document::{Document, Effect, Statement};
use super::variable::ContextKey;

/// Request of a client.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The action, such as `iot:Publish`, in any case.
    pub action: &'r str,
    /// Resource of the request, such as `arn:aws:iot:us-east-1:123456789012:topic/order/1`.
    pub resource: ResourceArn<'r>,
    /// The client that asks.
    pub context: &'r Context,
}

/// The verdict, in the words of iot:TestAuthorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// A statement allows it, and none denies it.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement says anything about it.
    ImplicitDeny,
}

impl Verdict {
    /// The word that AWS has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "ALLOWED",
            Self::ExplicitDeny => "EXPLICIT_DENY",
            Self::ImplicitDeny => "IMPLICIT_DENY",
        }
    }
}

/// A statement, by its places among the documents and among its document's statements, both counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StatementRef {
    /// The document.
    pub document: usize,
    /// The statement.
    pub statement: usize,
}

/// A verdict and its grounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDecision {
    /// The verdict.
    pub verdict: Verdict,
    /// The statements that made it: all that deny, or else all that allow.
    pub statements: Vec<StatementRef>,
    /// The context keys that statements about this action asked for and the request did not have.
    pub missing: Vec<Box<str>>,
}

impl PolicyDecision {
    /// Returns `true` where the request is allowed.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }
}

/// Decides one request by all documents together. The cost is about one comparison for each resource of the statements
/// about its action.
pub fn decide<'d>(
    documents: impl IntoIterator<Item = &'d Document>,
    request: &Request<'_>,
) -> PolicyDecision {
    let action = request.action.to_ascii_lowercase();
    let (mut allows, mut denies, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (document, Document { statements, .. }) in documents.into_iter().enumerate() {
        for (index, statement) in statements.iter().enumerate() {
            if applies(statement, &action, request, &mut missing) {
                let found = match statement.effect {
                    Effect::Allow => &mut allows,
                    Effect::Deny => &mut denies,
                };
                found.push(StatementRef {
                    document,
                    statement: index,
                });
            }
        }
    }
    let (verdict, statements) = match (denies.is_empty(), allows.is_empty()) {
        (false, _) => (Verdict::ExplicitDeny, denies),
        (true, false) => (Verdict::Allowed, allows),
        (true, true) => (Verdict::ImplicitDeny, allows),
    };
    PolicyDecision {
        verdict,
        statements,
        missing,
    }
}

/// Returns `true` where a statement is about the request. `action` is in lower case.
fn applies(
    statement: &Statement,
    action: &str,
    request: &Request<'_>,
    missing: &mut Vec<Box<str>>,
) -> bool {
    let Request {
        resource, context, ..
    } = request;
    if !statement
        .actions
        .means(|listed| listed.matches_lower(action))
    {
        return false;
    }
    for listed in statement.resources.listed() {
        note(missing, listed.pattern.unresolved(context));
    }
    if !statement
        .resources
        .means(|listed| listed.pattern.matches(resource, context))
    {
        return false;
    }
    for condition in &statement.conditions {
        note(missing, condition.missing(context));
    }
    statement
        .conditions
        .iter()
        .all(|condition| condition.holds(context))
}

/// Adds keys that are not there yet.
fn note<'k>(missing: &mut Vec<Box<str>>, keys: impl Iterator<Item = &'k ContextKey>) {
    for key in keys {
        if !missing
            .iter()
            .any(|known| known.eq_ignore_ascii_case(key.as_str()))
        {
            missing.push(key.as_str().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:iot:us-east-1:1:topic/";

    fn document(statements: &str) -> Document {
        let statements = statements.replace("topic/", TOPIC);
        Document::parse(&format!(
            r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#
        ))
        .unwrap()
    }

    /// The decision on `iot:Publish` to a topic: verdict, statements as `document.statement`, missing keys.
    fn decided(documents: &[Document], topic: &str, context: &Context) -> String {
        let resource = format!("{TOPIC}{topic}");
        let request = Request {
            action: "iot:Publish",
            resource: ResourceArn::new(&resource),
            context,
        };
        let decision = decide(documents, &request);
        let statements: Vec<String> = decision
            .statements
            .iter()
            .map(|at| format!("{}.{}", at.document, at.statement))
            .collect();
        format!(
            "{} [{}] [{}]",
            decision.verdict.as_str(),
            statements.join(","),
            decision.missing.join(",")
        )
    }

    #[test]
    fn documents_are_pooled_and_deny_wins() {
        let documents = [
            document(
                r#"{"Effect":"Allow","Action":"iot:*","Resource":"topic/*"},
                   {"Effect":"Allow","Action":"iot:Publish","Resource":["topic/a","topic/b"]}"#,
            ),
            document(r#"{"Effect":"Deny","Action":"iot:publish","Resource":"topic/b"}"#),
        ];
        let context = Context::of_client("c");
        assert_eq!(decided(&documents, "a", &context), "ALLOWED [0.0,0.1] []");
        assert_eq!(decided(&documents, "b", &context), "EXPLICIT_DENY [1.0] []");
        assert_eq!(
            decided(&documents[1..], "a", &context),
            "IMPLICIT_DENY [] []"
        );
        assert_eq!(decided(&[], "a", &context), "IMPLICIT_DENY [] []");
    }

    #[test]
    fn lists_of_what_is_not_meant() {
        let documents = [document(
            r#"{"Effect":"Allow","NotAction":"iot:Connect","NotResource":["topic/secret/*"]}"#,
        )];
        let context = Context::of_client("c");
        assert_eq!(decided(&documents, "a", &context), "ALLOWED [0.0] []");
        assert_eq!(
            decided(&documents, "secret/a", &context),
            "IMPLICIT_DENY [] []"
        );
    }

    #[test]
    fn missing_keys_are_told_once() {
        let documents = [document(
            r#"{"Effect":"Allow","Action":"iot:Publish","Resource":["topic/${iot:Connection.Thing.ThingName}","topic/a"],
                "Condition":{"StringEquals":{"aws:SourceIp":"x"},"StringNotEquals":{"AWS:SOURCEIP":"y"},"Null":{"k":"true"},
                             "StringLike":{"iot:ClientId":"${iot:DomainName}"}}},
               {"Effect":"Allow","Action":"iot:Connect","Resource":"topic/${iot:Nothing}"}"#,
        )];
        let context = Context::of_client("c");
        assert_eq!(
            decided(&documents, "a", &context),
            "IMPLICIT_DENY [] [iot:Connection.Thing.ThingName,aws:SourceIp,iot:DomainName]"
        );
        assert_eq!(
            decided(&documents, "b", &context),
            "IMPLICIT_DENY [] [iot:Connection.Thing.ThingName]"
        );
    }

    #[test]
    fn a_deny_with_an_unresolved_variable_denies_nothing() {
        let documents = [
            document(r#"{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}"#),
            document(
                r#"{"Effect":"Deny","Action":"iot:Publish","Resource":"topic/${iot:Nothing}"}"#,
            ),
        ];
        let context = Context::of_client("c");
        assert_eq!(
            decided(&documents, "a", &context),
            "ALLOWED [0.0] [iot:Nothing]"
        );
    }
}
