//! Near misses behind an implicit deny: statements that allow an action but not this request, with
//! the reasons.
//!
//! AWS says only that something is denied. A person wants to know which statement was meant to allow it, and what kept it from
//! doing so: a condition, a variable without a value, `topic/` where `topicfilter/` is asked for.

use super::action::{is_known, nearest};
use super::arn::ResourceArn;
use super::context::Context;
use super::document::{Document, Effect, ElementList, ResourcePattern, Statement};
use super::evaluate::{Request, StatementRef};
use super::glob::{Glob, GlobSyntax};
use super::misfit;

/// A statement that allows the action, but not in this request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The statement.
    pub statement: StatementRef,
    /// Reasons why it does not allow the request, one line each.
    pub reasons: Vec<String>,
}

/// The types of resources that are mistaken for each other.
const TYPES: [(&str, &str); 2] = [("topic/", "topicfilter/"), ("topicfilter/", "topic/")];

/// The most reasons of one statement.
const REASONS: usize = 5;

/// Least likeness of two actions at which one may be a slip of the other.
const SLIP: f64 = 0.6;

/// Nearness of a statement to allowing a request.
struct StatementNearness {
    /// Kind of the reason that keeps it from doing so; the smallest is the nearest.
    rank: u8,
    /// Likeness of its nearest resource to the request's, from 0 to 1.
    likeness: f64,
}

/// All near misses, nearest first: those whose conditions fail, then those that lack a variable, name
/// another type or cannot match anything, then the others, the most alike first.
pub fn near_misses<'d>(
    documents: impl IntoIterator<Item = &'d Document>,
    request: &Request<'_>,
) -> Vec<NearMiss> {
    let action = request.action.to_ascii_lowercase();
    let mut found = Vec::new();
    for (document, Document { statements, .. }) in documents.into_iter().enumerate() {
        for (index, statement) in statements.iter().enumerate() {
            if statement.effect != Effect::Allow {
                continue;
            }
            let concerns = statement
                .actions
                .means(|listed| listed.matches_lower(&action));
            let missed = match concerns {
                true => miss(statement, request),
                false => slip(statement, request),
            };
            if let Some((nearness, mut reasons)) = missed {
                reasons.truncate(REASONS);
                let statement = StatementRef {
                    document,
                    statement: index,
                };
                found.push((nearness, NearMiss { statement, reasons }));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| {
        let alike = other.likeness.total_cmp(&one.likeness);
        one.rank.cmp(&other.rank).then(alike)
    });
    found.into_iter().map(|(_, miss)| miss).collect()
}

/// A statement whose action is no action, and is spelled nearly as the request's.
fn slip(statement: &Statement, request: &Request<'_>) -> Option<(StatementNearness, Vec<String>)> {
    let ElementList::Only(actions) = &statement.actions else {
        return None;
    };
    let asked = request.action.to_ascii_lowercase();
    let slip = actions.iter().find(|action| {
        let written = action.text.to_ascii_lowercase();
        let alike = strsim::normalized_damerau_levenshtein(&written, &asked) >= SLIP;
        alike
            && !is_known(action)
            && nearest(&action.text).is_some_and(|near| near.eq_ignore_ascii_case(&asked))
    })?;
    let reason = format!(
        "AWS IoT has no action `{}`; did you mean `{}`?",
        slip.text, request.action
    );
    let nearness = StatementNearness {
        rank: 1,
        likeness: 1.0,
    };
    Some((nearness, vec![reason]))
}

/// Returns the distance of a statement from allowing a request, and the reasons; `None` when it
/// allows it.
fn miss(statement: &Statement, request: &Request<'_>) -> Option<(StatementNearness, Vec<String>)> {
    let Request {
        resource, context, ..
    } = request;
    let near = |rank| StatementNearness {
        rank,
        likeness: 0.0,
    };
    let fits = |listed: &ResourcePattern| listed.matches(resource, context);
    if statement.resources.means(fits) {
        let failing: Vec<String> = statement
            .conditions
            .iter()
            .filter(|condition| !condition.holds(context))
            .map(|condition| condition.described(context))
            .collect();
        return (!failing.is_empty()).then_some((near(0), failing));
    }
    let ElementList::Only(listed) = &statement.resources else {
        return Some((
            near(2),
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
        if !begins_alike(&pattern.text, resource.as_str())
            && let Some(why) = misfit::arn(&pattern.text)
        {
            reasons.push(format!("`{}` matches nothing: {why}", pattern.text));
        }
    }
    reasons.sort();
    reasons.dedup();
    if !reasons.is_empty() {
        return Some((near(1), reasons));
    }
    let asked = resource.as_str();
    let (likeness, nearest) = listed
        .iter()
        .map(|pattern| (likeness(pattern, asked, context), pattern))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let text = &nearest.text;
    let allows = match listed.len() {
        1 => format!("it allows `{text}` only"),
        many => format!("the nearest of its {many} resources is `{text}`"),
    };
    let reason = match difference(nearest, asked, context) {
        Some(difference) => format!("{allows}: {difference}"),
        None => allows,
    };
    let nearness = StatementNearness { rank: 2, likeness };
    Some((nearness, vec![reason]))
}

/// Returns `true` where a pattern has the request's partition, Region, account and kind, so that
/// only its name can keep it from matching.
fn begins_alike(pattern: &str, asked: &str) -> bool {
    let head = |text: &str| text.find('/').map(|end| text.get(..end).map(str::to_owned));
    head(pattern).is_some() && head(pattern) == head(asked)
}

/// Likeness of a pattern, its variables replaced, to a request's resource.
fn likeness(pattern: &ResourcePattern, asked: &str, context: &Context) -> f64 {
    let name = pattern.sample("*", context).unwrap_or_default();
    let head: Vec<&str> = pattern.text.splitn(6, ':').take(5).collect();
    let text = format!("{}:{name}", head.join(":"));
    strsim::normalized_levenshtein(&text, asked)
}

/// The first part in which a pattern differs from a request's resource, in words.
fn difference(pattern: &ResourcePattern, asked: &str, context: &Context) -> Option<String> {
    const PARTS: [&str; 5] = ["beginning", "partition", "service", "Region", "account"];
    let syntax = GlobSyntax {
        wildcards: true,
        variables: false,
    };
    let written: Vec<&str> = pattern.text.splitn(6, ':').collect();
    let wanted: Vec<&str> = asked.splitn(6, ':').collect();
    for ((name, written), wanted) in PARTS.iter().zip(&written).zip(&wanted) {
        let fits = Glob::parse(written, syntax)
            .is_ok_and(|glob| glob.matches(wanted, &Context::default()));
        if !fits {
            return Some(format!(
                "its {name} is `{written}`, the request's `{wanted}`"
            ));
        }
    }
    let written = pattern.sample("*", context)?;
    let wanted = wanted.get(5)?;
    let (kind, name) = written.split_once('/')?;
    let (wanted_kind, wanted) = wanted.split_once('/')?;
    if kind != wanted_kind && !kind.contains(['*', '?']) {
        return Some(format!(
            "it is about `{kind}/…`, the request about `{wanted_kind}/…`"
        ));
    }
    if let Some(before) = name
        .strip_suffix(wanted)
        .filter(|before| before.ends_with('/'))
    {
        return Some(format!("the request lacks `{before}` at its beginning"));
    }
    if let Some(before) = wanted
        .strip_suffix(name)
        .filter(|before| before.ends_with('/'))
    {
        return Some(format!("the request has `{before}` at its beginning"));
    }
    let (levels, wanted_levels) = (name.split('/'), wanted.split('/'));
    for (at, (level, wanted)) in levels.clone().zip(wanted_levels.clone()).enumerate() {
        if level.contains('*') {
            return None;
        }
        let fits =
            Glob::parse(level, syntax).is_ok_and(|glob| glob.matches(wanted, &Context::default()));
        if !fits {
            let at = at + 1;
            return Some(format!(
                "its level {at} is `{level}`, the request's `{wanted}`"
            ));
        }
    }
    let (levels, wanted) = (levels.count(), wanted_levels.count());
    (levels != wanted).then(|| format!("it has {levels} levels, the request {wanted}"))
}

/// Describes a pattern that would match if the resource were of another type; `None` for others.
fn other_type(
    pattern: &ResourcePattern,
    resource: &ResourceArn<'_>,
    context: &Context,
) -> Option<String> {
    let text = resource.as_str();
    let at = text.match_indices(':').nth(4)?.0 + 1;
    let (head, name) = text.split_at_checked(at)?;
    TYPES.iter().find_map(|(asked, written)| {
        let swapped = format!("{head}{written}{}", name.strip_prefix(asked)?);
        pattern
            .matches(&ResourceArn::new(&swapped), context)
            .then(|| {
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
            resource: ResourceArn::new(&resource),
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

    /// The reason of the nearest statement.
    #[track_caller]
    fn check(resources: &str, asked: &str, expected: &str) {
        let statement =
            format!(r#"{{"Effect":"Allow","Action":"iot:Subscribe","Resource":[{resources}]}}"#);
        let found = explained(&statement, "iot:Subscribe", asked);
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn the_nearest_resource_is_named_with_what_differs() {
        let three =
            r#""~topicfilter/dev/rider/1","~topicfilter/dev/trip/1","~topicfilter/dev/trip/2""#;
        check(
            three,
            "~topicfilter/trip/1",
            "dev/trip/1`: the request lacks `dev/` at its beginning",
        );
        check(
            r#""~topicfilter/trip/1""#,
            "~topicfilter/dev/trip/1",
            "the request has `dev/`",
        );
        check(
            r#""~topicfilter/a/b/c","~topicfilter/a/x/c""#,
            "~topicfilter/a/y/c",
            "its level 2 is",
        );
        check(
            r#""~topicfilter/a/b""#,
            "~topicfilter/a/b/c",
            "it has 2 levels, the request 3",
        );
        check(
            r#""arn:aws:iot:eu-west-1:123456789012:topicfilter/a""#,
            "arn:aws:iot:us-east-1:123456789012:topicfilter/a",
            "its Region is `eu-west-1`, the request's `us-east-1`",
        );
        check(
            r#""arn:aws:iot:iot:us-east-1:123456789012:topicfilter/a""#,
            "arn:aws:iot:us-east-1:123456789012:topicfilter/a",
            "it has `iot` twice",
        );
    }

    #[test]
    fn a_slip_in_an_action_is_a_near_miss() {
        let statements =
            r#"{"Effect":"Allow","Action":["iot:Subcribe","iot:Recieve"],"Resource":"*"}"#;
        assert_eq!(
            explained(statements, "iot:Receive", "~topic/a"),
            "0: AWS IoT has no action `iot:Recieve`; did you mean `iot:Receive`?"
        );
    }

    #[test]
    fn of_two_statements_the_more_alike_comes_first() {
        let statements = r#"{"Effect":"Allow","Action":"iot:Subscribe","Resource":"~topicfilter/zzz"},
            {"Effect":"Allow","Action":"iot:Subscribe","Resource":"~topicfilter/order/2"}"#;
        let found = explained(statements, "iot:Subscribe", "~topicfilter/order/1");
        assert!(found.starts_with("1: "), "{found}");
    }
}
