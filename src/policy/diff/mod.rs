//! Difference of two sets of policies, by permission and not by text.
//!
//! For each action, all texts that the resources of either side distinguish are walked (the
//! automaton) and decided on both sides, so that documents that are written differently and say the
//! same give no difference, and each difference found has an example. Conditions are compared in
//! the situations that they name (situations). Two things are taken as the same: a denial by a
//! statement, and the absence of a statement that allows; texts that cannot be topics, such as one
//! with `+` to publish to, are left out.

mod automaton;
mod found;
mod head;
mod situation;

use std::collections::BTreeSet;

use automaton::PatternAutomaton;
use found::FoundDifferences;
use head::{heads, tail};
use situation::{RequestSituation, situations};

use super::action::{ACTIONS, ANY, kind_of};
use super::arn::ResourceArn;
use super::document::{Document, Effect, ElementList, ResourcePattern, Statement};
use super::glob::GlobToken;

/// Conditions of a request: context keys and their values.
pub type RequestCondition = Vec<(String, String)>;

/// Permissions that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyDifference {
    /// In the order of resources.
    pub changes: Vec<ActionChange>,
    /// Indicates that the documents have too many overlapping patterns to look at everything.
    pub cut: bool,
}

/// Some actions on the resources that a policy's resource means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActionChange {
    /// The resource as the policy that allows it has it; with `NotResource`, `everything but` what it names.
    pub resource: String,
    /// Direction of the change.
    pub verdict: PermissionChange,
    /// Conditions of the request: context keys and their values.
    pub when: RequestCondition,
    /// Indicates that all that the resource means is allowed differently, not a part of it.
    pub whole: bool,
    /// Indicates that every request is decided so, whatever the conditions.
    pub always: bool,
    /// The actions.
    pub actions: Vec<String>,
    /// A resource of a request that is decided differently.
    pub example: String,
}

/// Direction in which a decision changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PermissionChange {
    /// It was denied and is allowed.
    Allowed,
    /// It was allowed and is denied.
    Denied,
}

/// Compares the policies of the same clients, as they were and as they are.
pub fn diff(before: &[Document], after: &[Document]) -> PolicyDifference {
    let both = before.iter().chain(after);
    let mut found = FoundDifferences::default();
    for action in actions(both.clone()) {
        let mut compared = Vec::new();
        for situation in situations(both.clone()) {
            let sides = DecidingStatements {
                before: active(before, &action, &situation),
                after: active(after, &action, &situation),
            };
            let statements = sides.places();
            if !compared.contains(&statements) {
                compared.push(statements);
                *found.situations.entry(action.clone()).or_default() += 1;
                sides.compare(&action, &situation, &mut found);
            }
        }
    }
    found.difference()
}

/// The actions that some documents can distinguish, as they are written in lists of actions: all
/// known ones that patterns mean, and the patterns themselves for those that are not known.
fn actions<'d>(documents: impl Iterator<Item = &'d Document>) -> BTreeSet<String> {
    let mut actions = BTreeSet::new();
    for statement in documents.flat_map(|document| &document.statements) {
        for listed in statement.actions.listed() {
            let known = ACTIONS.iter().filter(|(action, _)| listed.matches(action));
            let known: Vec<String> = known.map(|(action, _)| (*action).to_owned()).collect();
            if known.is_empty() || listed.text.contains(['*', '?']) {
                actions.insert(listed.text.to_string());
            }
            actions.extend(known);
        }
        if let ElementList::AllBut(_) = statement.actions {
            actions.extend(ACTIONS.iter().map(|(action, _)| (*action).to_owned()));
        }
    }
    actions
}

/// The statements about an action whose conditions hold.
fn active<'d>(
    documents: &'d [Document],
    action: &str,
    situation: &RequestSituation,
) -> Vec<&'d Statement> {
    let asked = action.replace('*', "any").replace('?', "x");
    let statements = documents.iter().flat_map(|document| &document.statements);
    statements
        .filter(|statement| statement.actions.means(|listed| listed.matches(&asked)))
        .filter(|statement| {
            statement
                .conditions
                .iter()
                .all(|condition| condition.holds(&situation.context))
        })
        .collect()
}

/// The statements of both sides that an action's decision depends on.
struct DecidingStatements<'d> {
    before: Vec<&'d Statement>,
    after: Vec<&'d Statement>,
}

impl<'d> DecidingStatements<'d> {
    /// Addresses of the statements, as their identity.
    fn places(&self) -> Vec<*const Statement> {
        let statements = self.before.iter().chain(&self.after);
        statements
            .map(|statement| std::ptr::from_ref(*statement))
            .collect()
    }

    fn resources(&self) -> impl Iterator<Item = &'d ResourcePattern> {
        let statements = self.before.iter().chain(&self.after);
        statements.flat_map(|statement| statement.resources.listed())
    }

    fn compare(&self, action: &str, situation: &RequestSituation, found: &mut FoundDifferences) {
        let kind = kind_of(action);
        if kind == Some(ANY) {
            let everything = ResourceArn::new(ANY);
            let matches =
                |resource: &ResourcePattern| resource.matches(&everything, &situation.context);
            let matches: Vec<bool> = self.resources().map(matches).collect();
            self.decide(action, situation, &matches, || ANY.to_owned(), found);
            return;
        }
        for head in heads(self.resources()) {
            let tails: Vec<Option<Vec<GlobToken>>> = self
                .resources()
                .map(|resource| tail(resource, &head, action, &situation.context))
                .collect();
            // A resource that does not fit this head matches nothing here.
            let patterns: Vec<Vec<GlobToken>> = tails.iter().flatten().cloned().collect();
            let prefix = match kind {
                Some(kind) => format!("{kind}/"),
                None => String::new(),
            };
            let excluded: &[char] = match kind {
                Some("topic") => &['+', '#'],
                _ => &[],
            };
            let walked = PatternAutomaton::new(&patterns, excluded).walk(&prefix);
            found.cut |= walked.cut;
            for (state, matching) in walked.matching() {
                let matches = matches(&tails, matching);
                let example = || format!("{}:{prefix}{}", head.join(":"), walked.text(state));
                self.decide(action, situation, &matches, example, found);
            }
        }
    }

    /// Decides one kind of text on both sides: `matches` says which resources match it, in their order.
    fn decide(
        &self,
        action: &str,
        situation: &RequestSituation,
        matches: &[bool],
        example: impl Fn() -> String,
        found: &mut FoundDifferences,
    ) {
        let (before, rest) = side(&self.before, matches);
        let (after, _) = side(&self.after, rest);
        let (verdict, allowing) = match (&before, &after) {
            (Some(_), Some(_)) | (None, None) => {
                for resource in before.iter().chain(&after).flatten() {
                    found.same(resource, action, situation);
                }
                return;
            }
            (None, Some(allowing)) => (PermissionChange::Allowed, allowing),
            (Some(allowing), None) => (PermissionChange::Denied, allowing),
        };
        for resource in allowing {
            found.change(resource, verdict, action, situation, &example);
        }
    }
}

/// Returns the resources, as written, by which statements allow, `None` where they do not; and the
/// rest of `matches` for others.
fn side<'m>(
    statements: &[&Statement],
    mut matches: &'m [bool],
) -> (Option<Vec<String>>, &'m [bool]) {
    let mut allowing = Vec::new();
    let mut denied = false;
    for statement in statements {
        let resources = statement.resources.listed();
        let (own, rest) = matches.split_at(resources.len().min(matches.len()));
        matches = rest;
        let matching = resources.iter().zip(own).filter(|(_, matches)| **matches);
        let mut matching: Vec<String> = matching
            .map(|(resource, _)| resource.text.to_string())
            .collect();
        if let ElementList::AllBut(left_out) = &statement.resources {
            let names: Vec<&str> = left_out.iter().map(|resource| &*resource.text).collect();
            matching = match matching.is_empty() {
                true => vec![format!("everything but {}", names.join(", "))],
                false => Vec::new(),
            };
        }
        match statement.effect {
            Effect::Allow => allowing.append(&mut matching),
            Effect::Deny => denied |= !matching.is_empty(),
        }
    }
    let allowed = !denied && !allowing.is_empty();
    (allowed.then_some(allowing), matches)
}

/// Returns for all resources whether they match, from the indices of the walked ones that do.
fn matches(tails: &[Option<Vec<GlobToken>>], matching: &[usize]) -> Vec<bool> {
    let mut walked = 0;
    let matches = tails.iter().map(|tail| {
        let matches = tail.is_some() && matching.contains(&walked);
        walked += usize::from(tail.is_some());
        matches
    });
    matches.collect()
}

#[cfg(test)]
mod tests;
