//! Topic filters: those that may be subscribed to, the topics that each one matches, and the other
//! filters that it covers.
//!
//! The rules are MQTT's (version 5.0, sections 4.7 and 4.8.2) with the differences of AWS IoT Core
//! (developer guide, "MQTT topics"): `a/#` does not match `a`. A held [`Filter`] is one that IoT
//! Core takes. A policy decides whether a client may subscribe to it, elsewhere, on the text as
//! sent.

use std::fmt;
use std::sync::Arc;

use super::limits::{TOPIC_BYTES, TOPIC_SLASHES};
use super::topic::{TopicError, check_name, is_unfit};

/// Prefix of the filter of a shared subscription: `$share/<name>/<filter>`.
const SHARE: &str = "$share/";

/// The only reserved topics that clients may subscribe to; IoT Core disconnects clients that ask
/// for others, such as `$SYS`.
const RESERVED_BUT_OPEN: &str = "$aws/";

/// A topic filter that IoT Core accepts for a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter {
    text: Arc<str>,
    /// Offset of the part that topics are matched against: behind `$share/<name>/`.
    from: usize,
}

impl Filter {
    /// Checks a topic filter.
    ///
    /// # Errors
    /// [`FilterError`] names the first rule that is broken.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let from = match text.strip_prefix(SHARE) {
            Some(rest) => text.len() - shared_part(rest)?.len(),
            None => 0,
        };
        let matched = text.get(from..).unwrap_or_default();
        check(matched)?;
        Ok(Self {
            text: Arc::from(text),
            from,
        })
    }

    /// The filter that matches one topic only. Unlike [`Topic`](super::topic::Topic), it may be one of the reserved topics
    /// that clients listen to (`$aws/…`).
    ///
    /// # Errors
    /// [`TopicError`] names the first rule of topic names that is broken.
    pub fn exact(topic: &str) -> Result<Self, TopicError> {
        if topic.starts_with('$') && !topic.starts_with(RESERVED_BUT_OPEN) {
            return Err(TopicError::Reserved);
        }
        check_name(topic)?;
        Ok(Self {
            text: Arc::from(topic),
            from: 0,
        })
    }

    /// The filter as it is sent in SUBSCRIBE, which is also what policies are asked about.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part that topics are matched against: the filter without `$share/<name>/`.
    pub fn matched_part(&self) -> &str {
        self.text.get(self.from..).unwrap_or_default()
    }

    /// The name of the shared subscription, if it is one.
    pub fn share(&self) -> Option<&str> {
        let prefix = self.text.get(..self.from)?;
        prefix.strip_prefix(SHARE)?.strip_suffix('/')
    }

    /// Returns `true` where it has no wildcard, so that it matches one topic only.
    pub fn is_exact(&self) -> bool {
        !self.matched_part().contains(['+', '#'])
    }

    /// Returns `true` where a subscriber to this filter receives messages on `topic`. Does not
    /// allocate.
    pub fn matches(&self, topic: &str) -> bool {
        let filter = self.matched_part();
        // Wildcards in first place do not reach reserved topics.
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut topic = topic.split('/');
        for level in filter.split('/') {
            match (level, topic.next()) {
                ("#", Some(_)) => return true,
                (_, None) => return false,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        topic.next().is_none()
    }

    /// Returns `true` where this filter matches every topic that `other` matches.
    pub fn covers(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.matched_part(), other.matched_part());
        if theirs.starts_with('$') && mine.starts_with(['+', '#']) {
            return false;
        }
        let mut theirs = theirs.split('/');
        for level in mine.split('/') {
            match (level, theirs.next()) {
                ("#", Some(_)) => return true,
                (_, None | Some("#")) => return false,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<str> for Filter {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// The filter behind the name of a shared subscription.
fn shared_part(rest: &str) -> Result<&str, FilterError> {
    match rest.split_once('/') {
        Some((name, filter)) if !name.is_empty() && !name.contains(['+', '#']) => Ok(filter),
        _ => Err(FilterError::Share),
    }
}

fn check(filter: &str) -> Result<(), FilterError> {
    if filter.is_empty() {
        return Err(FilterError::Empty);
    }
    if filter.starts_with('$') && !filter.starts_with(RESERVED_BUT_OPEN) {
        return Err(FilterError::Reserved);
    }
    if let Some(c) = filter.chars().find(|&c| is_unfit(c)) {
        return Err(FilterError::Character(c));
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.len() > 1
            && let Some(wildcard) = level.chars().find(|c| matches!(c, '+' | '#'))
        {
            return Err(FilterError::NotAlone(wildcard));
        }
        if level == "#" && levels.peek().is_some() {
            return Err(FilterError::NotLast);
        }
    }
    if filter.len() > TOPIC_BYTES {
        return Err(FilterError::TooLong(filter.len()));
    }
    let slashes = memchr::memchr_iter(b'/', filter.as_bytes()).count();
    if slashes > TOPIC_SLASHES {
        return Err(FilterError::TooDeep(slashes));
    }
    Ok(())
}

/// Rule that a topic filter breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Nothing at all, or nothing behind `$share/<name>/`.
    #[error("the filter is empty")]
    Empty,
    /// The first level begins with `$`, and it is neither `$aws/…` nor `$share/…`.
    #[error("the filter begins with `$`, which is reserved")]
    Reserved,
    /// A shared subscription without a name, with a wildcard in it, or without a filter.
    #[error(
        "a shared subscription must be `$share/<name>/<filter>`, without wildcards in its name"
    )]
    Share,
    /// A wildcard that shares its level with other characters.
    #[error("the wildcard `{0}` must stand alone between slashes")]
    NotAlone(char),
    /// `#` before the last level.
    #[error("the wildcard `#` must be the last level")]
    NotLast,
    /// A control character or a noncharacter.
    #[error("the filter has the character U+{:04X}, on which a broker may close the connection", u32::from(*.0))]
    Character(char),
    /// Longer than IoT Core takes, in bytes, without `$share/<name>/`.
    #[error("the filter is {0} bytes long; IoT Core takes {TOPIC_BYTES}")]
    TooLong(usize),
    /// More levels than IoT Core takes; the number of slashes, without those of `$share/<name>/`.
    #[error("the filter has {0} slashes; IoT Core takes {TOPIC_SLASHES}")]
    TooDeep(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text).unwrap()
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(), FilterError>) {
        assert_eq!(Filter::parse(text).map(|_| ()), expected, "{text:?}");
    }

    #[test]
    fn filters() {
        for text in [
            "a",
            "#",
            "+",
            "a/#",
            "+/a/+/#",
            "/",
            "//#",
            "a b/é",
            "$aws/things/x/shadow/#",
            "$share/g/a/#",
            "$share/g/$aws/things/+",
            "a$b",
        ] {
            check(text, Ok(()));
        }
        check("", Err(FilterError::Empty));
        check("$share/g/", Err(FilterError::Empty));
        check("$share/g", Err(FilterError::Share));
        check("$share//a", Err(FilterError::Share));
        check("$share/+/a", Err(FilterError::Share));
        check("$SYS/#", Err(FilterError::Reserved));
        check("$aws", Err(FilterError::Reserved));
        check("$share/g/$share/h/a", Err(FilterError::Reserved));
        check("a/b+", Err(FilterError::NotAlone('+')));
        check("a/#b", Err(FilterError::NotAlone('#')));
        check("#/a", Err(FilterError::NotLast));
        check("a\u{0}", Err(FilterError::Character('\0')));
        check(&"x".repeat(256), Ok(()));
        check(&"x".repeat(257), Err(FilterError::TooLong(257)));
        check(&format!("$share/group/{}", "x".repeat(256)), Ok(()));
        check("$share/g/1/2/3/4/5/6/7/8", Ok(()));
        check("1/2/3/4/5/6/7/8/9", Err(FilterError::TooDeep(8)));
    }

    #[test]
    fn matching_is_as_on_iot_core() {
        let check = |text: &str, yes: &[&str], no: &[&str]| {
            for topic in yes {
                assert!(filter(text).matches(topic), "{text} should match {topic}");
            }
            for topic in no {
                assert!(
                    !filter(text).matches(topic),
                    "{text} should not match {topic}"
                );
            }
        };
        check(
            "sensor/#",
            &["sensor/", "sensor/t", "sensor/t/room1"],
            &["sensor", "sensors/a"],
        );
        check("#", &["a", "a/b", "/", ""], &["$aws/x", "$SYS"]);
        check("+", &["a", ""], &["a/", "/a", "$a"]);
        check("+/#", &["a/", "a/b"], &["a", "$aws/x"]);
        check("a/+/c", &["a/b/c", "a//c"], &["a/c", "a/b/c/d", "a/b/b/c"]);
        check("a/b", &["a/b"], &["a/b/", "A/b", "a"]);
        check("$aws/#", &["$aws/things"], &["$aws", "aws/things"]);
        check("$share/g/a/+", &["a/b"], &["$share/g/a/b", "a"]);
    }

    #[test]
    fn topics_are_filters() {
        assert_eq!(Filter::exact("a/b"), Ok(filter("a/b")));
        assert_eq!(Filter::exact("$aws/things/x"), Ok(filter("$aws/things/x")));
        assert_eq!(Filter::exact("$share/g/a"), Err(TopicError::Reserved));
        assert_eq!(Filter::exact("a/#"), Err(TopicError::Wildcard('#')));
        assert_eq!(Filter::exact(""), Err(TopicError::Empty));
    }

    #[test]
    fn shares() {
        let shared = filter("$share/g/a/#");
        assert_eq!((shared.share(), shared.matched_part()), (Some("g"), "a/#"));
        assert_eq!(filter("a/#").share(), None);
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "", "$a", "+", "#"])
    }

    /// The matching rule by recursion over levels, on vectors.
    fn reference(filter: &[&str], topic: &[&str], first: bool) -> bool {
        let reserved = first && topic.first().is_some_and(|name| name.starts_with('$'));
        match (filter, topic) {
            (["+" | "#", ..], _) if reserved => false,
            (["#"], [_, ..]) => true,
            (["+", filter @ ..], [_, topic @ ..]) => reference(filter, topic, false),
            ([level, filter @ ..], [name, topic @ ..]) => {
                level == name && reference(filter, topic, false)
            }
            ([], []) => true,
            _ => false,
        }
    }

    fn parsed(levels: &[&str]) -> Option<Filter> {
        Filter::parse(&levels.join("/")).ok()
    }

    proptest! {
        #[test]
        fn matching_agrees_with_recursion(
            levels in prop::collection::vec(level(), 1..5),
            topic in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$a"]), 1..5),
        ) {
            if let Some(filter) = parsed(&levels) {
                prop_assert_eq!(filter.matches(&topic.join("/")), reference(&levels, &topic, true));
            }
        }

        /// A filter covers another exactly when it matches every topic of the other. The topics of
        /// three names up to five levels decide it, since no filter contains `c`.
        #[test]
        fn covering_agrees_with_matching(
            mine in prop::collection::vec(level(), 1..4),
            theirs in prop::collection::vec(level(), 1..4),
        ) {
            let (Some(mine), Some(theirs)) = (parsed(&mine), parsed(&theirs)) else { return Ok(()) };
            let mut topics: Vec<String> = Vec::new();
            let mut grown: Vec<String> = Vec::new();
            for length in 0..5 {
                let longer: Vec<String> = if length == 0 {
                    ["a", "b", "c", "", "$a", "$c"].map(str::to_owned).to_vec()
                } else {
                    grown
                        .iter()
                        .flat_map(|topic: &String| {
                            ["a", "b", "c", "", "$a"].map(|name| format!("{topic}/{name}"))
                        })
                        .collect()
                };
                topics.extend_from_slice(&longer);
                grown = longer;
            }
            let escapes = topics.iter().any(|topic| theirs.matches(topic) && !mine.matches(topic));
            prop_assert_eq!(mine.covers(&theirs), !escapes, "{} covers {}", mine, theirs);
        }
    }
}
