//! The tokens of JSON (RFC 8259), strict: the units that the scan steps over.
//!
//! It knows bytes and places, and nothing of events. The text is known to be UTF-8 before it gets here.

use super::scan::{JsonProblem, MAX_DEPTH, ScanError};
use super::scanned::ValueKind;

/// A string's place between its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct StringToken {
    pub(super) start: usize,
    pub(super) end: usize,
    /// `true` if the string has a backslash, so that the text differs from the bytes.
    pub(super) escaped: bool,
}

/// A place in a JSON text.
pub(super) struct JsonLexer<'s> {
    bytes: &'s [u8],
    at: usize,
}

impl<'s> JsonLexer<'s> {
    pub(super) fn new(bytes: &'s [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte to read.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The bytes between a string's quotes.
    pub(super) fn raw(&self, token: StringToken) -> &'s [u8] {
        self.bytes.get(token.start..token.end).unwrap_or_default()
    }

    fn fail<T>(&self, problem: JsonProblem) -> Result<T, ScanError> {
        Err(ScanError {
            problem,
            offset: self.at,
        })
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Passes over white space and looks at the next byte.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, ScanError> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                Some(byte) => return Ok(byte),
                None => return self.fail(JsonProblem::End),
            }
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            Err(_) => Ok(()),
            Ok(_) => self.fail(JsonProblem::Trailing),
        }
    }

    /// Steps over `{` or `[`, which `peek` saw, unless that goes too deep.
    pub(super) fn open(&mut self, depth: usize) -> Result<(), ScanError> {
        if depth >= MAX_DEPTH {
            return self.fail(JsonProblem::Depth);
        }
        self.at += 1;
        Ok(())
    }

    /// After an opening bracket: whether there is a first member; if not, steps over `close`.
    pub(super) fn first_of(&mut self, close: u8) -> Result<bool, ScanError> {
        if self.peek()? == close {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// After a member: whether another follows; steps over the comma or `close`.
    pub(super) fn next_of(&mut self, close: u8) -> Result<bool, ScanError> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => self.fail(JsonProblem::Unexpected),
        }
    }

    /// A member's name and the colon after it.
    pub(super) fn key(&mut self) -> Result<StringToken, ScanError> {
        if self.peek()? != b'"' {
            return self.fail(JsonProblem::Unexpected);
        }
        let key = self.string()?;
        if self.peek()? != b':' {
            return self.fail(JsonProblem::Unexpected);
        }
        self.at += 1;
        Ok(key)
    }

    /// A string whose opening quote is the next byte.
    pub(super) fn string(&mut self) -> Result<StringToken, ScanError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.pass_plain();
            match self.byte() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(StringToken {
                        start,
                        end,
                        escaped,
                    });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..0x20) => return self.fail(JsonProblem::Control),
                Some(_) => self.at += 1,
                None => return self.fail(JsonProblem::End),
            }
        }
    }

    /// Passes over whole words of eight bytes without `"`, `\` or controls, up to the first byte of interest.
    #[inline]
    fn pass_plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        while let Some(chunk) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*chunk);
            let quote = word ^ (ONES * 0x22);
            let slash = word ^ (ONES * 0x5C);
            // The high bit of each byte that is zero (quote, slash) or below 0x20. A borrow may also mark a byte above a
            // marked one; only the lowest mark is used, and that one is exact.
            let marks = (quote.wrapping_sub(ONES) & !quote)
                | (slash.wrapping_sub(ONES) & !slash)
                | (word.wrapping_sub(ONES * 0x20) & !word);
            let marks = marks & HIGH;
            if marks != 0 {
                self.at += (marks.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') if hex4(self.bytes, self.at + 2).is_some() => {
                self.at += 6;
                Ok(())
            }
            None => {
                self.at += 1;
                self.fail(JsonProblem::End)
            }
            Some(_) => self.fail(JsonProblem::Escape),
        }
    }

    /// A number or one of the three literals.
    pub(super) fn scalar(&mut self) -> Result<ValueKind, ScanError> {
        match self.byte() {
            Some(b't') => self.literal(b"true", ValueKind::True),
            Some(b'f') => self.literal(b"false", ValueKind::False),
            Some(b'n') => self.literal(b"null", ValueKind::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.fail(JsonProblem::Unexpected),
            None => self.fail(JsonProblem::End),
        }
    }

    fn literal(&mut self, word: &[u8], kind: ValueKind) -> Result<ValueKind, ScanError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return self.fail(JsonProblem::Unexpected);
        }
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<ValueKind, ScanError> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // `01` and `1x` must not pass as a number followed by something that the caller would report less clearly.
        if matches!(
            self.byte(),
            Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z')
        ) {
            return self.fail(JsonProblem::Number);
        }
        Ok(ValueKind::Number)
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return self.fail(JsonProblem::Number);
        }
        Ok(())
    }

    /// Steps over one value of any kind without looking into it, but checks that it is JSON.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), ScanError> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => {
                self.open(depth)?;
                let mut more = self.first_of(b'}')?;
                while more {
                    self.key()?;
                    self.skip(depth + 1)?;
                    more = self.next_of(b'}')?;
                }
                Ok(())
            }
            b'[' => {
                self.open(depth)?;
                let mut more = self.first_of(b']')?;
                while more {
                    self.skip(depth + 1)?;
                    more = self.next_of(b']')?;
                }
                Ok(())
            }
            _ => self.scalar().map(drop),
        }
    }

    /// Appends a string's decoded text to `out`. The token came from [`string`](Self::string), so its escapes are right.
    pub(super) fn decode(&self, token: StringToken, out: &mut Vec<u8>) {
        let mut rest = self.raw(token);
        while let Some(slash) = memchr::memchr(b'\\', rest) {
            let (plain, escape) = rest.split_at(slash);
            out.extend_from_slice(plain);
            rest = unescape(escape, out);
        }
        out.extend_from_slice(rest);
    }
}

/// Decodes the escape at the beginning of `text` and returns the rest.
fn unescape<'t>(text: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    let letter = text.get(1).copied().unwrap_or_default();
    let plain = match letter {
        b'u' => return unescape_unit(text, out),
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    };
    out.push(plain);
    text.get(2..).unwrap_or_default()
}

fn unescape_unit<'t>(text: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    let unit = hex4(text, 2).unwrap_or_default();
    if (0xD800..0xDC00).contains(&unit)
        && text.get(6..8) == Some(b"\\u")
        && let Some(low @ 0xDC00..0xE000) = hex4(text, 8)
    {
        let scalar = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        if let Some(c) = char::from_u32(scalar) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        return text.get(12..).unwrap_or_default();
    }
    match char::from_u32(unit) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        // A lone surrogate: the three bytes that UTF-8's scheme would give it.
        None => out.extend_from_slice(&[
            0xE0 | (unit >> 12) as u8,
            0x80 | ((unit >> 6) & 0x3F) as u8,
            0x80 | (unit & 0x3F) as u8,
        ]),
    }
    text.get(6..).unwrap_or_default()
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |value, &digit| {
        Some(value << 4 | char::from(digit).to_digit(16)?)
    })
}
