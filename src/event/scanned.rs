//! Result of one scan: values as places in the received bytes, with the array elements that they
//! came from.
//!
//! Nothing is copied but strings with escapes, and nothing is looked up but by field.

use bytes::Bytes;
use smallvec::SmallVec;

use super::fields::{FieldId, NodeId};

/// Kind of a captured JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
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

impl ValueKind {
    /// Returns `true` if patterns see the value: everything but objects and arrays.
    pub const fn is_leaf(self) -> bool {
        !matches!(self, Self::Object | Self::Array)
    }
}

/// One step of a value's way through arrays: it came from element `index` of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementIndex {
    /// Number of the array in the event, counted in the order of their beginnings.
    pub array: u32,
    /// Index of the element, from 0.
    pub index: u32,
    /// Number of path segments that lead to the array.
    pub depth: u16,
    /// `true` if the element is a scalar. A scalar element does not bind the other fields of a
    /// pattern to its index.
    pub scalar: bool,
}

/// One captured value.
#[derive(Clone, Copy, Debug)]
pub struct CapturedValue<'s> {
    /// Kind of the value.
    pub kind: ValueKind,
    /// The decoded text of a string (WTF-8), the spelling of a number or literal, and the JSON text of anything else.
    pub text: &'s [u8],
    /// Span of its JSON text in the scanned bytes, quotes included.
    pub span: (usize, usize),
    /// The arrays it came through, outermost first.
    pub elements: &'s [ElementIndex],
}

impl<'s> CapturedValue<'s> {
    /// The text, unless it has a lone surrogate.
    pub fn as_str(&self) -> Option<&'s str> {
        std::str::from_utf8(self.text).ok()
    }

    /// The array elements that bind other fields of a pattern to the same elements: all but a scalar's own.
    pub fn binding(&self) -> &'s [ElementIndex] {
        match self.elements {
            [outer @ .., last] if last.scalar => outer,
            all => all,
        }
    }
}

/// The elements that were chosen of arrays in a search for values that fit together: at most one of each array.
#[derive(Clone, Debug, Default)]
pub struct ArrayBindings(SmallVec<[(u32, u32); 8]>);

impl ArrayBindings {
    /// Number of chosen elements, as [`forget`](Self::forget) takes it.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Chooses elements, unless one contradicts those chosen before. Added elements stay either
    /// way, until they are forgotten.
    pub fn add<'e>(&mut self, elements: impl IntoIterator<Item = &'e ElementIndex>) -> bool {
        for element in elements {
            match self.0.iter().find(|(array, _)| *array == element.array) {
                Some((_, index)) if *index != element.index => return false,
                Some(_) => {}
                None => self.0.push((element.array, element.index)),
            }
        }
        true
    }

    /// Returns `true` if another element of the same array is chosen.
    pub fn contradicts(&self, element: &ElementIndex) -> bool {
        let mut chosen = self.0.iter();
        chosen.any(|(array, index)| *array == element.array && *index != element.index)
    }

    /// Goes back to the first `count` elements.
    pub fn forget(&mut self, count: usize) {
        self.0.truncate(count);
    }
}

/// One captured value, by places.
#[derive(Clone, Copy, Debug)]
pub(super) struct CapturePlace {
    pub(super) field: FieldId,
    pub(super) kind: ValueKind,
    pub(super) span: (u32, u32),
    /// Span of the text: in the body, or (`decoded`) in the arena of decoded strings.
    pub(super) text: (u32, u32),
    pub(super) decoded: bool,
    pub(super) elements: (u32, u32),
}

/// A place of the trie that an event has more than once, within the same elements of arrays.
#[derive(Clone, Copy, Debug)]
pub(super) struct RepeatedField {
    pub(super) node: NodeId,
    pub(super) elements: (u32, u32),
}

/// Result of one scan. It holds the scanned bytes.
#[derive(Clone, Debug)]
pub struct CapturedFields {
    pub(super) body: Bytes,
    pub(super) root: ValueKind,
    /// Sorted by field, within a field in the order of the event.
    pub(super) captures: Vec<CapturePlace>,
    /// Index at which each field's captures begin; one entry more than there are fields.
    pub(super) starts: Vec<u32>,
    pub(super) decoded: Vec<u8>,
    pub(super) elements: Vec<ElementIndex>,
    /// In the order of the event.
    pub(super) repeats: Vec<RepeatedField>,
}

impl CapturedFields {
    /// The bytes that were scanned.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Kind of the text as a whole.
    pub fn root(&self) -> ValueKind {
        self.root
    }

    /// The values found for one field, in the order of the event.
    pub fn values(
        &self,
        field: FieldId,
    ) -> impl ExactSizeIterator<Item = CapturedValue<'_>> + Clone {
        let start = self.start(field.index());
        let end = self.start(field.index() + 1);
        self.captures
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|capture| self.value(capture))
    }

    /// The only or first value of a field.
    pub fn first(&self, field: FieldId) -> Option<CapturedValue<'_>> {
        self.values(field).next()
    }

    /// The places that the event has more than once, each with the array elements around it.
    pub fn repeats(&self) -> impl Iterator<Item = (NodeId, &[ElementIndex])> {
        let repeats = self.repeats.iter();
        repeats.map(|repeat| (repeat.node, self.elements(repeat.elements)))
    }

    /// The bytes of a value's JSON text, without copying them.
    pub fn slice(&self, value: &CapturedValue<'_>) -> Bytes {
        self.body.slice(value.span.0..value.span.1)
    }

    fn start(&self, index: usize) -> usize {
        self.starts
            .get(index)
            .map_or(self.captures.len(), |&start| start as usize)
    }

    fn value(&self, capture: &CapturePlace) -> CapturedValue<'_> {
        let from = |bytes, (start, end): (u32, u32)| -> &[u8] {
            <[u8]>::get(bytes, start as usize..end as usize).unwrap_or_default()
        };
        CapturedValue {
            kind: capture.kind,
            text: if capture.decoded {
                from(&self.decoded, capture.text)
            } else {
                from(&self.body, capture.text)
            },
            span: (capture.span.0 as usize, capture.span.1 as usize),
            elements: self.elements(capture.elements),
        }
    }

    fn elements(&self, (start, end): (u32, u32)) -> &[ElementIndex] {
        let elements = self.elements.get(start as usize..end as usize);
        elements.unwrap_or_default()
    }
}
