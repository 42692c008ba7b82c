//! Text with `*`, `?` and variables, as actions, resources and condition values have it.
//!
//! `*` matches any run of characters, `/` and `:` included, `?` exactly one Unicode scalar. `+` and
//! `#` mean nothing here. `${name}` is replaced by one value, whose characters are literal; `${*}`,
//! `${?}` and `${$}` mean the characters themselves (the developer guide prints them as `$(*)`).
//! Matching backtracks to the last `*` only, so it takes at most pattern times text steps.

use super::context::{Context, KeyValues};
use super::variable::ContextKey;

/// Characters in a certificate's value for which IoT Core leaves the variable unreplaced, and the longest value it replaces
/// (developer guide, "X.509 Certificate AWS IoT Core policy variables").
const UNREPLACEABLE: [char; 5] = ['*', '$', '+', '?', '#'];
const CERTIFICATE_VALUE_CHARACTERS: usize = 1_024;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    pieces: Box<[GlobPiece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum GlobPiece {
    Text(Box<str>),
    /// `*`
    Run,
    /// `?`
    One,
    Variable(GlobVariable),
}

/// `${key}`, or `${key, 'default'}`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GlobVariable {
    key: ContextKey,
    default: Option<Box<str>>,
    written: Box<str>,
}

/// A part of a pattern whose variables were replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GlobToken {
    Char(char),
    /// `?`
    One,
    /// `*`
    Run,
}

/// Meanings of a pattern's characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct GlobSyntax {
    /// Indicates that `*` and `?` are wildcards.
    pub(super) wildcards: bool,
    /// Indicates that `${` begins a variable: in documents of version 2012-10-17.
    pub(super) variables: bool,
}

/// Reason why text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GlobError {
    /// `${` without `}`.
    #[error("the variable `{0}` has no closing brace")]
    Unclosed(Box<str>),
    /// A variable without a name, or with something after it that is no default.
    #[error("`{0}` names no variable")]
    Unnamed(Box<str>),
}

impl Glob {
    pub(super) fn parse(text: &str, syntax: GlobSyntax) -> Result<Self, GlobError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (_, after) = rest.split_at(c.len_utf8());
            let piece = match c {
                '*' if syntax.wildcards => Some((GlobPiece::Run, after)),
                '?' if syntax.wildcards => Some((GlobPiece::One, after)),
                '$' if syntax.variables && after.starts_with('{') => match variable(rest)? {
                    (BracedText::Character(c), after) => {
                        plain.push(c);
                        rest = after;
                        continue;
                    }
                    (BracedText::Variable(variable), after) => {
                        Some((GlobPiece::Variable(variable), after))
                    }
                },
                _ => None,
            };
            match piece {
                None => {
                    plain.push(c);
                    rest = after;
                }
                Some((piece, after)) => {
                    push_text(&mut plain, &mut pieces);
                    // Two runs in a row are one.
                    if piece != GlobPiece::Run || pieces.last() != Some(&GlobPiece::Run) {
                        pieces.push(piece);
                    }
                    rest = after;
                }
            }
        }
        push_text(&mut plain, &mut pieces);
        Ok(Self {
            pieces: pieces.into(),
        })
    }

    /// The text, if the pattern is nothing but text.
    pub(super) fn literal(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [GlobPiece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns `true` where it ends in `*`.
    pub(super) fn ends_in_run(&self) -> bool {
        self.pieces.last() == Some(&GlobPiece::Run)
    }

    /// The keys of its variables.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ContextKey> {
        self.pieces.iter().filter_map(|piece| match piece {
            GlobPiece::Variable(variable) => Some(&variable.key),
            _ => None,
        })
    }

    /// The keys of its variables that have no value in this request, so that the pattern matches nothing.
    pub(super) fn unresolved<'g>(
        &'g self,
        context: &'g Context,
    ) -> impl Iterator<Item = &'g ContextKey> {
        self.pieces.iter().filter_map(|piece| match piece {
            GlobPiece::Variable(variable) if variable.value(context).is_none() => {
                Some(&variable.key)
            }
            _ => None,
        })
    }

    /// Returns `true` where the pattern matches the whole text.
    pub(super) fn matches(&self, text: &str, context: &Context) -> bool {
        let (mut pieces, mut rest) = (&*self.pieces, text);
        // The point of return when the pieces after the last `*` do not fit: those pieces, and the
        // text from which they were tried.
        let mut retry: Option<(&[GlobPiece], &str)> = None;
        loop {
            let fits = match pieces.split_first() {
                None => rest.is_empty().then_some((pieces, rest)),
                Some((GlobPiece::Run, [])) => return true,
                Some((GlobPiece::Run, after)) => {
                    retry = Some((after, rest));
                    Some((after, rest))
                }
                Some((GlobPiece::One, after)) => skip_one(rest).map(|rest| (after, rest)),
                Some((GlobPiece::Text(text), after)) => {
                    rest.strip_prefix(&**text).map(|rest| (after, rest))
                }
                Some((GlobPiece::Variable(variable), after)) => {
                    // An unresolved variable does not get a value by trying elsewhere.
                    let Some(value) = variable.value(context) else {
                        return false;
                    };
                    rest.strip_prefix(value).map(|rest| (after, rest))
                }
            };
            match (fits, retry) {
                (Some(([], "")), _) => return true,
                (Some(next), _) => (pieces, rest) = next,
                (None, None) => return false,
                (None, Some((after, from))) => {
                    let Some(from) = next_place(after, from) else {
                        return false;
                    };
                    retry = Some((after, from));
                    (pieces, rest) = (after, from);
                }
            }
        }
    }

    /// The pattern character by character, its variables replaced; `None` when one has no value.
    pub(super) fn tokens(&self, context: &Context) -> Option<Vec<GlobToken>> {
        let mut tokens = Vec::new();
        for piece in &self.pieces {
            match piece {
                GlobPiece::Text(text) => tokens.extend(text.chars().map(GlobToken::Char)),
                GlobPiece::Run => tokens.push(GlobToken::Run),
                GlobPiece::One => tokens.push(GlobToken::One),
                GlobPiece::Variable(variable) => {
                    tokens.extend(variable.value(context)?.chars().map(GlobToken::Char));
                }
            }
        }
        Some(tokens)
    }

    /// The pattern character by character, each variable as a run: every text that it may match for
    /// any client.
    pub(super) fn shape(&self) -> Vec<GlobToken> {
        let mut tokens = Vec::new();
        for piece in &self.pieces {
            match piece {
                GlobPiece::Text(text) => tokens.extend(text.chars().map(GlobToken::Char)),
                GlobPiece::One => tokens.push(GlobToken::One),
                GlobPiece::Run | GlobPiece::Variable(_) => tokens.push(GlobToken::Run),
            }
        }
        tokens
    }

    /// The variables straight before a wildcard, so that values that only begin alike match too.
    pub(super) fn spilling(&self) -> impl Iterator<Item = &ContextKey> {
        self.pieces.windows(2).filter_map(|pair| match pair {
            [
                GlobPiece::Variable(variable),
                GlobPiece::Run | GlobPiece::One,
            ] => Some(&variable.key),
            _ => None,
        })
    }

    /// Text that the pattern matches: `run` for each `*`, `one` for each `?`, variables replaced; `None` when a variable has no
    /// value.
    pub(super) fn sample(&self, run: &str, one: &str, context: &Context) -> Option<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            text.push_str(match piece {
                GlobPiece::Text(text) => text,
                GlobPiece::Run => run,
                GlobPiece::One => one,
                GlobPiece::Variable(variable) => variable.value(context)?,
            });
        }
        Some(text)
    }

    /// Returns `true` where it may match a text that begins with `prefix`; a piece of it that is
    /// not text counts as anything.
    pub(super) fn may_begin_with(&self, prefix: &str) -> bool {
        match self.pieces.first() {
            Some(GlobPiece::Text(text)) => text.starts_with(prefix) || prefix.starts_with(&**text),
            Some(_) => true,
            None => prefix.is_empty(),
        }
    }
}

fn push_text(plain: &mut String, pieces: &mut Vec<GlobPiece>) {
    if !plain.is_empty() {
        pieces.push(GlobPiece::Text(std::mem::take(plain).into()));
    }
}

fn skip_one(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next()?;
    Some(chars.as_str())
}

/// The next place after the beginning of `from` where `after`, the pieces behind a `*`, may fit.
fn next_place<'t>(after: &[GlobPiece], from: &'t str) -> Option<&'t str> {
    let next = skip_one(from)?;
    match after.first() {
        Some(GlobPiece::Text(text)) => {
            let at = memchr::memmem::find(next.as_bytes(), text.as_bytes())?;
            next.get(at..)
        }
        _ => Some(next),
    }
}

/// Contents of the braces after `$`.
enum BracedText {
    Character(char),
    Variable(GlobVariable),
}

/// Reads `${…}` at the beginning of `text` and returns the text after it.
fn variable(text: &str) -> Result<(BracedText, &str), GlobError> {
    let Some((inside, after)) = text.get(2..).and_then(|text| text.split_once('}')) else {
        return Err(GlobError::Unclosed(text.into()));
    };
    if let "*" | "?" | "$" = inside {
        let c = inside.chars().next().unwrap_or_default();
        return Ok((BracedText::Character(c), after));
    }
    let written = text.get(..text.len() - after.len()).unwrap_or_default();
    let (name, default) = match inside.split_once(',') {
        Some((name, default)) => {
            let quoted = default.trim();
            let default = quoted
                .strip_prefix('\'')
                .and_then(|quoted| quoted.strip_suffix('\''));
            match default {
                Some(default) => (name.trim(), Some(default.into())),
                None => return Err(GlobError::Unnamed(written.into())),
            }
        }
        None => (inside, None),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(GlobError::Unnamed(written.into()));
    }
    let variable = GlobVariable {
        key: ContextKey::new(name),
        default,
        written: written.into(),
    };
    Ok((BracedText::Variable(variable), after))
}

impl GlobVariable {
    /// Replacement of the variable: its one value; the variable's own text where IoT Core leaves a
    /// certificate's value out; `None` when there is no value, or more than one.
    fn value<'v>(&'v self, context: &'v Context) -> Option<&'v str> {
        let value = match context.values(&self.key) {
            KeyValues::One(value) => Some(value),
            KeyValues::Many([value]) => Some(&**value),
            KeyValues::Absent | KeyValues::Many(_) => None,
        };
        match value {
            Some(value) if self.key.is_of_certificate() && !is_replaceable(value) => {
                Some(&self.written)
            }
            Some(value) => Some(value),
            None => self.default.as_deref(),
        }
    }
}

fn is_replaceable(value: &str) -> bool {
    !value.contains(UNREPLACEABLE) && value.chars().count() <= CERTIFICATE_VALUE_CHARACTERS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::context::ClientCertificate;

    const FULL: GlobSyntax = GlobSyntax {
        wildcards: true,
        variables: true,
    };

    fn matches(pattern: &str, text: &str, context: &Context) -> bool {
        Glob::parse(pattern, FULL).unwrap().matches(text, context)
    }

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let context = Context::of_client("a*b");
        for text in yes {
            assert!(matches(pattern, text, &context), "{pattern} {text}");
        }
        for text in no {
            assert!(!matches(pattern, text, &context), "{pattern} {text}");
        }
    }

    #[test]
    fn wildcards() {
        check("", &[""], &["a"]);
        check("*", &["", "a/b:c"], &[]);
        check("a*b", &["ab", "axxb", "a/b/b"], &["a", "abc", "xab"]);
        check("a**b?c", &["abxc", "aabbc"], &["abc"]);
        check("?", &["é", "+", "\u{1F600}"], &["", "ab"]);
        check("*?", &["a", "ab"], &[""]);
        check("a?*d*f", &["abdf", "abcdef"], &["adf"]);
        check("*ab*ab", &["abab", "abxab", "xababab"], &["ab", "aba"]);
        check("+/#", &["+/#"], &["a/b"]);
    }

    #[test]
    fn variables_are_literal() {
        check("x/${iot:ClientId}", &["x/a*b"], &["x/aab", "x/"]);
        check("*${IOT:clientid}*", &["a*b", "--a*b--"], &["aab"]);
        check("${iot:Nothing}", &[], &["", "${iot:Nothing}"]);
        check("*${iot:Nothing}", &[], &["x"]);
        check("${iot:Nothing, 'd*'}", &["d*"], &["dx", ""]);
        check("a${*}b${?}c${$}", &["a*b?c$"], &["axb?c$"]);
        check("$(*)$", &["$()$", "$(x)$"], &["*$"]);
    }

    #[test]
    fn in_the_old_version_there_are_none() {
        let old = GlobSyntax {
            variables: false,
            ..FULL
        };
        let glob = Glob::parse("${iot:ClientId}", old).unwrap();
        let context = Context::of_client("c");
        assert!(glob.matches("${iot:ClientId}", &context));
        assert!(!glob.matches("c", &context));
    }

    #[test]
    fn some_values_of_certificates_are_not_replaced() {
        let pattern = "x/${iot:Certificate.Subject.CommonName}";
        let check = |value: &str, text: &str, expected: bool| {
            let mut certificate = ClientCertificate::default();
            certificate.set("Subject.CommonName", [value]);
            let mut context = Context::default();
            context.certificate = Some(certificate);
            assert_eq!(matches(pattern, text, &context), expected, "{value}");
        };
        check("name", "x/name", true);
        check("a+b", "x/a+b", false);
        check("a*", "x/ab", false);
        check("a#", "x/a#", false);
        check("a#", pattern, true);
        check(
            &"n".repeat(1_024),
            &format!("x/{}", "n".repeat(1_024)),
            true,
        );
        check(
            &"n".repeat(1_025),
            &format!("x/{}", "n".repeat(1_025)),
            false,
        );
    }

    #[test]
    fn faults() {
        let error = |text| Glob::parse(text, FULL).unwrap_err().to_string();
        assert_eq!(
            error("a${iot:x"),
            "the variable `${iot:x` has no closing brace"
        );
        assert_eq!(error("a${}b"), "`${}` names no variable");
        assert_eq!(error("${iot:x, d}"), "`${iot:x, d}` names no variable");
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = "a*".repeat(500) + "b";
        let text = "a".repeat(5_000);
        assert!(!matches(&pattern, &text, &Context::default()));
    }
}
