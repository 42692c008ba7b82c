//! Reads a leaf: values, and expressions of one operator and its argument.
//!
//! The texts of errors are those that EventBridge's users see.

use super::address::{self, Block};
use super::compile::fault;
use super::number;
use super::operator::{Leaf, Test};
use super::text::{Fold, Wildcard};
use super::tree::{Member, Node, NodeValue};
use super::{MAX_WILDCARD_BYTES, PatternError};
use crate::event::scanned::Kind;

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

impl Leaf {
    pub(super) fn parse(node: &Node, values: &[Node], path: &str) -> Result<Self, PatternError> {
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

    fn value(&mut self, node: &Node, path: &str) -> Result<(), PatternError> {
        let test = match &node.value {
            NodeValue::String(text) => match address::parse(text) {
                Some(address) => Test::Address(address),
                None => Test::Exact(text.clone()),
            },
            NodeValue::Number(text) => {
                self.numbers.push((text.clone(), node.at));
                Test::Number {
                    text: text.clone(),
                    value: number::comparable(text),
                }
            }
            NodeValue::Bool(true) => Test::Literal(Kind::True),
            NodeValue::Bool(false) => Test::Literal(Kind::False),
            NodeValue::Null => Test::Literal(Kind::Null),
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
        node: &Node,
        members: &[Member],
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
            "exactly" => Test::Exact(string("exact")?),
            "prefix" => match folded(argument, path)? {
                Some(fold) => Test::PrefixFold(fold),
                None => Test::Prefix(string("prefix")?),
            },
            "suffix" => match folded(argument, path)? {
                Some(fold) => Test::SuffixFold(fold),
                None => Test::Suffix(string("suffix")?),
            },
            "equals-ignore-case" => Test::EqualsFold(Fold::new(&string("equals-ignore-case")?)),
            "wildcard" => {
                let wildcard = self.wildcard(argument, &string("wildcard")?, path)?;
                Test::Wildcard(wildcard)
            }
            // AWS says "prefix" here.
            "cidr" => {
                let text = string("prefix")?;
                let block = Block::parse(&String::from_utf8_lossy(&text))
                    .map_err(|reason| fault(argument, path, reason))?;
                Test::Cidr(block)
            }
            "exists" => match argument.value {
                NodeValue::Bool(true) => Test::Exists,
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
                Test::Numeric(range)
            }
            "anything-but" => {
                let tests = self.anything_but(argument, path)?;
                too_many_elements(more, path)?;
                Test::AnythingBut(tests)
            }
            unknown => return Err(unrecognized(member, unknown, path)),
        };
        only_one_key(more, path)?;
        self.tests.push(test);
        Ok(())
    }

    pub(super) fn wildcard(
        &mut self,
        node: &Node,
        text: &[u8],
        path: &str,
    ) -> Result<Wildcard, PatternError> {
        if text.len() > MAX_WILDCARD_BYTES {
            let bytes = text.len();
            let reason =
                format!("the wildcard has {bytes} bytes; at most {MAX_WILDCARD_BYTES} are taken");
            return Err(PatternError {
                help: Some("EventBridge takes patterns of 4,096 characters".into()),
                ..fault(node, path, reason)
            });
        }
        let wildcard = Wildcard::parse(text).map_err(|reason| PatternError {
            help: Some(r"`*` stands for any run of characters; write `\*` and `\\` for the characters themselves".into()),
            ..fault(node, path, reason)
        })?;
        self.wildcards.push((wildcard.clone(), node.at));
        Ok(wildcard)
    }
}

/// `{"equals-ignore-case": text}` as the argument of prefix or suffix.
fn folded(argument: &Node, path: &str) -> Result<Option<Fold>, PatternError> {
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
    Ok(Some(Fold::new(text)))
}

fn unrecognized(member: &Member, name: &str, path: &str) -> PatternError {
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

fn only_one_key(more: &[Member], path: &str) -> Result<(), PatternError> {
    no_more(more, path, "Only one key allowed in match expression")
}

pub(super) fn too_many_elements(more: &[Member], path: &str) -> Result<(), PatternError> {
    no_more(more, path, "Too many elements in numeric expression")
}

fn no_more(more: &[Member], path: &str, reason: &str) -> Result<(), PatternError> {
    match more.first() {
        None => Ok(()),
        Some(extra) => Err(PatternError {
            at: extra.key_at,
            ..fault(&extra.value, path, reason)
        }),
    }
}
