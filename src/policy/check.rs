//! Generated documents, read back and asked: everything that should be allowed is, and its neighbours are not.
//!
//! Documents result from grants by cutting, escaping and merging. Each document that leaves the
//! generator was evaluated as AWS would evaluate it, at a cost of some microseconds; one that fails
//! is not handed out.

use super::arn::ResourceArn;
use super::context::Context;
use super::document::Document;
use super::draft::{ArnCondition, Draft, Permissions};
use super::evaluate::{Request, decide};

/// A document that does not say what it should: a fault of eventcast's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the documents are not right, which is a fault of eventcast: {0}")]
pub struct Unsound(String);

/// Asks documents for each permission, and for one neighbour of it.
pub(super) fn check(drafts: &[Draft], permissions: &Permissions) -> Result<(), Unsound> {
    let read = |draft: &Draft| Document::parse(&draft.minified());
    let documents: Vec<Document> = drafts
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|error| Unsound(error.to_string()))?;
    let no_context = Context::default();
    let ask_within = |action: &str, resource: &str, context: &Context, expected: bool| {
        let request = Request {
            action,
            resource: ResourceArn::new(resource),
            context,
        };
        match decide(&documents, &request).is_allowed() == expected {
            true => Ok(()),
            false => {
                let word = if expected { "denied" } else { "allowed" };
                Err(Unsound(format!("{action} on `{resource}` is {word}")))
            }
        }
    };
    let ask = |action: &str, resource: &str, expected: bool| {
        ask_within(action, resource, &no_context, expected)
    };
    for (action, resource) in permissions.iter() {
        ask(action, &an_instance(resource), true)?;
        let neighbour = a_neighbour(resource);
        let granted = permissions
            .iter()
            .any(|(other, glob)| other == action && matches(glob, &neighbour));
        ask(action, &neighbour, granted)?;
    }
    for statement in permissions.bound() {
        let (mut within, mut elsewhere) = (Context::default(), Context::default());
        for (key, arn) in statement.condition.iter().flat_map(ArnCondition::iter) {
            within.set(key, [arn]);
            elsewhere.set(key, [format!("{arn}~")]);
        }
        for (action, resource) in statement.pairs() {
            let anyway = permissions.iter().any(|other| other == (action, resource));
            let instance = an_instance(resource);
            ask_within(action, &instance, &within, true)?;
            ask_within(action, &instance, &elsewhere, anyway)?;
            ask(action, &instance, anyway)?;
        }
    }
    Ok(())
}

/// The escapes of wildcards in a resource, and their meanings.
const ESCAPES: [(&str, &str); 3] = [("${*}", "*"), ("${?}", "?"), ("${$}", "$")];

/// A resource that a pattern means, its wildcards filled.
fn an_instance(glob: &str) -> String {
    let mut pieces = pieces(glob).into_iter();
    let first = pieces.next().unwrap_or_default();
    pieces.fold(first, |instance, piece| instance + "any/thing" + &piece)
}

/// A resource next to those that a pattern means: longer where its end is fixed, and else with another beginning of its name.
fn a_neighbour(glob: &str) -> String {
    let instance = an_instance(glob);
    match instance.rsplit_once(":") {
        Some((account, name)) if glob.ends_with('*') => match name.split_once('/') {
            Some((kind, name)) => format!("{account}:{kind}/~{name}"),
            None => format!("{account}:~{name}"),
        },
        _ => instance + "~",
    }
}

/// The texts between the `*` of a resource. Generated ones have no `?`.
fn pieces(glob: &str) -> Vec<String> {
    // No resource has control characters.
    let hidden = ESCAPES.iter().zip(['\u{1}', '\u{2}', '\u{3}']);
    let plain = hidden
        .clone()
        .fold(glob.to_owned(), |glob, ((escape, _), mark)| {
            glob.replace(escape, mark.encode_utf8(&mut [0; 4]))
        });
    let shown = |piece: &str| {
        hidden
            .clone()
            .fold(piece.to_owned(), |piece, ((_, c), mark)| {
                piece.replace(mark, c)
            })
    };
    plain.split('*').map(shown).collect()
}

/// Returns `true` where a pattern means a resource. It has few rules of its own, so that it does
/// not trust those under test.
fn matches(glob: &str, resource: &str) -> bool {
    let pieces = pieces(glob);
    let Some((first, rest)) = pieces.split_first() else {
        return false;
    };
    let Some(mut left) = resource.strip_prefix(first.as_str()) else {
        return false;
    };
    let Some((last, middle)) = rest.split_last() else {
        return left.is_empty();
    };
    for piece in middle {
        match left.find(piece.as_str()) {
            Some(at) => left = left.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    left.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::draft::Allow;

    const ARN: &str = "arn:aws:iot:eu-central-1:123456789012:";

    fn drafts(statements: &[(&'static str, &[&str])]) -> Vec<Draft> {
        let allow = |(action, names): &(&'static str, &[&str])| {
            let resources = names.iter().map(|name| format!("{ARN}{name}")).collect();
            Draft::new(vec![Allow::new(vec![*action], resources)])
        };
        statements.iter().map(allow).collect()
    }

    fn permissions(allowed: &[(&'static str, &str)]) -> Permissions {
        let mut permissions = Permissions::default();
        for (action, name) in allowed {
            permissions.allow(action, format!("{ARN}{name}"));
        }
        permissions
    }

    #[track_caller]
    fn fault(statements: &[(&'static str, &[&str])], allowed: &[(&'static str, &str)]) -> String {
        let error = check(&drafts(statements), &permissions(allowed)).unwrap_err();
        let told = error.to_string().replace(ARN, "");
        told.rsplit_once("eventcast: ").unwrap().1.to_owned()
    }

    #[test]
    fn documents_that_say_what_they_should() {
        let allowed = [
            ("iot:Publish", "topic/a"),
            ("iot:Publish", "topic/a~"),
            ("iot:Publish", "topic/b/*"),
            ("iot:Connect", "client/a-*"),
            ("iot:Publish", "topic/${*}c${?}${$}/*/d"),
        ];
        let statements: [(&str, &[&str]); 2] = [
            (
                "iot:Publish",
                &[
                    "topic/b/*",
                    "topic/a~",
                    "topic/a",
                    "topic/${*}c${?}${$}/*/d",
                ],
            ),
            ("iot:Connect", &["client/a-*"]),
        ];
        assert_eq!(check(&drafts(&statements), &permissions(&allowed)), Ok(()));
    }

    #[test]
    fn documents_that_do_not() {
        let a = [("iot:Publish", "topic/a")];
        assert_eq!(fault(&[], &a), "iot:Publish on `topic/a` is denied");
        assert_eq!(
            fault(&[("iot:Receive", &["topic/a"])], &a),
            "iot:Publish on `topic/a` is denied"
        );
        assert_eq!(
            fault(&[("iot:Publish", &["topic/a*"])], &a),
            "iot:Publish on `topic/a~` is allowed"
        );
        assert_eq!(
            fault(&[("iot:Publish", &["topic/*"])], &a),
            "iot:Publish on `topic/a~` is allowed"
        );
        let under = [("iot:Publish", "topic/a/*")];
        assert_eq!(
            fault(&[("iot:Publish", &["topic/*"])], &under),
            "iot:Publish on `topic/~a/any/thing` is allowed"
        );
        // An escape that was forgotten.
        assert_eq!(
            fault(
                &[("iot:Publish", &["topic/a?"])],
                &[("iot:Publish", "topic/a${?}${*}")]
            ),
            "iot:Publish on `topic/a?*` is denied"
        );
    }
}
