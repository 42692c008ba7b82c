//! What two sets of policies allow differently, by permission and not by text.
//!
//! For each action, all texts that the resources of either side tell apart are walked ([`automaton`]) and decided on both sides, so that
//! documents that are written differently and say the same give no difference, and one that is found has an example. Conditions are compared
//! in the situations that they name ([`situation`]). Two things are taken as the same: what is denied by a statement and what no statement
//! allows; and texts that no topic can be, such as one with `+` to publish to.

mod automaton;
mod situation;

use std::collections::{BTreeMap, BTreeSet};

use automaton::Automaton;
use situation::{Situation, situations};

use super::action::{ACTIONS, ANY, kind_of};
use super::arn::Arn;
use super::context::Context;
use super::document::{Document, Effect, Listed, Resource, Statement};
use super::glob::{Glob, Syntax, Token};

/// What is allowed differently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// In the order of resources.
    pub changes: Vec<Change>,
    /// Whether the documents have too many patterns that overlap to look at everything.
    pub cut: bool,
}

/// Some actions on what a resource of a policy means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The resource as the policy that allows it has it; with `NotResource`, `everything but` what it names.
    pub resource: String,
    /// What became of it.
    pub verdict: Became,
    /// What has to hold of a request: context keys and their values.
    pub when: Vec<(String, String)>,
    /// Whether all that the resource means is allowed differently, or a part of it.
    pub whole: bool,
    /// Whether it is so in every request, or conditions decide.
    pub always: bool,
    /// The actions.
    pub actions: Vec<String>,
    /// A resource of a request that is decided differently.
    pub example: String,
}

/// Which way a decision changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Became {
    /// It was denied and is allowed.
    Allowed,
    /// It was allowed and is denied.
    Denied,
}

/// Compares the policies of the same clients, as they were and as they are.
pub fn diff(before: &[Document], after: &[Document]) -> Difference {
    let both = before.iter().chain(after);
    let mut found = Found::default();
    for action in actions(both.clone()) {
        let mut compared = Vec::new();
        for situation in situations(both.clone()) {
            let sides = Sides {
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

/// The actions that some documents can tell apart, as they are written in lists of actions: all known ones that patterns mean, and the
/// patterns themselves for those that are not known.
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
        if let Listed::AllBut(_) = statement.actions {
            actions.extend(ACTIONS.iter().map(|(action, _)| (*action).to_owned()));
        }
    }
    actions
}

/// The statements about an action whose conditions hold.
fn active<'d>(
    documents: &'d [Document],
    action: &str,
    situation: &Situation,
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
struct Sides<'d> {
    before: Vec<&'d Statement>,
    after: Vec<&'d Statement>,
}

impl<'d> Sides<'d> {
    /// Which statements they are.
    fn places(&self) -> Vec<*const Statement> {
        let statements = self.before.iter().chain(&self.after);
        statements
            .map(|statement| std::ptr::from_ref(*statement))
            .collect()
    }

    fn resources(&self) -> impl Iterator<Item = &'d Resource> {
        let statements = self.before.iter().chain(&self.after);
        statements.flat_map(|statement| statement.resources.listed())
    }

    fn compare(&self, action: &str, situation: &Situation, found: &mut Found) {
        let kind = kind_of(action);
        if kind == Some(ANY) {
            let everything = Arn::new(ANY);
            let matches = |resource: &Resource| resource.matches(&everything, &situation.context);
            let matches: Vec<bool> = self.resources().map(matches).collect();
            self.decide(action, situation, &matches, || ANY.to_owned(), found);
            return;
        }
        for head in heads(self.resources()) {
            let tails: Vec<Option<Vec<Token>>> = self
                .resources()
                .map(|resource| tail(resource, &head, action, &situation.context))
                .collect();
            // What does not fit this head matches nothing here.
            let patterns: Vec<Vec<Token>> = tails.iter().flatten().cloned().collect();
            let prefix = match kind {
                Some(kind) => format!("{kind}/"),
                None => String::new(),
            };
            let excluded: &[char] = match kind {
                Some("topic") => &['+', '#'],
                _ => &[],
            };
            let walked = Automaton::new(&patterns, excluded).walk(&prefix);
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
        situation: &Situation,
        matches: &[bool],
        example: impl Fn() -> String,
        found: &mut Found,
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
            (None, Some(allowing)) => (Became::Allowed, allowing),
            (Some(allowing), None) => (Became::Denied, allowing),
        };
        for resource in allowing {
            found.change(resource, verdict, action, situation, &example);
        }
    }
}

/// Whether statements allow, and by which resources as written; and what is left of `matches` for others.
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
        if let Listed::AllBut(left_out) = &statement.resources {
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

/// Which of all resources match, from which of those that were walked do.
fn matches(tails: &[Option<Vec<Token>>], matching: &[usize]) -> Vec<bool> {
    let mut walked = 0;
    let matches = tails.iter().map(|tail| {
        let matches = tail.is_some() && matching.contains(&walked);
        walked += usize::from(tail.is_some());
        matches
    });
    matches.collect()
}

/// The parts of ARNs before the resource.
type Head = [String; 5];

/// Stands in a head for what no document names.
const ELSEWHERE: &str = "any";

/// All heads that resources can tell apart.
fn heads<'d>(resources: impl Iterator<Item = &'d Resource>) -> Vec<Head> {
    let usual = ["arn", "aws", "iot", ELSEWHERE, ELSEWHERE].map(str::to_owned);
    let mut parts: [BTreeSet<String>; 5] = Default::default();
    for resource in resources {
        let mut written: Vec<&str> = resource.text.splitn(6, ':').collect();
        if written.len() < 6 {
            // The last part goes on past the colons.
            written.pop();
        }
        for ((part, known), usual) in written.iter().zip(&mut parts).zip(&usual) {
            known.insert(match part.contains(['*', '?']) {
                true => usual.clone(),
                false => (*part).to_owned(),
            });
        }
    }
    for (known, usual) in parts.iter_mut().zip(usual) {
        if known.is_empty() {
            known.insert(usual);
        }
    }
    let mut heads: Vec<Vec<String>> = vec![Vec::new()];
    for known in &parts {
        let longer = |head: &Vec<String>| {
            let head = head.clone();
            known
                .iter()
                .map(move |part| [head.as_slice(), std::slice::from_ref(part)].concat())
        };
        heads = heads.iter().flat_map(longer).collect();
    }
    heads
        .into_iter()
        .filter_map(|head| head.try_into().ok())
        .collect()
}

/// The pattern of a resource's last part, where its others fit a head.
fn tail(resource: &Resource, head: &Head, action: &str, context: &Context) -> Option<Vec<Token>> {
    let syntax = Syntax {
        wildcards: true,
        variables: false,
    };
    let written: Vec<&str> = resource.text.splitn(6, ':').collect();
    let whole = written.len() == 6;
    let parts = written.len().min(if whole { 5 } else { written.len() - 1 });
    let fits = written.iter().take(parts).zip(head).all(|(part, text)| {
        Glob::parse(part, syntax).is_ok_and(|glob| glob.matches(text, &Context::default()))
    });
    if !fits {
        return None;
    }
    if !whole {
        // `arn:aws:iot:*`: the star takes in the resource, and what stands before it has to fit the next part.
        let next = head.get(parts).map_or("", String::as_str);
        let last = written.last().copied().unwrap_or_default();
        let fits = Glob::parse(last, syntax)
            .is_ok_and(|glob| glob.matches(&format!("{next}:"), &Context::default()));
        return fits.then(|| vec![Token::Run]);
    }
    if action.eq_ignore_ascii_case("iot:Connect") && is_any_client(resource) {
        // The client id is the very name that is asked for.
        let kind = "client/".chars().map(Token::Char);
        return Some(kind.chain([Token::Run]).collect());
    }
    resource.tokens(context)
}

fn is_any_client(resource: &Resource) -> bool {
    let lower = resource.text.to_ascii_lowercase();
    let name = lower.splitn(6, ':').nth(5);
    name.is_some_and(|name| matches!(name, "client/${iot:clientid}" | "client/${iot:clientid}*"))
}

/// What was found so far, by resource, verdict and situation.
#[derive(Default)]
struct Found {
    changes: BTreeMap<Place, BTreeMap<String, String>>,
    /// Resources of which something is decided as before, by action and situation.
    same: BTreeSet<(String, String, Vec<(String, String)>)>,
    /// How many situations were compared, by action.
    situations: BTreeMap<String, usize>,
    /// The situations in which a resource is allowed differently, by action.
    seen: BTreeMap<(String, Became, String), BTreeSet<Vec<(String, String)>>>,
    cut: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    resource: String,
    verdict: Became,
    when: Vec<(String, String)>,
}

impl Found {
    fn same(&mut self, resource: &str, action: &str, situation: &Situation) {
        self.same.insert((
            resource.to_owned(),
            action.to_owned(),
            situation.when.clone(),
        ));
    }

    fn change(
        &mut self,
        resource: &str,
        verdict: Became,
        action: &str,
        situation: &Situation,
        example: impl Fn() -> String,
    ) {
        let seen = self
            .seen
            .entry((resource.to_owned(), verdict, action.to_owned()));
        seen.or_default().insert(situation.when.clone());
        let place = Place {
            resource: resource.to_owned(),
            verdict,
            when: situation.when.clone(),
        };
        let unconditional = Place {
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

    fn difference(self) -> Difference {
        let mut changes: Vec<Change> = Vec::new();
        for (place, actions) in &self.changes {
            for (action, example) in actions {
                let same = (place.resource.clone(), action.clone(), place.when.clone());
                let seen = (place.resource.clone(), place.verdict, action.clone());
                let seen = self.seen.get(&seen).map_or(0, BTreeSet::len);
                let change = Change {
                    always: self.situations.get(action).is_none_or(|all| *all == seen),
                    resource: place.resource.clone(),
                    verdict: place.verdict,
                    when: place.when.clone(),
                    whole: !self.same.contains(&same),
                    actions: vec![action.clone()],
                    example: example.clone(),
                };
                let alike = |known: &&mut Change| {
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
        Difference {
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

/// Whether another change says as much and more.
fn is_included(change: &Change, changes: &[Change]) -> bool {
    let says_more = |other: &Change| {
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

/// Whether a pattern surely means all that another one means. The other's stars are characters that only stars of the pattern can match;
/// a `?` would as well, so that patterns with one are compared with texts only.
fn includes(pattern: &str, other: &str) -> bool {
    let syntax = Syntax {
        wildcards: true,
        variables: false,
    };
    !(pattern.contains('?') && other.contains('*'))
        && Glob::parse(pattern, syntax).is_ok_and(|glob| glob.matches(other, &Context::default()))
}

#[cfg(test)]
mod tests;
