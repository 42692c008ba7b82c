//! The scan: one strict pass over the bytes of a JSON text (RFC 8259) that captures the fields somebody asked for.
//!
//! No tree is built. Subtrees that nobody asked for are checked for being JSON and passed over; values that were asked for
//! are remembered as places in the received bytes, with the array elements they came from. Every occurrence of a repeated
//! key is captured, in order.
//!
//! Text is compared as EventBridge does, by code units: an escaped lone surrogate, which is legal JSON but no Unicode text,
//! is kept in the three-byte form that UTF-8 would give it (WTF-8), so captured text is bytes.

use bytes::Bytes;
use smallvec::SmallVec;

use super::fields::{FieldId, Fields, NodeId};
use super::lex::{Lexer, StringToken};

/// The deepest nesting that is followed. EventBridge refuses events nested deeper than 1,000 levels (user guide,
/// PutEvents), and a bound keeps a hostile body off the stack.
pub const MAX_DEPTH: usize = 1_024;

/// What kind of JSON value was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string; its text is decoded.
    String,
    /// A number; its text is as written.
    Number,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// An object, as a whole.
    Object,
    /// An array, as a whole; its elements are captured as well, each by itself.
    Array,
}

impl Kind {
    /// Whether patterns see it: everything but objects and arrays.
    pub const fn is_leaf(self) -> bool {
        !matches!(self, Self::Object | Self::Array)
    }
}

/// One step of a value's way through arrays: it came from element `index` of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Which array of the event, counted in the order of their beginnings.
    pub array: u32,
    /// Which element of it, from 0.
    pub index: u32,
    /// How many path segments lead to the array.
    pub depth: u16,
    /// Whether the element is a scalar. A scalar element does not bind the other fields of a pattern to its index.
    pub scalar: bool,
}

/// One captured value.
#[derive(Clone, Copy, Debug)]
pub struct Value<'s> {
    /// What it is.
    pub kind: Kind,
    /// The decoded text of a string (WTF-8), the spelling of a number or literal, and the JSON text of anything else.
    pub text: &'s [u8],
    /// Where its JSON text stands in the scanned bytes, quotes included.
    pub span: (usize, usize),
    /// The arrays it came through, outermost first.
    pub elements: &'s [Element],
}

impl<'s> Value<'s> {
    /// The text, unless it has a lone surrogate.
    pub fn as_str(&self) -> Option<&'s str> {
        std::str::from_utf8(self.text).ok()
    }

    /// The array elements that bind other fields of a pattern to the same elements: all but a scalar's own.
    pub fn binding(&self) -> &'s [Element] {
        match self.elements {
            [outer @ .., last] if last.scalar => outer,
            all => all,
        }
    }
}

/// The elements that were chosen of arrays in a search for values that fit together: at most one of each array.
#[derive(Clone, Debug, Default)]
pub struct Chosen(SmallVec<[(u32, u32); 8]>);

impl Chosen {
    /// How many elements are chosen; what [`forget`](Self::forget) takes.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Chooses elements, unless one contradicts those chosen before. What was added stays either way, until it is
    /// forgotten.
    pub fn add<'e>(&mut self, elements: impl IntoIterator<Item = &'e Element>) -> bool {
        for element in elements {
            match self.0.iter().find(|(array, _)| *array == element.array) {
                Some((_, index)) if *index != element.index => return false,
                Some(_) => {}
                None => self.0.push((element.array, element.index)),
            }
        }
        true
    }

    /// Goes back to the first `count` elements.
    pub fn forget(&mut self, count: usize) {
        self.0.truncate(count);
    }
}

#[derive(Clone, Copy, Debug)]
struct Capture {
    field: FieldId,
    kind: Kind,
    span: (u32, u32),
    /// Where the text stands: in the body, or (`decoded`) in the arena of decoded strings.
    text: (u32, u32),
    decoded: bool,
    elements: (u32, u32),
}

/// What one scan found. It holds the scanned bytes.
#[derive(Clone, Debug)]
pub struct Scanned {
    body: Bytes,
    root: Kind,
    /// Sorted by field, within a field in the order of the event.
    captures: Vec<Capture>,
    /// Where each field's captures begin; one entry more than there are fields.
    starts: Vec<u32>,
    decoded: Vec<u8>,
    elements: Vec<Element>,
}

impl Scanned {
    /// The bytes that were scanned.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What the text as a whole is.
    pub fn root(&self) -> Kind {
        self.root
    }

    /// The values found for one field, in the order of the event.
    pub fn values(&self, field: FieldId) -> impl ExactSizeIterator<Item = Value<'_>> + Clone {
        let start = self.start(field.index());
        let end = self.start(field.index() + 1);
        self.captures
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|capture| self.value(capture))
    }

    /// The only or first value of a field.
    pub fn first(&self, field: FieldId) -> Option<Value<'_>> {
        self.values(field).next()
    }

    /// The bytes of a value's JSON text, without copying them.
    pub fn slice(&self, value: &Value<'_>) -> Bytes {
        self.body.slice(value.span.0..value.span.1)
    }

    fn start(&self, index: usize) -> usize {
        self.starts
            .get(index)
            .map_or(self.captures.len(), |&start| start as usize)
    }

    fn value(&self, capture: &Capture) -> Value<'_> {
        let from = |bytes, (start, end): (u32, u32)| -> &[u8] {
            <[u8]>::get(bytes, start as usize..end as usize).unwrap_or_default()
        };
        let (start, end) = capture.elements;
        Value {
            kind: capture.kind,
            text: if capture.decoded {
                from(&self.decoded, capture.text)
            } else {
                from(&self.body, capture.text)
            },
            span: (capture.span.0 as usize, capture.span.1 as usize),
            elements: self
                .elements
                .get(start as usize..end as usize)
                .unwrap_or_default(),
        }
    }
}

/// Why a text is not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {problem} at byte {offset}")]
pub struct ScanError {
    /// What is wrong.
    pub problem: Problem,
    /// Where, in bytes from the beginning.
    pub offset: usize,
}

/// What is wrong with a text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text ends too early.
    #[error("the text ends too early")]
    End,
    /// A character that cannot stand there.
    #[error("an unexpected character")]
    Unexpected,
    /// Something after the end of the value.
    #[error("something follows the value")]
    Trailing,
    /// A number that is not spelled as JSON asks.
    #[error("a malformed number")]
    Number,
    /// A backslash followed by something else than JSON allows.
    #[error("a malformed escape")]
    Escape,
    /// An unescaped control character inside a string.
    #[error("a control character inside a string")]
    Control,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// Bytes that are not UTF-8.
    #[error("bytes that are not UTF-8")]
    Utf8,
    /// 4 GiB or more.
    #[error("the text is too large")]
    Size,
}

/// Scans a JSON text and captures `fields`.
///
/// # Errors
/// [`ScanError`] when the text is not JSON, the whole of it included: also the parts that nobody asked for.
pub fn scan(body: &Bytes, fields: &Fields) -> Result<Scanned, ScanError> {
    let fail = |problem, offset| ScanError { problem, offset };
    if u32::try_from(body.len()).is_err() {
        return Err(fail(Problem::Size, 0));
    }
    std::str::from_utf8(body).map_err(|error| fail(Problem::Utf8, error.valid_up_to()))?;
    let mut scan = Scan {
        lexer: Lexer::new(body),
        fields,
        captures: Vec::with_capacity(16),
        decoded: Vec::new(),
        elements: Vec::new(),
        way: SmallVec::new(),
        stored: None,
        arrays: 0,
    };
    let root = scan.value(Fields::ROOT, 0)?;
    scan.lexer.end()?;
    let Scan {
        captures,
        decoded,
        elements,
        ..
    } = scan;
    let (captures, starts) = by_field(captures, fields.len());
    Ok(Scanned {
        body: body.clone(),
        root,
        captures,
        starts,
        decoded,
        elements,
    })
}

/// Sorts captures by field, within one in the order of the event, and tells where each field's begin.
fn by_field(captures: Vec<Capture>, fields: usize) -> (Vec<Capture>, Vec<u32>) {
    let mut starts = vec![0_u32; fields + 1];
    for capture in &captures {
        if let Some(count) = starts.get_mut(capture.field.index() + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut captures = captures;
    // The span makes the order of the event explicit, so that the sort need not be stable and allocates nothing. An array
    // and its first element begin at different bytes.
    captures.sort_unstable_by_key(|capture| (capture.field, capture.span.0));
    (captures, starts)
}

struct Scan<'s> {
    lexer: Lexer<'s>,
    fields: &'s Fields,
    captures: Vec<Capture>,
    decoded: Vec<u8>,
    elements: Vec<Element>,
    /// The array elements around the place of the scan.
    way: SmallVec<[Element; 4]>,
    /// Where `way` was last written to `elements`, while it has not changed since.
    stored: Option<(u32, u32)>,
    arrays: u32,
}

impl Scan<'_> {
    /// One value at a node of the trie.
    fn value(&mut self, node: NodeId, depth: usize) -> Result<Kind, ScanError> {
        let field = self.fields.field(node);
        let first = self.lexer.peek()?;
        let start = self.lexer.offset();
        match first {
            b'{' => {
                let place = self.reserve(field, Kind::Object, start);
                self.object(node, depth)?;
                self.finish(place);
                Ok(Kind::Object)
            }
            b'[' => {
                let place = self.reserve(field, Kind::Array, start);
                self.array(node, depth)?;
                self.finish(place);
                Ok(Kind::Array)
            }
            b'"' => {
                let token = self.lexer.string()?;
                if let Some(field) = field {
                    self.capture_string(field, start, token);
                }
                Ok(Kind::String)
            }
            _ => {
                let kind = self.lexer.scalar()?;
                let place = self.reserve(field, kind, start);
                self.finish(place);
                Ok(kind)
            }
        }
    }

    fn object(&mut self, node: NodeId, depth: usize) -> Result<(), ScanError> {
        self.lexer.open(depth)?;
        let mut more = self.lexer.first_of(b'}')?;
        while more {
            let key = self.lexer.key()?;
            let child = if key.escaped {
                let mut text = Vec::new();
                self.lexer.decode(key, &mut text);
                self.fields.descend(node, &text)
            } else {
                self.fields.descend(node, self.lexer.raw(key))
            };
            match child {
                Some(child) => {
                    self.value(child, depth + 1)?;
                }
                None => self.lexer.skip(depth + 1)?,
            }
            more = self.lexer.next_of(b'}')?;
        }
        Ok(())
    }

    fn array(&mut self, node: NodeId, depth: usize) -> Result<(), ScanError> {
        self.lexer.open(depth)?;
        let array = self.arrays;
        self.arrays += 1;
        let mut element = Element {
            array,
            index: 0,
            depth: self.fields.depth(node),
            scalar: false,
        };
        let mut more = self.lexer.first_of(b']')?;
        while more {
            element.scalar = !matches!(self.lexer.peek()?, b'{' | b'[');
            self.way.push(element);
            self.stored = None;
            self.value(node, depth + 1)?;
            self.way.pop();
            self.stored = None;
            element.index += 1;
            more = self.lexer.next_of(b']')?;
        }
        Ok(())
    }

    /// Begins a capture whose text is its JSON text; its end is filled in by [`finish`](Self::finish).
    fn reserve(&mut self, field: Option<FieldId>, kind: Kind, start: usize) -> Option<usize> {
        let field = field?;
        let start = start as u32;
        let elements = self.store_way();
        self.captures.push(Capture {
            field,
            kind,
            span: (start, start),
            text: (start, start),
            decoded: false,
            elements,
        });
        Some(self.captures.len() - 1)
    }

    fn finish(&mut self, place: Option<usize>) {
        let end = self.lexer.offset() as u32;
        if let Some(capture) = place.and_then(|place| self.captures.get_mut(place)) {
            capture.span.1 = end;
            capture.text.1 = end;
        }
    }

    fn capture_string(&mut self, field: FieldId, start: usize, token: StringToken) {
        let text = if token.escaped {
            let from = self.decoded.len() as u32;
            self.lexer.decode(token, &mut self.decoded);
            (from, self.decoded.len() as u32)
        } else {
            (token.start as u32, token.end as u32)
        };
        let elements = self.store_way();
        self.captures.push(Capture {
            field,
            kind: Kind::String,
            span: (start as u32, self.lexer.offset() as u32),
            text,
            decoded: token.escaped,
            elements,
        });
    }

    fn store_way(&mut self) -> (u32, u32) {
        if self.way.is_empty() {
            return (0, 0);
        }
        *self.stored.get_or_insert_with(|| {
            let start = self.elements.len() as u32;
            self.elements.extend_from_slice(&self.way);
            (start, self.elements.len() as u32)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scanned(body: &str, paths: &[&str]) -> (Scanned, Vec<FieldId>) {
        let mut fields = Fields::new();
        let ids = paths.iter().map(|path| fields.add(path)).collect();
        let scanned = scan(&Bytes::copy_from_slice(body.as_bytes()), &fields).expect(body);
        (scanned, ids)
    }

    #[track_caller]
    fn check(body: &str, path: &str, expected: &[&str]) {
        let (scanned, ids) = scanned(body, &[path]);
        let found: Vec<String> = scanned
            .values(ids[0])
            .map(|value| {
                let text = String::from_utf8_lossy(value.text).into_owned();
                format!("{:?} {text}", value.kind)
            })
            .collect();
        assert_eq!(found, expected, "{path} of {body}");
    }

    #[test]
    fn captures() {
        let body = r#"{"a":{"b":1.50,"c":"x\n\u00e9"},"d":[true,null,{"e":"f"}],"g":[]}"#;
        check(body, "a.b", &["Number 1.50"]);
        check(body, "a.c", &["String x\né"]);
        check(body, "a", &[r#"Object {"b":1.50,"c":"x\n\u00e9"}"#]);
        check(body, "d.e", &["String f"]);
        check(body, "g", &["Array []"]);
        check(body, "a.x", &[]);
        check(
            body,
            "d",
            &[
                r#"Array [true,null,{"e":"f"}]"#,
                "True true",
                "Null null",
                r#"Object {"e":"f"}"#,
            ],
        );
    }

    #[test]
    fn dotted_and_escaped_and_repeated_keys() {
        check(r#"{"a.b":{"c":1}}"#, "a.b.c", &["Number 1"]);
        check(r#"{"a":{"b.c":1}}"#, "a.b.c", &["Number 1"]);
        check(r#"{"\u0061":1}"#, "a", &["Number 1"]);
        check(r#"{"a":1,"a":2}"#, "a", &["Number 1", "Number 2"]);
    }

    #[test]
    fn elements_tell_the_way_through_arrays() {
        let (scanned, ids) = scanned(r#"{"a":[{"b":[1,2]},{"b":[[3]],"c":4}]}"#, &["a.b", "a.c"]);
        let ways: Vec<_> = scanned
            .values(ids[0])
            .filter(|value| value.kind.is_leaf())
            .map(|value| {
                let way: Vec<_> = value
                    .elements
                    .iter()
                    .map(|e| (e.array, e.index, e.depth))
                    .collect();
                (way, value.binding().len())
            })
            .collect();
        assert_eq!(
            ways,
            [
                (vec![(0, 0, 1), (1, 0, 2)], 1),
                (vec![(0, 0, 1), (1, 1, 2)], 1),
                (vec![(0, 1, 1), (2, 0, 2), (3, 0, 2)], 2),
            ]
        );
        assert_eq!(scanned.first(ids[1]).unwrap().elements.len(), 1);
    }

    #[test]
    fn surrogates() {
        let (scanned, ids) = scanned(r#"{"a":"\ud83d\ude00","b":"\ud83d"}"#, &["a", "b"]);
        assert_eq!(scanned.first(ids[0]).unwrap().as_str(), Some("😀"));
        let lone = scanned.first(ids[1]).unwrap();
        assert_eq!(lone.text, b"\xED\xA0\xBD");
        assert_eq!(lone.as_str(), None);
    }

    #[test]
    fn slices_are_not_copies() {
        let (scanned, ids) = scanned(r#" {"detail" : {"x": 1} } "#, &["detail"]);
        let detail = scanned.slice(&scanned.first(ids[0]).unwrap());
        assert_eq!(&detail[..], br#"{"x": 1}"#);
        assert_eq!(detail.as_ptr(), scanned.body()[13..].as_ptr());
    }

    #[track_caller]
    fn refuse(body: &[u8], problem: Problem, offset: usize) {
        let error = scan(&Bytes::copy_from_slice(body), &Fields::new()).expect_err("not JSON");
        assert_eq!(error, ScanError { problem, offset });
    }

    #[test]
    fn refusals() {
        refuse(b"", Problem::End, 0);
        refuse(b"{", Problem::End, 1);
        refuse(b"{\"a\":1,}", Problem::Unexpected, 7);
        refuse(b"{\"a\" 1}", Problem::Unexpected, 5);
        refuse(b"{} x", Problem::Trailing, 3);
        refuse(b"[01]", Problem::Number, 2);
        refuse(b"[1.]", Problem::Number, 3);
        refuse(b"[-]", Problem::Number, 2);
        refuse(b"\"\\x\"", Problem::Escape, 1);
        refuse(b"\"\\u12g4\"", Problem::Escape, 1);
        refuse(b"\"a\nb\"", Problem::Control, 2);
        refuse(b"\"aaaaaaaaaaaaaaaa\x01b\"", Problem::Control, 17);
        refuse(b"\"\xFF\"", Problem::Utf8, 1);
        refuse(b"nul", Problem::Unexpected, 0);
        refuse("[".repeat(2_000).as_bytes(), Problem::Depth, MAX_DEPTH);
    }

    /// Depth where fields are captured goes through another path than depth where they are skipped.
    #[test]
    fn captured_depth_is_bounded_too() {
        let mut fields = Fields::new();
        fields.add("a");
        let body = format!("{{\"a\":{}", "[".repeat(5_000));
        let error = scan(&Bytes::from(body), &fields).expect_err("too deep");
        assert_eq!(error.problem, Problem::Depth);
    }

    /// What serde_json takes and refuses is the reference, less its own depth limit and its refusal of lone surrogates,
    /// which the generator does not make.
    #[track_caller]
    fn agrees_with_serde_json(text: &str) {
        let expected = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let mut fields = Fields::new();
        fields.add("a.b");
        fields.add("a");
        let body = Bytes::copy_from_slice(text.as_bytes());
        assert_eq!(scan(&body, &fields).is_ok(), expected, "{text}");
        assert_eq!(scan(&body, &Fields::new()).is_ok(), expected, "{text}");
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_accepts(text in r#"([\[\]{}:,"ab\\/1 0.eE+-]|"a":|"b":|true|null|\\n|\n){0,24}"#) {
            agrees_with_serde_json(&text);
        }

        #[test]
        fn strings_decode_as_serde_json_does(text in any::<String>(), ascii in any::<bool>()) {
            let mut body = serde_json::to_string(&serde_json::json!({ "a": text })).unwrap();
            if ascii {
                body = body.chars().map(|c| match c {
                    ' '..='~' => c.to_string(),
                    c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
                }).collect();
            }
            let (scanned, ids) = scanned(&body, &["a"]);
            prop_assert_eq!(scanned.first(ids[0]).unwrap().text, text.as_bytes());
        }
    }
}
