//! Comparisons of text: wildcards and case.
//!
//! Text is bytes (WTF-8). Case is ignored character by character: a character of the pattern
//! matches its lower-case or its upper-case form, each in full mapping, so `ß` also matches `SS`,
//! but `ss` does not match `ß`.

/// The complexity above which a wildcard's is not counted further: many times the most that
/// EventBridge takes.
pub(super) const MAX_COMPLEXITY: usize = 64;

/// A pattern with `*` for any run of characters; `\*` and `\\` match `*` and `\`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WildcardPattern {
    /// The literal pieces between stars: one more than there are stars.
    pieces: Vec<Box<[u8]>>,
}

impl WildcardPattern {
    /// Reads a wildcard pattern. The error is AWS's text, whose positions count bytes and an opening quote.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut pieces = vec![Vec::new()];
        let mut bytes = text.iter().copied().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            let next = bytes.peek().map(|&(_, next)| next);
            match byte {
                b'*' if next == Some(b'*') => {
                    return Err(format!("Consecutive wildcard characters at pos {}", at + 1));
                }
                b'*' => pieces.push(Vec::new()),
                b'\\' => match next {
                    Some(next @ (b'*' | b'\\')) => {
                        bytes.next();
                        pieces
                            .last_mut()
                            .into_iter()
                            .for_each(|piece| piece.push(next));
                    }
                    _ => return Err(format!("Invalid escape character at pos {}", at + 1)),
                },
                byte => pieces
                    .last_mut()
                    .into_iter()
                    .for_each(|piece| piece.push(byte)),
            }
        }
        Ok(Self {
            pieces: pieces.into_iter().map(Into::into).collect(),
        })
    }

    /// Returns `true` if the pattern matches all of `text`. Each piece is taken where it first
    /// fits, so the work is bounded by the length of the text times that of the longest piece.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|only| **only == *text);
        };
        let Some(mut rest) = text.strip_prefix(&**first) else {
            return false;
        };
        for piece in middle {
            let Some(at) = memchr::memmem::find(rest, piece) else {
                return false;
            };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }

    /// Number of stars in the pattern.
    pub(super) fn stars(&self) -> usize {
        self.pieces.len() - 1
    }

    /// The most places in the pattern that can be open at once while it is matched, as seen on texts made of its own
    /// pieces: the measure by which EventBridge seems to refuse patterns as too complex. Counting stops above
    /// [`MAX_COMPLEXITY`].
    pub(super) fn complexity(&self) -> usize {
        let pieces = &self.pieces;
        let text = pieces.iter().chain(pieces).flat_map(|piece| piece.iter());
        // Open places: (piece, bytes of it consumed). A star is open as (piece, 0) of the piece after it.
        let leading_star = self.stars() > 0 && pieces.first().is_some_and(|piece| piece.is_empty());
        let mut open = vec![(usize::from(leading_star), 0_usize)];
        let mut most = 0;
        for &byte in text {
            let mut next: Vec<(usize, usize)> = Vec::new();
            for &(piece, done) in &open {
                if piece > 0 && done == 0 {
                    next.push((piece, 0));
                }
                if pieces.get(piece).and_then(|piece| piece.get(done)) == Some(&byte) {
                    next.push((piece, done + 1));
                    if pieces
                        .get(piece)
                        .is_some_and(|piece| piece.len() == done + 1)
                        && piece + 1 < pieces.len()
                    {
                        next.push((piece + 1, 0));
                    }
                }
            }
            next.sort_unstable();
            next.dedup();
            most = most.max(next.len());
            if most > MAX_COMPLEXITY {
                break;
            }
            open = next;
        }
        most
    }
}

/// Text whose case is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoldedText {
    /// For each character its lower-case and upper-case forms.
    forms: Vec<[Box<[u8]>; 2]>,
}

impl FoldedText {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut forms = Vec::new();
        for chunk in text.utf8_chunks() {
            for c in chunk.valid().chars() {
                let lower: String = c.to_lowercase().collect();
                let upper: String = c.to_uppercase().collect();
                forms.push([lower.into_bytes().into(), upper.into_bytes().into()]);
            }
            for &byte in chunk.invalid() {
                forms.push([[byte].into(), [byte].into()]);
            }
        }
        Self { forms }
    }

    pub(super) fn equals(&self, text: &[u8]) -> bool {
        self.strip_start(text).is_some_and(<[u8]>::is_empty)
    }

    pub(super) fn starts(&self, text: &[u8]) -> bool {
        self.strip_start(text).is_some()
    }

    pub(super) fn ends(&self, text: &[u8]) -> bool {
        self.forms
            .iter()
            .rev()
            .try_fold(text, |rest, [lower, upper]| {
                rest.strip_suffix(&**lower)
                    .or_else(|| rest.strip_suffix(&**upper))
            })
            .is_some()
    }

    /// Returns the rest of a text that begins with this text. The two forms of a character never
    /// begin alike unless they are equal, so the first that fits is the only one.
    fn strip_start<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        self.forms.iter().try_fold(text, |rest, [lower, upper]| {
            rest.strip_prefix(&**lower)
                .or_else(|| rest.strip_prefix(&**upper))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        let wildcard = WildcardPattern::parse(pattern.as_bytes()).unwrap();
        assert_eq!(
            wildcard.matches(text.as_bytes()),
            expected,
            "{pattern} {text}"
        );
    }

    #[test]
    fn wildcards() {
        check("a*b", "ab", true);
        check("a*b", "axxb", true);
        check("a*b", "axxbc", false);
        check("*", "", true);
        check("ab", "ab", true);
        check("ab", "abc", false);
        check("a*a", "a", false);
        check("*.png", "x.png", true);
        check(r"a\*b\\", r"a*b\", true);
        check(r"a\*b", "axb", false);
        check("*a*b*", "xbxa", false);
        assert_eq!(
            WildcardPattern::parse(b"**"),
            Err("Consecutive wildcard characters at pos 1".into())
        );
        assert_eq!(
            WildcardPattern::parse(br"a\x"),
            Err("Invalid escape character at pos 2".into())
        );
        assert_eq!(
            WildcardPattern::parse(br"foo\"),
            Err("Invalid escape character at pos 4".into())
        );
    }

    /// The scores that event-ruler gives; AWS is recorded to accept 7 and to refuse 11.
    #[test]
    fn complexity() {
        for (pattern, score) in [
            ("*:*:*:*:*:event-bus/*", 11),
            ("/Users/*/dir/dir/dir/dir/dir/doc.txt", 7),
            ("*a*a*a*a*", 9),
            ("a*b*c*d*e*f*g*h", 8),
            ("*aaaaaaaa*", 10),
            ("*error*", 3),
        ] {
            assert_eq!(
                WildcardPattern::parse(pattern.as_bytes())
                    .unwrap()
                    .complexity(),
                score,
                "{pattern}"
            );
        }
    }

    #[test]
    fn case() {
        let fold = |text: &str| FoldedText::new(text.as_bytes());
        assert!(fold("abC").equals(b"ABc"));
        assert!(!fold("abc").equals(b"abcd"));
        assert!(fold("ß").equals("SS".as_bytes()));
        assert!(fold("ß").equals("ß".as_bytes()));
        assert!(!fold("ss").equals("ß".as_bytes()));
        assert!(fold("EC2").starts(b"ec2 x"));
        assert!(fold(".PNG").ends(b"a.png"));
        assert!(!fold(".PNG").ends(b"a.png "));
        assert!(fold("").equals(b"") && !fold("").equals(b"a"));
    }
}
