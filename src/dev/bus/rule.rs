//! Rules: a pattern, and the targets for events that match it; and all rules of a bus together,
//! matched in one pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::ACCOUNT;
use super::super::refusal::ApiRefusal;
use super::target::RuleTarget;
use super::wire::ResourceTag;
use crate::event::fields::FieldTrie;
use crate::event::pattern::matching::PatternSet;
use crate::event::pattern::{Pattern, PatternError};
use crate::event::scan::scan;

/// The states of a rule, as they are written.
pub(super) const STATES: [&str; 3] = [
    "ENABLED",
    "DISABLED",
    "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
];

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct BusRule {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) bus: String,
    pub(super) written: String,
    pub(super) pattern: Pattern,
    /// One of [`STATES`].
    pub(super) state: String,
    pub(super) description: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) tags: Vec<ResourceTag>,
    /// By id.
    pub(super) targets: BTreeMap<String, RuleTarget>,
}

impl BusRule {
    /// Returns the rule as lists and descriptions show it. Only descriptions name its creator.
    pub(super) fn told(&self, described: bool) -> Value {
        let mut told = json!({
            "Name": self.name,
            "Arn": self.arn,
            "EventPattern": self.written,
            "State": self.state,
            "EventBusName": self.bus,
        });
        let others = [
            ("Description", self.description.as_deref()),
            ("RoleArn", self.role_arn.as_deref()),
            ("CreatedBy", described.then_some(ACCOUNT)),
        ];
        if let Some(told) = told.as_object_mut() {
            for (name, value) in others {
                told.extend(value.map(|value| (name.to_owned(), value.into())));
            }
        }
        told
    }
}

/// The highest complexity of the wildcards of one field. AWS does not publish its bound: it was
/// recorded to refuse 11 (LocalStack's tests) and seen to take 9 and to refuse 12 (three and four
/// wildcards `*:stack/NAME/*` for one field, github.com/vals-ai/Valkyrie pull request 278).
const MOST_COMPLEX: usize = 10;

/// Reads a pattern, refusing in AWS's words. The place is ours: AWS names the end of the token before.
pub(super) fn pattern(text: &str) -> Result<Pattern, ApiRefusal> {
    let invalid = |message: String| ApiRefusal::new("InvalidEventPatternException", message);
    let pattern = Pattern::parse(text).map_err(|error: PatternError| {
        invalid(format!(
            "{}\n at [Source: (String)\"{text}\"; line: {}, column: {}]",
            error.aws_text(),
            error.at.line,
            error.at.column
        ))
    })?;
    if pattern.wildcard_complexity() > MOST_COMPLEX {
        return Err(invalid(
            "Event pattern is not valid. Reason: Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character".into(),
        ));
    }
    Ok(pattern)
}

/// The enabled rules of a bus.
#[derive(Debug)]
pub(super) struct RuleMatcher {
    fields: FieldTrie,
    set: PatternSet,
    rules: Vec<Arc<BusRule>>,
}

impl RuleMatcher {
    pub(super) fn new<'r>(rules: impl IntoIterator<Item = &'r Arc<BusRule>>) -> Self {
        let enabled = rules.into_iter().filter(|rule| rule.state != "DISABLED");
        let rules: Vec<Arc<BusRule>> = enabled.cloned().collect();
        let mut fields = FieldTrie::new();
        let patterns = rules.iter().map(|rule| &rule.pattern);
        let set = PatternSet::compile(patterns, &mut fields);
        Self { fields, set, rules }
    }

    /// The rules that match an event. If matching fails, there are none, and the failure is logged.
    pub(super) fn matching(&self, event: &str) -> Vec<&Arc<BusRule>> {
        let body = Bytes::copy_from_slice(event.as_bytes());
        let mut found = Vec::new();
        let matched = match scan(&body, &self.fields) {
            Ok(scanned) => self
                .set
                .matching(&scanned, &mut found)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = matched {
            tracing::warn!(%error, "an event could not be matched");
        }
        found.iter().filter_map(|at| self.rules.get(*at)).collect()
    }
}

/// Returns `true` if a pattern matches an event.
pub(super) fn matches(text: &str, event: &str) -> Result<bool, ApiRefusal> {
    let pattern = pattern(text)?;
    let mut fields = FieldTrie::new();
    let set = PatternSet::compile([&pattern], &mut fields);
    let body = Bytes::copy_from_slice(event.as_bytes());
    let invalid = |message: String| ApiRefusal::new("ValidationException", message);
    let scanned = scan(&body, &fields).map_err(|error| invalid(error.to_string()))?;
    let mut found = Vec::new();
    set.matching(&scanned, &mut found)
        .map_err(|error| invalid(error.to_string()))?;
    Ok(!found.is_empty())
}
