//! Topic names that may be published to, checked once, so that a held [`Topic`] is a right topic.
//!
//! The rules are MQTT's (version 5.0, sections 1.5.4, 3.3.2.1 and 4.7) and AWS IoT Core's limits. Values that come out of
//! events are checked here as well ([`check_value`]), before they enter a topic: a topic that is legal as a whole may still
//! have been changed in its meaning by one value (`orderId = "1/../admin"`).

use std::fmt;
use std::sync::Arc;

use super::limits::{TOPIC_BYTES, TOPIC_SLASHES};

/// The reserved prefix of Basic Ingest, `$aws/rules/<rule>/`, which IoT Core leaves out of the topic limits.
const BASIC_INGEST: &str = "$aws/rules/";

/// A topic name that IoT Core accepts for a publish.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks a topic name.
    ///
    /// # Errors
    /// [`TopicError`] names the first rule that is broken. A first level that begins with `$` is reserved; only Basic
    /// Ingest (`$aws/rules/<rule>/…`) is let through.
    pub fn parse(name: &str) -> Result<Self, TopicError> {
        if name.starts_with('$') && !name.starts_with(BASIC_INGEST) {
            return Err(TopicError::Reserved);
        }
        check_name(name)?;
        Ok(Self(Arc::from(name)))
    }

    /// The topic name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Checks a topic name, reserved or not.
pub(super) fn check_name(name: &str) -> Result<(), TopicError> {
    if name.is_empty() {
        return Err(TopicError::Empty);
    }
    if !is_plain(name) {
        for c in name.chars() {
            match c {
                '+' | '#' => return Err(TopicError::Wildcard(c)),
                c if is_unfit(c) => return Err(TopicError::Character(c)),
                _ => {}
            }
        }
    }
    let counted = counted_part(name);
    if counted.len() > TOPIC_BYTES {
        return Err(TopicError::TooLong(counted.len()));
    }
    let slashes = memchr::memchr_iter(b'/', counted.as_bytes()).count();
    if slashes > TOPIC_SLASHES {
        return Err(TopicError::TooDeep(slashes));
    }
    Ok(())
}

/// The part of a topic that IoT Core counts: all of it, less `$aws/rules/<rule>/`.
fn counted_part(name: &str) -> &str {
    name.strip_prefix(BASIC_INGEST)
        .and_then(|rest| rest.split_once('/'))
        .map_or(name, |(_rule, rest)| rest)
}

/// Returns `true` where text is printable ASCII without wildcards, as nearly all topics are: a look
/// at each byte is enough then.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'+' && byte != b'#')
}

/// Characters that MQTT 5.0 section 1.5.4 forbids (U+0000) or advises against (controls and noncharacters): a broker may
/// close the connection on them, which would take other publications down as well.
pub(super) fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{FDD0}'..='\u{FDEF}') || (c as u32 & 0xFFFE) == 0xFFFE
}

/// Rule that a topic name breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Nothing at all.
    #[error("the topic is empty")]
    Empty,
    /// The first level begins with `$`.
    #[error("the topic begins with `$`, which is reserved")]
    Reserved,
    /// `+` or `#` in a topic that is published to.
    #[error("the topic has the wildcard `{0}`; a publish topic must not")]
    Wildcard(char),
    /// A control character or a noncharacter.
    #[error("the topic has the character U+{:04X}, on which a broker may close the connection", u32::from(*.0))]
    Character(char),
    /// Longer than IoT Core takes, in bytes.
    #[error("the topic is {0} bytes long; IoT Core takes {TOPIC_BYTES}")]
    TooLong(usize),
    /// More levels than IoT Core takes; the number of slashes.
    #[error("the topic has {0} slashes; IoT Core takes {TOPIC_SLASHES}")]
    TooDeep(usize),
}

/// Checks one value from an event before it becomes part of a topic.
///
/// # Errors
/// [`ValueError`] when the value would change the topic's shape or make it unfit: empty, `/`, `+`, `#`, a control
/// character or a noncharacter, or `$` in first place.
pub fn check_value(value: &str) -> Result<(), ValueError> {
    if value.is_empty() {
        return Err(ValueError::Empty);
    }
    if value.starts_with('$') {
        return Err(ValueError::Dollar);
    }
    if is_plain(value) && memchr::memchr(b'/', value.as_bytes()).is_none() {
        return Ok(());
    }
    match value
        .chars()
        .find(|&c| matches!(c, '/' | '+' | '#') || is_unfit(c))
    {
        None => Ok(()),
        Some('/') => Err(ValueError::Slash),
        Some(c @ ('+' | '#')) => Err(ValueError::Wildcard(c)),
        Some(c) => Err(ValueError::Character(c)),
    }
}

/// Reason why a value must not enter a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// An empty value would leave an empty level.
    #[error("the value is empty")]
    Empty,
    /// A slash would add a level.
    #[error("the value has a `/`, which would add a level")]
    Slash,
    /// `+` or `#`.
    #[error("the value has the wildcard `{0}`")]
    Wildcard(char),
    /// `$` in first place.
    #[error("the value begins with `$`, which is reserved")]
    Dollar,
    /// A control character or a noncharacter.
    #[error("the value has the character U+{:04X}", u32::from(*.0))]
    Character(char),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Result<(), TopicError>) {
        assert_eq!(Topic::parse(name).map(|_| ()), expected, "{name:?}");
    }

    #[test]
    fn topics() {
        check("order/1", Ok(()));
        check("order//1", Ok(()));
        check("", Err(TopicError::Empty));
        check("a/+/b", Err(TopicError::Wildcard('+')));
        check("a/#", Err(TopicError::Wildcard('#')));
        check("a\u{0}", Err(TopicError::Character('\0')));
        check("a\u{85}", Err(TopicError::Character('\u{85}')));
        check("a\u{1FFFE}", Err(TopicError::Character('\u{1FFFE}')));
        check("$SYS/x", Err(TopicError::Reserved));
        check(&"x".repeat(256), Ok(()));
        check(&"x".repeat(257), Err(TopicError::TooLong(257)));
        check(&"é".repeat(129), Err(TopicError::TooLong(258)));
        check("1/2/3/4/5/6/7/8", Ok(()));
        check("1/2/3/4/5/6/7/8/9", Err(TopicError::TooDeep(8)));
    }

    #[test]
    fn basic_ingest_prefix_is_not_counted() {
        check(&format!("$aws/rules/some_rule/{}", "x".repeat(256)), Ok(()));
        check("$aws/rules/some_rule/1/2/3/4/5/6/7/8", Ok(()));
        check("$aws/things/x", Err(TopicError::Reserved));
    }

    #[test]
    fn values() {
        assert_eq!(check_value("5b0c-x*?"), Ok(()));
        assert_eq!(check_value("a$b"), Ok(()));
        assert_eq!(check_value(""), Err(ValueError::Empty));
        assert_eq!(check_value("1/../admin"), Err(ValueError::Slash));
        assert_eq!(check_value("a+"), Err(ValueError::Wildcard('+')));
        assert_eq!(check_value("$aws"), Err(ValueError::Dollar));
        assert_eq!(check_value("a\n"), Err(ValueError::Character('\n')));
    }
}
