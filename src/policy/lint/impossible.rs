//! Resources, conditions and whole statements that no request can ever match.
//!
//! The last rule is the general one: whatever the others do not name, a statement in which no pair
//! of an action and a resource can be a request's is found.

use super::action::kinds;
use super::leftover::leftover;
use super::{FindingLevel, LintContext, LintRule, may_be, named, scope_of};
use crate::event::pattern::tree::TextPosition;
use crate::policy::action::ANY;
use crate::policy::arn::ResourceArn;
use crate::policy::context::Context;
use crate::policy::document::{Document, Effect, ElementList, ResourcePattern, Statement};
use crate::policy::glob::{Glob, GlobSyntax};
use crate::policy::misfit::{self, NameMisfit};

pub(super) static ARN: LintRule = LintRule {
    code: "arn-matches-nothing",
    level: FindingLevel::Error,
    reason: "no resource has such a name, so that nothing is allowed or denied",
    fix: "write arn:aws:iot:REGION:ACCOUNT:client/…, topic/… or topicfilter/…",
};

pub(super) static MQTT_WILDCARD: LintRule = LintRule {
    code: "mqtt-wildcard-in-topic",
    level: FindingLevel::Error,
    reason: "`+` and `#` are characters like others in a policy, and no topic has them, so that nothing is meant",
    fix: "write `*` in place of `+` and `#`",
};

pub(super) static NAME: LintRule = LintRule {
    code: "impossible-name",
    level: FindingLevel::Error,
    reason: "MQTT or a limit of IoT Core rules the name out, so that nothing is allowed or denied",
    fix: "topics and filters have at most 7 slashes and 256 bytes, client ids 128 bytes",
};

pub(super) static EMPTY: LintRule = LintRule {
    code: "allows-nothing",
    level: FindingLevel::Error,
    reason: "what no statement allows is denied: clients with this policy alone cannot even connect",
    fix: "add statements; to take permissions back, detach the policy with `policy revoke`",
};

pub(super) static DECIDES_NOTHING: LintRule = LintRule {
    code: "decides-nothing",
    level: FindingLevel::Error,
    reason: "no request has one of the actions on one of the resources, so that the statement has no effect",
    fix: "give each action a resource of its kind, or take the statement out",
};

/// Names that have nothing in common, so that a pattern which matches both matches everything.
const PROBES: [&str; 2] = ["~7", "q.Z"];

pub(super) fn check(lint: &mut LintContext<'_>) {
    for (document, statement) in lint.statements() {
        for resource in statement.resources.listed() {
            resource_fits(lint, document, statement, resource);
        }
    }
}

/// Checks what the other rules leave, and runs after them: whole statements, and documents without
/// any.
pub(super) fn check_statements(lint: &mut LintContext<'_>) {
    for (index, source) in lint.sources.iter().enumerate() {
        if source.document.statements.is_empty() {
            let message = "the policy has no statement".to_owned();
            lint.add(&EMPTY, index, begin(source.text), message);
        }
    }
    let denying: Vec<&Statement> = lint
        .statements()
        .map(|(_, statement)| statement)
        .filter(|statement| statement.effect == Effect::Deny && statement.conditions.is_empty())
        .collect();
    for (document, statement) in lint.statements() {
        let reported = |at: TextPosition| {
            lint.found.iter().any(|finding| {
                finding.document == document
                    && finding.at == at
                    && finding.rule.level == FindingLevel::Error
            })
        };
        let mut places = statement.actions.listed().iter().map(|action| action.at);
        let known = reported(statement.at)
            || places.any(reported)
            || statement
                .resources
                .listed()
                .iter()
                .any(|resource| reported(resource.at))
            || statement
                .conditions
                .iter()
                .any(|condition| reported(condition.at));
        if !known && !may_decide(statement) {
            let message = "the statement can match no request".to_owned();
            lint.add(&DECIDES_NOTHING, document, statement.at, message);
        } else if statement.effect == Effect::Allow
            && let Some(deny) = denying.iter().find(|deny| covers(deny, statement))
        {
            let line = deny.at.line;
            let message =
                format!("all that the statement allows is denied by the one in line {line}");
            lint.add(&DECIDES_NOTHING, document, statement.at, message);
        }
    }
}

/// Position at which a text begins.
fn begin(text: &str) -> TextPosition {
    let mut at = TextPosition { line: 1, column: 1 };
    for c in text.chars().take_while(|c| c.is_whitespace()) {
        match c {
            '\n' => (at.line, at.column) = (at.line + 1, 1),
            _ => at.column += 1,
        }
    }
    at
}

fn resource_fits(
    lint: &mut LintContext<'_>,
    document: usize,
    statement: &Statement,
    resource: &ResourcePattern,
) {
    let text = &resource.text;
    if leftover(text).is_some() {
        // It is no name yet.
        return;
    }
    let is_foreign = kinds(statement).is_none() && !text.starts_with("arn:aws:iot:");
    if let Some(why) = misfit::arn(text).filter(|_| !is_foreign) {
        lint.add(
            &ARN,
            document,
            resource.at,
            format!("`{text}` matches nothing: {why}"),
        );
        return;
    }
    match name_misfit(resource) {
        // A deny has a rule of Device Defender's for it.
        Some((_, NameMisfit::MqttWildcard(_)))
            if statement.effect == Effect::Deny
                && matches!(statement.resources, ElementList::Only(_)) => {}
        Some((_, NameMisfit::MqttWildcard(c))) => {
            let message = format!("`{text}` matches nothing: no topic has `{c}`");
            lint.add(&MQTT_WILDCARD, document, resource.at, message);
        }
        Some((_, NameMisfit::Impossible(why))) => {
            let message = format!("`{text}` matches nothing: {why}");
            lint.add(&NAME, document, resource.at, message);
        }
        None => {
            let client = named(resource).filter(|named| named.whole.starts_with("client/"));
            let wild = |level: &&str| matches!(*level, "+" | "#");
            if let Some(level) = client.and_then(|named| named.name.split('/').find(wild)) {
                let message = format!(
                    "`{text}` means the client that is called so: `{level}` is a character"
                );
                lint.add(&MQTT_WILDCARD, document, resource.at, message);
            }
        }
    }
}

/// Reason why a resource's name cannot be a request's, with the kind of the resource.
fn name_misfit(resource: &ResourcePattern) -> Option<(&'static str, NameMisfit)> {
    let whole = named(resource)?.whole;
    let kinds = ["topic", "topicfilter", "client", "thing"];
    let kind = kinds.into_iter().find(|kind| {
        whole
            .strip_prefix(kind)
            .is_some_and(|rest| rest.starts_with('/'))
    })?;
    let shape = resource.shape();
    let tokens = shape.get(kind.len() + 1..).unwrap_or_default();
    misfit::name(kind, tokens).map(|misfit| (kind, misfit))
}

/// Returns `true` where some request of a client, or of another service, can match the statement.
fn may_decide(statement: &Statement) -> bool {
    let Some(kinds) = kinds(statement) else {
        return true;
    };
    kinds.iter().any(|kind| match &statement.resources {
        ElementList::Only(resources) => resources.iter().any(|resource| may_match(resource, kind)),
        ElementList::AllBut(left_out) => {
            !left_out.iter().any(|resource| matches_all(resource, kind))
        }
    })
}

/// Returns `true` where a resource of a kind can match a pattern.
fn may_match(resource: &ResourcePattern, kind: &str) -> bool {
    if kind == ANY {
        // Checked against `*`; the API reference shows resources that name more, which stay allowed.
        return misfit::arn(&resource.text).is_none();
    }
    let is_iot = match resource.text.split(':').nth(2) {
        Some(service) => Glob::parse(
            service,
            GlobSyntax {
                wildcards: true,
                variables: false,
            },
        )
        .is_ok_and(|glob| glob.matches("iot", &Context::default())),
        None => true,
    };
    is_iot
        && misfit::arn(&resource.text).is_none()
        && may_be(resource, kind)
        && name_misfit(resource).is_none_or(|(of, _)| of != kind)
}

/// Returns `true` where a pattern matches every resource of a kind.
fn matches_all(resource: &ResourcePattern, kind: &str) -> bool {
    let open = |part: &str| part.chars().all(|c| c == '*');
    let parts = resource.text.split(':').skip(1).take(4);
    let everywhere = parts
        .enumerate()
        .all(|(at, part)| open(part) || (at == 1 && part == "iot"));
    let everywhere = everywhere || (named(resource).is_none() && open(&resource.text));
    everywhere
        && PROBES.iter().all(|probe| {
            let name = scope_of(resource).arn_of(&format!("{kind}/{probe}"));
            resource.matches(&ResourceArn::new(&name), &Context::default())
        })
}

/// Returns `true` where a deny takes in all that an allow means, by the texts of both.
fn covers(deny: &Statement, allow: &Statement) -> bool {
    let (ElementList::Only(denied), ElementList::Only(actions)) = (&deny.actions, &allow.actions)
    else {
        return false;
    };
    let (ElementList::Only(closed), ElementList::Only(resources)) =
        (&deny.resources, &allow.resources)
    else {
        return false;
    };
    actions
        .iter()
        .all(|action| denied.iter().any(|wide| wide.matches(&action.text)))
        && resources.iter().all(|resource| {
            closed
                .iter()
                .any(|wide| includes(&wide.text, &resource.text))
        })
}

/// Returns `true` where a pattern surely means all that another one means.
fn includes(wide: &str, narrow: &str) -> bool {
    let syntax = GlobSyntax {
        wildcards: true,
        variables: false,
    };
    let unsure = wide.contains('?') && narrow.contains('*');
    !unsure && Glob::parse(wide, syntax).is_ok_and(|glob| glob.matches(narrow, &Context::default()))
}

/// Returns `true` where documents allow anything at all, to any client: an Allow that a request can
/// match.
pub fn allows_anything(documents: &[Document]) -> bool {
    let mut statements = documents.iter().flat_map(|document| &document.statements);
    statements.any(|statement| statement.effect == Effect::Allow && may_decide(statement))
}

/// Returns `true` where a topic has a wildcard of MQTT, or a filter has one for a level.
pub(super) fn has_mqtt_wildcard(resource: &ResourcePattern) -> bool {
    matches!(
        name_misfit(resource),
        Some((_, NameMisfit::MqttWildcard(_)))
    ) || named(resource).is_some_and(|named| {
        let wild = |level: &str| matches!(level, "+" | "#");
        named.whole.starts_with("topicfilter/") && named.name.split('/').any(wild)
    })
}
