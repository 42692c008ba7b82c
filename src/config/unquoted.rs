//! Text with braces that was written without quotation marks: in YAML a brace begins a mapping, so
//! that `to: [order:{detail.id}]` is a list of mappings (YAML 1.2.2, section 7.4, "Flow Collection
//! Styles").

use crate::event::pattern::tree::{NodeValue, TreeValue};

/// The advice. It quotes nothing: the text may be a secret.
const ADVICE: &str =
    "put text that has braces between quotation marks, such as \"order:{detail.id}\"";

/// The advice for a value that is a mapping of nothing, as an unquoted placeholder is.
pub(super) fn advice(node: &TreeValue) -> Option<String> {
    is_placeholder(node).then(|| ADVICE.to_owned())
}

fn is_placeholder(node: &TreeValue) -> bool {
    match &node.value {
        NodeValue::Object(members) => match members.as_slice() {
            [only] => matches!(only.value.value, NodeValue::Null) || is_placeholder(&only.value),
            _ => false,
        },
        NodeValue::Array(elements) => elements.iter().any(is_placeholder),
        _ => false,
    }
}

/// The advice for a line, counted from 1, where the text stops being YAML.
pub(super) fn advice_for_line(text: &str, line: usize) -> Option<String> {
    // The parser may notice it at the beginning of the next line.
    let lines = text.lines().skip(line.saturating_sub(2)).take(2);
    let has_bare_brace = |line: &str| {
        let before = line
            .split('{')
            .next()
            .filter(|before| before.len() < line.len());
        before.is_some_and(|before| !before.contains(['"', '\'', '#']))
    };
    lines
        .into_iter()
        .any(has_bare_brace)
        .then(|| ADVICE.to_owned())
}
