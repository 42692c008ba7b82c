//! The structure of JSON text, followed without reading its strings.
//!
//! A string ends at the first quotation mark that no backslash escapes (RFC 8259, section 7). It
//! may hold anything else: an escape that JSON does not have, a lone surrogate, a raw control
//! character, bytes that are not UTF-8. So one string that cannot be read leaves the borders of all
//! values known. Text whose brackets and quotation marks do not fit is not split at all.

/// A place in JSON text.
pub(super) struct Structure<'b> {
    rest: &'b [u8],
}

/// A member of an object: its name and its value as they are written.
pub(super) type RawMember<'b> = (&'b [u8], &'b [u8]);

/// The members of an object; `None` when the text is not one object.
pub(super) fn members(text: &[u8]) -> Option<Vec<RawMember<'_>>> {
    let mut at = Structure { rest: text };
    let mut members = Vec::new();
    at.each(b'{', b'}', |at| {
        at.skip_blanks();
        if at.rest.first() != Some(&b'"') {
            return None;
        }
        let name = at.value()?;
        if !at.take(b':') {
            return None;
        }
        members.push((name, at.value()?));
        Some(())
    })?;
    at.is_at_end().then_some(members)
}

/// The elements of an array; `None` when the text is not one array.
pub(super) fn elements(text: &[u8]) -> Option<Vec<&[u8]>> {
    let mut at = Structure { rest: text };
    let mut elements = Vec::new();
    at.each(b'[', b']', |at| {
        elements.push(at.value()?);
        Some(())
    })?;
    at.is_at_end().then_some(elements)
}

impl<'b> Structure<'b> {
    /// Takes what two brackets enclose, part by part with commas between them.
    fn each(
        &mut self,
        open: u8,
        close: u8,
        mut part: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        if !self.take(open) {
            return None;
        }
        if self.take(close) {
            return Some(());
        }
        loop {
            part(self)?;
            if self.take(close) {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// Takes a value and returns its text. No recursion: depth costs a byte a bracket.
    fn value(&mut self) -> Option<&'b [u8]> {
        self.skip_blanks();
        let whole = self.rest;
        let mut closers = Vec::new();
        loop {
            self.skip_blanks();
            match *self.rest.first()? {
                b'"' => self.string()?,
                b'{' => {
                    closers.push(b'}');
                    self.advance(1);
                }
                b'[' => {
                    closers.push(b']');
                    self.advance(1);
                }
                close @ (b'}' | b']') => {
                    if closers.pop() != Some(close) {
                        return None;
                    }
                    self.advance(1);
                }
                b',' | b':' if closers.is_empty() => return None,
                b',' | b':' => self.advance(1),
                _ => {
                    let ends = |byte: &u8| b",:{}[]\"".contains(byte) || byte.is_ascii_whitespace();
                    let length = self.rest.iter().position(ends);
                    self.advance(length.unwrap_or(self.rest.len()));
                }
            }
            if closers.is_empty() {
                return whole.get(..whole.len() - self.rest.len());
            }
        }
    }

    /// Takes a string, which begins here.
    fn string(&mut self) -> Option<()> {
        let mut bytes = self.rest.iter().enumerate().skip(1);
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => {
                    bytes.next();
                }
                b'"' => {
                    self.advance(at + 1);
                    return Some(());
                }
                _ => {}
            }
        }
        None
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let is_next = self.rest.first() == Some(&byte);
        if is_next {
            self.advance(1);
        }
        is_next
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_whatever_their_strings_hold() {
        let text = b" [ {\"a\":[1,{}],\"b\":\"]\\q\\\"\"} ,\"\xff\x01\", 12 ,[],true] ";
        let expected: [&[u8]; 5] = [
            b"{\"a\":[1,{}],\"b\":\"]\\q\\\"\"}",
            b"\"\xff\x01\"",
            b"12",
            b"[]",
            b"true",
        ];
        assert_eq!(elements(text).unwrap(), expected);
        let expected: [RawMember<'_>; 2] = [(b"\"a\"", b"[1,{}]"), (b"\"b\"", b"\"\\u12\"")];
        assert_eq!(
            members(br#"{"a" : [1,{}], "b":"\u12" }"#).unwrap(),
            expected
        );
        assert!(elements(b"[]").unwrap().is_empty());
        assert!(members(b"{ }").unwrap().is_empty());
    }

    #[test]
    fn text_without_structure_is_not_split() {
        for text in [
            "",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[\"a]",
            "[\"a\\\"]",
            "[{]}",
            "[}]",
            "[:]",
            "[1]x",
            "{}",
            "1",
        ] {
            assert!(elements(text.as_bytes()).is_none(), "{text}");
        }
        for text in [
            "[]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":1",
        ] {
            assert!(members(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn depth_is_no_recursion() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        assert_eq!(elements(deep.as_bytes()).unwrap().len(), 1);
    }
}
