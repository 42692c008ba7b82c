//! The tree of a pattern as written: repeated keys, the spelling of numbers and the place of every node are kept.
//!
//! A pattern comes as JSON text, or as a part of a YAML file whose reader builds the same tree with
//! its own places. Other modules decide on the tree's meaning.

use super::super::lex::{JsonLexer, StringToken};
use super::super::scan::ScanError;
use super::super::scanned::ValueKind;

/// A place in the text that a person wrote, counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextPosition {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One value and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeValue {
    /// The value itself.
    pub value: NodeValue,
    /// Position of its beginning.
    pub at: TextPosition,
}

impl TreeValue {
    /// An object without members.
    pub(crate) fn empty_object(at: TextPosition) -> Self {
        Self {
            value: NodeValue::Object(Vec::new()),
            at,
        }
    }

    /// An object of one member; both begin at the same place.
    pub(crate) fn object_of(key: impl Into<Box<str>>, value: Self, at: TextPosition) -> Self {
        let member = ObjectMember {
            key: key.into(),
            key_at: at,
            value,
        };
        Self {
            value: NodeValue::Object(vec![member]),
            at,
        }
    }
}

/// A value as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeValue {
    /// Members in the order of the text, repeated names included.
    Object(Vec<ObjectMember>),
    /// Elements.
    Array(Vec<TreeValue>),
    /// Decoded text; bytes, since JSON can escape lone surrogates (WTF-8).
    String(Box<[u8]>),
    /// A number as spelled.
    Number(Box<str>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMember {
    /// Its name.
    pub key: Box<str>,
    /// Position of the name.
    pub key_at: TextPosition,
    /// Its value.
    pub value: TreeValue,
}

/// A text that is not JSON, and where it stops being so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct SyntaxError {
    /// Position of the fault, for a person.
    pub at: TextPosition,
    /// The fault, with its byte offset.
    pub error: ScanError,
}

impl TreeValue {
    /// Reads JSON text.
    ///
    /// # Errors
    /// [`SyntaxError`] at the first place where the text stops being JSON.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut reader = TreeReader {
            lexer: JsonLexer::new(text.as_bytes()),
            text,
            offset: 0,
            position: TextPosition { line: 1, column: 1 },
        };
        let parsed = reader.node(0).and_then(|node| {
            reader.lexer.end()?;
            Ok(node)
        });
        parsed.map_err(|error| SyntaxError {
            at: position(text, error.offset),
            error,
        })
    }

    /// The value as compact JSON, for messages.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match &self.value {
            NodeValue::Object(members) => {
                out.push('{');
                for (at, member) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(member.key.as_bytes()));
                    out.push(':');
                    member.value.write(out);
                }
                out.push('}');
            }
            NodeValue::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    element.write(out);
                }
                out.push(']');
            }
            NodeValue::String(text) => out.push_str(&quoted(text)),
            NodeValue::Number(text) => out.push_str(text),
            NodeValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            NodeValue::Null => out.push_str("null"),
        }
    }
}

/// Text as a JSON string, for messages; lone surrogates become U+FFFD.
pub fn quoted(text: &[u8]) -> String {
    serde_json::Value::from(String::from_utf8_lossy(text).into_owned()).to_string()
}

/// The place of a byte offset.
fn position(text: &str, offset: usize) -> TextPosition {
    let before = text.get(..offset.min(text.len())).unwrap_or_default();
    TextPosition {
        line: before.matches('\n').count() + 1,
        column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
    }
}

struct TreeReader<'t> {
    lexer: JsonLexer<'t>,
    text: &'t str,
    /// Offset that `position` belongs to: places are asked for in order, so that each byte is
    /// counted once.
    offset: usize,
    position: TextPosition,
}

impl TreeReader<'_> {
    fn here(&mut self) -> TextPosition {
        let offset = self.lexer.offset();
        for c in self
            .text
            .get(self.offset..offset)
            .unwrap_or_default()
            .chars()
        {
            if c == '\n' {
                self.position.line += 1;
                self.position.column = 1;
            } else {
                self.position.column += 1;
            }
        }
        self.offset = offset;
        self.position
    }

    fn node(&mut self, depth: usize) -> Result<TreeValue, ScanError> {
        let first = self.lexer.peek()?;
        let at = self.here();
        let value = match first {
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b'"' => {
                let token = self.lexer.string()?;
                NodeValue::String(self.decoded(token).into())
            }
            _ => {
                let start = self.lexer.offset();
                match self.lexer.scalar()? {
                    ValueKind::True => NodeValue::Bool(true),
                    ValueKind::False => NodeValue::Bool(false),
                    ValueKind::Number => {
                        let end = self.lexer.offset();
                        NodeValue::Number(self.text.get(start..end).unwrap_or_default().into())
                    }
                    _ => NodeValue::Null,
                }
            }
        };
        Ok(TreeValue { value, at })
    }

    fn object(&mut self, depth: usize) -> Result<NodeValue, ScanError> {
        self.lexer.open(depth)?;
        let mut members = Vec::new();
        let mut more = self.lexer.first_of(b'}')?;
        while more {
            self.lexer.peek()?;
            let key_at = self.here();
            let token = self.lexer.key()?;
            let key = String::from_utf8_lossy(&self.decoded(token)).into();
            members.push(ObjectMember {
                key,
                key_at,
                value: self.node(depth + 1)?,
            });
            more = self.lexer.next_of(b'}')?;
        }
        Ok(NodeValue::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<NodeValue, ScanError> {
        self.lexer.open(depth)?;
        let mut elements = Vec::new();
        let mut more = self.lexer.first_of(b']')?;
        while more {
            elements.push(self.node(depth + 1)?);
            more = self.lexer.next_of(b']')?;
        }
        Ok(NodeValue::Array(elements))
    }

    fn decoded(&self, token: StringToken) -> Vec<u8> {
        let mut text = Vec::new();
        self.lexer.decode(token, &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_kept() {
        let text = "{\"a\": [1.50,\n  true, null, \"x\\u0041\"],\n \"a\": {\"é\": 1}}";
        let node = TreeValue::parse(text).unwrap();
        assert_eq!(node.to_json(), r#"{"a":[1.50,true,null,"xA"],"a":{"é":1}}"#);
        let NodeValue::Object(members) = &node.value else {
            panic!("an object")
        };
        assert_eq!(members[1].key_at, TextPosition { line: 3, column: 2 });
        let NodeValue::Array(elements) = &members[0].value.value else {
            panic!("an array")
        };
        assert_eq!(elements[1].at, TextPosition { line: 2, column: 3 });
    }

    #[test]
    fn faults_have_a_place() {
        let error = TreeValue::parse("{\"a\":\n [1, ]}").unwrap_err();
        assert_eq!(error.at, TextPosition { line: 2, column: 6 });
        assert!(TreeValue::parse("{} {}").is_err());
    }
}
