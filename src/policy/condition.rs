//! Conditions: operators, their quantifiers, and their result for a request.
//!
//! IAM user guide, "Condition operators" and "Set operators for multivalued context keys". All keys of a block must hold; of a
//! key's values one is enough, and none may be equal for the negated operators. A key that is absent makes positive operators
//! false and negated ones true, `…IfExists` and `ForAllValues:` true, `ForAnyValue:` false; a key with no values counts as
//! absent. BinaryEquals compares the Base64 texts.

use std::net::IpAddr;

use jiff::Timestamp;

use super::arn::{ArnError, ArnPattern, ResourceArn};
use super::compare::{AddressBlock, OrderRelation, date, number, truth};
use super::context::{Context, KeyValues};
use super::glob::{Glob, GlobSyntax};
use super::operator::{ConditionOperator, OperatorFamily, SetOperator};
use super::read::VARIABLES;
use super::variable::ContextKey;
use crate::event::pattern::tree::TextPosition;

/// One key under one operator.
#[derive(Clone, Debug)]
pub struct PolicyCondition {
    /// The operator as written, such as `ForAnyValue:StringEquals`.
    pub operator: Box<str>,
    /// The key that it asks for.
    pub key: ContextKey,
    /// The values as written.
    pub values: Vec<Box<str>>,
    /// Position of the key.
    pub at: TextPosition,
    set: SetOperator,
    if_exists: bool,
    negated: bool,
    test: ConditionTest,
}

/// Comparison, with the policy's values compiled.
#[derive(Clone, Debug)]
enum ConditionTest {
    Text(Vec<Glob>),
    TextIgnoringCase(Vec<Glob>),
    Arn(Vec<ArnPattern>),
    Number(OrderRelation, Vec<f64>),
    Date(OrderRelation, Vec<Timestamp>),
    Bool(Vec<bool>),
    Address(Vec<AddressBlock>),
    Binary(Vec<Box<str>>),
    Null(Vec<bool>),
}

/// A value that its operator does not take: its place among the values, and the fault where it can
/// be described.
pub(super) struct BadValue {
    pub(super) index: usize,
    pub(super) reason: Option<String>,
    pub(super) help: &'static str,
}

/// Fault of one value, and the fix.
type ConditionFault = (Option<String>, &'static str);

/// A value of another type.
const UNFIT: ConditionFault = (
    None,
    "correct the value, or take an operator of another type",
);

impl PolicyCondition {
    /// Compiles a condition; all bad values are reported.
    pub(super) fn compile(
        name: &str,
        operator: ConditionOperator,
        key: ContextKey,
        values: Vec<Box<str>>,
        at: TextPosition,
        variables: bool,
    ) -> Result<Self, Vec<BadValue>> {
        let texts = |wildcards: bool| {
            let syntax = GlobSyntax {
                wildcards,
                variables,
            };
            each(&values, |value| {
                Glob::parse(value, syntax).map_err(|error| (Some(error.to_string()), VARIABLES))
            })
        };
        let plain = |value: &str| Ok::<_, ConditionFault>(Box::from(value));
        let test = match operator.family {
            OperatorFamily::Text => ConditionTest::Text(texts(false)?),
            OperatorFamily::TextIgnoringCase => ConditionTest::TextIgnoringCase(texts(false)?),
            OperatorFamily::TextLike => ConditionTest::Text(texts(true)?),
            OperatorFamily::Arn => ConditionTest::Arn(each(&values, |value| {
                ArnPattern::parse(value, variables).map_err(|error| {
                    let help = match error {
                        ArnError::Glob(_) => VARIABLES,
                        _ => "write the whole ARN, with `*` for the parts that may be anything",
                    };
                    (Some(error.to_string()), help)
                })
            })?),
            OperatorFamily::Number(relation) => {
                ConditionTest::Number(relation, each(&values, |value| number(value).ok_or(UNFIT))?)
            }
            OperatorFamily::Date(relation) => {
                ConditionTest::Date(relation, each(&values, |value| date(value).ok_or(UNFIT))?)
            }
            OperatorFamily::Bool => {
                ConditionTest::Bool(each(&values, |value| truth(value).ok_or(UNFIT))?)
            }
            OperatorFamily::Null => {
                ConditionTest::Null(each(&values, |value| truth(value).ok_or(UNFIT))?)
            }
            OperatorFamily::Address => ConditionTest::Address(each(&values, |value| {
                AddressBlock::parse(value).ok_or(UNFIT)
            })?),
            OperatorFamily::Binary => ConditionTest::Binary(each(&values, plain)?),
        };
        Ok(Self {
            operator: name.into(),
            key,
            values,
            at,
            set: operator.set,
            if_exists: operator.if_exists,
            negated: operator.negated,
            test,
        })
    }

    /// Returns `true` where the request meets the condition.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let values = context.values(&self.key);
        let absent = values.is_empty();
        if let ConditionTest::Null(wanted) = &self.test {
            return wanted.contains(&absent);
        }
        let accepts = |value: &str| self.test.accepts(value, context);
        match self.set {
            _ if absent && self.if_exists => true,
            SetOperator::None => values.iter().any(accepts) != self.negated,
            SetOperator::ForAllValues => values.iter().all(|value| accepts(value) != self.negated),
            SetOperator::ForAnyValue => values.iter().any(|value| accepts(value) != self.negated),
        }
    }

    /// The keys that it asks for and the request does not have, though it cannot be decided well without them.
    pub(super) fn missing<'c>(
        &'c self,
        context: &'c Context,
    ) -> impl Iterator<Item = &'c ContextKey> {
        let asks_for_absence = self.if_exists || matches!(self.test, ConditionTest::Null(_));
        let own = matches!(context.values(&self.key), KeyValues::Absent) && !asks_for_absence;
        let (texts, arns): (&[Glob], &[ArnPattern]) = match &self.test {
            ConditionTest::Text(globs) | ConditionTest::TextIgnoringCase(globs) => (globs, &[]),
            ConditionTest::Arn(patterns) => (&[], patterns),
            _ => (&[], &[]),
        };
        own.then_some(&self.key)
            .into_iter()
            .chain(texts.iter().flat_map(|glob| glob.unresolved(context)))
            .chain(arns.iter().flat_map(|pattern| pattern.unresolved(context)))
    }

    /// Describes for a person the values that the condition wants and those that it finds.
    pub(super) fn described(&self, context: &Context) -> String {
        let list = |values: &mut dyn Iterator<Item = &str>| {
            let quoted: Vec<String> = values.map(|value| format!("`{value}`")).collect();
            quoted.join(", ")
        };
        let found = match context.values(&self.key) {
            KeyValues::Absent => "absent".to_owned(),
            KeyValues::Many([]) => "an empty set".to_owned(),
            values => list(&mut values.iter()),
        };
        let wanted = list(&mut self.values.iter().map(|value| &**value));
        format!(
            "`{}` is {found}; `{}` wants {}",
            self.key,
            self.operator,
            if wanted.is_empty() {
                "no value"
            } else {
                &wanted
            }
        )
    }

    /// The variables of its values that are straight before a wildcard.
    pub(super) fn spilling(&self) -> impl Iterator<Item = &ContextKey> {
        let (texts, arns): (&[Glob], &[ArnPattern]) = match &self.test {
            ConditionTest::Text(globs) => (globs, &[]),
            ConditionTest::Arn(patterns) => (&[], patterns),
            _ => (&[], &[]),
        };
        let arns = arns.iter().flat_map(ArnPattern::spilling);
        texts.iter().flat_map(Glob::spilling).chain(arns)
    }

    /// The keys of the variables in its values.
    pub fn variables(&self) -> impl Iterator<Item = &ContextKey> {
        let (texts, arns): (&[Glob], &[ArnPattern]) = match &self.test {
            ConditionTest::Text(globs) | ConditionTest::TextIgnoringCase(globs) => (globs, &[]),
            ConditionTest::Arn(patterns) => (&[], patterns),
            _ => (&[], &[]),
        };
        texts
            .iter()
            .flat_map(Glob::keys)
            .chain(arns.iter().flat_map(ArnPattern::keys))
    }
}

/// Compiles each value, or reports all that do not compile.
fn each<T>(
    values: &[Box<str>],
    compile: impl Fn(&str) -> Result<T, ConditionFault>,
) -> Result<Vec<T>, Vec<BadValue>> {
    let (mut compiled, mut bad) = (Vec::new(), Vec::new());
    for (index, value) in values.iter().enumerate() {
        match compile(value) {
            Ok(value) => compiled.push(value),
            Err((reason, help)) => bad.push(BadValue {
                index,
                reason,
                help,
            }),
        }
    }
    if bad.is_empty() {
        Ok(compiled)
    } else {
        Err(bad)
    }
}

impl ConditionTest {
    /// Returns `true` where one value of the request is equal to one of the policy's.
    fn accepts(&self, value: &str, context: &Context) -> bool {
        match self {
            Self::Text(globs) => globs.iter().any(|glob| glob.matches(value, context)),
            Self::TextIgnoringCase(globs) => {
                let value = value.to_lowercase();
                globs
                    .iter()
                    .filter_map(|glob| glob.sample("", "", context))
                    .any(|text| text.to_lowercase() == value)
            }
            Self::Arn(patterns) => {
                let arn = ResourceArn::new(value);
                patterns
                    .iter()
                    .any(|pattern| pattern.matches(&arn, context))
            }
            Self::Number(relation, wanted) => number(value).is_some_and(|value| {
                wanted
                    .iter()
                    .any(|wanted| relation.holds(value.partial_cmp(wanted)))
            }),
            Self::Date(relation, wanted) => date(value).is_some_and(|value| {
                wanted
                    .iter()
                    .any(|wanted| relation.holds(Some(value.cmp(wanted))))
            }),
            Self::Bool(wanted) | Self::Null(wanted) => {
                truth(value).is_some_and(|value| wanted.contains(&value))
            }
            Self::Address(blocks) => value.parse().is_ok_and(|address: IpAddr| {
                let address = address.to_canonical();
                blocks.iter().any(|block| block.contains(address))
            }),
            Self::Binary(wanted) => wanted.iter().any(|wanted| **wanted == *value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: TextPosition = TextPosition { line: 1, column: 1 };

    /// Checks whether a condition on the key `k` holds for a request whose `k` has some values;
    /// `None` for no such key.
    #[track_caller]
    fn check(operator: &str, policy: &[&str], request: Option<&[&str]>, expected: bool) {
        let values = policy.iter().map(|&value| value.into()).collect();
        let parsed = ConditionOperator::parse(operator).unwrap();
        let condition =
            PolicyCondition::compile(operator, parsed, ContextKey::new("k"), values, AT, true);
        let mut context = Context::of_client("c*");
        if let Some(values) = request {
            context.set("K", values.iter().copied());
        }
        let condition = condition.map_err(|_| "bad values").unwrap();
        assert_eq!(
            condition.holds(&context),
            expected,
            "{operator} {policy:?} {request:?}"
        );
    }

    #[test]
    fn text() {
        check("StringEquals", &["a", "b"], Some(&["b"]), true);
        check("StringEquals", &["a*"], Some(&["ab"]), false);
        check("StringEquals", &["a*"], Some(&["a*"]), true);
        check("StringEquals", &["A"], Some(&["a"]), false);
        check(
            "StringEqualsIgnoreCase",
            &["Ä${iot:ClientId}"],
            Some(&["äC*"]),
            true,
        );
        check("StringNotEqualsIgnoreCase", &["A"], Some(&["a"]), false);
        check("StringLike", &["a*", "b"], Some(&["ab"]), true);
        check("StringLike", &["*${iot:ClientId}"], Some(&["xc*"]), true);
        check("StringLike", &["*${iot:ClientId}"], Some(&["xcd"]), false);
        check("StringNotLike", &["a*"], Some(&["b"]), true);
        check("StringEquals", &["${iot:Nothing}"], Some(&["x"]), false);
        check("StringNotEquals", &["${iot:Nothing}"], Some(&["x"]), true);
    }

    #[test]
    fn negated_operators_are_neither_nor() {
        check("StringNotEquals", &["a", "b"], Some(&["c"]), true);
        check("StringNotEquals", &["a", "b"], Some(&["a"]), false);
        check(
            "NotIpAddress",
            &["10.0.0.0/8", "192.0.2.1"],
            Some(&["10.1.1.1"]),
            false,
        );
    }

    #[test]
    fn absent_keys() {
        check("StringEquals", &["a"], None, false);
        check("StringNotEquals", &["a"], None, true);
        check("StringEqualsIfExists", &["a"], None, true);
        check("StringEqualsIfExists", &["a"], Some(&["b"]), false);
        check("ForAllValues:StringEquals", &["a"], None, true);
        check("ForAllValues:StringNotEquals", &["a"], None, true);
        check("ForAnyValue:StringEquals", &["a"], None, false);
        check("ForAnyValue:StringNotEquals", &["a"], None, false);
        check("ForAnyValue:StringEqualsIfExists", &["a"], None, true);
        check("Bool", &["false"], None, false);
        check("NumericLessThan", &["1"], None, false);
        check("NotIpAddress", &["10.0.0.0/8"], None, true);
    }

    #[test]
    fn null() {
        check("Null", &["true"], None, true);
        check("Null", &["false"], None, false);
        check("Null", &["true"], Some(&["x"]), false);
        check("Null", &["false"], Some(&["x"]), true);
        check("Null", &["true"], Some(&[]), true);
        check("Null", &["true", "false"], None, true);
    }

    #[test]
    fn sets() {
        check(
            "ForAllValues:StringEquals",
            &["a", "b"],
            Some(&["a", "b"]),
            true,
        );
        check(
            "ForAllValues:StringEquals",
            &["a", "b"],
            Some(&["a", "c"]),
            false,
        );
        check("ForAllValues:StringEquals", &[], Some(&["a"]), false);
        check("ForAllValues:StringEquals", &[], Some(&[]), true);
        check(
            "ForAllValues:StringNotEquals",
            &["a"],
            Some(&["b", "c"]),
            true,
        );
        check(
            "ForAllValues:StringNotEquals",
            &["a"],
            Some(&["b", "a"]),
            false,
        );
        check("ForAnyValue:StringEquals", &["a"], Some(&["a", "c"]), true);
        check(
            "ForAnyValue:StringNotEquals",
            &["a"],
            Some(&["a", "c"]),
            true,
        );
        check("ForAnyValue:StringNotEquals", &["a"], Some(&["a"]), false);
        check("ForAnyValue:StringEquals", &["a"], Some(&[]), false);
        check("StringEquals", &["a"], Some(&["b", "a"]), true);
        check("StringNotEquals", &["a"], Some(&["b", "a"]), false);
    }

    #[test]
    fn other_types() {
        let topic = "arn:aws:iot:us-east-1:1:topic/a/b";
        check(
            "ArnEquals",
            &["arn:aws:iot:*:1:topic/*"],
            Some(&[topic]),
            true,
        );
        check(
            "ArnLike",
            &["arn:aws:iot:us-east-1:1:topic/a"],
            Some(&[topic]),
            false,
        );
        check(
            "ArnNotLike",
            &["arn:aws:iot:*:1:topic/*"],
            Some(&[topic]),
            false,
        );
        check("NumericEquals", &["10"], Some(&["10.0"]), true);
        check("NumericNotEquals", &["10"], Some(&["9"]), true);
        check("NumericLessThanEquals", &["10"], Some(&["10"]), true);
        check("NumericGreaterThan", &["10"], Some(&["x"]), false);
        check(
            "DateGreaterThan",
            &["2026-01-01"],
            Some(&["2026-01-01T00:00:01Z"]),
            true,
        );
        check(
            "DateLessThan",
            &["2026-01-01"],
            Some(&["1767225600"]),
            false,
        );
        check("Bool", &["TRUE"], Some(&["true"]), true);
        check(
            "IpAddress",
            &["203.0.113.0/24"],
            Some(&["::ffff:203.0.113.9"]),
            true,
        );
        check("IpAddress", &["203.0.113.0/24"], Some(&["nowhere"]), false);
        check("BinaryEquals", &["QmFzZTY0"], Some(&["QmFzZTY0"]), true);
    }
}
