//! Documents that are being written: statements that allow, nothing else.
//!
//! A generated document never denies: what is not granted is denied anyway, and a deny with wildcards does not do what it seems to.
//! There are no variables in it, unless somebody's literal text has to be escaped.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::context::Context;
use super::glob::{Glob, GlobSyntax};

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
    effect: DraftEffect,
    /// Allowed actions, such as `iot:Publish`.
    #[serde(rename = "Action", serialize_with = "one_or_many")]
    pub actions: Vec<&'static str>,
    /// ARNs of the resources that the actions are allowed on.
    #[serde(rename = "Resource", serialize_with = "one_or_many")]
    pub resources: Vec<String>,
    /// Bound on the request, beside its resource.
    #[serde(rename = "Condition", skip_serializing_if = "Option::is_none")]
    pub condition: Option<ArnCondition>,
}

/// Condition that a key of the request has one ARN: `{"ArnEquals": {"ecs:cluster": "arn:…"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArnCondition {
    #[serde(rename = "ArnEquals")]
    equals: BTreeMap<&'static str, String>,
}

impl ArnCondition {
    /// The condition on one key.
    pub fn new(key: &'static str, arn: String) -> Self {
        Self {
            equals: BTreeMap::from([(key, arn)]),
        }
    }

    /// Keys with the ARN of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.equals.iter().map(|(key, arn)| (*key, arn.as_str()))
    }

    /// Characters of the JSON text.
    pub(super) fn characters(&self) -> usize {
        json(serde_json::to_string(self)).len()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum DraftEffect {
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
            effect: DraftEffect::Allow,
            actions,
            resources,
            condition: None,
        }
    }

    /// Each action with each resource.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.actions.iter().flat_map(|action| {
            let resources = self.resources.iter();
            resources.map(move |resource| (*action, resource.as_str()))
        })
    }

    /// The same statement, on a condition.
    pub fn when(self, condition: Option<ArnCondition>) -> Self {
        Self { condition, ..self }
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

/// Permissions, before they are cut into documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// For each resource, in the order of their names, the actions on it.
    anytime: BTreeMap<String, Vec<&'static str>>,
    /// Statements that hold on a condition, in the order of their being added.
    bound: Vec<Allow>,
}

impl Permissions {
    /// Allows an action on a resource.
    pub fn allow(&mut self, action: &'static str, resource: String) {
        let actions = self.anytime.entry(resource).or_default();
        if !actions.contains(&action) {
            actions.push(action);
            actions.sort_unstable();
        }
    }

    /// Allows an action on a resource where a condition holds.
    pub fn allow_when(&mut self, action: &'static str, resource: String, condition: ArnCondition) {
        let statement = Allow::new(vec![action], vec![resource]).when(Some(condition));
        if !self.bound.contains(&statement) {
            self.bound.push(statement);
        }
    }

    /// Adds the permissions of others.
    pub fn extend(&mut self, others: &Self) {
        for statement in &others.bound {
            if !self.bound.contains(statement) {
                self.bound.push(statement.clone());
            }
        }
        for (action, resource) in others.iter() {
            self.allow(action, resource.to_owned());
        }
    }

    /// The same permissions, without those that another one with `*` includes.
    pub fn without_included(&self) -> Self {
        let mut needed = self.only_bound();
        for (action, resource) in self.iter() {
            // A star in the included one is a character that only a star of the other can match.
            let includes = |other: &str, glob: &Glob| {
                other != resource && glob.matches(resource, &Context::default())
            };
            let included = self.iter().any(|(known, other)| {
                let syntax = GlobSyntax {
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
        let mut kept = self.only_bound();
        let is_kept = |allow: &Allow| !allow.actions.iter().any(|one| actions.contains(one));
        kept.bound.retain(is_kept);
        for (action, resource) in self.iter() {
            if !actions.contains(&action) {
                kept.allow(action, resource.to_owned());
            }
        }
        kept
    }

    /// The same permissions, where one action is allowed on one of its resources at most.
    pub fn only_on(&self, action: &str, resource: &str) -> Self {
        let mut kept = self.only_bound();
        for (known, on) in self.iter() {
            if known != action || on == resource {
                kept.allow(known, on.to_owned());
            }
        }
        kept
    }

    fn only_bound(&self) -> Self {
        Self {
            bound: self.bound.clone(),
            ..Self::default()
        }
    }

    /// Returns `true` where nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.anytime.is_empty() && self.bound.is_empty()
    }

    /// Statements that hold on a condition.
    pub fn bound(&self) -> &[Allow] {
        &self.bound
    }

    /// One statement for each set of actions, which is the shortest way to say it.
    pub fn statements(&self) -> Vec<Allow> {
        let mut by_actions: BTreeMap<&[&'static str], Vec<String>> = BTreeMap::new();
        for (resource, actions) in &self.anytime {
            by_actions
                .entry(actions)
                .or_default()
                .push(resource.clone());
        }
        let statement =
            |(actions, resources): (&[&'static str], _)| Allow::new(actions.to_vec(), resources);
        by_actions
            .into_iter()
            .map(statement)
            .chain(self.bound.iter().cloned())
            .collect()
    }

    /// Number of resources on which something is allowed.
    pub fn resources(&self) -> usize {
        self.anytime.len() + self.bound.len()
    }

    /// Permissions without a condition: each action with each of its resources.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.anytime.iter().flat_map(|(resource, actions)| {
            actions
                .iter()
                .map(move |action| (*action, resource.as_str()))
        })
    }
}

/// Escapes text so that it means itself in a resource (IAM user guide, "Variables and tags":
/// `${*}`, `${?}`, `${$}`).
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
    fn a_condition_comes_behind_the_resource() {
        let mut permissions = Permissions::default();
        let arn = "arn:aws:ecs:eu-central-1:123456789012:cluster/shop";
        for _ in 0..2 {
            let cluster = ArnCondition::new("ecs:cluster", arn.into());
            permissions.allow_when("ecs:ListTasks", "*".into(), cluster);
        }
        permissions.allow("iot:DescribeEndpoint", "*".into());
        let mut all = Permissions::default();
        all.extend(&permissions);
        all.extend(&permissions);
        assert_eq!(all.without_included(), permissions);
        assert_eq!(
            Draft::new(all.statements()).minified(),
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"iot:DescribeEndpoint","Resource":"*"}},{{"Effect":"Allow","Action":"ecs:ListTasks","Resource":"*","Condition":{{"ArnEquals":{{"ecs:cluster":"{arn}"}}}}}}]}}"#
            )
        );
        assert!(!all.is_empty());
        assert_eq!(all.without(&["ecs:ListTasks"]).bound(), []);
        assert_eq!(all.without(&["iot:DescribeEndpoint"]).iter().count(), 0);
        assert_eq!(all.resources(), 2);
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
