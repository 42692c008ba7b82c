//! Documents that are being written: statements that allow, nothing else.
//!
//! A generated document never denies: what is not granted is denied anyway, and a deny with wildcards does not do what it seems to.
//! There are no variables in it, unless somebody's literal text has to be escaped.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::context::Context;
use super::glob::{Glob, Syntax};

/// A document of allowing statements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Draft {
    #[serde(rename = "Version")]
    version: Version,
    /// The statements, in their order.
    #[serde(rename = "Statement")]
    pub statements: Vec<Allow>,
}

/// The only version of the language that knows variables and their escapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
enum Version {
    #[default]
    #[serde(rename = "2012-10-17")]
    Current,
}

/// A statement that allows some actions on some resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allow {
    #[serde(rename = "Effect")]
    effect: Effect,
    /// What is allowed, such as `iot:Publish`.
    #[serde(rename = "Action", serialize_with = "one_or_many")]
    pub actions: Vec<&'static str>,
    /// On what: ARNs.
    #[serde(rename = "Resource", serialize_with = "one_or_many")]
    pub resources: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Effect {
    Allow,
}

/// A list of one is written as its element: it is shorter, and means the same.
fn one_or_many<S: Serializer>(list: &[impl Serialize], serializer: S) -> Result<S::Ok, S::Error> {
    match list {
        [one] => one.serialize(serializer),
        many => many.serialize(serializer),
    }
}

impl Allow {
    /// A statement.
    pub fn new(actions: Vec<&'static str>, resources: Vec<String>) -> Self {
        Self {
            effect: Effect::Allow,
            actions,
            resources,
        }
    }
}

impl Draft {
    /// A document of some statements.
    pub fn new(statements: Vec<Allow>) -> Self {
        Self {
            version: Version::Current,
            statements,
        }
    }

    /// The text without white space between its tokens.
    pub fn minified(&self) -> String {
        json(serde_json::to_string(self))
    }

    /// The text for people.
    pub fn pretty(&self) -> String {
        json(serde_json::to_string_pretty(self))
    }
}

/// Structures of text are always JSON.
fn json(text: serde_json::Result<String>) -> String {
    #[expect(
        clippy::expect_used,
        reason = "only maps with odd keys and failing impls fail, and here are neither"
    )]
    text.expect("text can be written as JSON")
}

/// What is allowed, before it is cut into documents: for each resource, in the order of their names, the actions on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions(BTreeMap<String, Vec<&'static str>>);

impl Permissions {
    /// Allows an action on a resource.
    pub fn allow(&mut self, action: &'static str, resource: String) {
        let actions = self.0.entry(resource).or_default();
        if !actions.contains(&action) {
            actions.push(action);
            actions.sort_unstable();
        }
    }

    /// Adds what others allow.
    pub fn extend(&mut self, others: &Self) {
        for (action, resource) in others.iter() {
            self.allow(action, resource.to_owned());
        }
    }

    /// The same permissions, without those that another one with `*` includes.
    pub fn without_included(&self) -> Self {
        let mut needed = Self::default();
        for (action, resource) in self.iter() {
            // A star in the included one is a character that only a star of the other can match.
            let includes = |other: &str, glob: &Glob| {
                other != resource && glob.matches(resource, &Context::default())
            };
            let included = self.iter().any(|(known, other)| {
                let syntax = Syntax {
                    wildcards: true,
                    variables: false,
                };
                let has_escapes = other.contains("${");
                known == action
                    && !has_escapes
                    && Glob::parse(other, syntax).is_ok_and(|glob| includes(other, &glob))
            });
            if !included {
                needed.allow(action, resource.to_owned());
            }
        }
        needed
    }

    /// The same permissions without some actions.
    pub fn without(&self, actions: &[&str]) -> Self {
        let mut kept = Self::default();
        for (action, resource) in self.iter() {
            if !actions.contains(&action) {
                kept.allow(action, resource.to_owned());
            }
        }
        kept
    }

    /// The same permissions, where one action is allowed on one of its resources at most.
    pub fn only_on(&self, action: &str, resource: &str) -> Self {
        let mut kept = Self::default();
        for (known, on) in self.iter() {
            if known != action || on == resource {
                kept.allow(known, on.to_owned());
            }
        }
        kept
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One statement for each set of actions, which is the shortest way to say it.
    pub fn statements(&self) -> Vec<Allow> {
        let mut by_actions: BTreeMap<&[&'static str], Vec<String>> = BTreeMap::new();
        for (resource, actions) in &self.0 {
            by_actions
                .entry(actions)
                .or_default()
                .push(resource.clone());
        }
        let statement =
            |(actions, resources): (&[&'static str], _)| Allow::new(actions.to_vec(), resources);
        by_actions.into_iter().map(statement).collect()
    }

    /// How many resources something is allowed on.
    pub fn resources(&self) -> usize {
        self.0.len()
    }

    /// What is allowed: each action with each of its resources.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().flat_map(|(resource, actions)| {
            actions
                .iter()
                .map(move |action| (*action, resource.as_str()))
        })
    }
}

/// Text as it stands in a resource to mean itself (IAM user guide, "Variables and tags": `${*}`, `${?}`, `${$}`).
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '$' => out.extend(['$', '{', c, '}']),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_written_in_one_order() {
        let mut permissions = Permissions::default();
        permissions.allow("iot:Receive", "b".into());
        permissions.allow("iot:Publish", "b".into());
        permissions.allow("iot:Publish", "b".into());
        permissions.allow("iot:Publish", "a\"".into());
        permissions.allow("iot:Publish", "c".into());
        let draft = Draft::new(permissions.statements());
        insta::assert_snapshot!(draft.minified());
        insta::assert_snapshot!(draft.pretty());
    }

    #[test]
    fn what_is_included_is_left_out() {
        let of = |resources: &[&str]| {
            let mut permissions = Permissions::default();
            for resource in resources {
                permissions.allow("iot:Publish", (*resource).to_owned());
            }
            permissions.allow("iot:Connect", "a/b".into());
            let kept = permissions.without_included();
            let kept: Vec<&str> = kept
                .iter()
                .filter(|(action, _)| *action == "iot:Publish")
                .map(|(_, resource)| resource)
                .collect();
            kept.join(" ")
        };
        assert_eq!(of(&["a/*", "a/b", "a/*/c", "b"]), "a/* b");
        assert_eq!(of(&["a/*/c", "a/b", "a/b/c"]), "a/*/c a/b");
        // A star of its own is more than a star as a character.
        assert_eq!(of(&["a/${*}", "a/*"]), "a/*");
        assert_eq!(of(&["a/${*}b", "a/*b*"]), "a/*b*");
        assert_eq!(of(&["a/${*}", "a/b*"]), "a/${*} a/b*");
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped("a*b?c$d{e"), "a${*}b${?}c${$}d{e");
    }
}
