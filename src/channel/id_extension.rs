//! Ids that another id, a hyphen and more text can be: the question whether a client id that
//! belongs to one principal may be the name of another.
//!
//! Both formats are run side by side as automata (the product construction), so that the answer is
//! exact. Formats that need too many states have no answer.

use std::collections::{HashSet, VecDeque};

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input};

use super::IdFormat;

/// The most pairs of states that are looked at.
const MOST_PAIRS: usize = 4_000;

/// The memory of one automaton, in bytes. There is no answer where it does not hold all states.
const CACHE_BYTES: usize = 1 << 20;

/// The answer for two formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdExtension {
    /// No id of the one format begins an id of the other.
    Never,
    /// An id of the one format may begin an id of the other.
    Possible {
        /// A shortest id of the first format, without a hyphen.
        id: String,
        /// The same with a hyphen and more text, which the second format accepts.
        extended: String,
    },
    /// The formats are too large, or not regular.
    Unknown,
}

impl IdExtension {
    /// Returns `true` where an id of `short` without a hyphen, followed by `-` and at least one
    /// more character, can be an id of `long`.
    pub fn of(short: &IdFormat, long: &IdFormat) -> Self {
        let (IdFormat::Pattern(short), IdFormat::Pattern(long)) = (short, long) else {
            return Self::Unknown;
        };
        search(short.as_str(), long.as_str()).unwrap_or(Self::Unknown)
    }
}

/// One format as an automaton that is built as far as it is walked.
struct Automaton {
    dfa: DFA,
    cache: Cache,
}

impl Automaton {
    fn build(pattern: &str) -> Option<Self> {
        let config = DFA::config()
            .cache_capacity(CACHE_BYTES)
            .skip_cache_capacity_check(false);
        let dfa = DFA::builder().configure(config).build(pattern).ok()?;
        let cache = dfa.create_cache();
        Some(Self { dfa, cache })
    }

    fn start(&mut self) -> Option<LazyStateID> {
        let input = Input::new("").anchored(Anchored::Yes);
        self.dfa.start_state_forward(&mut self.cache, &input).ok()
    }

    /// The state after a byte; `None` where there is no answer.
    fn next(&mut self, state: LazyStateID, byte: u8) -> Option<LazyStateID> {
        let next = self.dfa.next_state(&mut self.cache, state, byte).ok()?;
        // A cleared cache makes states mean something else.
        (!next.is_quit() && self.cache.clear_count() == 0).then_some(next)
    }

    /// Returns `true` where a text that ends in this state is accepted as a whole.
    fn accepts(&mut self, state: LazyStateID) -> Option<bool> {
        let end = self.dfa.next_eoi_state(&mut self.cache, state).ok()?;
        (self.cache.clear_count() == 0).then(|| end.is_match())
    }

    fn class(&self, byte: u8) -> u8 {
        self.dfa.byte_classes().get(byte)
    }
}

/// A place in the search: where both automata are after the same text.
struct Pair {
    /// `None` once the first id and the hyphen are behind.
    short: Option<LazyStateID>,
    long: LazyStateID,
    text: Vec<u8>,
    /// The length of the first id.
    id: usize,
}

fn search(short: &str, long: &str) -> Option<IdExtension> {
    let (mut short, mut long) = (Automaton::build(short)?, Automaton::build(long)?);
    // Bytes that neither automaton distinguishes are tried once; letters and digits make readable
    // texts.
    let mut bytes: Vec<u8> = Vec::new();
    let mut classes = HashSet::new();
    for byte in (b'0'..=b'9')
        .chain(b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(0..=u8::MAX)
    {
        if byte != b'-' && classes.insert((short.class(byte), long.class(byte))) {
            bytes.push(byte);
        }
    }
    bytes.push(b'-');
    let begin = Pair {
        short: Some(short.start()?),
        long: long.start()?,
        text: Vec::new(),
        id: 0,
    };
    let mut seen = HashSet::new();
    let mut open = VecDeque::from([begin]);
    while let Some(pair) = open.pop_front() {
        for byte in &bytes {
            let next = long.next(pair.long, *byte)?;
            if next.is_dead() {
                continue;
            }
            let (state, id) = match pair.short {
                None => (None, pair.id),
                Some(state) if *byte == b'-' => {
                    if !short.accepts(state)? {
                        continue;
                    }
                    (None, pair.text.len())
                }
                Some(state) => {
                    let state = short.next(state, *byte)?;
                    if state.is_dead() {
                        continue;
                    }
                    (Some(state), 0)
                }
            };
            let mut text = pair.text.clone();
            text.push(*byte);
            // The text behind the hyphen is not empty.
            if state.is_none() && text.len() > id + 1 && long.accepts(next)? {
                let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return Some(IdExtension::Possible {
                    id: shown(text.get(..id).unwrap_or_default()),
                    extended: shown(&text),
                });
            }
            if seen.insert((state, next)) {
                if seen.len() > MOST_PAIRS {
                    return None;
                }
                open.push_back(Pair {
                    short: state,
                    long: next,
                    text,
                    id,
                });
            }
        }
    }
    Some(IdExtension::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(short: &str, long: &str, expected: Option<(&str, &str)>) {
        let format = |pattern: &str| IdFormat::pattern(pattern).unwrap();
        let found = IdExtension::of(&format(short), &format(long));
        let expected = match expected {
            None => IdExtension::Never,
            Some((id, extended)) => IdExtension::Possible {
                id: id.into(),
                extended: extended.into(),
            },
        };
        assert_eq!(found, expected, "{short} {long}");
    }

    #[test]
    fn ids_that_another_id_begins() {
        check("[a-z]+", "[a-z]+-[0-9]", Some(("a", "a-0")));
        check("[a-z]{3}", "abc-.*", Some(("abc", "abc-0")));
        check("[a-z]{3}", "abc-", None);
        check("[a-z]{3}", "[a-z]{2}-[a-z]+", None);
        check("[a-z]+", "[A-Z]+-[0-9]", None);
        check("a|b-c", "b-c-d", None);
        check("\\d+", "\\w+-\\w+", Some(("0", "0-0")));
        check("é+", "éé-x", Some(("éé", "éé-x")));
        check("[a-z]*", "-x", Some(("", "-x")));
    }

    #[test]
    fn large_formats_have_no_answer() {
        let format = |pattern: &str| IdFormat::pattern(pattern).unwrap();
        let large = format("(?:.*[ab].{12}c)[a-z]*");
        let other = format("(?:.*[cd].{12}e)-[a-z]*");
        assert_eq!(IdExtension::of(&large, &other), IdExtension::Unknown);
        assert_eq!(
            IdExtension::of(&IdFormat::Uuid, &large),
            IdExtension::Unknown
        );
    }
}
