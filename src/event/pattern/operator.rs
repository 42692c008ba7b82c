//! What one field must be: the values and operators of a leaf, read and checked.
//!
//! The texts of errors are those that EventBridge's users see.

use super::address::{self, Block};
use super::compile::fault;
use super::text::{Fold, Wildcard};
use super::tree::{Member, Node, NodeValue, Position};
use super::{PatternError, number};
use crate::event::scanned::{Kind, Value};

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

/// What a field must be: one of several things.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) tests: Vec<Test>,
    /// Whether the field may be missing (`{"exists": false}`).
    pub(super) may_be_absent: bool,
    /// The leaf as written, for explanations.
    pub(super) written: Box<str>,
    pub(super) path: Box<str>,
    /// Wildcards and numbers, with their places, for the lints.
    pub(super) wildcards: Vec<(Wildcard, Position)>,
    pub(super) numbers: Vec<(Box<str>, Position)>,
}

/// One thing that a value may be.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Exact(Box<[u8]>),
    Address(std::net::IpAddr),
    /// Equal in value where both are comparable, else in spelling.
    Number {
        text: Box<str>,
        value: Option<f64>,
    },
    Literal(Kind),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    EqualsFold(Fold),
    PrefixFold(Fold),
    SuffixFold(Fold),
    Wildcard(Wildcard),
    Numeric(Range),
    Cidr(Block),
    Exists,
    /// Present, and none of these.
    AnythingBut(Vec<Test>),
}

/// A run of numbers; each end with whether it belongs to the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    low: Option<(f64, bool)>,
    high: Option<(f64, bool)>,
}

impl Range {
    fn contains(&self, value: f64) -> bool {
        let above = |(low, inclusive): (f64, bool)| value > low || (inclusive && value == low);
        let below = |(high, inclusive): (f64, bool)| value < high || (inclusive && value == high);
        self.low.is_none_or(above) && self.high.is_none_or(below)
    }
}

impl Leaf {
    /// Whether a value, which is a leaf of the event, is one of the things asked for.
    pub(super) fn accepts(&self, value: &Value<'_>) -> bool {
        self.tests.iter().any(|test| test.accepts(value))
    }

    /// The strings of a leaf that asks for nothing but exact strings: what an index can look up.
    pub(super) fn exact_strings(&self) -> Option<impl Iterator<Item = &[u8]>> {
        let exact = |test: &Test| matches!(test, Test::Exact(_));
        (!self.may_be_absent && self.tests.iter().all(exact)).then(|| {
            self.tests.iter().filter_map(|test| match test {
                Test::Exact(text) => Some(&**text),
                _ => None,
            })
        })
    }

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

    fn wildcard(&mut self, node: &Node, text: &[u8], path: &str) -> Result<Wildcard, PatternError> {
        let wildcard = Wildcard::parse(text).map_err(|reason| PatternError {
            help: Some(r"`*` stands for any run of characters; write `\*` and `\\` for the characters themselves".into()),
            ..fault(node, path, reason)
        })?;
        self.wildcards.push((wildcard.clone(), node.at));
        Ok(wildcard)
    }

    fn anything_but(&mut self, node: &Node, path: &str) -> Result<Vec<Test>, PatternError> {
        match &node.value {
            NodeValue::String(text) => Ok(vec![Test::Exact(text.clone())]),
            NodeValue::Number(_) => Ok(vec![self.compared(node, path)?]),
            NodeValue::Array(values) => self.anything_but_list(node, values, path),
            NodeValue::Object(members) => self.anything_but_operator(node, members, path),
            _ => Err(anything_but_type(node, path)),
        }
    }

    fn anything_but_list(
        &mut self,
        node: &Node,
        values: &[Node],
        path: &str,
    ) -> Result<Vec<Test>, PatternError> {
        let mut tests = Vec::with_capacity(values.len());
        for value in values {
            tests.push(match &value.value {
                NodeValue::String(text) => Test::Exact(text.clone()),
                NodeValue::Number(_) => self.compared(value, path)?,
                _ => {
                    let reason = "Inside anything but list, start|null|boolean is not supported.";
                    return Err(fault(value, path, reason));
                }
            });
        }
        let strings = tests
            .iter()
            .filter(|test| matches!(test, Test::Exact(_)))
            .count();
        if tests.is_empty() || (strings != 0 && strings != tests.len()) {
            let reason = "Inside anything but list, either all values are number or string, \
                          mixed type is not supported";
            return Err(fault(node, path, reason));
        }
        Ok(tests)
    }

    fn anything_but_operator(
        &mut self,
        node: &Node,
        members: &[Member],
        path: &str,
    ) -> Result<Vec<Test>, PatternError> {
        let Some((member, more)) = members.split_first() else {
            return Err(fault(node, path, "Anything-But expression name not found"));
        };
        let argument = &member.value;
        let operator = &*member.key;
        if !matches!(
            operator,
            "prefix" | "suffix" | "equals-ignore-case" | "wildcard"
        ) {
            return Err(PatternError {
                help: Some("anything-but takes values, or one of prefix, suffix, equals-ignore-case, wildcard".into()),
                ..fault(argument, path, format!("Unsupported anything-but pattern: {operator}"))
            });
        }
        let texts: Vec<&Node> = match &argument.value {
            NodeValue::Array(values) => values.iter().collect(),
            NodeValue::Object(_) | NodeValue::Bool(_) | NodeValue::Null
                if operator == "equals-ignore-case" =>
            {
                return Err(anything_but_type(argument, path));
            }
            _ => vec![argument],
        };
        if texts.is_empty() {
            return Err(fault(argument, path, "Empty arrays are not allowed"));
        }
        let tests = texts
            .into_iter()
            .map(|node| self.anything_but_text(operator, node, path))
            .collect::<Result<_, _>>()?;
        too_many_elements(more, path)?;
        Ok(tests)
    }

    fn anything_but_text(
        &mut self,
        operator: &str,
        node: &Node,
        path: &str,
    ) -> Result<Test, PatternError> {
        let NodeValue::String(text) = &node.value else {
            return Err(fault(
                node,
                path,
                match operator {
                    "wildcard" => "wildcard match pattern must be a string",
                    "equals-ignore-case" => {
                        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
                    }
                    _ => "prefix/suffix match pattern must be a string",
                },
            ));
        };
        Ok(match operator {
            "wildcard" => Test::Wildcard(self.wildcard(node, text, path)?),
            "equals-ignore-case" => Test::EqualsFold(Fold::new(text)),
            _ if text.is_empty() => {
                return Err(fault(node, path, "Null prefix/suffix not allowed"));
            }
            "prefix" => Test::Prefix(text.clone()),
            _ => Test::Suffix(text.clone()),
        })
    }

    /// A number of `anything-but`, which must be comparable.
    fn compared(&mut self, node: &Node, path: &str) -> Result<Test, PatternError> {
        let value = self.number(node, path, "anything-but")?;
        Ok(Test::Numeric(Range {
            low: Some((value, true)),
            high: Some((value, true)),
        }))
    }

    fn numeric(&mut self, node: &Node, path: &str) -> Result<Range, PatternError> {
        let NodeValue::Array(terms) = &node.value else {
            return Err(fault(node, path, "Value of numeric must be an array."));
        };
        let mut terms = terms.iter();
        let Some(first) = terms.next() else {
            return Err(fault(node, path, "Invalid member in numeric match: ]"));
        };
        let NodeValue::String(operator) = &first.value else {
            let reason = format!("Invalid member in numeric match: {}", first.to_json());
            return Err(fault(first, path, reason));
        };
        let operator = String::from_utf8_lossy(operator).into_owned();
        let name = if operator == "=" { "equals" } else { &operator };
        if !matches!(&*operator, "=" | "<" | "<=" | ">" | ">=") {
            let reason = format!("Unrecognized numeric range operator: {operator}");
            return Err(fault(first, path, reason));
        }
        let value = self.number(terms.next().unwrap_or(node), path, name)?;
        let inclusive = operator.ends_with('=');
        let end = Some((value, inclusive));
        let lower = matches!(&*operator, ">" | ">=");
        match (terms.next(), lower) {
            (None, true) => Ok(Range {
                low: end,
                high: None,
            }),
            (None, false) => Ok(Range {
                low: end.filter(|_| operator == "="),
                high: end,
            }),
            (Some(extra), false) => Err(fault(
                extra,
                path,
                "Too many elements in numeric expression",
            )),
            (Some(second), true) => {
                let high = self.upper_bound(node, second, &mut terms, path)?;
                if value >= high.0 {
                    return Err(PatternError {
                        help: Some("the first number is the lower bound".into()),
                        ..fault(node, path, "Bottom must be less than top")
                    });
                }
                Ok(Range {
                    low: end,
                    high: Some(high),
                })
            }
        }
    }

    fn upper_bound<'n>(
        &mut self,
        node: &'n Node,
        operator: &Node,
        terms: &mut impl Iterator<Item = &'n Node>,
        path: &str,
    ) -> Result<(f64, bool), PatternError> {
        let name = match &operator.value {
            NodeValue::String(name) => String::from_utf8_lossy(name).into_owned(),
            _ => {
                let reason = format!("Bad value in numeric range: {}", operator.to_json());
                return Err(fault(operator, path, reason));
            }
        };
        if !matches!(&*name, "<" | "<=") {
            let reason = format!("Bad numeric range operator: {name}");
            return Err(fault(operator, path, reason));
        }
        let high = self.number(terms.next().unwrap_or(node), path, &name)?;
        match terms.next() {
            Some(extra) => Err(fault(
                extra,
                path,
                "Too many terms in numeric range expression",
            )),
            None => Ok((high, name == "<=")),
        }
    }

    fn number(&mut self, node: &Node, path: &str, operator: &str) -> Result<f64, PatternError> {
        let NodeValue::Number(text) = &node.value else {
            return Err(fault(
                node,
                path,
                format!("Value of {operator} must be numeric"),
            ));
        };
        self.numbers.push((text.clone(), node.at));
        number::comparable(text).ok_or_else(|| PatternError {
            help: Some(
                "the number has more digits than binary64 holds; compare it as an exact value"
                    .into(),
            ),
            ..fault(node, path, format!("Cannot compare number : {text}"))
        })
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

fn anything_but_type(node: &Node, path: &str) -> PatternError {
    let reason = "Value of anything-but must be an array or single string/number value.";
    fault(node, path, reason)
}

fn only_one_key(more: &[Member], path: &str) -> Result<(), PatternError> {
    no_more(more, path, "Only one key allowed in match expression")
}

fn too_many_elements(more: &[Member], path: &str) -> Result<(), PatternError> {
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

impl Test {
    fn accepts(&self, value: &Value<'_>) -> bool {
        let string = value.kind == Kind::String;
        match self {
            Self::Exact(text) => string && **text == *value.text,
            Self::Address(wanted) => string && address::parse(value.text) == Some(*wanted),
            Self::Number {
                text,
                value: wanted,
            } => {
                value.kind == Kind::Number
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
                value.kind == Kind::Number
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

fn comparable(value: &Value<'_>) -> Option<f64> {
    value.as_str().and_then(number::comparable)
}
