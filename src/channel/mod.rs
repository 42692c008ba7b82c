//! Channels, topic names, topic filters and the limits of AWS IoT Core.
//!
//! A channel, to which clients subscribe and events are sent, is a kind and an id. It is written
//! `order:5b0c…` and means the MQTT topic `order/5b0c…`. Kinds are declared in the configuration
//! with the format of their ids.
//!
//! This module is pure: no sockets, clock or environment.

pub mod example;
pub mod filter;
pub mod id_extension;
pub mod limits;
pub mod template;
pub mod topic;

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// One declared kind of channel: its name (the first level of its topics) and the format of its
/// ids.
#[derive(Clone, Debug)]
pub struct ChannelKind {
    name: Box<str>,
    id: IdFormat,
}

impl ChannelKind {
    /// Checks a kind's name and pairs it with the format of its ids.
    ///
    /// # Errors
    /// [`KindError`] when the name is empty or has anything but ASCII letters, digits, `-` and `_`: it is a topic level, a
    /// part of policy ARNs and of variable names.
    pub fn try_new(name: &str, id: IdFormat) -> Result<Self, KindError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(fits) {
            return Err(KindError::Name(name.to_owned()));
        }
        Ok(Self {
            name: name.into(),
            id,
        })
    }

    /// The kind's name, such as `order`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Format that the ids of this kind must have.
    pub fn id(&self) -> &IdFormat {
        &self.id
    }
}

/// The declared kinds of channels, by name.
pub type Kinds = BTreeMap<Box<str>, ChannelKind>;

/// Format of the ids of one kind of channel.
#[derive(Clone, Debug)]
pub enum IdFormat {
    /// A UUID as 8-4-4-4-12 hexadecimal digits (RFC 9562, section 4), in either case.
    Uuid,
    /// Text that a regular expression matches from end to end.
    Pattern(Regex),
}

impl IdFormat {
    /// A format from a regular expression, which has to match the whole id.
    ///
    /// # Errors
    /// [`KindError::Pattern`] when the expression does not compile.
    pub fn pattern(expression: &str) -> Result<Self, KindError> {
        Regex::new(&format!("^(?:{expression})$"))
            .map(Self::Pattern)
            .map_err(|error| KindError::Pattern {
                expression: expression.to_owned(),
                error,
            })
    }

    /// Returns `true` where `id` is of this format.
    pub fn accepts(&self, id: &str) -> bool {
        match self {
            Self::Uuid => is_uuid(id),
            Self::Pattern(pattern) => pattern.is_match(id),
        }
    }

    /// Returns false when no id of this format has a hyphen. The answer may be true for a format
    /// none of whose ids has one, never the reverse: look-around and counts are not taken into account.
    pub fn may_contain_hyphen(&self) -> bool {
        match self {
            Self::Uuid => true,
            Self::Pattern(pattern) => {
                let parsed = regex_syntax::parse(pattern.as_str());
                parsed.map_or(true, |hir| hyphen_in(&hir))
            }
        }
    }
}

impl fmt::Display for IdFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid => f.write_str("uuid"),
            Self::Pattern(pattern) => write!(
                f,
                "{}",
                pattern
                    .as_str()
                    .trim_start_matches("^(?:")
                    .trim_end_matches(")$")
            ),
        }
    }
}

/// Returns `true` where a part of a regular expression matches a hyphen. The recursion is as deep
/// as the expression, whose nesting `regex-syntax` bounds.
fn hyphen_in(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.contains(&b'-'),
        HirKind::Class(Class::Unicode(class)) => {
            let mut ranges = class.ranges().iter();
            ranges.any(|range| (range.start()..=range.end()).contains(&'-'))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut ranges = class.ranges().iter();
            ranges.any(|range| (range.start()..=range.end()).contains(&b'-'))
        }
        HirKind::Repetition(repetition) => hyphen_in(&repetition.sub),
        HirKind::Capture(capture) => hyphen_in(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(hyphen_in),
        HirKind::Empty | HirKind::Look(_) => false,
    }
}

fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Reason why a kind of channel cannot be declared.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// The name has characters that do not fit.
    #[error("channel name `{0}` must be letters, digits, `-` and `_`")]
    Name(String),
    /// The id's regular expression does not compile.
    #[error("id pattern `{expression}` is not a regular expression")]
    Pattern {
        /// The expression as written.
        expression: String,
        /// Position and reason of the failure.
        #[source]
        error: regex::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids() {
        assert!(IdFormat::Uuid.accepts("5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11"));
        assert!(IdFormat::Uuid.accepts("5B0C7E0E-4F0B-4D3E-9F51-6A4F0C6C2A11"));
        assert!(!IdFormat::Uuid.accepts("5b0c7e0e4f0b4d3e9f516a4f0c6c2a11"));
        assert!(!IdFormat::Uuid.accepts("5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a1g"));
        assert!(!IdFormat::Uuid.accepts(""));
    }

    #[test]
    fn formats_that_may_contain_a_hyphen() {
        let may = |pattern: &str| IdFormat::pattern(pattern).unwrap().may_contain_hyphen();
        assert!(IdFormat::Uuid.may_contain_hyphen());
        for with in [
            "[a-z0-9-]+:x",
            ".+",
            r"\S+",
            "[^/]+",
            "a(?:b|c-d)?",
            "x{0,3}-",
            r"\W",
            "[+-.]+",
            "[^a-z]",
        ] {
            assert!(may(with), "{with}");
        }
        for without in [
            "[a-z]+",
            "[a-z0-9_]{3}",
            r"\w+",
            r"\d+|[A-Z]",
            "auth0\\|[0-9a-f]{24}",
            "[^/\\x00-.]+",
        ] {
            assert!(!may(without), "{without}");
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_id() {
        let format = IdFormat::pattern("a|b[0-9]+").expect("it compiles");
        assert!(format.accepts("a"));
        assert!(format.accepts("b12"));
        assert!(!format.accepts("ab"));
        assert!(!format.accepts("xb12"));
        assert_eq!(format.to_string(), "a|b[0-9]+");
        assert!(IdFormat::pattern("(").is_err());
    }

    #[test]
    fn names() {
        assert!(ChannelKind::try_new("order-line_2", IdFormat::Uuid).is_ok());
        assert!(ChannelKind::try_new("", IdFormat::Uuid).is_err());
        assert!(ChannelKind::try_new("a/b", IdFormat::Uuid).is_err());
    }
}
