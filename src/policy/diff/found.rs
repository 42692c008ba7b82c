//! Differences found, action by action and text by text, and the few changes that sum them up.

use std::collections::{BTreeMap, BTreeSet};

use super::situation::RequestSituation;
use super::{ActionChange, PermissionChange, PolicyDifference, RequestCondition};
use crate::policy::context::Context;
use crate::policy::glob::{Glob, GlobSyntax};

/// Differences found so far, by resource, verdict and situation.
#[derive(Default)]
pub(super) struct FoundDifferences {
    changes: BTreeMap<DifferencePlace, BTreeMap<String, String>>,
    /// Resources of which something is decided as before, by action and situation.
    same: BTreeSet<(String, String, RequestCondition)>,
    /// Number of situations compared, by action.
    pub(super) situations: BTreeMap<String, usize>,
    /// The situations in which a resource is allowed differently, by action.
    seen: BTreeMap<(String, PermissionChange, String), BTreeSet<RequestCondition>>,
    pub(super) cut: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct DifferencePlace {
    resource: String,
    verdict: PermissionChange,
    when: RequestCondition,
}

impl FoundDifferences {
    pub(super) fn same(&mut self, resource: &str, action: &str, situation: &RequestSituation) {
        self.same.insert((
            resource.to_owned(),
            action.to_owned(),
            situation.when.clone(),
        ));
    }

    pub(super) fn change(
        &mut self,
        resource: &str,
        verdict: PermissionChange,
        action: &str,
        situation: &RequestSituation,
        example: impl Fn() -> String,
    ) {
        let seen = self
            .seen
            .entry((resource.to_owned(), verdict, action.to_owned()));
        seen.or_default().insert(situation.when.clone());
        let place = DifferencePlace {
            resource: resource.to_owned(),
            verdict,
            when: situation.when.clone(),
        };
        let unconditional = DifferencePlace {
            when: Vec::new(),
            ..place.clone()
        };
        let known = self
            .changes
            .get(&unconditional)
            .is_some_and(|known| known.contains_key(action));
        if !known || situation.when.is_empty() {
            let actions = self.changes.entry(place).or_default();
            let known = actions.entry(action.to_owned()).or_insert_with(&example);
            // A name with something in the place of a star is better to read than one with nothing.
            if known.ends_with(['/', '-', ':']) {
                *known = example();
            }
        }
    }

    pub(super) fn difference(self) -> PolicyDifference {
        let mut changes: Vec<ActionChange> = Vec::new();
        for (place, actions) in &self.changes {
            for (action, example) in actions {
                let same = (place.resource.clone(), action.clone(), place.when.clone());
                let seen = (place.resource.clone(), place.verdict, action.clone());
                let seen = self.seen.get(&seen).map_or(0, BTreeSet::len);
                let change = ActionChange {
                    always: self.situations.get(action).is_none_or(|all| *all == seen),
                    resource: place.resource.clone(),
                    verdict: place.verdict,
                    when: place.when.clone(),
                    whole: !self.same.contains(&same),
                    actions: vec![action.clone()],
                    example: example.clone(),
                };
                let alike = |known: &&mut ActionChange| {
                    known.resource == change.resource
                        && known.verdict == change.verdict
                        && known.when == change.when
                        && (known.whole, known.always) == (change.whole, change.always)
                };
                match changes.iter_mut().find(alike) {
                    Some(known) => known.actions.extend(change.actions),
                    None => changes.push(change),
                }
            }
        }
        for change in &mut changes {
            without_included_actions(&mut change.actions);
        }
        let needed: Vec<bool> = changes
            .iter()
            .map(|change| !is_included(change, &changes))
            .collect();
        let mut needed = needed.into_iter();
        changes.retain(|_| needed.next().unwrap_or(true));
        changes.sort();
        PolicyDifference {
            changes,
            cut: self.cut,
        }
    }
}

/// Leaves out the actions that a pattern among them means.
fn without_included_actions(actions: &mut Vec<String>) {
    let all = actions.clone();
    let included = |action: &String| {
        let lower = action.to_ascii_lowercase();
        all.iter()
            .any(|other| other != action && includes(&other.to_ascii_lowercase(), &lower))
    };
    actions.retain(|action| !included(action));
}

/// Returns `true` where another change says as much and more.
fn is_included(change: &ActionChange, changes: &[ActionChange]) -> bool {
    let says_more = |other: &ActionChange| {
        (other.whole && (other.always || !change.always))
            && other.verdict == change.verdict
            && (other.when.is_empty() || other.when == change.when)
            && change
                .actions
                .iter()
                .all(|action| other.actions.contains(action))
    };
    changes.iter().any(|other| {
        // Of two that say the same, the first stays.
        let same = includes(&change.resource, &other.resource) && change.resource < other.resource;
        other.resource != change.resource
            && says_more(other)
            && includes(&other.resource, &change.resource)
            && !same
    })
}

/// Returns `true` where a pattern surely means all that another one means. The other's stars are
/// characters that only stars of the pattern can match; a `?` would as well, so that patterns with
/// one are compared with texts only.
fn includes(pattern: &str, other: &str) -> bool {
    let syntax = GlobSyntax {
        wildcards: true,
        variables: false,
    };
    !(pattern.contains('?') && other.contains('*'))
        && Glob::parse(pattern, syntax).is_ok_and(|glob| glob.matches(other, &Context::default()))
}
