//! Untrusted text in text output.
//!
//! Names, claims, Sids and topics come from tokens, policies and events. A control character among
//! them moves the cursor, sets the window's title, or begins a line that looks like one of ours
//! (CWE-150, "Improper Neutralization of Escape, Meta, or Control Sequences"); a bidirectional
//! control shows text in another order than it is compared in (Unicode Technical Report 36,
//! section 2.5). Each line of text output therefore goes through [`write_line`], or its parts
//! through [`escaped`]. JSON output escapes by its own rules and is left alone.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;

/// Text with each character that a terminal acts on, or does not show, as an escape of Rust: `\n`,
/// `\u{1b}`. Text without one is borrowed.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_shown(c) {
            out.push(c);
        } else if matches!(c, '\n' | '\r' | '\t') {
            out.extend(c.escape_default());
        } else {
            out.extend(c.escape_unicode());
        }
    }
    Cow::Owned(out)
}

/// Writes one line of text output, with its parts escaped and a line feed behind it.
///
/// # Errors
/// Those of the writer.
pub fn write_line(out: &mut (impl io::Write + ?Sized), line: fmt::Arguments<'_>) -> io::Result<()> {
    let mut text = String::new();
    // A String takes everything; only a Display of the line itself can fail.
    text.write_fmt(line).map_err(io::Error::other)?;
    writeln!(out, "{}", escaped(&text))
}

/// A source line for an excerpt: as many characters as before, so that a caret below keeps its
/// column. A tab is one blank, what is not shown the replacement character.
pub fn same_width(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_shown(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// Whether a terminal shows the character and does nothing else with it. Line and paragraph
/// separators, marks of direction, invisible operators, byte order marks and tag characters are not
/// shown; the joiners U+200C and U+200D are parts of words and of emoji, and stay.
fn is_shown(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{061C}'
                | '\u{200B}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        for text in [
            "",
            "order/1",
            "zählt \\ \"x\"",
            "\u{1F600}\u{200D}\u{1F600}",
            "日本",
        ] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        for (text, expected) in [
            ("a\nFORGED", "a\\nFORGED"),
            ("a\r\tb", "a\\r\\tb"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{7f}\0", "\\u{7f}\\u{0}"),
            ("user\u{202e}nimda", "user\\u{202e}nimda"),
            ("a\u{2028}b\u{feff}", "a\\u{2028}b\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn a_line_is_one_line() {
        let mut out = Vec::new();
        let kid = "k\u{1b}[31m\nbelieved";
        write_line(&mut out, format_args!("signed by `{kid}`")).unwrap();
        assert_eq!(out, b"signed by `k\\u{1b}[31m\\nbelieved`\n");
    }

    #[test]
    fn an_excerpt_keeps_its_columns() {
        let shown: String = "a\t\u{1b}b".chars().map(same_width).collect();
        assert_eq!(shown, "a \u{fffd}b");
    }
}
