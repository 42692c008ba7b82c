//! Why statements that allow an action did not allow this request: the near misses behind an implicit deny.
//!
//! AWS says only that something is denied. A person wants to know which statement was meant to allow it, and what kept it from
//! doing so: a condition, a variable without a value, `topic/` where `topicfilter/` is asked for.

use super::arn::Arn;
use super::context::Context;
use super::document::{Document, Effect, Listed, Statement};
use super::evaluate::{Request, StatementRef};

/// A statement that allows the action, but not in this request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The statement.
    pub statement: StatementRef,
    /// What kept it from allowing the request, one line each.
    pub reasons: Vec<String>,
}

/// The types of resources that are mistaken for each other.
const TYPES: [(&str, &str); 2] = [("topic/", "topicfilter/"), ("topicfilter/", "topic/")];

/// All near misses, nearest first: those whose conditions fail, then those that lack a variable or name another type, then the
/// others.
pub fn near_misses<'d>(
    documents: impl IntoIterator<Item = &'d Document>,
    request: &Request<'_>,
) -> Vec<NearMiss> {
    let action = request.action.to_ascii_lowercase();
    let mut found = Vec::new();
    for (document, Document { statements, .. }) in documents.into_iter().enumerate() {
        for (index, statement) in statements.iter().enumerate() {
            let concerns = statement.effect == Effect::Allow
                && statement
                    .actions
                    .means(|listed| listed.matches_lower(&action));
            if concerns && let Some((distance, reasons)) = miss(statement, request) {
                let statement = StatementRef {
                    document,
                    statement: index,
                };
                found.push((distance, NearMiss { statement, reasons }));
            }
        }
    }
    found.sort_by_key(|(distance, _)| *distance);
    found.into_iter().map(|(_, miss)| miss).collect()
}

/// How far a statement is from allowing a request, and why; `None` when it does.
fn miss(statement: &Statement, request: &Request<'_>) -> Option<(u8, Vec<String>)> {
    let Request {
        resource, context, ..
    } = request;
    let fits = |listed: &super::document::Resource| listed.matches(resource, context);
    if statement.resources.means(fits) {
        let failing: Vec<String> = statement
            .conditions
            .iter()
            .filter(|condition| !condition.holds(context))
            .map(|condition| condition.described(context))
            .collect();
        return (!failing.is_empty()).then_some((0, failing));
    }
    let Listed::Only(listed) = &statement.resources else {
        return Some((
            2,
            vec!["it leaves this resource out (`NotResource`)".into()],
        ));
    };
    let mut reasons: Vec<String> = Vec::new();
    for pattern in listed {
        let unresolved = pattern.unresolved(context);
        reasons.extend(unresolved.map(|key| format!("`{key}` has no value in this request")));
        if let Some(reason) = other_type(pattern, resource, context) {
            reasons.push(reason);
        }
    }
    reasons.sort();
    reasons.dedup();
    if !reasons.is_empty() {
        return Some((1, reasons));
    }
    let reason = match listed.as_slice() {
        [only] => format!("it allows `{}` only", only.text),
        [first, _] => format!("it allows `{}` and one other", first.text),
        [first, ..] => format!("it allows `{}` and {} others", first.text, listed.len() - 1),
        [] => "it allows nothing".into(),
    };
    Some((2, vec![reason]))
}

/// Whether a pattern would match if the resource were of another type.
fn other_type(
    pattern: &super::document::Resource,
    resource: &Arn<'_>,
    context: &Context,
) -> Option<String> {
    let text = resource.as_str();
    let at = text.match_indices(':').nth(4)?.0 + 1;
    let (head, name) = text.split_at_checked(at)?;
    TYPES.iter().find_map(|(asked, written)| {
        let swapped = format!("{head}{written}{}", name.strip_prefix(asked)?);
        pattern.matches(&Arn::new(&swapped), context).then(|| {
            format!(
                "it names a `{written}…`, and this action is about a `{asked}…`: `{}`",
                pattern.text
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(statements: &str, action: &str, resource: &str) -> String {
        let statements = statements.replace('~', "arn:aws:iot:us-east-1:1:");
        let document = Document::parse(&format!(
            r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#
        ))
        .unwrap();
        let resource = resource.replace('~', "arn:aws:iot:us-east-1:1:");
        let mut context = Context::of_client("c1");
        context.set("k", ["a", "b"]);
        let request = Request {
            action,
            resource: Arn::new(&resource),
            context: &context,
        };
        let misses = near_misses([&document], &request);
        let line =
            |miss: &NearMiss| format!("{}: {}", miss.statement.statement, miss.reasons.join("; "));
        misses.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn reasons() {
        let statements = r#"
            {"Effect":"Allow","Action":"iot:Subscribe","Resource":"~topicfilter/b"},
            {"Effect":"Allow","Action":"iot:*","Resource":["~topic/a","~topicfilter/${iot:Connection.Thing.ThingName}"]},
            {"Effect":"Allow","Action":"iot:*","Resource":"*","Condition":{
                "StringEquals":{"iot:ClientId":["c2","c3"]},"ForAllValues:StringLike":{"k":["a*"]},
                "Bool":{"iot:Connection.Thing.IsAttached":"true"},"Null":{"j":"true"}}},
            {"Effect":"Allow","Action":"iot:Publish","Resource":"*"},
            {"Effect":"Allow","Action":"iot:Subscribe","NotResource":"~topicfilter/*"},
            {"Effect":"Allow","Action":"iot:Subscribe","Resource":["~topicfilter/b","~topicfilter/c"]},
            {"Effect":"Deny","Action":"iot:Subscribe","Resource":"~topicfilter/z"},
            {"Effect":"Allow","Action":"iot:Subscribe","Resource":["~topicfilter/a"]}"#;
        insta::assert_snapshot!(explained(statements, "iot:Subscribe", "~topicfilter/a"));
    }
}
