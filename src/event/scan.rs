//! The scan: one strict pass over the bytes of a JSON text (RFC 8259) that captures the requested
//! fields.
//!
//! No tree is built. Other subtrees are checked for being JSON and passed over; requested values
//! are remembered as places in the received bytes, with the array elements they came from. Every
//! occurrence of a repeated key is captured, in order, and a key on the way to a field that is
//! repeated is noted.
//!
//! Text is compared as EventBridge does, by code units: an escaped lone surrogate, which is legal JSON but no Unicode text,
//! is kept in the three-byte form that UTF-8 would give it (WTF-8), so captured text is bytes.

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::fields::{FieldId, FieldTrie, NodeId};
use super::lex::{JsonLexer, StringToken};
use super::scanned::{CapturePlace, CapturedFields, ElementIndex, RepeatedField, ValueKind};

/// The deepest nesting that is followed. EventBridge refuses events nested deeper than 1,000 levels (user guide,
/// PutEvents), and a bound keeps a hostile body off the stack.
pub const MAX_DEPTH: usize = 1_024;

/// Reason why a text is not JSON, and the place of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {problem} at byte {offset}")]
pub struct ScanError {
    /// The fault.
    pub problem: JsonProblem,
    /// Byte offset from the beginning.
    pub offset: usize,
}

/// Fault of a text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// The text ends too early.
    #[error("the text ends too early")]
    End,
    /// A character that is not allowed there.
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
/// [`ScanError`] when the text is not JSON, the whole of it included: also the parts without
/// requested fields.
pub fn scan(body: &Bytes, fields: &FieldTrie) -> Result<CapturedFields, ScanError> {
    let fail = |problem, offset| ScanError { problem, offset };
    if u32::try_from(body.len()).is_err() {
        return Err(fail(JsonProblem::Size, 0));
    }
    std::str::from_utf8(body).map_err(|error| fail(JsonProblem::Utf8, error.valid_up_to()))?;
    let mut scan = ScanState {
        lexer: JsonLexer::new(body),
        fields,
        captures: Vec::with_capacity(16),
        decoded: Vec::new(),
        elements: Vec::new(),
        way: SmallVec::new(),
        met: smallvec![0; fields.nodes().div_ceil(64)],
        repeats: Vec::new(),
        stored: None,
        arrays: 0,
    };
    let root = scan.value(FieldTrie::ROOT, 0)?;
    scan.lexer.end()?;
    let ScanState {
        captures,
        decoded,
        elements,
        repeats,
        ..
    } = scan;
    let (captures, starts) = by_field(captures, fields.len());
    Ok(CapturedFields {
        body: body.clone(),
        root,
        captures,
        starts,
        decoded,
        elements,
        repeats,
    })
}

/// Sorts captures by field, within one in the order of the event. Returns the index at which each
/// field's captures begin, too.
fn by_field(captures: Vec<CapturePlace>, fields: usize) -> (Vec<CapturePlace>, Vec<u32>) {
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

struct ScanState<'s> {
    lexer: JsonLexer<'s>,
    fields: &'s FieldTrie,
    captures: Vec<CapturePlace>,
    decoded: Vec<u8>,
    elements: Vec<ElementIndex>,
    /// The array elements around the place of the scan.
    way: SmallVec<[ElementIndex; 4]>,
    /// The places of the trie that the event has within the innermost array element, as bits.
    met: SmallVec<[u64; 8]>,
    repeats: Vec<RepeatedField>,
    /// Range of `elements` to which `way` was last written, while it has not changed since.
    stored: Option<(u32, u32)>,
    arrays: u32,
}

impl ScanState<'_> {
    /// One value at a node of the trie.
    fn value(&mut self, node: NodeId, depth: usize) -> Result<ValueKind, ScanError> {
        let field = self.fields.field(node);
        let first = self.lexer.peek()?;
        let start = self.lexer.offset();
        match first {
            b'{' => {
                let place = self.reserve(field, ValueKind::Object, start);
                self.object(node, depth)?;
                self.finish(place);
                Ok(ValueKind::Object)
            }
            b'[' => {
                let place = self.reserve(field, ValueKind::Array, start);
                self.array(node, depth)?;
                self.finish(place);
                Ok(ValueKind::Array)
            }
            b'"' => {
                let token = self.lexer.string()?;
                if let Some(field) = field {
                    self.capture_string(field, start, token);
                }
                Ok(ValueKind::String)
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
                    self.meet(child);
                    self.value(child, depth + 1)?;
                }
                None => self.lexer.skip(depth + 1)?,
            }
            more = self.lexer.next_of(b'}')?;
        }
        Ok(())
    }

    /// Notes a place of the trie that a key leads to, and whether the event has had it before.
    fn meet(&mut self, node: NodeId) {
        let bit = 1 << (node.index() % 64);
        if let Some(word) = self.met.get_mut(node.index() / 64) {
            let repeated = *word & bit != 0;
            *word |= bit;
            if repeated {
                let elements = self.store_way();
                self.repeats.push(RepeatedField { node, elements });
            }
        }
    }

    fn array(&mut self, node: NodeId, depth: usize) -> Result<(), ScanError> {
        self.lexer.open(depth)?;
        let array = self.arrays;
        self.arrays += 1;
        let mut element = ElementIndex {
            array,
            index: 0,
            depth: self.fields.depth(node),
            scalar: false,
        };
        // Each element has the places below it anew.
        let met = self.fields.leads_on(node).then(|| self.met.clone());
        let mut more = self.lexer.first_of(b']')?;
        while more {
            element.scalar = !matches!(self.lexer.peek()?, b'{' | b'[');
            if let Some(met) = met.as_ref().filter(|_| !element.scalar) {
                self.met.copy_from_slice(met);
            }
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
    fn reserve(&mut self, field: Option<FieldId>, kind: ValueKind, start: usize) -> Option<usize> {
        let field = field?;
        let start = start as u32;
        let elements = self.store_way();
        self.captures.push(CapturePlace {
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
        self.captures.push(CapturePlace {
            field,
            kind: ValueKind::String,
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
mod tests;
