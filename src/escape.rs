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
///
/// The joiners U+200C and U+200D stay between two characters that are not ASCII: they are parts of
/// Persian words and of emoji there, and hide in an identifier anywhere else.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()) {
        return Cow::Borrowed(text);
    }
    if text.chars().all(|c| is_shown(c) && !is_joiner(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    let mut before = None;
    while let Some(c) = chars.next() {
        let joins = |c: Option<&char>| c.is_some_and(|c| !c.is_ascii() && is_shown(*c));
        let is_plain = if is_joiner(c) {
            joins(before.as_ref()) && joins(chars.peek())
        } else {
            is_shown(c)
        };
        before = Some(c);
        if is_plain {
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

/// Returns `true` where a terminal shows the character and does nothing else with it. The joiners
/// count as shown: [`escaped`] looks at their neighbours.
fn is_shown(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !c.is_control() && (is_joiner(c) || !is_invisible(c))
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

fn is_invisible(c: char) -> bool {
    let after = INVISIBLE.partition_point(|(first, _)| *first <= c);
    let range = after.checked_sub(1).and_then(|at| INVISIBLE.get(at));
    range.is_some_and(|(_, last)| c <= *last)
}

/// Characters that nobody sees, in order: those with the property Default_Ignorable_Code_Point
/// (Unicode 16.0, DerivedCoreProperties.txt,
/// <https://www.unicode.org/Public/16.0.0/ucd/DerivedCoreProperties.txt>), those of the general
/// category Format (Cf; DerivedGeneralCategory.txt of the same version), line and paragraph
/// separators (Zl, Zp), and the Braille pattern without a dot, which is as blank as a filler.
const INVISIBLE: [(char, char); 26] = [
    ('\u{00AD}', '\u{00AD}'),   // soft hyphen
    ('\u{034F}', '\u{034F}'),   // combining grapheme joiner
    ('\u{0600}', '\u{0605}'),   // Arabic number signs
    ('\u{061C}', '\u{061C}'),   // Arabic letter mark
    ('\u{06DD}', '\u{06DD}'),   // Arabic end of ayah
    ('\u{070F}', '\u{070F}'),   // Syriac abbreviation mark
    ('\u{0890}', '\u{0891}'),   // Arabic pound and piastre marks
    ('\u{08E2}', '\u{08E2}'),   // Arabic disputed end of ayah
    ('\u{115F}', '\u{1160}'),   // Hangul fillers
    ('\u{17B4}', '\u{17B5}'),   // Khmer inherent vowels
    ('\u{180B}', '\u{180F}'),   // Mongolian variation selectors and vowel separator
    ('\u{200B}', '\u{200F}'),   // zero width space, joiners, marks of direction
    ('\u{2028}', '\u{202E}'),   // separators, embeddings and overrides of direction
    ('\u{2060}', '\u{206F}'),   // word joiner, invisible operators, isolates
    ('\u{2800}', '\u{2800}'),   // Braille pattern blank
    ('\u{3164}', '\u{3164}'),   // Hangul filler
    ('\u{FE00}', '\u{FE0F}'),   // variation selectors
    ('\u{FEFF}', '\u{FEFF}'),   // zero width no-break space, byte order mark
    ('\u{FFA0}', '\u{FFA0}'),   // halfwidth Hangul filler
    ('\u{FFF0}', '\u{FFFB}'),   // unassigned, interlinear annotations
    ('\u{110BD}', '\u{110BD}'), // Kaithi number sign
    ('\u{110CD}', '\u{110CD}'), // Kaithi number sign above
    ('\u{13430}', '\u{1343F}'), // Egyptian hieroglyph format controls
    ('\u{1BCA0}', '\u{1BCA3}'), // shorthand format controls
    ('\u{1D173}', '\u{1D17A}'), // musical symbols that begin and end
    ('\u{E0000}', '\u{E0FFF}'), // tags, variation selectors supplement, unassigned
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        for text in [
            "",
            "order/1",
            "zählt \\ \"x\"",
            "日本\u{3000}語",
            "zwei\u{a0}Worte",
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
    fn what_nobody_sees_is_escaped() {
        for (first, last) in INVISIBLE {
            for c in [first, last] {
                let text = format!("ad{c}min");
                let expected = format!("ad{}min", c.escape_unicode());
                assert_eq!(escaped(&text), expected);
            }
            assert!(same_width(first) == char::REPLACEMENT_CHARACTER || is_joiner(first));
        }
        assert!(INVISIBLE.is_sorted_by(|(_, last), (first, _)| last < first));
        for next in [
            '\u{AE}', '\u{2010}', '\u{2027}', '\u{202F}', '\u{3163}', '\u{FFFC}',
        ] {
            assert!(is_shown(next), "{next:?}");
        }
    }

    #[test]
    fn joiners_stay_where_they_join() {
        for text in ["\u{1F600}\u{200D}\u{1F600}", "می\u{200c}خواهم"] {
            assert_eq!(escaped(text), text);
        }
        for (text, expected) in [
            ("ad\u{200d}min", "ad\u{200d}min"),
            ("é\u{200c}", "é\u{200c}"),
            ("é\u{200d}\u{200b}é", "é\u{200d}\u{200b}é"),
            ("\u{200d}é", "\u{200d}é"),
        ] {
            let expected = expected.replace('\u{200b}', "\\u{200b}");
            let expected = expected.replace('\u{200c}', "\\u{200c}");
            assert_eq!(escaped(text), expected.replace('\u{200d}', "\\u{200d}"));
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
