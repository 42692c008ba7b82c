//! Placeholders of template tools that reached the policy as text.
//!
//! CloudFormation's `Fn::Sub` writes `${!name}` for a `${name}` that stays, and `${AWS::Region}` for
//! its own; Terraform writes `$${name}`; Jinja, Helm and Handlebars `{{name}}`; shells and people
//! `<name>` and `%name%`.

use super::{FindingLevel, LintContext, LintRule};
use crate::event::pattern::tree::TextPosition;
use crate::policy::document::Statement;

pub(super) static LEFTOVER: LintRule = LintRule {
    code: "template-left-behind",
    level: FindingLevel::Error,
    reason: "IoT Core takes a placeholder of another tool as text, or as a variable that never has a value",
    fix: "let the tool that owns the placeholder replace it, and check what it writes",
};

pub(super) fn check(lint: &mut LintContext<'_>) {
    for (document, statement) in lint.statements() {
        for (text, at) in texts(statement) {
            if let Some((placeholder, help)) = leftover(text) {
                let message = format!("`{text}` has `{placeholder}`: {help}");
                lint.add(&LEFTOVER, document, at, message);
            }
        }
    }
}

/// The texts of a statement in which names are written.
fn texts(statement: &Statement) -> impl Iterator<Item = (&str, TextPosition)> {
    let actions = statement.actions.listed().iter();
    let resources = statement.resources.listed().iter();
    let conditions = statement.conditions.iter().flat_map(|condition| {
        condition
            .values
            .iter()
            .map(move |value| (&**value, condition.at))
    });
    actions
        .map(|action| (&*action.text, action.at))
        .chain(resources.map(|resource| (&*resource.text, resource.at)))
        .chain(conditions)
}

/// A placeholder in a text, and whose it is.
pub(in crate::policy) fn leftover(text: &str) -> Option<(&str, &'static str)> {
    const FORMS: [(&str, &str, &str); 8] = [
        (
            "$${",
            "}",
            "Terraform writes `${…}` for it; with one `$` it is a policy variable",
        ),
        (
            "${!",
            "}",
            "CloudFormation's Fn::Sub writes `${…}` for it; without the `!` it is a policy variable",
        ),
        (
            "${AWS::",
            "}",
            "CloudFormation replaces it only inside Fn::Sub",
        ),
        ("#{", "}", "a template tool did not replace it"),
        ("{{", "}}", "a template tool did not replace it"),
        ("<%", "%>", "a template tool did not replace it"),
        ("<", ">", "put the value in its place"),
        ("%", "%", "put the value in its place"),
    ];
    for (begin, end, help) in FORMS {
        for (at, _) in text.match_indices(begin) {
            let rest = text.get(at + begin.len()..).unwrap_or_default();
            let Some(length) = rest.find(end) else {
                continue;
            };
            let inside = rest.get(..length).unwrap_or_default();
            let name = |c: char| c.is_ascii_alphanumeric() || "_-.: ".contains(c);
            // `%2F` and `a<b` are names; `%name%` and `<name>` are placeholders.
            let letters = inside.chars().any(|c| c.is_ascii_alphabetic());
            let plain = letters && inside.chars().all(name);
            let shown = text.get(at..at + begin.len() + length + end.len());
            if let Some(shown) = shown
                && (plain || !matches!(begin, "<" | "%"))
                && !(begin == "%" && is_encoded(inside, text, at + shown.len()))
            {
                return Some((shown, help));
            }
        }
    }
    braces(text)
}

/// Returns `true` where text between two `%` is that of percent-encoded characters (RFC 3986,
/// section 2.1).
fn is_encoded(inside: &str, text: &str, after: usize) -> bool {
    let hexadecimal =
        |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let begins_as_name = inside.starts_with(|c: char| c.is_ascii_alphabetic()) && inside.len() > 2;
    !begins_as_name || text.get(after..after + 2).is_some_and(hexadecimal)
}

/// `{name}` without a `$` before it.
fn braces(text: &str) -> Option<(&str, &'static str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        let length = text.get(at..)?.find('}')?;
        let inside = text.get(at + 1..at + length)?;
        let name = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
        let is_name = !inside.is_empty() && inside.chars().all(name);
        let shown = text.get(at..=at + length)?;
        (before != Some('$') && is_name).then_some((
            shown,
            "policy variables are written `${…}`; whatever else put it there did not replace it",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        for (text, expected) in [
            ("topic/$${iot:ClientId}", "$${iot:ClientId}"),
            ("topic/${!iot:ClientId}", "${!iot:ClientId}"),
            ("arn:aws:iot:${AWS::Region}:1:topic/a", "${AWS::Region}"),
            ("topic/{{ thing }}/a", "{{ thing }}"),
            ("topic/<thing-name>/a", "<thing-name>"),
            ("topic/%THING%/a", "%THING%"),
            ("topic/{thingName}", "{thingName}"),
            ("topic/#{name}", "#{name}"),
            ("topic/<%= name %>", "<%= name %>"),
        ] {
            assert_eq!(
                leftover(text).map(|(shown, _)| shown),
                Some(expected),
                "{text}"
            );
        }
        for text in [
            "topic/${iot:ClientId}",
            "topic/a%2Fb%20c",
            "topic/%C3%BCber%20all",
            "topic/%abc%20",
            "topic/a<b",
            "topic/50%/of/20%",
            "topic/${iot:Connection.Thing.Attributes[site]}",
            "topic/{}",
            "topic/${*}",
        ] {
            assert_eq!(leftover(text), None, "{text}");
        }
    }
}
