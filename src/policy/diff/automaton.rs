//! Walk of the texts that many patterns match: all combinations of matching patterns, each with a
//! text.
//!
//! The patterns run side by side as one automaton over the characters that they name and one that
//! none of them names. A walk of all its states sees every way in which the patterns can
//! distinguish texts, not a sample of them.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::policy::glob::GlobToken;

/// The most states that are walked.
const STATES: usize = 20_000;

/// The most places that all states together may have, and the most steps from place to place: patterns
/// with many stars have few states that are large.
const PLACES: usize = 4_000_000;
const STEPS: usize = 100_000_000;

/// Samples of the characters that no pattern names, where they are not named themselves.
const UNNAMED: [char; 8] = ['x', 'y', 'z', 'q', '0', '~', '_', '\u{e9}'];

/// All patterns as one.
pub(super) struct PatternAutomaton {
    /// All tokens, a gap behind those of each pattern: a text that reaches a gap has matched the
    /// pattern.
    tokens: Vec<Option<GlobToken>>,
    /// Place at which each pattern begins.
    starts: Vec<u32>,
    /// Pattern that has matched at a gap.
    owners: HashMap<u32, usize>,
    alphabet: Vec<char>,
}

/// Places in the tokens, in order.
type AutomatonState = Box<[u32]>;

/// States that were walked.
pub(super) struct WalkedStates {
    states: Vec<VisitedStates>,
    /// Indicates that the walk was cut off before its end.
    pub(super) cut: bool,
}

struct VisitedStates {
    /// The patterns that match here, in order.
    matching: Vec<usize>,
    /// The state before and the character that led here.
    from: Option<(usize, char)>,
}

impl PatternAutomaton {
    /// Takes patterns together. Texts with the `excluded` characters are left out.
    pub(super) fn new(patterns: &[Vec<GlobToken>], excluded: &[char]) -> Self {
        let mut automaton = Self {
            tokens: Vec::new(),
            starts: Vec::new(),
            owners: HashMap::new(),
            alphabet: Vec::new(),
        };
        for (index, pattern) in patterns.iter().enumerate() {
            automaton.starts.push(automaton.place());
            automaton.tokens.extend(pattern.iter().copied().map(Some));
            automaton.owners.insert(automaton.place(), index);
            automaton.tokens.push(None);
            let named = pattern.iter().filter_map(|token| match token {
                GlobToken::Char(c) => Some(*c),
                _ => None,
            });
            automaton.alphabet.extend(named);
        }
        automaton.alphabet.sort_unstable();
        automaton.alphabet.dedup();
        let unnamed = UNNAMED
            .into_iter()
            .find(|c| !automaton.alphabet.contains(c));
        automaton.alphabet.retain(|c| !excluded.contains(c));
        // First, so that texts have it where they can.
        automaton.alphabet.splice(..0, unnamed);
        automaton
    }

    fn place(&self) -> u32 {
        // Twenty documents of two thousand characters are far from the end of it.
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }

    fn token(&self, at: u32) -> Option<GlobToken> {
        self.tokens
            .get(usize::try_from(at).ok()?)
            .copied()
            .flatten()
    }

    /// Places with those that runs of nothing lead to.
    fn closed(&self, mut places: Vec<u32>) -> AutomatonState {
        let mut next = 0;
        while let Some(&at) = places.get(next) {
            next += 1;
            if self.token(at) == Some(GlobToken::Run) {
                places.push(at + 1);
            }
        }
        places.sort_unstable();
        places.dedup();
        places.into()
    }

    fn step(&self, state: &[u32], c: char) -> AutomatonState {
        let moved = state.iter().filter_map(|&at| match self.token(at)? {
            GlobToken::Char(wanted) if wanted == c => Some(at + 1),
            GlobToken::Char(_) => None,
            GlobToken::One => Some(at + 1),
            GlobToken::Run => Some(at),
        });
        self.closed(moved.collect())
    }

    fn matching(&self, state: &[u32]) -> Vec<usize> {
        state
            .iter()
            .filter_map(|at| self.owners.get(at).copied())
            .collect()
    }

    /// Walks all texts that begin with `prefix`, the shortest first.
    pub(super) fn walk(&self, prefix: &str) -> WalkedStates {
        let begin = self.closed(self.starts.clone());
        let first = prefix.chars().fold(begin, |state, c| self.step(&state, c));
        let mut walked = WalkedStates {
            states: vec![VisitedStates {
                matching: self.matching(&first),
                from: None,
            }],
            cut: false,
        };
        // Not the first state: a text that is longer than the prefix may lead to it again.
        let mut known: HashSet<AutomatonState> = HashSet::new();
        let mut queue = VecDeque::from([(0, first)]);
        let (mut places, mut steps) = (0, 0);
        while let Some((index, state)) = queue.pop_front() {
            for &c in &self.alphabet {
                steps += state.len();
                let next = self.step(&state, c);
                if known.contains(&next) && steps <= STEPS {
                    continue;
                }
                places += next.len();
                if walked.states.len() == STATES || places > PLACES || steps > STEPS {
                    walked.cut = true;
                    return walked;
                }
                known.insert(next.clone());
                walked.states.push(VisitedStates {
                    matching: self.matching(&next),
                    from: Some((index, c)),
                });
                queue.push_back((walked.states.len() - 1, next));
            }
        }
        walked
    }
}

impl WalkedStates {
    /// For each state but the first: the patterns that match there, and its place.
    pub(super) fn matching(&self) -> impl Iterator<Item = (usize, &[usize])> {
        let states = self.states.iter().enumerate().skip(1);
        states.map(|(index, visited)| (index, visited.matching.as_slice()))
    }

    /// The shortest text that leads to a state, without the prefix.
    pub(super) fn text(&self, state: usize) -> String {
        let mut text = Vec::new();
        let mut at = state;
        while let Some((before, c)) = self.states.get(at).and_then(|visited| visited.from) {
            text.push(c);
            at = before;
        }
        text.iter().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Vec<GlobToken> {
        let token = |c| match c {
            '*' => GlobToken::Run,
            '?' => GlobToken::One,
            c => GlobToken::Char(c),
        };
        text.chars().map(token).collect()
    }

    /// The combinations that occur, with their shortest texts.
    fn walked(patterns: &[&str], prefix: &str) -> Vec<(Vec<usize>, String)> {
        let patterns: Vec<_> = patterns.iter().map(|text| pattern(text)).collect();
        let walked = PatternAutomaton::new(&patterns, &['#']).walk(prefix);
        assert!(!walked.cut);
        let mut found: Vec<(Vec<usize>, String)> = Vec::new();
        for (state, matching) in walked.matching() {
            if !found.iter().any(|(known, _)| known == matching) {
                found.push((matching.to_vec(), walked.text(state)));
            }
        }
        found
    }

    #[test]
    fn every_combination_has_a_text() {
        let of = |matching: &[usize], text: &str| (matching.to_vec(), text.to_owned());
        assert_eq!(
            walked(&["a/*", "*b"], "a/"),
            [of(&[0], "x"), of(&[0, 1], "b")]
        );
        assert_eq!(
            walked(&["a?", "ab"], "a"),
            [of(&[0], "x"), of(&[0, 1], "b"), of(&[], "xx")]
        );
        assert_eq!(walked(&["*#"], ""), [of(&[], "x")]);
        assert_eq!(
            walked(&["*ab*", "?*?"], ""),
            [of(&[], "x"), of(&[1], "xx"), of(&[0, 1], "ab")]
        );
    }

    #[test]
    fn walking_ends() {
        let patterns: Vec<String> = (0..40).map(|n| format!("*{}*{}*", n % 7, n)).collect();
        let patterns: Vec<_> = patterns.iter().map(|text| pattern(text)).collect();
        assert!(PatternAutomaton::new(&patterns, &[]).walk("").cut);
    }
}
