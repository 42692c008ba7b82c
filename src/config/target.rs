//! The targets of a route, and placeholders that no event can fill in.
//!
//! As in patterns, warnings are certain, and there are none about a platform's own data.

use super::check::{Faults, text_of};
use super::elements;
use super::envelope::{MemberType, member_type, missing};
use super::fault::Severity;
use super::placeholder::{Roots, foreign};
use crate::channel::template::{self, ChannelTemplate, Part, Placeholder};
use crate::channel::{IdFormat, Kinds};
use crate::event::envelope::Envelope;
use crate::event::pattern::tree::{NodeValue, TreeValue};
use crate::route::target::TopicTarget;

/// Reads the targets of the route at `key`.
pub(super) fn read(
    route: &TreeValue,
    key: &str,
    kinds: &Kinds,
    envelope: Envelope,
    faults: &mut Faults<'_>,
) -> Vec<TopicTarget> {
    let mut targets = Vec::new();
    let roots = match envelope {
        Envelope::Raw => Roots::Body,
        _ => Roots::Event,
    };
    for (index, node) in elements(route, "to").iter().enumerate() {
        let NodeValue::String(written) = &node.value else {
            continue;
        };
        let written = text_of(written);
        let key = format!("{key}.to[{index}]");
        let foreign = foreign(&written, roots);
        match TopicTarget::parse(&written, kinds) {
            Ok(target) => {
                for found in &foreign {
                    let message = format!(
                        "target `{written}`: `{}` is a placeholder of {}, not of eventcast",
                        found.written, found.tools
                    );
                    let fault = faults.error("foreign-placeholder", &key, node.at, message);
                    fault.severity = Severity::Warning;
                    fault.help = Some(found.help.clone());
                }
                if foreign.is_empty() && roots == Roots::Event {
                    warn_of_missing_fields(&written, &target, &key, node, faults);
                }
                if foreign.is_empty() {
                    warn_of_impossible_ids(&written, kinds, &key, node, faults);
                }
                targets.push(target);
            }
            Err(error) => {
                let message = format!("target `{written}`: {}", error.message);
                let help = foreign.into_iter().next().map(|found| {
                    format!(
                        "`{}` is a placeholder of {}; {}",
                        found.written, found.tools, found.help
                    )
                });
                faults.error("bad-target", &key, node.at, message).help = help.or(error.help);
            }
        }
    }
    targets
}

fn placeholders(template: &ChannelTemplate) -> impl Iterator<Item = &Placeholder> {
    template.parts().iter().filter_map(|part| match part {
        Part::Placeholder(placeholder) => Some(placeholder),
        _ => None,
    })
}

fn warn_of_missing_fields(
    written: &str,
    target: &TopicTarget,
    key: &str,
    node: &TreeValue,
    faults: &mut Faults<'_>,
) {
    for placeholder in placeholders(target.template()) {
        let segments: Vec<&str> = placeholder
            .segments
            .iter()
            .map(|segment| &**segment)
            .collect();
        let problem = missing(&segments).map(|missing| {
            let outcome = match &placeholder.filters.default {
                Some(text) => format!("is always `{text}`"),
                None => "can never be filled in".into(),
            };
            (
                format!("`{}` {outcome}: {}", placeholder.written, missing.message),
                missing.help(|path| format!("{{{path}}}")),
            )
        });
        let Some((problem, help)) = problem.or_else(|| misplaced_brackets(placeholder, &segments))
        else {
            continue;
        };
        let message = format!("target `{written}`: {problem}");
        let fault = faults.error("no-such-field", key, node.at, message);
        fault.severity = Severity::Warning;
        fault.help = Some(help);
    }
}

/// `[*]` or `[0]` behind a member that is text.
fn misplaced_brackets(placeholder: &Placeholder, segments: &[&str]) -> Option<(String, String)> {
    let [name] = segments else { return None };
    let written = placeholder.written.trim_start_matches('{');
    let written = written.strip_prefix("$.").unwrap_or(written);
    let is_text = member_type(name) == Some(MemberType::Text);
    (is_text
        && written
            .trim_start_matches(['"'])
            .strip_prefix(name)?
            .trim_start_matches('"')
            .starts_with('['))
    .then(|| {
        (
            format!(
                "`{}` picks elements, and `{name}` is text in every event, not a list",
                placeholder.written
            ),
            format!("write {{{name}}}"),
        )
    })
}

/// Ids that a channel's format never accepts, as far as the template alone shows it.
fn warn_of_impossible_ids(
    written: &str,
    kinds: &Kinds,
    key: &str,
    node: &TreeValue,
    faults: &mut Faults<'_>,
) {
    let Ok(Some((kind, id))) = template::channel(written, kinds) else {
        return;
    };
    let Ok(template) = ChannelTemplate::parse(id) else {
        return;
    };
    let Some(why) = impossible(kind.id(), &template) else {
        return;
    };
    let message = format!(
        "target `{written}`: no id of channel `{}` can be made of it: {why}",
        kind.name()
    );
    let fault = faults.error("never-fits", key, node.at, message);
    fault.severity = Severity::Warning;
    fault.accepted = Some(format!("ids of the format {}", kind.id()));
    fault.help = Some(format!(
        "name the field that has the id, as in {}:{{detail.{}Id}}, or change channels.{}.id",
        kind.name(),
        kind.name(),
        kind.name()
    ));
}

fn impossible(format: &IdFormat, template: &ChannelTemplate) -> Option<String> {
    let fixed: Option<String> = template
        .parts()
        .iter()
        .map(|part| match part {
            Part::Literal(text) => Some(&**text),
            _ => None,
        })
        .collect();
    if let Some(fixed) = fixed {
        return (!format.accepts(&fixed)).then(|| format!("`{fixed}` is none"));
    }
    if !matches!(format, IdFormat::Uuid) {
        return None;
    }
    for part in template.parts() {
        match part {
            Part::Literal(text) => {
                let odd = text.chars().find(|c| !c.is_ascii_hexdigit() && *c != '-');
                if let Some(odd) = odd {
                    return Some(format!("`{text}` has `{odd}`, and a UUID has none"));
                }
            }
            Part::Placeholder(placeholder) => {
                // An account has 12 digits, a Region a name, a time colons.
                let name = &*placeholder.path;
                if matches!(name, "account" | "region" | "time" | "version")
                    && placeholder.filters.default.is_none()
                    && template.parts().len() == 1
                {
                    return Some(format!("`{name}` is never a UUID"));
                }
            }
            Part::RouteName => {}
        }
    }
    None
}
