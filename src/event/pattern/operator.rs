//! Tests of one field: the values and operators of a leaf, and what they accept.

use super::address::{self, PatternBlock};
use super::number;
use super::text::{FoldedText, WildcardPattern};
use super::tree::TextPosition;
use crate::event::scanned::{CapturedValue, ValueKind};

/// Names that a branch of `$or` may not use for fields: operators, and words that AWS keeps for later ones.
pub(super) const RESERVED: [&str; 24] = [
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// Test of a field: its value must be one of several things.
#[derive(Clone, Debug)]
pub(super) struct FieldTest {
    pub(super) tests: Vec<ValueTest>,
    /// `true` if the field may be missing (`{"exists": false}`).
    pub(super) may_be_absent: bool,
    /// The leaf as written, for explanations.
    pub(super) written: Box<str>,
    pub(super) path: Box<str>,
    /// Wildcards and numbers, with their places, for the lints.
    pub(super) wildcards: Vec<(WildcardPattern, TextPosition)>,
    pub(super) numbers: Vec<(Box<str>, TextPosition)>,
}

/// One thing that a value may be.
#[derive(Clone, Debug)]
pub(super) enum ValueTest {
    Exact(Box<[u8]>),
    Address(std::net::IpAddr),
    /// Equal in value where both are comparable, else in spelling.
    Number {
        text: Box<str>,
        value: Option<f64>,
    },
    Literal(ValueKind),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    EqualsFold(FoldedText),
    PrefixFold(FoldedText),
    SuffixFold(FoldedText),
    Wildcard(WildcardPattern),
    Numeric(NumberRange),
    Cidr(PatternBlock),
    Exists,
    /// Present, and none of these.
    AnythingBut(Vec<ValueTest>),
}

/// A run of numbers; each end with whether it belongs to the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberRange {
    pub(super) low: Option<(f64, bool)>,
    pub(super) high: Option<(f64, bool)>,
}

impl NumberRange {
    fn contains(&self, value: f64) -> bool {
        let above = |(low, inclusive): (f64, bool)| value > low || (inclusive && value == low);
        let below = |(high, inclusive): (f64, bool)| value < high || (inclusive && value == high);
        self.low.is_none_or(above) && self.high.is_none_or(below)
    }
}

impl FieldTest {
    /// Returns `true` if a value, which is a leaf of the event, is one of the things asked for.
    pub(super) fn accepts(&self, value: &CapturedValue<'_>) -> bool {
        self.tests.iter().any(|test| test.accepts(value))
    }

    /// The number of values and operators, those inside `anything-but` included.
    pub(super) fn size(&self) -> usize {
        let size = |test: &ValueTest| match test {
            ValueTest::AnythingBut(tests) => tests.len(),
            _ => 1,
        };
        self.tests.iter().map(size).sum()
    }

    /// The strings of a leaf that asks for nothing but exact strings, for look-up in an index.
    pub(super) fn exact_strings(&self) -> Option<impl Iterator<Item = &[u8]>> {
        let exact = |test: &ValueTest| matches!(test, ValueTest::Exact(_));
        (!self.may_be_absent && self.tests.iter().all(exact)).then(|| {
            self.tests.iter().filter_map(|test| match test {
                ValueTest::Exact(text) => Some(&**text),
                _ => None,
            })
        })
    }
}

impl ValueTest {
    fn accepts(&self, value: &CapturedValue<'_>) -> bool {
        let string = value.kind == ValueKind::String;
        match self {
            Self::Exact(text) => string && **text == *value.text,
            Self::Address(wanted) => string && address::parse(value.text) == Some(*wanted),
            Self::Number {
                text,
                value: wanted,
            } => {
                value.kind == ValueKind::Number
                    && (text.as_bytes() == value.text
                        || wanted.is_some_and(|wanted| comparable(value) == Some(wanted)))
            }
            Self::Literal(kind) => value.kind == *kind,
            Self::Prefix(text) => string && value.text.starts_with(text),
            Self::Suffix(text) => string && value.text.ends_with(text),
            Self::EqualsFold(fold) => string && fold.equals(value.text),
            Self::PrefixFold(fold) => string && fold.starts(value.text),
            Self::SuffixFold(fold) => string && fold.ends(value.text),
            Self::Wildcard(wildcard) => string && wildcard.matches(value.text),
            Self::Numeric(range) => {
                value.kind == ValueKind::Number
                    && comparable(value).is_some_and(|number| range.contains(number))
            }
            Self::Cidr(block) => {
                string && address::parse(value.text).is_some_and(|address| block.contains(address))
            }
            Self::Exists => true,
            Self::AnythingBut(tests) => !tests.iter().any(|test| test.accepts(value)),
        }
    }
}

fn comparable(value: &CapturedValue<'_>) -> Option<f64> {
    value.as_str().and_then(number::comparable)
}
