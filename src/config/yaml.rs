//! YAML 1.2 as a tree that keeps the place of every node, repeated keys and the spelling of numbers.
//!
//! The tree is the one that event patterns are checked on, so that a route's `match:` reports its faults at their lines.
//! Scalars are read by the core schema as far as JSON has them: null, true, false, decimal numbers; all else is text.
//!
//! A key `<<` merges a mapping, or a list of mappings, into the one that has it (YAML merge keys, yaml.org/type/merge.html):
//! the mapping's own keys win, then those of earlier mappings of the list. A quoted `"<<"` is a key like any other.
//!
//! Tags are ignored, but for the short forms of CloudFormation's functions in templates
//! ([`parse_template`]).
//!
//! The text, the nesting, the number of nodes and the bytes that aliases copy are bounded.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// The most nodes a file may have, aliases followed: a bound against files that multiply themselves.
const MAX_NODES: usize = 100_000;

/// The most bytes that a file may have.
pub(crate) const MAX_FILE_BYTES: usize = 8 << 20;

/// The most bytes that anchors and aliases of one file may copy.
const MAX_COPIED_BYTES: usize = 8 << 20;

/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// Reason why a text cannot be read as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// One line.
    pub message: String,
    /// The place.
    pub at: TextPosition,
}

/// Reads a file that has one document; `None` when it has nothing in it.
pub(crate) fn parse(text: &str) -> Result<Option<TreeValue>, YamlError> {
    read(text, false)
}

/// Reads a template of CloudFormation: `!Ref X` is `{"Ref": "X"}`, `!Sub X` is `{"Fn::Sub": "X"}`,
/// and so on (CloudFormation user guide, "Intrinsic function reference").
///
/// # Errors
/// [`YamlError`] with the first place where it is not YAML.
pub fn parse_template(text: &str) -> Result<Option<TreeValue>, YamlError> {
    read(text, true)
}

fn read(text: &str, has_functions: bool) -> Result<Option<TreeValue>, YamlError> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!(
            "the file has {} bytes; {MAX_FILE_BYTES} are accepted",
            text.len()
        );
        return Err(fail(message, TextPosition { line: 1, column: 1 }));
    }
    let mut reader = YamlReader {
        parser: Parser::new_from_str(text),
        has_functions,
        anchors: HashMap::new(),
        nodes: 0,
        copied_bytes: 0,
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

fn position(span: &Span) -> TextPosition {
    TextPosition {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn fail(message: impl Into<String>, at: TextPosition) -> YamlError {
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
            at: TextPosition {
                line: marker.line(),
                column: marker.col() + 1,
            },
        }
    }
}

/// Refuses a file before the copy that would take it over the bound is made.
fn within_copies(bytes: usize, at: TextPosition) -> Result<(), YamlError> {
    if bytes <= MAX_COPIED_BYTES {
        return Ok(());
    }
    let message = format!(
        "anchors and aliases make copies of more than {MAX_COPIED_BYTES} bytes; write smaller parts, or fewer aliases"
    );
    Err(fail(message, at))
}

struct YamlReader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// Indicates that tags are functions of CloudFormation.
    has_functions: bool,
    anchors: HashMap<usize, (TreeValue, TreeSize)>,
    nodes: usize,
    /// The memory that copies for anchors and aliases take.
    copied_bytes: usize,
}

impl<'t> YamlReader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(
        &mut self,
        event: Event<'t>,
        span: &Span,
        depth: usize,
    ) -> Result<TreeValue, YamlError> {
        let at = position(span);
        self.nodes += 1;
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(fail(message, at));
        }
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, those of aliases included");
            return Err(fail(message, at));
        }
        let (value, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style), anchor, tag),
            Event::SequenceStart(anchor, tag) => (self.sequence(depth)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.mapping(depth)?, anchor, tag),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(fail("an alias without its anchor", at));
                };
                self.nodes += size.nodes;
                self.copied_bytes += size.bytes;
                within_copies(self.copied_bytes, at)?;
                return Ok(node.clone());
            }
            _ => return Err(fail("the document ends too early", at)),
        };
        let mut node = TreeValue { value, at };
        if let Some(tag) = tag.filter(|_| self.has_functions) {
            node = function(&tag, node);
        }
        if anchor > 0 {
            let size = TreeSize::of(&node);
            self.copied_bytes += size.bytes;
            within_copies(self.copied_bytes, at)?;
            self.anchors.insert(anchor, (node.clone(), size));
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
        let mut merge: Option<(TreeValue, TextPosition)> = None;
        loop {
            let (event, span) = self.next()?;
            let key_at = position(&span);
            let (key, style): (Box<str>, _) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text.into_owned().into(), style),
                _ => return Err(fail("a key must be plain text", key_at)),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            if &*key != MERGE || style != ScalarStyle::Plain {
                members.push(ObjectMember { key, key_at, value });
            } else if let Some((_, first)) = merge {
                let message = format!(
                    "`<<` is repeated; the first is in line {}: merge a list, as in <<: [*a, *b]",
                    first.line
                );
                return Err(fail(message, key_at));
            } else {
                merge = Some((value, key_at));
            }
        }
        if let Some((value, at)) = merge {
            merge_into(&mut members, value, at)?;
        }
        Ok(NodeValue::Object(members))
    }
}

/// A value with a short form of a function before it, in the long form.
fn function(tag: &Tag, value: TreeValue) -> TreeValue {
    if tag.handle != "!" {
        return value;
    }
    let key = match &*tag.suffix {
        "Ref" => "Ref".to_owned(),
        "Condition" => "Condition".to_owned(),
        name => format!("Fn::{name}"),
    };
    let at = value.at;
    TreeValue::object_of(key, value, at)
}

/// The key that merges mappings.
const MERGE: &str = "<<";

/// Adds the members of one mapping, or of a list of mappings, that are not there yet.
fn merge_into(
    members: &mut Vec<ObjectMember>,
    value: TreeValue,
    at: TextPosition,
) -> Result<(), YamlError> {
    let sources = match value.value {
        NodeValue::Array(elements) => elements,
        _ => vec![value],
    };
    let mut known: HashSet<Box<str>> = members.iter().map(|member| member.key.clone()).collect();
    for source in sources {
        let NodeValue::Object(merged) = source.value else {
            let message = "`<<` merges a mapping or a list of mappings, such as <<: *defaults";
            return Err(fail(message, at));
        };
        for member in &merged {
            if !known.contains(&member.key) {
                members.push(member.clone());
            }
        }
        // A key that a source repeats stays repeated, so that it is reported.
        known.extend(merged.into_iter().map(|member| member.key));
    }
    Ok(())
}

/// The size of a tree in memory.
#[derive(Clone, Copy)]
struct TreeSize {
    nodes: usize,
    bytes: usize,
}

impl TreeSize {
    fn of(node: &TreeValue) -> Self {
        let mut size = Self {
            nodes: 1,
            bytes: size_of::<TreeValue>(),
        };
        match &node.value {
            NodeValue::Object(members) => {
                for member in members {
                    size.bytes +=
                        member.key.len() + size_of::<ObjectMember>() - size_of::<TreeValue>();
                    size.add(Self::of(&member.value));
                }
            }
            NodeValue::Array(elements) => {
                elements.iter().for_each(|each| size.add(Self::of(each)));
            }
            NodeValue::String(text) => size.bytes += text.len(),
            NodeValue::Number(text) => size.bytes += text.len(),
            NodeValue::Bool(_) | NodeValue::Null => {}
        }
        size
    }

    fn add(&mut self, part: Self) {
        self.nodes += part.nodes;
        self.bytes += part.bytes;
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

/// Returns `true` where text is a number as JSON spells it, which is how patterns compare numbers.
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
        assert_eq!(members[2].key_at, TextPosition { line: 5, column: 1 });
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

    #[test]
    fn functions_of_templates() {
        let check = |text: &str, expected: &str| {
            let node = parse_template(text).unwrap().unwrap();
            assert_eq!(node.to_json(), expected, "{text}");
        };
        check("a: !Ref X", r#"{"a":{"Ref":"X"}}"#);
        check("a: !GetAtt X.Arn", r#"{"a":{"Fn::GetAtt":"X.Arn"}}"#);
        check(
            "a: !If [c, !Sub 'x${Y}', 1]",
            r#"{"a":{"Fn::If":["c",{"Fn::Sub":"x${Y}"},1]}}"#,
        );
        check(
            "a: !Not [!Condition c]",
            r#"{"a":{"Fn::Not":[{"Condition":"c"}]}}"#,
        );
        check(
            "a: !Select\n  - 0\n  - !GetAZs ''",
            r#"{"a":{"Fn::Select":[0,{"Fn::GetAZs":""}]}}"#,
        );
        check(
            "a: !Transform { Name: x }",
            r#"{"a":{"Fn::Transform":{"Name":"x"}}}"#,
        );
        check("a: !!str 1", r#"{"a":1}"#);
        // In a configuration a tag means nothing.
        assert_eq!(json("a: !Ref X"), r#"{"a":"X"}"#);
    }

    fn json(text: &str) -> String {
        parse(text).unwrap().unwrap().to_json()
    }

    fn refusal(text: &str) -> String {
        let error = parse(text).unwrap_err();
        format!("{}:{}: {}", error.at.line, error.at.column, error.message)
    }

    #[test]
    fn merge_keys() {
        let base = "x: &x { a: 1, b: { c: 2 } }\ny: &y { b: 3, d: 4 }\n";
        let check = |mapping: &str, expected: &str| {
            let expected =
                format!(r#"{{"x":{{"a":1,"b":{{"c":2}}}},"y":{{"b":3,"d":4}},"z":{expected}}}"#);
            assert_eq!(
                json(&format!("{base}z: {mapping}\n")),
                expected,
                "{mapping}"
            );
        };
        check("{ <<: *x }", r#"{"a":1,"b":{"c":2}}"#);
        check("{ <<: *x, a: 9 }", r#"{"a":9,"b":{"c":2}}"#);
        check("{ a: 9, <<: *x }", r#"{"a":9,"b":{"c":2}}"#);
        check("{ <<: [*x, *y] }", r#"{"a":1,"b":{"c":2},"d":4}"#);
        check("{ <<: [*y, *x], d: 0 }", r#"{"d":0,"b":3,"a":1}"#);
        check("{ <<: { e: 5 }, f: 6 }", r#"{"f":6,"e":5}"#);
        check("{ e: { <<: *y } }", r#"{"e":{"b":3,"d":4}}"#);
        check("\n  <<: *y\n  g: 7", r#"{"g":7,"b":3,"d":4}"#);
        // A merged mapping can be merged again.
        assert_eq!(
            json("a: &a { m: 1 }\nb: &b { <<: *a, n: 2 }\nc: { <<: *b }\n"),
            r#"{"a":{"m":1},"b":{"n":2,"m":1},"c":{"n":2,"m":1}}"#
        );
        assert_eq!(json("a: { '<<': 1 }"), r#"{"a":{"<<":1}}"#);
    }

    #[test]
    fn what_cannot_be_merged() {
        insta::assert_snapshot!(refusal("a: { <<: 1 }"), @"1:6: `<<` merges a mapping or a list of mappings, such as <<: *defaults");
        insta::assert_snapshot!(refusal("x: &x {a: 1}\na: { <<: [*x, [*x]] }"), @"2:6: `<<` merges a mapping or a list of mappings, such as <<: *defaults");
        insta::assert_snapshot!(refusal("a: { <<: }"), @"1:6: `<<` merges a mapping or a list of mappings, such as <<: *defaults");
        insta::assert_snapshot!(refusal("x: &x {a: 1}\na:\n  <<: *x\n  <<: *x\n"), @"4:3: `<<` is repeated; the first is in line 3: merge a list, as in <<: [*a, *b]");
    }

    #[test]
    fn copies_are_bounded_by_bytes() {
        let megabyte = "y".repeat(1 << 20);
        let many = format!("a: &a {megabyte}\nz: [{}]\n", vec!["*a"; 3_000].join(","));
        assert!(refusal(&many).contains("copies of more than 8388608 bytes"));
        let few = format!("a: &a {megabyte}\nz: [*a, *a, *a]\n");
        assert!(parse(&few).is_ok());
        // A list in a list in a list, each with an anchor: every level is a copy of all below it.
        let leaves = vec!["0"; 50_000].join(",");
        let open: String = (0..60).map(|level| format!("&n{level} [")).collect();
        let nested = format!("{open}{leaves}{}", "]".repeat(60));
        assert!(refusal(&nested).contains("copies of more than"));
        // So are merges of large mappings.
        let keys: String = (0..20_000).map(|key| format!("k{key}: 1, ")).collect();
        let merges = format!("a: &a {{{keys}}}\nz: [{}]", ["{<<: *a}"; 9].join(","));
        assert!(refusal(&merges).contains("more than"));
        assert!(refusal(&" ".repeat(MAX_FILE_BYTES + 1)).contains("8388608 are accepted"));
    }
}
