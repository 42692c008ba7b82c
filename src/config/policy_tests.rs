//! Files of policy tests: a client, its policies, and a table of questions with the expected
//! decisions.
//!
//! ```yaml
//! tests:
//!   - name: a customer receives its own order
//!     client: customer-7
//!     documents: [customer.json]
//!     cases:
//!       - { receive: order/1, expect: allowed }
//!       - { subscribe: "order/+", expect: denied }
//! ```
//!
//! In place of `documents` a test may name a `role` of the configuration and the `claims` of a token, and is then about the documents
//! that are generated for them.
//!
//! As with the configuration, all faults of a file are reported at once. Documents in files of
//! their own are named here and read by the caller.

mod case;
mod client;
mod keys;

use self::case::case;
use self::client::{client_context, document, role};
use self::keys::{ACCOUNT, CLIENT, FILE};
use super::check::{self, Faults, text_of};
use super::fault::{Fault, Severity, ValuePlace};
use super::shape::Shape;
use super::{elements, member, text, yaml};
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue};
use crate::policy::ask::Ask;
use crate::policy::context::{ClientPrincipal, Context};
use crate::policy::document::Document;
use crate::policy::evaluate::Verdict;

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
    /// Subject of the test.
    pub name: String,
    /// The client.
    pub context: Context,
    /// Its policies; none when there is a role.
    pub documents: Vec<PolicySource>,
    /// The role and claims from which its policies are generated.
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
    /// Position of the role's name.
    pub at: TextPosition,
}

/// Source of a policy.
#[derive(Clone, Debug)]
pub enum PolicySource {
    /// A file, named relative to the file of tests.
    File {
        /// As written.
        path: String,
        /// Position of its name.
        at: TextPosition,
    },
    /// Written out in the file of tests.
    Inline(Document),
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct PolicyCase {
    /// The question.
    pub ask: Ask,
    /// The client that asks: the test's client, with the changes of this case.
    pub context: Context,
    /// The expected decision.
    pub expected: ExpectedDecision,
    /// The line.
    pub line: usize,
}

/// An expected decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedDecision {
    /// It is allowed.
    Allowed,
    /// It is denied, in so many words or not.
    Denied,
    /// It is denied by a statement.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

impl ExpectedDecision {
    /// Returns `true` where a verdict is as expected.
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

/// Reads a file of tests, or reports all its faults.
///
/// # Errors
/// All faults, in the order of the file.
pub fn load(file: &str, source: &str) -> Result<PolicyTests, Vec<Fault>> {
    let place = |at: TextPosition| ValuePlace::file(file, at);
    let mut faults = Faults {
        place: &place,
        found: Vec::new(),
    };
    let root = match yaml::parse(source) {
        Ok(root) => root.unwrap_or(TreeValue::empty_object(TextPosition { line: 1, column: 1 })),
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
        ValuePlace::Override { .. } => (0, 0),
        ValuePlace::File { line, column, .. } => (*line, *column),
    });
    if found.iter().any(|fault| fault.severity == Severity::Error) {
        return Err(found);
    }
    Ok(tests)
}

/// An account as text or as a number, which YAML makes of it without quotes.
fn account(node: &TreeValue, faults: &mut Faults<'_>) -> Option<String> {
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

fn test(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> PolicyTest {
    let role = role(node, key, faults);
    let mut context = match member(node, "client") {
        Some(client) => client_context(client, &format!("{key}.client"), faults),
        None => Context::default(),
    };
    if role.is_some() {
        context.principal = context
            .principal
            .or(Some(ClientPrincipal::CustomAuthorizer));
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

#[cfg(test)]
mod tests;
