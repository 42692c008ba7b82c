//! The names of condition operators: family, negation, quantifier, `IfExists`.
//!
//! IAM user guide, "Condition operators" and "Set operators for multivalued context keys". Names are written exactly so.

use super::compare::Relation;

/// How a key's several values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// No quantifier: one of them is enough, for negated operators to be false.
    None,
    ForAllValues,
    ForAnyValue,
}

/// The families of operators, before values are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Text,
    TextIgnoringCase,
    TextLike,
    Arn,
    Number(Relation),
    Date(Relation),
    Bool,
    Address,
    Binary,
    Null,
}

/// All operators, and whether each says the opposite of its family.
const OPERATORS: [(&str, Family, bool); 27] = {
    use Relation::{Equals, GreaterThan, GreaterThanEquals, LessThan, LessThanEquals};
    [
        ("StringEquals", Family::Text, false),
        ("StringNotEquals", Family::Text, true),
        ("StringEqualsIgnoreCase", Family::TextIgnoringCase, false),
        ("StringNotEqualsIgnoreCase", Family::TextIgnoringCase, true),
        ("StringLike", Family::TextLike, false),
        ("StringNotLike", Family::TextLike, true),
        ("ArnEquals", Family::Arn, false),
        ("ArnLike", Family::Arn, false),
        ("ArnNotEquals", Family::Arn, true),
        ("ArnNotLike", Family::Arn, true),
        ("NumericEquals", Family::Number(Equals), false),
        ("NumericNotEquals", Family::Number(Equals), true),
        ("NumericLessThan", Family::Number(LessThan), false),
        (
            "NumericLessThanEquals",
            Family::Number(LessThanEquals),
            false,
        ),
        ("NumericGreaterThan", Family::Number(GreaterThan), false),
        (
            "NumericGreaterThanEquals",
            Family::Number(GreaterThanEquals),
            false,
        ),
        ("DateEquals", Family::Date(Equals), false),
        ("DateNotEquals", Family::Date(Equals), true),
        ("DateLessThan", Family::Date(LessThan), false),
        ("DateLessThanEquals", Family::Date(LessThanEquals), false),
        ("DateGreaterThan", Family::Date(GreaterThan), false),
        (
            "DateGreaterThanEquals",
            Family::Date(GreaterThanEquals),
            false,
        ),
        ("Bool", Family::Bool, false),
        ("BinaryEquals", Family::Binary, false),
        ("IpAddress", Family::Address, false),
        ("NotIpAddress", Family::Address, true),
        ("Null", Family::Null, false),
    ]
};

/// An operator's name, understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operator {
    pub(super) set: Set,
    pub(super) if_exists: bool,
    pub(super) negated: bool,
    pub(super) family: Family,
}

impl Operator {
    /// Reads a name such as `ForAllValues:StringEqualsIfExists`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (set, base) = if let Some(base) = name.strip_prefix("ForAllValues:") {
            (Set::ForAllValues, base)
        } else if let Some(base) = name.strip_prefix("ForAnyValue:") {
            (Set::ForAnyValue, base)
        } else {
            (Set::None, name)
        };
        let (base, if_exists) = match base.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (base, false),
        };
        let (_, family, negated) = *OPERATORS.iter().find(|(known, ..)| *known == base)?;
        if family == Family::Null && (if_exists || set != Set::None) {
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

    /// What its values have to be, in words.
    pub(super) fn accepts(self) -> &'static str {
        match self.family {
            Family::Text | Family::TextIgnoringCase | Family::TextLike => "text",
            Family::Arn => {
                "`*`, or an ARN of six parts such as `arn:aws:iot:us-east-1:123456789012:topic/a`"
            }
            Family::Number(_) => "a number such as `10` or `2.5`",
            Family::Date(_) => "a date such as `2026-11-25T10:00:00Z`, or seconds since 1970",
            Family::Bool | Family::Null => "`true` or `false`",
            Family::Address => "an address or a block such as `203.0.113.0/24` or `2001:db8::/32`",
            Family::Binary => "Base64 text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators() {
        for name in Operator::names() {
            assert!(Operator::parse(name).is_some(), "{name}");
        }
        for name in [
            "NullIfExists",
            "ForAnyValue:Null",
            "stringEquals",
            "StringEqual",
            "",
            "ForAllValues:",
        ] {
            assert!(Operator::parse(name).is_none(), "{name}");
        }
    }
}
