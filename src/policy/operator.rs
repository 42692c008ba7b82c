//! The names of condition operators: family, negation, quantifier, `IfExists`.
//!
//! IAM user guide, "Condition operators" and "Set operators for multivalued context keys". Names are written exactly so.

use super::compare::OrderRelation;

/// Quantifier for a key with several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetOperator {
    /// No quantifier: one of them is enough, for negated operators to be false.
    None,
    ForAllValues,
    ForAnyValue,
}

/// The families of operators, before values are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperatorFamily {
    Text,
    TextIgnoringCase,
    TextLike,
    Arn,
    Number(OrderRelation),
    Date(OrderRelation),
    Bool,
    Address,
    Binary,
    Null,
}

/// All operators, and whether each says the opposite of its family.
const OPERATORS: [(&str, OperatorFamily, bool); 27] = {
    use OrderRelation::{Equals, GreaterThan, GreaterThanEquals, LessThan, LessThanEquals};
    [
        ("StringEquals", OperatorFamily::Text, false),
        ("StringNotEquals", OperatorFamily::Text, true),
        (
            "StringEqualsIgnoreCase",
            OperatorFamily::TextIgnoringCase,
            false,
        ),
        (
            "StringNotEqualsIgnoreCase",
            OperatorFamily::TextIgnoringCase,
            true,
        ),
        ("StringLike", OperatorFamily::TextLike, false),
        ("StringNotLike", OperatorFamily::TextLike, true),
        ("ArnEquals", OperatorFamily::Arn, false),
        ("ArnLike", OperatorFamily::Arn, false),
        ("ArnNotEquals", OperatorFamily::Arn, true),
        ("ArnNotLike", OperatorFamily::Arn, true),
        ("NumericEquals", OperatorFamily::Number(Equals), false),
        ("NumericNotEquals", OperatorFamily::Number(Equals), true),
        ("NumericLessThan", OperatorFamily::Number(LessThan), false),
        (
            "NumericLessThanEquals",
            OperatorFamily::Number(LessThanEquals),
            false,
        ),
        (
            "NumericGreaterThan",
            OperatorFamily::Number(GreaterThan),
            false,
        ),
        (
            "NumericGreaterThanEquals",
            OperatorFamily::Number(GreaterThanEquals),
            false,
        ),
        ("DateEquals", OperatorFamily::Date(Equals), false),
        ("DateNotEquals", OperatorFamily::Date(Equals), true),
        ("DateLessThan", OperatorFamily::Date(LessThan), false),
        (
            "DateLessThanEquals",
            OperatorFamily::Date(LessThanEquals),
            false,
        ),
        ("DateGreaterThan", OperatorFamily::Date(GreaterThan), false),
        (
            "DateGreaterThanEquals",
            OperatorFamily::Date(GreaterThanEquals),
            false,
        ),
        ("Bool", OperatorFamily::Bool, false),
        ("BinaryEquals", OperatorFamily::Binary, false),
        ("IpAddress", OperatorFamily::Address, false),
        ("NotIpAddress", OperatorFamily::Address, true),
        ("Null", OperatorFamily::Null, false),
    ]
};

/// An operator's name, understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConditionOperator {
    pub(super) set: SetOperator,
    pub(super) if_exists: bool,
    pub(super) negated: bool,
    pub(super) family: OperatorFamily,
}

impl ConditionOperator {
    /// Reads a name such as `ForAllValues:StringEqualsIfExists`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (set, base) = if let Some(base) = name.strip_prefix("ForAllValues:") {
            (SetOperator::ForAllValues, base)
        } else if let Some(base) = name.strip_prefix("ForAnyValue:") {
            (SetOperator::ForAnyValue, base)
        } else {
            (SetOperator::None, name)
        };
        let (base, if_exists) = match base.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (base, false),
        };
        let (_, family, negated) = *OPERATORS.iter().find(|(known, ..)| *known == base)?;
        if family == OperatorFamily::Null && (if_exists || set != SetOperator::None) {
            return None;
        }
        Some(Self {
            set,
            if_exists,
            negated,
            family,
        })
    }

    /// All names without quantifier and `IfExists`.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        OPERATORS.iter().map(|(name, ..)| *name)
    }

    /// Describes the accepted values, in words.
    pub(super) fn accepts(self) -> &'static str {
        match self.family {
            OperatorFamily::Text | OperatorFamily::TextIgnoringCase | OperatorFamily::TextLike => {
                "text"
            }
            OperatorFamily::Arn => {
                "`*`, or an ARN of six parts such as `arn:aws:iot:us-east-1:123456789012:topic/a`"
            }
            OperatorFamily::Number(_) => "a number such as `10` or `2.5`",
            OperatorFamily::Date(_) => {
                "a date such as `2026-11-25T10:00:00Z`, or seconds since 1970"
            }
            OperatorFamily::Bool | OperatorFamily::Null => "`true` or `false`",
            OperatorFamily::Address => {
                "an address or a block such as `203.0.113.0/24` or `2001:db8::/32`"
            }
            OperatorFamily::Binary => "Base64 text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators() {
        for name in ConditionOperator::names() {
            assert!(ConditionOperator::parse(name).is_some(), "{name}");
        }
        for name in [
            "NullIfExists",
            "ForAnyValue:Null",
            "stringEquals",
            "StringEqual",
            "",
            "ForAllValues:",
        ] {
            assert!(ConditionOperator::parse(name).is_none(), "{name}");
        }
    }
}
