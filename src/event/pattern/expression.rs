//! Reads a leaf: values, and expressions of one operator and its argument.
//!
//! The texts of errors are those that EventBridge's users see.

use super::address::{self, PatternBlock};
use super::compile::fault;
use super::number;
use super::operator::{FieldTest, ValueTest};
use super::text::{FoldedText, WildcardPattern};
use super::tree::{NodeValue, ObjectMember, TreeValue};
use super::{MAX_WILDCARD_BYTES, PatternError};
use crate::event::scanned::ValueKind;

const KNOWN: [&str; 9] = [
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exactly",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
];

impl FieldTest {
    pub(super) fn parse(
        node: &TreeValue,
        values: &[TreeValue],
        path: &str,
    ) -> Result<Self, PatternError> {
        if values.is_empty() {
            return Err(fault(node, path, "Empty arrays are not allowed"));
        }
        let mut leaf = Self {
            tests: Vec::with_capacity(values.len()),
            may_be_absent: false,
            written: node.to_json().into(),
            path: path.into(),
            wildcards: Vec::new(),
            numbers: Vec::new(),
        };
        for (index, value) in values.iter().enumerate() {
            let path = format!("{path}[{index}]");
            leaf.value(value, &path)?;
        }
        Ok(leaf)
    }

    fn value(&mut self, node: &TreeValue, path: &str) -> Result<(), PatternError> {
        let test = match &node.value {
            NodeValue::String(text) => match address::parse(text) {
                Some(address) => ValueTest::Address(address),
                None => ValueTest::Exact(text.clone()),
            },
            NodeValue::Number(text) => {
                self.numbers.push((text.clone(), node.at));
                ValueTest::Number {
                    text: text.clone(),
                    value: number::comparable(text),
                }
            }
            NodeValue::Bool(true) => ValueTest::Literal(ValueKind::True),
            NodeValue::Bool(false) => ValueTest::Literal(ValueKind::False),
            NodeValue::Null => ValueTest::Literal(ValueKind::Null),
            NodeValue::Object(members) => return self.expression(node, members, path),
            NodeValue::Array(_) => {
                let reason = "Match value must be String, number, true, false, or null";
                return Err(fault(node, path, reason));
            }
        };
        self.tests.push(test);
        Ok(())
    }

    /// `{"operator": argument}`. As AWS reads from left to right, a wrong argument is reported before a second key.
    fn expression(
        &mut self,
        node: &TreeValue,
        members: &[ObjectMember],
        path: &str,
    ) -> Result<(), PatternError> {
        let Some((member, more)) = members.split_first() else {
            return Err(fault(node, path, "Match expression name not found"));
        };
        let argument = &member.value;
        let string = |name: &str| match &argument.value {
            NodeValue::String(text) => Ok(text.clone()),
            _ => Err(fault(
                argument,
                path,
                format!("{name} match pattern must be a string"),
            )),
        };
        let test = match &*member.key {
            "exactly" => ValueTest::Exact(string("exact")?),
            "prefix" => match folded(argument, path)? {
                Some(fold) => ValueTest::PrefixFold(fold),
                None => ValueTest::Prefix(string("prefix")?),
            },
            "suffix" => match folded(argument, path)? {
                Some(fold) => ValueTest::SuffixFold(fold),
                None => ValueTest::Suffix(string("suffix")?),
            },
            "equals-ignore-case" => {
                ValueTest::EqualsFold(FoldedText::new(&string("equals-ignore-case")?))
            }
            "wildcard" => {
                let wildcard = self.wildcard(argument, &string("wildcard")?, path)?;
                ValueTest::Wildcard(wildcard)
            }
            // AWS says "prefix" here.
            "cidr" => {
                let text = string("prefix")?;
                let block = PatternBlock::parse(&String::from_utf8_lossy(&text))
                    .map_err(|reason| fault(argument, path, reason))?;
                ValueTest::Cidr(block)
            }
            "exists" => match argument.value {
                NodeValue::Bool(true) => ValueTest::Exists,
                NodeValue::Bool(false) => {
                    only_one_key(more, path)?;
                    self.may_be_absent = true;
                    return Ok(());
                }
                _ => {
                    let reason = "exists match pattern must be either true or false.";
                    return Err(fault(argument, path, reason));
                }
            },
            "numeric" => {
                let range = self.numeric(argument, path)?;
                too_many_elements(more, path)?;
                ValueTest::Numeric(range)
            }
            "anything-but" => {
                let tests = self.anything_but(argument, path)?;
                too_many_elements(more, path)?;
                ValueTest::AnythingBut(tests)
            }
            unknown => return Err(unrecognized(member, unknown, path)),
        };
        only_one_key(more, path)?;
        self.tests.push(test);
        Ok(())
    }

    pub(super) fn wildcard(
        &mut self,
        node: &TreeValue,
        text: &[u8],
        path: &str,
    ) -> Result<WildcardPattern, PatternError> {
        if text.len() > MAX_WILDCARD_BYTES {
            let bytes = text.len();
            let reason =
                format!("the wildcard has {bytes} bytes; at most {MAX_WILDCARD_BYTES} are taken");
            return Err(PatternError {
                help: Some("EventBridge takes patterns of 4,096 characters".into()),
                ..fault(node, path, reason)
            });
        }
        let wildcard = WildcardPattern::parse(text).map_err(|reason| PatternError {
            help: Some(r"`*` stands for any run of characters; write `\*` and `\\` for the characters themselves".into()),
            ..fault(node, path, reason)
        })?;
        self.wildcards.push((wildcard.clone(), node.at));
        Ok(wildcard)
    }
}

/// `{"equals-ignore-case": text}` as the argument of prefix or suffix.
fn folded(argument: &TreeValue, path: &str) -> Result<Option<FoldedText>, PatternError> {
    let NodeValue::Object(members) = &argument.value else {
        return Ok(None);
    };
    let Some((member, more)) = members.split_first() else {
        return Err(fault(argument, path, "Match expression name not found"));
    };
    if &*member.key != "equals-ignore-case" {
        return Err(PatternError {
            help: Some("inside prefix and suffix only equals-ignore-case may stand".into()),
            ..unrecognized(member, &member.key, path)
        });
    }
    let NodeValue::String(text) = &member.value.value else {
        let reason = "equals-ignore-case match pattern must be a string";
        return Err(fault(&member.value, path, reason));
    };
    only_one_key(more, path)?;
    Ok(Some(FoldedText::new(text)))
}

fn unrecognized(member: &ObjectMember, name: &str, path: &str) -> PatternError {
    let near = KNOWN
        .iter()
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    PatternError {
        at: member.key_at,
        help: Some(match near {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => format!("operators are {}", KNOWN.join(", ")),
        }),
        ..fault(
            &member.value,
            path,
            format!("Unrecognized match type {name}"),
        )
    }
}

fn only_one_key(more: &[ObjectMember], path: &str) -> Result<(), PatternError> {
    no_more(more, path, "Only one key allowed in match expression")
}

pub(super) fn too_many_elements(more: &[ObjectMember], path: &str) -> Result<(), PatternError> {
    no_more(more, path, "Too many elements in numeric expression")
}

fn no_more(more: &[ObjectMember], path: &str, reason: &str) -> Result<(), PatternError> {
    match more.first() {
        None => Ok(()),
        Some(extra) => Err(PatternError {
            at: extra.key_at,
            ..fault(&extra.value, path, reason)
        }),
    }
}
