//! JSON values in words, for messages: "an array of 2", "text, JSON in a string".

use bytes::Bytes;

use super::fields::FieldTrie;
use super::lex::JsonLexer;
use super::scan::{ScanError, scan};
use super::scanned::{CapturedValue, ValueKind};

/// A captured value in words, without its text.
pub fn described(value: &CapturedValue<'_>) -> String {
    words(value.kind, value.text)
}

/// A value in words: decoded text of a string, JSON text of anything else.
pub(super) fn words(kind: ValueKind, text: &[u8]) -> String {
    match kind {
        ValueKind::String if text.is_empty() => "empty text".into(),
        ValueKind::String if is_json(text) => "text, JSON in a string".into(),
        ValueKind::String if std::str::from_utf8(text).is_err() => {
            "text with a lone surrogate".into()
        }
        ValueKind::String => "text".into(),
        ValueKind::Number => "a number".into(),
        ValueKind::True => "true".into(),
        ValueKind::False => "false".into(),
        ValueKind::Null => "null".into(),
        ValueKind::Object => "an object".into(),
        ValueKind::Array => match elements(text) {
            Ok(0) => "an empty array".into(),
            Ok(count) => format!("an array of {count}"),
            Err(_) => "an array".into(),
        },
    }
}

/// Returns `true` if text is a JSON object or array.
fn is_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let opens = matches!(text.first(), Some(b'{' | b'['));
    opens && scan(&Bytes::copy_from_slice(text), &FieldTrie::new()).is_ok()
}

/// The number of elements of an array's JSON text.
fn elements(array: &[u8]) -> Result<usize, ScanError> {
    let mut lexer = JsonLexer::new(array);
    lexer.peek()?;
    lexer.open(0)?;
    let mut count = 0;
    let mut more = lexer.first_of(b']')?;
    while more {
        lexer.skip(1)?;
        count += 1;
        more = lexer.next_of(b']')?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_words() {
        let check = |kind, text: &str, expected: &str| {
            assert_eq!(words(kind, text.as_bytes()), expected, "{text}");
        };
        check(ValueKind::String, "x", "text");
        check(ValueKind::String, "", "empty text");
        check(ValueKind::String, r#" {"a":1} "#, "text, JSON in a string");
        check(ValueKind::String, "[1]", "text, JSON in a string");
        check(ValueKind::String, "{x}", "text");
        assert_eq!(
            words(ValueKind::String, b"\xED\xA0\x80"),
            "text with a lone surrogate"
        );
        check(ValueKind::Array, "[]", "an empty array");
        check(ValueKind::Array, "[ ]", "an empty array");
        check(
            ValueKind::Array,
            r#"[[1,2],{"a":[3]},"]"]"#,
            "an array of 3",
        );
        check(ValueKind::Null, "null", "null");
    }
}
