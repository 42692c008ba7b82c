//! Statements of a queue's policy: whether they let a rule of EventBridge send.
//!
//! By the rules of resource policies (IAM user guide, "Policy evaluation logic"): a statement
//! counts whose principal, action, resource and condition fit; a Deny wins.

use super::look::{each, is_open, member, members, text};
use super::template::Resource;
use super::templates::{Templates, queue_name};
use crate::event::pattern::tree::TreeValue;

/// The principal of EventBridge.
pub(super) const EVENTBRIDGE: &str = "events.amazonaws.com";

/// The action by which EventBridge sends.
const SEND: &str = "sqs:sendmessage";

/// Keys that a request of a service does not have: a negated condition on one of them holds for it
/// (IAM user guide, "AWS global condition context keys").
const CALLER_KEYS: [&str; 8] = [
    "aws:sourcevpce",
    "aws:sourcevpc",
    "aws:sourceip",
    "aws:vpcsourceip",
    "aws:principalorgid",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:userid",
];

/// A rule that sends to a queue.
pub(super) struct Sender<'c> {
    pub(super) templates: &'c Templates<'c>,
    pub(super) rule: &'c Resource,
    /// The end of the rule's ARN, where it is known.
    pub(super) arn_end: Option<String>,
    /// The Region of the platform, where it is known.
    pub(super) region: Option<String>,
}

/// Effect of the statements on the rule.
pub(super) enum StatementEffect<'n> {
    /// It may send, or it cannot be known.
    Admitted,
    /// It may, as may rules of every account, by this statement.
    Open(&'n TreeValue),
    /// No statement allows EventBridge to send.
    NotAllowed,
    /// A statement refuses it.
    Denied(&'n TreeValue),
    /// Other rules may.
    OtherRules {
        at: &'n TreeValue,
        named: Vec<String>,
    },
}

/// Decides the effect of statements on a rule.
pub(super) fn admission<'n>(
    sender: &Sender<'_>,
    queue: &Resource,
    statements: &[&'n TreeValue],
) -> StatementEffect<'n> {
    let denying = statements
        .iter()
        .find(|statement| applies(sender, queue, statement, "Deny") && denies_services(statement));
    if let Some(denying) = denying {
        return StatementEffect::Denied(denying);
    }
    let allowing: Vec<&TreeValue> = statements
        .iter()
        .copied()
        .filter(|statement| applies(sender, queue, statement, "Allow"))
        .collect();
    let Some(first) = allowing.first().copied() else {
        return StatementEffect::NotAllowed;
    };
    let sources: Vec<SourceArnCondition> = allowing
        .iter()
        .map(|statement| source(sender, statement))
        .collect();
    if sources
        .iter()
        .any(|source| matches!(source, SourceArnCondition::Fits))
    {
        return StatementEffect::Admitted;
    }
    if sources
        .iter()
        .any(|source| matches!(source, SourceArnCondition::Any))
    {
        let is_bare = |statement: &&TreeValue| conditions(statement).is_empty();
        return match allowing.iter().all(is_bare) {
            true => StatementEffect::Open(first),
            false => StatementEffect::Admitted,
        };
    }
    let named = sources.into_iter().flat_map(|source| match source {
        SourceArnCondition::Others(named) => named,
        _ => Vec::new(),
    });
    StatementEffect::OtherRules {
        at: first,
        named: named.collect(),
    }
}

/// Returns `true` where a statement is about EventBridge sending to the queue.
fn applies(sender: &Sender<'_>, queue: &Resource, statement: &TreeValue, effect: &str) -> bool {
    if member(statement, "Effect").and_then(text).as_deref() != Some(effect) {
        return false;
    }
    is_principal(statement) && is_action(statement) && is_resource(sender, queue, statement)
}

fn is_principal(statement: &TreeValue) -> bool {
    let Some(principal) = member(statement, "Principal") else {
        return false;
    };
    let any = |node: &TreeValue| {
        each(node)
            .iter()
            .any(|one| text(one).as_deref() == Some("*"))
    };
    let service = member(principal, "Service").map(each).unwrap_or_default();
    let is_service = |node: &TreeValue| {
        is_open(node) || text(node).is_some_and(|text| text == EVENTBRIDGE || text == "*")
    };
    service.iter().any(is_service)
        || any(principal)
        || member(principal, "AWS").is_some_and(any)
        || is_open(principal)
}

fn is_action(statement: &TreeValue) -> bool {
    let listed = |key: &str| member(statement, key).map(each);
    let is_send = |action: &TreeValue| match text(action) {
        Some(action) => fits(&action.to_ascii_lowercase(), SEND),
        None => is_open(action),
    };
    match (listed("Action"), listed("NotAction")) {
        (Some(actions), _) => actions.iter().any(is_send),
        (None, Some(others)) => !others.iter().any(is_send),
        (None, None) => false,
    }
}

fn is_resource(sender: &Sender<'_>, queue: &Resource, statement: &TreeValue) -> bool {
    let Some(resources) = member(statement, "Resource").map(each) else {
        return true;
    };
    let name = queue_name(queue);
    resources.iter().any(|resource| {
        if let Some(found) = sender.templates.referred(queue, resource) {
            return std::ptr::eq(found, queue);
        }
        let Some(arn) = text(resource) else {
            return true;
        };
        let last = arn.replace("AWS::", "AWS.");
        let last = last.rsplit(':').next().unwrap_or_default();
        arn == "*" || last.contains("${") || fits(last, &name)
    })
}

/// Operator, key in lower case, and values of each condition.
fn conditions(statement: &TreeValue) -> Vec<(String, String, &TreeValue)> {
    let operators = member(statement, "Condition").and_then(members);
    let operators = operators.unwrap_or_default().iter();
    operators
        .flat_map(|operator| {
            let keys = members(&operator.value).unwrap_or_default().iter();
            keys.map(|one| {
                let key = one.key.to_ascii_lowercase();
                (operator.key.to_string(), key, &one.value)
            })
        })
        .collect()
}

/// Returns `true` where a Deny holds for a call of a service: without a condition, or by a key that
/// only callers with an identity or a network have.
fn denies_services(statement: &TreeValue) -> bool {
    if member(statement, "Condition").is_some_and(is_open) {
        return false;
    }
    let conditions = conditions(statement);
    conditions.iter().all(|(operator, key, _)| {
        let is_negated = operator.contains("Not") && !operator.starts_with("ForA");
        is_negated && CALLER_KEYS.contains(&key.as_str())
    })
}

/// Whom a statement's condition on `aws:SourceArn` admits.
enum SourceArnCondition {
    /// There is none.
    Any,
    /// The rule, as far as can be known.
    Fits,
    /// Others alone.
    Others(Vec<String>),
}

fn source(sender: &Sender<'_>, statement: &TreeValue) -> SourceArnCondition {
    if member(statement, "Condition").is_some_and(is_open) {
        return SourceArnCondition::Fits;
    }
    let conditions = conditions(statement);
    let sources = conditions
        .iter()
        .filter(|(_, key, _)| key == "aws:sourcearn");
    let mut named = Vec::new();
    let mut is_found = false;
    for (operator, _, values) in sources {
        is_found = true;
        let operator = operator.strip_suffix("IfExists").unwrap_or(operator);
        let has_wildcards = match operator {
            "ArnEquals" | "ArnLike" | "StringLike" => true,
            "StringEquals" | "StringEqualsIgnoreCase" => false,
            // Negated operators, and operators on sets, are not decided here.
            _ => return SourceArnCondition::Fits,
        };
        for value in each(values) {
            match sender.templates.referred(sender.rule, value) {
                Some(found) if std::ptr::eq(found, sender.rule) => return SourceArnCondition::Fits,
                Some(found) => named.push(format!("the ARN of {}", found.id)),
                None => match text(value) {
                    Some(arn) if !sender.is_own(&arn, has_wildcards) => named.push(arn),
                    _ => return SourceArnCondition::Fits,
                },
            }
        }
    }
    match is_found {
        true => SourceArnCondition::Others(named),
        false => SourceArnCondition::Any,
    }
}

impl Sender<'_> {
    /// Returns `true` where an ARN may be that of the rule.
    fn is_own(&self, arn: &str, has_wildcards: bool) -> bool {
        let is_like = |pattern: &str, text: &str| match has_wildcards {
            true => fits(pattern, text),
            false => pattern == text,
        };
        let flat = arn.replace("AWS::", "AWS.");
        let parts: Vec<&str> = flat.splitn(6, ':').collect();
        let [_, _, service, region, _, resource] = parts.as_slice() else {
            return (has_wildcards && arn.contains('*')) || arn.contains("${");
        };
        // `${Name}` of another stack may be anything.
        let may_be = |written: &str, known: Option<&str>| {
            written.contains("${") || known.is_none_or(|known| is_like(written, known))
        };
        may_be(service, Some("events"))
            && may_be(region, self.region.as_deref())
            && may_be(resource, self.arn_end.as_deref())
    }
}

/// Returns `true` where text fits a pattern with `*` and `?`.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Place of the last star, and the end of the text that it has taken.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    p = at + 1;
                    t = taken + 1;
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}
