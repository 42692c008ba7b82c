//! Placeholders that a template tool left behind in values that are no templates of eventcast:
//! `bridge.queue: https://sqs.${AWS_REGION}.amazonaws.com/…` is read as it is written.

use std::sync::LazyLock;

use regex::Regex;

use super::check::{Faults, join, text_of};
use super::fault::Severity;
use crate::event::pattern::tree::{NodeValue, TreeValue};

/// Parts of the file, and of a route, with templates, patterns or regular expressions, which have
/// checks of their own.
const CHECKED_ELSEWHERE: [&str; 2] = ["channels", "roles"];
const CHECKED_IN_ROUTES: [&str; 3] = ["match", "to", "project"];

/// A spelling that nobody writes for its own sake in an address, a name or a number.
static PLACEHOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    // The pattern is a constant; the test below finds each of its parts.
    Regex::new(r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|#\{[^{}]*\}|<%[^%]*%>|\$\([^()]*\)|%\(\w+\)s|<[A-Za-z_][\w. -]*>|\{[A-Za-z_][\w.-]*\}").ok()
});

/// Warns of each value with such a placeholder. `path` is the node's own.
pub(super) fn warn(node: &TreeValue, path: &str, faults: &mut Faults<'_>) {
    match &node.value {
        NodeValue::Object(members) => {
            let members = members.iter().filter(|member| {
                let name: &str = &member.key;
                let is_checked = (path.is_empty() && CHECKED_ELSEWHERE.contains(&name))
                    || (path.starts_with("routes[") && CHECKED_IN_ROUTES.contains(&name));
                !is_checked && !name.starts_with("x-")
            });
            for member in members {
                warn(&member.value, &join(path, &member.key), faults);
            }
        }
        NodeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                warn(element, &format!("{path}[{index}]"), faults);
            }
        }
        NodeValue::String(text) => warn_of_text(&text_of(text), node, path, faults),
        NodeValue::Number(_) | NodeValue::Bool(_) | NodeValue::Null => {}
    }
}

fn warn_of_text(text: &str, node: &TreeValue, path: &str, faults: &mut Faults<'_>) {
    // Every spelling has one of these; most values have none, and no pattern is compiled for them.
    if !text.contains(['{', '<', '(']) {
        return;
    }
    let found = PLACEHOLDER.as_ref().and_then(|pattern| pattern.find(text));
    let Some(found) = found else {
        return;
    };
    let written = found.as_str();
    let message = format!("`{path}` has `{written}`, which nothing fills in");
    let fault = faults.error("leftover-placeholder", path, node.at, message);
    fault.severity = Severity::Warning;
    let help = "let the tool that knows it fill it in before the file is read";
    fault.help = Some(if path.contains('[') {
        help.to_owned()
    } else {
        format!("{help}, or set {} or --set {path}=…", variable(path))
    });
}

/// The environment variable that overrides a value.
fn variable(path: &str) -> String {
    let name: String = path
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    format!("EVENTCAST_{name}")
}
