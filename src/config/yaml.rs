//! YAML 1.2 as a tree that keeps the place of every node, repeated keys and the spelling of numbers.
//!
//! The tree is the one that event patterns are checked on, so that a route's `match:` reports its faults at their lines.
//! Scalars are read by the core schema as far as JSON has them: null, true, false, decimal numbers; all else is text.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::event::pattern::tree::{Member, Node, NodeValue, Position};

/// The most nodes a file may have, aliases followed: a bound against files that multiply themselves.
const MAX_NODES: usize = 100_000;

/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// Why a text is not a file we read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct YamlError {
    pub(super) message: String,
    pub(super) at: Position,
}

/// Reads a file that has one document; `None` when it has nothing in it.
pub(super) fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut root = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(root),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if root.is_some() => {
                return Err(fail("a second document in the file", position(&span)));
            }
            event => root = Some(reader.node(event, &span, 0)?),
        }
    }
}

fn position(span: &Span) -> Position {
    Position {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn fail(message: impl Into<String>, at: Position) -> YamlError {
    YamlError {
        message: message.into(),
        at,
    }
}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        let marker = error.marker();
        Self {
            message: format!("not YAML: {}", error.info()),
            at: Position {
                line: marker.line(),
                column: marker.col() + 1,
            },
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, YamlError> {
        let at = position(span);
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(fail(
                "the file is nested too deep or has too many nodes",
                at,
            ));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _tag) => (scalar(&text, style), anchor),
            Event::SequenceStart(anchor, _tag) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _tag) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(fail("an alias without its anchor", at));
                };
                self.nodes += count(node);
                return Ok(node.clone());
            }
            _ => return Err(fail("the document ends too early", at)),
        };
        let node = Node { value, at };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<NodeValue, YamlError> {
        let mut elements = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(NodeValue::Array(elements));
            }
            elements.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<NodeValue, YamlError> {
        let mut members = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let key_at = position(&span);
            let key: Box<str> = match event {
                Event::MappingEnd => return Ok(NodeValue::Object(members)),
                Event::Scalar(text, ..) => text.into_owned().into(),
                _ => return Err(fail("a key must be plain text", key_at)),
            };
            let (event, span) = self.next()?;
            members.push(Member {
                key,
                key_at,
                value: self.node(event, &span, depth + 1)?,
            });
        }
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        NodeValue::Object(members) => members.iter().map(|member| count(&member.value)).sum(),
        NodeValue::Array(elements) => elements.iter().map(count).sum(),
        _ => 0,
    }
}

/// The value of a scalar by its spelling; quoted text is text.
pub(super) fn scalar(text: &str, style: ScalarStyle) -> NodeValue {
    match text {
        _ if style != ScalarStyle::Plain => NodeValue::String(text.as_bytes().into()),
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Bool(true),
        "false" | "False" | "FALSE" => NodeValue::Bool(false),
        _ if is_number(text) => NodeValue::Number(text.into()),
        _ => NodeValue::String(text.as_bytes().into()),
    }
}

/// Whether text is a number as JSON spells it, which is how patterns compare numbers.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_spellings_are_kept() {
        let text = "a: 1.50\nb:\n  - x: &t [true, ~, 'no', 0x1F]\n  - *t\na: 2\n";
        let node = parse(text).unwrap().unwrap();
        assert_eq!(
            node.to_json(),
            r#"{"a":1.50,"b":[{"x":[true,null,"no","0x1F"]},[true,null,"no","0x1F"]],"a":2}"#
        );
        let NodeValue::Object(members) = node.value else {
            panic!("a mapping")
        };
        assert_eq!(members[2].key_at, Position { line: 5, column: 1 });
    }

    #[test]
    fn what_is_not_read() {
        let refuse = |text: &str| {
            let error = parse(text).unwrap_err();
            format!("{} at {}:{}", error.message, error.at.line, error.at.column)
        };
        let refused = [
            "a: [1
b: 2",
            "a: 1
---
b: 2",
            "? [a]
: 1",
            &"[".repeat(100),
        ]
        .map(refuse);
        insta::assert_snapshot!(refused.join(
            "
"
        ));
        assert_eq!(parse("# nothing\n"), Ok(None));
        let laughs: String = (0..9)
            .map(|n| {
                format!(
                    "l{}: &a{} [{}]\n",
                    n + 1,
                    n + 1,
                    vec![format!("*a{n}"); 9].join(",")
                )
            })
            .collect();
        assert!(parse(&format!("l0: &a0 [x]\n{laughs}")).is_err());
    }
}
