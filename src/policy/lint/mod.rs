//! Lints: parts of documents that are probably not meant as they are written.
//!
//! One file for each family of rules. A rule has a code that stays, a reason, a fix, and a section in `docs/lints.md`. Three codes are those
//! of Device Defender's audit (its guide, "AWS IoT policies overly permissive" and "AWS IoT policy potentially misconfigured"), so that
//! what it would report later is known before a policy is attached. Unlike Device Defender, which sees named policies only, the documents
//! of authorizers and IAM roles are looked at as well. All documents are taken to concern the same clients.

mod access;
mod action;
mod condition;
mod connect;
mod delivery;
mod deny;
pub mod impossible;
pub(super) mod leftover;
mod resource;
mod sid;
mod size;
mod variable;

use super::context::{ClientPrincipal, Context};
use super::document::{Document, ResourcePattern, Statement};
use super::scope::Scope;
use crate::event::pattern::tree::TextPosition;

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct LintRule {
    /// Its name in reports.
    pub code: &'static str,
    /// Gravity of a finding.
    pub level: FindingLevel,
    /// Reason why it matters, in one sentence.
    pub reason: &'static str,
    /// Fix, in one sentence.
    pub fix: &'static str,
}

/// Gravity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// It may be meant.
    Warning,
    /// Somebody gets more, or less, than can be meant.
    Error,
}

/// All rules, in the order of their documentation.
pub const RULES: [&LintRule; 31] = [
    &access::BROAD_ACCESS,
    &connect::ANY_CLIENT,
    &connect::OWN_CLIENT_ID,
    &connect::CLIENT_ID_AS_WILDCARD,
    &delivery::SUBSCRIBE_WITHOUT_RECEIVE,
    &delivery::BROAD_RECEIVE,
    &delivery::RECEIVE_WITHOUT_SUBSCRIBE,
    &delivery::RETAIN_WITHOUT_PUBLISH,
    &deny::MQTT_WILDCARDS,
    &deny::WALKED_AROUND,
    &deny::SUBSCRIBE_ALONE,
    &impossible::MQTT_WILDCARD,
    &action::UNKNOWN_ACTION,
    &impossible::ARN,
    &impossible::NAME,
    &leftover::LEFTOVER,
    &condition::IMPOSSIBLE,
    &impossible::EMPTY,
    &impossible::DECIDES_NOTHING,
    &resource::SUBSCRIBE_ON_TOPIC,
    &resource::RECEIVE_ON_TOPICFILTER,
    &resource::OF_NO_ACTION,
    &resource::LEADING_SLASH,
    &resource::WITHOUT_ACCOUNT,
    &size::TOO_LARGE,
    &variable::UNKNOWN,
    &variable::OF_ANOTHER_PRINCIPAL,
    &variable::OLD_VERSION,
    &variable::BEFORE_WILDCARD,
    &variable::OTHER_CASE,
    &sid::REPEATED,
];

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintFinding {
    /// Rule that found it.
    pub rule: &'static LintRule,
    /// Index of its document, counted from 0.
    pub document: usize,
    /// Position in the document's text.
    pub at: TextPosition,
    /// One line.
    pub message: String,
}

/// A document and its text.
#[derive(Clone, Copy, Debug)]
pub struct LintSource<'s> {
    /// The text, for its size.
    pub text: &'s str,
    /// The text, parsed.
    pub document: &'s Document,
}

/// Looks at documents that concern the same clients. `principal` is how these prove who they are, where that is known.
///
/// Findings come in the order of documents and places.
pub fn lint(sources: &[LintSource<'_>], principal: Option<ClientPrincipal>) -> Vec<LintFinding> {
    let mut lint = LintContext {
        sources,
        principal,
        found: Vec::new(),
    };
    access::check(&mut lint);
    action::check(&mut lint);
    condition::check(&mut lint);
    connect::check(&mut lint);
    delivery::check(&mut lint);
    deny::check(&mut lint);
    impossible::check(&mut lint);
    leftover::check(&mut lint);
    sid::check(&mut lint);
    resource::check(&mut lint);
    size::check(&mut lint);
    variable::check(&mut lint);
    // Last: it reports only the findings that no other rule has.
    impossible::check_statements(&mut lint);
    let mut found = lint.found;
    found.sort_by_key(|finding| (finding.document, finding.at.line, finding.at.column));
    found
}

/// Input of the rules, and their findings.
struct LintContext<'s> {
    sources: &'s [LintSource<'s>],
    principal: Option<ClientPrincipal>,
    found: Vec<LintFinding>,
}

impl<'s> LintContext<'s> {
    /// All statements, each with its document's place.
    fn statements(&self) -> impl Iterator<Item = (usize, &'s Statement)> + use<'s> {
        let sources = self.sources.iter().enumerate();
        sources.flat_map(|(index, source)| {
            source
                .document
                .statements
                .iter()
                .map(move |statement| (index, statement))
        })
    }

    fn add(&mut self, rule: &'static LintRule, document: usize, at: TextPosition, message: String) {
        self.found.push(LintFinding {
            rule,
            document,
            at,
            message,
        });
    }

    /// Returns the documents as far as they can be decided without a client: conditions hold, every
    /// variable has a value that no other one has.
    fn unconditional(&self) -> (Vec<Document>, Context) {
        let mut context = Context::default();
        let mut documents: Vec<Document> = self
            .sources
            .iter()
            .map(|source| source.document.clone())
            .collect();
        let statements = documents
            .iter_mut()
            .flat_map(|document| &mut document.statements);
        let mut keys = 0;
        for statement in statements {
            statement.conditions.clear();
            for key in statement
                .resources
                .listed()
                .iter()
                .flat_map(ResourcePattern::variables)
            {
                keys += 1;
                context.set(key.as_str(), [format!("{ANY}{keys}")]);
            }
        }
        (documents, context)
    }
}

/// Replacement for anything that a wildcard or a variable may be.
const ANY: &str = "any";

/// A resource's kind and name, as written: the text after the fifth colon, cut at the first slash.
struct NamedResource<'r> {
    region: &'r str,
    account: &'r str,
    /// Such as `topic/a/*`.
    whole: &'r str,
    /// Such as `a/*`; empty without a slash.
    name: &'r str,
}

/// A resource's parts; `None` when a wildcard goes on past them, as in `*`.
fn named(resource: &ResourcePattern) -> Option<NamedResource<'_>> {
    let mut parts = resource.text.splitn(6, ':').skip(3);
    let (region, account, whole) = (parts.next()?, parts.next()?, parts.next()?);
    Some(NamedResource {
        region,
        account,
        whole,
        name: whole.split_once('/').map_or("", |(_, name)| name),
    })
}

impl NamedResource<'_> {
    /// Returns `true` where it may name a resource of a kind.
    fn may_be(&self, kind: &str) -> bool {
        let fixed = self.whole.find(['*', '?', '$']).unwrap_or(self.whole.len());
        let fixed = self.whole.get(..fixed).unwrap_or_default();
        let kind = format!("{kind}/");
        match fixed.len() == self.whole.len() {
            true => fixed.starts_with(&kind),
            false => fixed.starts_with(&kind) || kind.starts_with(fixed),
        }
    }
}

/// Returns `true` where a resource may be of a kind.
fn may_be(resource: &ResourcePattern, kind: &str) -> bool {
    named(resource).is_none_or(|named| named.may_be(kind))
}

/// The scope that a resource names, with parts of AWS's examples where it leaves them open.
fn scope_of(resource: &ResourcePattern) -> Scope {
    let mut scope = Scope::default();
    let mut parts = resource.text.splitn(6, ':').skip(1);
    let mut set = |part: &mut Box<str>| {
        if let Some(written) = parts.next()
            && !written.is_empty()
            && !written.contains(['*', '?'])
        {
            *part = written.into();
        }
    };
    let mut service = Box::from("");
    set(&mut scope.partition);
    set(&mut service);
    set(&mut scope.region);
    set(&mut scope.account);
    scope
}

/// A name that a resource means, its variables as in `context` and its wildcards filled; without
/// the text before the first slash.
fn instance(resource: &ResourcePattern, context: &Context) -> Option<String> {
    let text = resource.sample(ANY, context)?;
    text.split_once('/').map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests;
