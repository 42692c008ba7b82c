//! Files of policy tests: a client, its policies, and a table of what it may do.
//!
//! ```yaml
//! tests:
//!   - name: a customer hears its own order
//!     client: customer-7
//!     documents: [customer.json]
//!     cases:
//!       - { hear: order/1, expect: allowed }
//!       - { subscribe: "order/+", expect: denied }
//! ```
//!
//! In place of `documents` a test may name a `role` of the configuration and the `claims` of a token, and is then about the documents
//! that are generated for them.
//!
//! As with the configuration, all faults of a file are told at once. Documents in files of their own are named here and read
//! by who asked for the tests.

use super::check::{self, Faults, text_of};
use super::fault::{Fault, Place, Severity};
use super::shape::{Key, Shape, optional, required};
use super::{elements, member, text, yaml};
use crate::channel::filter::Filter;
use crate::event::pattern::tree::{Node, NodeValue, Position};
use crate::policy::ask::Ask;
use crate::policy::context::{Context, Principal};
use crate::policy::document::Document;
use crate::policy::evaluate::Verdict;

/// The file as a whole.
const FILE: &[Key] = &[
    optional(
        "config",
        Shape::Text {
            example: "eventcast.yaml",
        },
        "The configuration whose roles tests name, beside this file. Default eventcast.yaml.",
    ),
    optional(
        "partition",
        Shape::Text { example: "aws" },
        "The partition in ARNs. Without it, what the documents name.",
    ),
    optional(
        "region",
        Shape::Text {
            example: "eu-central-1",
        },
        "The Region in ARNs. Without it, what the documents name.",
    ),
    optional(
        "account",
        Shape::Read { accepts: ACCOUNT },
        "The account in ARNs. Without it, what the documents name.",
    ),
    required(
        "tests",
        Shape::List(&Shape::Section(TEST)),
        "The tests: each a client, its policies, and cases.",
    ),
];

const TEST: &[Key] = &[
    required(
        "name",
        Shape::Text {
            example: "a customer hears its own order",
        },
        "What the test is about.",
    ),
    optional(
        "client",
        Shape::Read { accepts: CLIENT },
        "The client id, or everything that is known of the client. With `role`, the principal's name unless it is said.",
    ),
    optional(
        "documents",
        Shape::List(&Shape::Read { accepts: DOCUMENT }),
        "The client's policies: files, beside this one, or documents written out.",
    ),
    optional(
        "role",
        Shape::Text {
            example: "customer",
        },
        "A role of the configuration, in place of documents.",
    ),
    optional(
        "claims",
        Shape::Read { accepts: CLAIMS },
        "The claims of the token that has the role.",
    ),
    required(
        "cases",
        Shape::List(&Shape::Section(CASE)),
        "What is asked, and what is expected.",
    ),
];

const CASE: &[Key] = &[
    optional(
        "connect",
        Shape::Text {
            example: "customer-7",
        },
        "May it connect under this client id?",
    ),
    optional(
        "subscribe",
        Shape::Text { example: "order/+" },
        "May it subscribe to this filter?",
    ),
    optional(
        "publish",
        Shape::Text { example: "order/1" },
        "May it publish to this topic?",
    ),
    optional(
        "receive",
        Shape::Text { example: "order/1" },
        "Would a message on this topic be delivered to it?",
    ),
    optional(
        "hear",
        Shape::Text { example: "order/1" },
        "May it hear this topic: subscribe to some filter that matches it, and receive?",
    ),
    optional(
        "action",
        Shape::Text {
            example: "iot:GetRetainedMessage",
        },
        "Any other action, with `resource`.",
    ),
    optional(
        "resource",
        Shape::Text {
            example: "topic/order/1",
        },
        "What `action` is about: an ARN, or its part behind the fifth colon.",
    ),
    optional(
        "context",
        Shape::Read { accepts: CONTEXT },
        "Values of context keys in this case only.",
    ),
    required(
        "expect",
        Shape::Choice(EXPECTATIONS),
        "The expected decision; denied is either kind of it.",
    ),
];

const EXPECTATIONS: &[&str] = &["allowed", "denied", "explicit_deny", "implicit_deny"];
const QUESTIONS: [&str; 6] = [
    "connect",
    "subscribe",
    "publish",
    "receive",
    "hear",
    "action",
];
const ACCOUNT: &str = "an account number such as \"123456789012\"";
const CLIENT: &str =
    "a client id, or a mapping with clientId, principal, thing, certificate, conditions";
const DOCUMENT: &str = "a file's name, or a policy document";
const CLAIMS: &str = "a mapping of claims, such as { sub: 7, orders: [1, 2] }";
const CONTEXT: &str = "a mapping of context keys, such as aws:SourceIp: 203.0.113.7";

/// A file of tests, checked.
#[derive(Clone, Debug)]
pub struct PolicyTests {
    /// The configuration with the roles, if the file names one.
    pub config: Option<String>,
    /// The partition in ARNs, if the file says so.
    pub partition: Option<String>,
    /// The Region.
    pub region: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The tests, in the order of the file.
    pub tests: Vec<PolicyTest>,
}

/// A client, its policies, and cases.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// What it is about.
    pub name: String,
    /// The client.
    pub context: Context,
    /// Its policies; none when there is a role.
    pub documents: Vec<PolicySource>,
    /// What its policies are generated from.
    pub role: Option<PolicyRole>,
    /// The table.
    pub cases: Vec<PolicyCase>,
    /// The line where the test begins.
    pub line: usize,
}

/// A role and a token, in place of policies.
#[derive(Clone, Debug)]
pub struct PolicyRole {
    /// The role's name.
    pub name: String,
    /// The token's claims.
    pub claims: serde_json::Value,
    /// Where the role is named.
    pub at: Position,
}

/// Where a policy comes from.
#[derive(Clone, Debug)]
pub enum PolicySource {
    /// A file, named relative to the file of tests.
    File {
        /// As written.
        path: String,
        /// Where it is named.
        at: Position,
    },
    /// Written out in the file of tests.
    Inline(Document),
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct PolicyCase {
    /// What is asked.
    pub ask: Ask,
    /// Who asks: the test's client, with what this case says of it.
    pub context: Context,
    /// What is expected.
    pub expected: Expected,
    /// The line.
    pub line: usize,
}

/// An expected decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is allowed.
    Allowed,
    /// It is denied, in so many words or not.
    Denied,
    /// It is denied by a statement.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

impl Expected {
    /// Whether a verdict is as expected.
    pub fn is_met_by(self, verdict: Verdict) -> bool {
        match self {
            Self::Allowed => verdict == Verdict::Allowed,
            Self::Denied => verdict != Verdict::Allowed,
            Self::ExplicitDeny => verdict == Verdict::ExplicitDeny,
            Self::ImplicitDeny => verdict == Verdict::ImplicitDeny,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::ExplicitDeny => "explicit_deny",
            Self::ImplicitDeny => "implicit_deny",
        }
    }
}

/// Reads a file of tests, or tells everything that is wrong with it.
///
/// # Errors
/// All faults, in the order of the file.
pub fn load(file: &str, source: &str) -> Result<PolicyTests, Vec<Fault>> {
    let place = |at: Position| Place::file(file, at);
    let mut faults = Faults {
        place: &place,
        found: Vec::new(),
    };
    let root = match yaml::parse(source) {
        Ok(root) => root.unwrap_or(Node {
            value: NodeValue::Object(Vec::new()),
            at: Position { line: 1, column: 1 },
        }),
        Err(error) => {
            faults.error("not-yaml", "", error.at, error.message);
            return Err(faults.found);
        }
    };
    check::check(&root, &Shape::Section(FILE), "", &mut faults);
    let tests = PolicyTests {
        config: text(&root, "config"),
        partition: text(&root, "partition"),
        region: text(&root, "region"),
        account: member(&root, "account").and_then(|node| account(node, &mut faults)),
        tests: elements(&root, "tests")
            .iter()
            .enumerate()
            .map(|(index, node)| test(node, &format!("tests[{index}]"), &mut faults))
            .collect(),
    };
    let mut found = faults.found;
    found.sort_by_key(|fault| match &fault.place {
        Place::Override { .. } => (0, 0),
        Place::File { line, column, .. } => (*line, *column),
    });
    if found.iter().any(|fault| fault.severity == Severity::Error) {
        return Err(found);
    }
    Ok(tests)
}

/// An account as text or as a number, which YAML makes of it without quotes.
fn account(node: &Node, faults: &mut Faults<'_>) -> Option<String> {
    let account = match &node.value {
        NodeValue::String(text) => text_of(text),
        NodeValue::Number(number) => number.to_string(),
        _ => String::new(),
    };
    if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("`account` is {}", node.to_json());
        faults
            .error("bad-account", "account", node.at, message)
            .accepted = Some(ACCOUNT.into());
        return None;
    }
    Some(account)
}

fn test(node: &Node, key: &str, faults: &mut Faults<'_>) -> PolicyTest {
    let role = role(node, key, faults);
    let mut context = match member(node, "client") {
        Some(client) => client_context(client, &format!("{key}.client"), faults),
        None => Context::default(),
    };
    if role.is_some() {
        context.principal = context.principal.or(Some(Principal::CustomAuthorizer));
    } else if member(node, "client").is_none() {
        let message = format!("{key} has no `client`");
        let fault = faults.error("missing-key", &format!("{key}.client"), node.at, message);
        fault.accepted = Some(CLIENT.into());
        fault.help =
            Some("say who asks; a client id is enough where policies ask for no more".into());
    }
    let documents = elements(node, "documents").iter().enumerate();
    let documents = documents.filter_map(|(index, source)| {
        document(source, &format!("{key}.documents[{index}]"), faults)
    });
    let documents = documents.collect();
    let cases = elements(node, "cases").iter().enumerate();
    let cases = cases
        .filter_map(|(index, row)| case(row, &format!("{key}.cases[{index}]"), &context, faults));
    PolicyTest {
        name: text(node, "name").unwrap_or_default(),
        documents,
        cases: cases.collect(),
        role,
        context,
        line: node.at.line,
    }
}

/// The role of a test, which has either that or documents.
fn role(node: &Node, key: &str, faults: &mut Faults<'_>) -> Option<PolicyRole> {
    let (role, claims) = (member(node, "role"), member(node, "claims"));
    let documents = member(node, "documents");
    let mut unfit = |key: &str, at, message: String, help: &str| {
        faults.error("does-not-fit", key, at, message).help = Some(help.to_owned());
    };
    match (documents, role, claims) {
        (None, None, _) => unfit(
            key,
            node.at,
            format!("{key} has no policies"),
            "list them in `documents`, or name a `role` of the configuration",
        ),
        (Some(documents), Some(_), _) => unfit(
            key,
            documents.at,
            format!("{key} has both `documents` and `role`"),
            "leave one of them out",
        ),
        (Some(_), None, Some(claims)) => unfit(
            &format!("{key}.claims"),
            claims.at,
            format!("`{key}.claims` stands without `role`"),
            "name the role, or leave the claims out",
        ),
        _ => {}
    }
    let value = match claims {
        None => Ok(serde_json::Value::Object(serde_json::Map::new())),
        Some(claims) => match &claims.value {
            NodeValue::Object(_) => serde_json::from_str(&claims.to_json()).map_err(|_| claims),
            _ => Err(claims),
        },
    };
    let claims = value.unwrap_or_else(|claims| {
        let key = format!("{key}.claims");
        let message = format!("`{key}` is {}", claims.to_json());
        faults
            .error("bad-claims", &key, claims.at, message)
            .accepted = Some(CLAIMS.into());
        serde_json::Value::Null
    });
    Some(PolicyRole {
        name: text(node, "role")?,
        at: role?.at,
        claims,
    })
}

/// A client id alone, or the facts that `policy` reads from JSON.
fn client_context(node: &Node, key: &str, faults: &mut Faults<'_>) -> Context {
    let message = match &node.value {
        NodeValue::String(id) if !id.is_empty() => return Context::of_client(&text_of(id)),
        NodeValue::Object(_) => match serde_json::from_str(&node.to_json()) {
            Ok(context) => return context,
            Err(error) => {
                // The place is one in JSON that nobody wrote.
                let error = error.to_string();
                let what = error
                    .rsplit_once(" at line ")
                    .map_or(&*error, |(what, _)| what);
                format!("`{key}`: {what}")
            }
        },
        _ => format!("`{key}` is {}", node.to_json()),
    };
    let fault = faults.error("bad-client", key, node.at, message);
    fault.accepted = Some(CLIENT.into());
    fault.help = Some("a client id alone is enough where policies ask for nothing else".into());
    Context::default()
}

fn document(node: &Node, key: &str, faults: &mut Faults<'_>) -> Option<PolicySource> {
    match &node.value {
        NodeValue::String(path) if !path.is_empty() => Some(PolicySource::File {
            path: text_of(path),
            at: node.at,
        }),
        NodeValue::Object(_) => match Document::from_tree(node) {
            Ok(document) => Some(PolicySource::Inline(document)),
            Err(error) => {
                for fault in error.faults {
                    let key = check::join(key, &fault.key);
                    let told = faults.error(fault.code, &key, fault.at, fault.message);
                    told.accepted = Some(fault.accepted);
                    told.help = Some(fault.help);
                }
                None
            }
        },
        _ => {
            let message = format!("`{key}` is {}", node.to_json());
            faults.error("bad-document", key, node.at, message).accepted = Some(DOCUMENT.into());
            None
        }
    }
}

fn case(node: &Node, key: &str, client: &Context, faults: &mut Faults<'_>) -> Option<PolicyCase> {
    let mut context = client.clone();
    if let Some(facts) = member(node, "context") {
        case_context(facts, key, &mut context, faults);
    }
    let ask = question(node, key, &mut context, faults)?;
    let expected = match text(node, "expect")?.as_str() {
        "allowed" => Expected::Allowed,
        "denied" => Expected::Denied,
        "explicit_deny" => Expected::ExplicitDeny,
        "implicit_deny" => Expected::ImplicitDeny,
        // Reported as an unknown word.
        _ => return None,
    };
    Some(PolicyCase {
        ask,
        context,
        expected,
        line: node.at.line,
    })
}

fn case_context(node: &Node, key: &str, context: &mut Context, faults: &mut Faults<'_>) {
    // The facts' own reader knows what values may be.
    let facts = format!("{{\"conditions\":{}}}", node.to_json());
    let known: Result<Context, _> = serde_json::from_str(&facts);
    match (&node.value, known) {
        (NodeValue::Object(_), Ok(facts)) => context.extend(facts),
        _ => {
            let key = format!("{key}.context");
            let message = format!("`{key}` is {}", node.to_json());
            let fault = faults.error("bad-context", &key, node.at, message);
            fault.accepted = Some(CONTEXT.into());
            fault.help = Some("values are text, numbers, true or false, or lists of them".into());
        }
    }
}

/// The one question of a case. A client id to connect with becomes that of the context.
fn question(node: &Node, key: &str, context: &mut Context, faults: &mut Faults<'_>) -> Option<Ask> {
    let asked: Vec<&str> = QUESTIONS
        .into_iter()
        .filter(|name| member(node, name).is_some())
        .collect();
    let (&[name], resource) = (asked.as_slice(), member(node, "resource")) else {
        let message = match asked.as_slice() {
            [] => format!("`{key}` asks nothing"),
            _ => format!("`{key}` asks several questions: {}", asked.join(", ")),
        };
        let fault = faults.error("does-not-fit", key, node.at, message);
        fault.accepted = Some(format!("one of {}", QUESTIONS.join(", ")));
        fault.help = Some("write one case for each question".into());
        return None;
    };
    if (name == "action") != resource.is_some() {
        let message = format!("`{key}` has one of `action` and `resource`");
        let fault = faults.error("does-not-fit", key, node.at, message);
        fault.accepted = Some("both, or neither".into());
        fault.help =
            Some("write { action: iot:GetRetainedMessage, resource: topic/order/1, … }".into());
        return None;
    }
    // Another type is reported as such.
    let value = text(node, name)?;
    let at = member(node, name)?.at;
    let topic = |ask: fn(Filter) -> Ask| {
        Filter::exact(&value)
            .map(ask)
            .map_err(|error| error.to_string())
    };
    let ask = match name {
        "connect" => {
            context.client_id = Some(value.as_str().into());
            Ok(Ask::Connect)
        }
        "subscribe" => Filter::parse(&value)
            .map(Ask::Subscribe)
            .map_err(|error| error.to_string()),
        "publish" => topic(Ask::Publish),
        "receive" => topic(Ask::Receive),
        "hear" => topic(Ask::Hear),
        _ => Ok(Ask::Action {
            action: value.clone(),
            resource: text(node, "resource")?,
        }),
    };
    match ask {
        Ok(ask) => Some(ask),
        Err(error) => {
            let key = format!("{key}.{name}");
            let message = format!("`{key}` is `{value}`: {error}");
            let fault = faults.error("bad-topic", &key, at, message);
            fault.accepted = Some(
                "a topic such as `order/1`; a filter such as `order/+` to subscribe to".into(),
            );
            fault.help = Some("IoT Core would refuse it whatever the policies say".into());
            None
        }
    }
}

#[cfg(test)]
mod tests;
