//! The situations in which two policies are compared: conditions hold in some requests and not in others.
//!
//! In the first situation variables have values of their own that nothing else has, and nothing
//! else is known. Then, for each statement with conditions, come situations in which its conditions
//! hold, one for each of their values, and such in which they do not.

use super::RequestCondition;
use crate::policy::condition::PolicyCondition;
use crate::policy::context::Context;
use crate::policy::document::{Document, ResourcePattern, Statement};

/// A context, and the keys that had to be set in it, for people.
pub(super) struct RequestSituation {
    pub(super) context: Context,
    pub(super) when: RequestCondition,
}

/// All situations that some documents distinguish.
pub(super) fn situations<'d>(
    documents: impl Iterator<Item = &'d Document> + Clone,
) -> Vec<RequestSituation> {
    let statements = documents.flat_map(|document| &document.statements);
    let mut usual = Context::default();
    let mut values = 0;
    let mut name = |context: &mut Context, key: &str| {
        values += 1;
        context.set(key, [format!("~{values}")]);
    };
    for statement in statements.clone() {
        for key in statement
            .resources
            .listed()
            .iter()
            .flat_map(ResourcePattern::variables)
        {
            name(&mut usual, key.as_str());
        }
        for key in statement
            .conditions
            .iter()
            .flat_map(PolicyCondition::variables)
        {
            name(&mut usual, key.as_str());
        }
    }
    let mut all = vec![RequestSituation {
        context: usual.clone(),
        when: Vec::new(),
    }];
    for statement in statements {
        let most = statement
            .conditions
            .iter()
            .map(|condition| condition.values.len())
            .max();
        let holding = (0..most.unwrap_or(0)).map(|nth| holding(statement, nth, &usual));
        let failing = statement
            .conditions
            .iter()
            .flat_map(|condition| failing(condition, &usual));
        for situation in holding.chain(failing) {
            if !all.iter().any(|known| known.when == situation.when) {
                all.push(situation);
            }
        }
    }
    all
}

/// Situations in which a condition does not hold, though it does when nothing is known.
fn failing(condition: &PolicyCondition, usual: &Context) -> Vec<RequestSituation> {
    if !condition.holds(usual) {
        return Vec::new();
    }
    let base = base(&condition.operator);
    let values: Vec<String> = match base.contains("Not") {
        true => {
            let positive = base.replacen("Not", "", 1);
            condition
                .values
                .iter()
                .filter_map(|value| fulfilling(&positive, value))
                .collect()
        }
        false => vec!["~other".to_owned()],
    };
    let situation = |value: String| {
        let mut context = usual.clone();
        context.set(condition.key.as_str(), [value.as_str()]);
        RequestSituation {
            context,
            when: vec![(condition.key.to_string(), value)],
        }
    };
    values.into_iter().map(situation).collect()
}

/// A situation in which a statement's conditions hold, by the `nth` value of each where it has as many.
fn holding(statement: &Statement, nth: usize, usual: &Context) -> RequestSituation {
    let mut situation = RequestSituation {
        context: usual.clone(),
        when: Vec::new(),
    };
    for condition in &statement.conditions {
        let value = condition.values.get(nth).or(condition.values.last());
        if let Some(value) = value.and_then(|value| fulfilling(&condition.operator, value)) {
            situation
                .context
                .set(condition.key.as_str(), [value.as_str()]);
            situation.when.push((condition.key.to_string(), value));
        }
    }
    situation
}

/// A value of a key for which an operator holds; `None` where it holds without the key.
fn fulfilling(operator: &str, value: &str) -> Option<String> {
    let shifted = |by: f64| {
        value
            .parse::<f64>()
            .ok()
            .map(|number| (number + by).to_string())
    };
    match base(operator) {
        "Null" if value.eq_ignore_ascii_case("true") => None,
        "Null" => Some("any".to_owned()),
        negated if negated.contains("Not") => None,
        "NumericLessThan" => shifted(-1.0),
        "NumericGreaterThan" => shifted(1.0),
        "DateLessThan" => Some("1970-01-01T00:00:00Z".to_owned()),
        "DateGreaterThan" => Some("2999-01-01T00:00:00Z".to_owned()),
        "IpAddress" => value.split('/').next().map(str::to_owned),
        "StringLike" | "ArnLike" | "ArnEquals" => Some(value.replace('*', "any").replace('?', "x")),
        _ => Some(value.to_owned()),
    }
}

/// An operator without its quantifier and without `IfExists`.
fn base(operator: &str) -> &str {
    let base = operator.rsplit(':').next().unwrap_or(operator);
    base.strip_suffix("IfExists").unwrap_or(base)
}
