//! Conditions that no request can meet.

use std::net::IpAddr;

use super::{FindingLevel, LintContext, LintRule};
use crate::policy::condition::PolicyCondition;
use crate::policy::context::Context;
use crate::policy::document::Statement;
use crate::policy::operator::{ConditionOperator, OperatorFamily, SetOperator};

pub(super) static IMPOSSIBLE: LintRule = LintRule {
    code: "impossible-condition",
    level: FindingLevel::Error,
    reason: "no request meets the condition, so that its statement, or this value, has no effect",
    fix: "correct the value, or take the condition out",
};

/// The values of `iot:ConnectAttributes` (developer guide, "Connect policy examples").
const CONNECT_ATTRIBUTES: [&str; 2] = ["PersistentConnect", "LastWill"];

/// Keys that may have several values in one request, by parts of their names.
const SEVERAL_VALUES: [&str; 5] = [
    "connectattributes",
    ".list",
    "availablekeys",
    "tagkeys",
    ":amr",
];

pub(super) fn check(lint: &mut LintContext<'_>) {
    for (document, statement) in lint.statements() {
        for condition in &statement.conditions {
            if let Some(message) = alone(condition).or_else(|| together(condition, statement)) {
                lint.add(&IMPOSSIBLE, document, condition.at, message);
            }
        }
    }
}

/// Fault of a condition by itself.
fn alone(condition: &PolicyCondition) -> Option<String> {
    let (name, key) = (&condition.operator, &condition.key);
    let operator = ConditionOperator::parse(name)?;
    let positive =
        !operator.negated && !operator.if_exists && operator.family != OperatorFamily::Null;
    if positive && condition.values.is_empty() && operator.set != SetOperator::ForAllValues {
        return Some(format!(
            "`{name}` on `{key}` has no value, so that it never holds"
        ));
    }
    let values = condition.values.iter().map(|value| &**value);
    let mut plain = values.filter(|value: &&str| !value.contains(['*', '?', '$']));
    if operator.negated {
        return None;
    }
    match (key.lower(), operator.family) {
        ("iot:connectattributes", OperatorFamily::Text | OperatorFamily::TextLike) => {
            let value = plain.find(|value| !CONNECT_ATTRIBUTES.contains(value))?;
            let likeness =
                |known: &&str| strsim::jaro_winkler(&value.to_lowercase(), &known.to_lowercase());
            let near = CONNECT_ATTRIBUTES
                .into_iter()
                .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
                .filter(|known| likeness(known) > 0.7);
            let help = near.map_or_else(
                || format!("it has {}", CONNECT_ATTRIBUTES.join(" and ")),
                |near| format!("did you mean `{near}`?"),
            );
            Some(format!("`{value}` is no value of `{key}`; {help}"))
        }
        ("aws:sourceip", OperatorFamily::Text) => {
            let value = plain.find(|value| value.parse::<IpAddr>().is_err())?;
            Some(format!(
                "`{value}` is no address, and `{name}` compares texts; use IpAddress for blocks"
            ))
        }
        _ => None,
    }
}

/// Describes a condition of which no value meets the other conditions on its key; `None` for
/// others.
fn together(condition: &PolicyCondition, statement: &Statement) -> Option<String> {
    let key = condition.key.lower();
    let exact = ConditionOperator::parse(&condition.operator).is_some_and(is_exact);
    let several = SEVERAL_VALUES.iter().any(|part| key.contains(part));
    let others = || {
        statement
            .conditions
            .iter()
            .filter(|other| other.key.lower() == key)
    };
    let open = |condition: &PolicyCondition| condition.variables().next().is_some();
    if !exact || several || others().count() < 2 || others().any(open) {
        return None;
    }
    let meets = |value: &str| {
        let mut context = Context::default();
        context.set(key, [value]);
        others().all(|other| other.holds(&context))
    };
    let possible = condition.values.iter().any(|value| meets(value));
    (!possible).then(|| {
        let names: Vec<&str> = others().map(|other| &*other.operator).collect();
        format!(
            "no value of `{}` meets {} together",
            condition.key,
            names.join(" and ")
        )
    })
}

/// Returns `true` where an operator holds for the values that it names, and for no other.
fn is_exact(operator: ConditionOperator) -> bool {
    let family = matches!(
        operator.family,
        OperatorFamily::Text | OperatorFamily::Bool | OperatorFamily::Binary
    );
    family && operator.set == SetOperator::None && !operator.negated && !operator.if_exists
}
