//! Warnings for patterns that are right by the language's rules, but that EventBridge may refuse.

use super::operator::FieldTest;
use super::text::MAX_COMPLEXITY;
use super::tree::TextPosition;
use super::{PatternWarning, number};

/// The characters a pattern may have by default, and at most after a quota increase (EventBridge quotas: 2,048, adjustable;
/// the API model stops at 4,096).
const CHARACTERS: usize = 2_048;
const CHARACTERS_AT_MOST: usize = 4_096;

/// The most stars in one wildcard, and the highest complexity, that AWS is recorded to accept. Its own threshold is not
/// published.
const STARS: usize = 5;
const COMPLEXITY: usize = 7;

/// The user guide still names this range and precision for numbers, although the matcher takes more.
const NUMBER: f64 = 5.0e9;
const DIGITS: usize = 15;

/// Warnings about a pattern's text as a whole.
pub(super) fn length(text: &str) -> Option<PatternWarning> {
    let characters = text.chars().count();
    let limit = if characters > CHARACTERS_AT_MOST {
        format!("EventBridge takes {CHARACTERS_AT_MOST} at most")
    } else {
        format!("EventBridge takes {CHARACTERS} unless the quota was raised")
    };
    (characters > CHARACTERS).then(|| PatternWarning {
        message: format!("the pattern has {characters} characters; {limit}"),
        path: String::new(),
        at: TextPosition { line: 1, column: 1 },
    })
}

/// Warnings about fields.
pub(super) fn leaves(leaves: &[FieldTest]) -> Vec<PatternWarning> {
    leaves.iter().flat_map(leaf).collect()
}

fn leaf(leaf: &FieldTest) -> Vec<PatternWarning> {
    let warn = |message: String, at: TextPosition| PatternWarning {
        message,
        path: leaf.path.to_string(),
        at,
    };
    let mut warnings = Vec::new();
    for (wildcard, at) in &leaf.wildcards {
        let stars = wildcard.stars();
        let complexity = wildcard.complexity();
        if stars > STARS || complexity > COMPLEXITY {
            let over = if complexity > MAX_COMPLEXITY {
                "over "
            } else {
                ""
            };
            let complexity = complexity.min(MAX_COMPLEXITY);
            let message = format!(
                "EventBridge may refuse the wildcard as too complex ({stars} stars, complexity {over}{complexity}; {STARS} and \
                 {COMPLEXITY} are known to pass)"
            );
            warnings.push(warn(message, *at));
        }
    }
    for (text, at) in &leaf.numbers {
        let large = text.parse::<f64>().is_ok_and(|value| value.abs() > NUMBER);
        if large || number::significant_digits(text) > DIGITS {
            let message = format!(
                "the number {text} is outside -5.0e9 to 5.0e9 with {DIGITS} digits, which is what EventBridge documents"
            );
            warnings.push(warn(message, *at));
        }
    }
    warnings
}
