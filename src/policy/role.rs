//! Roles: topics that a kind of client may subscribe and publish to, as the configuration writes
//! them.
//!
//! An entry is a channel (`order:{claims.orders[*]}`), every channel of a kind (`order:*`), or a
//! topic filter (`tenant/{claims.tenant}/alerts`). Wildcards exist only where an entry writes them:
//! `*` alone as the id of a channel, `+` and `#` alone in a level of a filter. Policy wildcards
//! (`*`, `?`) and variables (`${…}`) cannot be written anywhere else, so that a generated policy
//! means what the role says. Shared subscriptions (`$share/…`) are not granted: AWS's texts
//! disagree on the resource their deliveries are checked against.

use std::fmt;

use super::principal::ClientIdRules;
use crate::channel::template::{self, ChannelTemplate, Part, TemplateError};
use crate::channel::{ChannelKind, Kinds};

/// Permissions of the holders of one role.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name, unique among roles.
    pub name: Box<str>,
    /// The channel whose id the client ids begin with.
    pub bind: RoleEntry,
    /// The client ids that its principals may connect with.
    pub client_ids: ClientIdRules,
    /// Entries that may be subscribed to, and received.
    pub subscribe: Vec<RoleEntry>,
    /// Entries that may be published to.
    pub publish: Vec<RoleEntry>,
    /// Indicates that published messages may be retained.
    pub retain: bool,
}

/// One line of a role. It becomes grants once claims are known.
#[derive(Clone, Debug)]
pub struct RoleEntry {
    pub(super) form: EntryForm,
    written: Box<str>,
}

#[derive(Clone, Debug)]
pub(super) enum EntryForm {
    /// Channels of one kind, by their ids.
    Channel(ChannelKind, ChannelTemplate),
    /// All channels of one kind.
    EveryChannel(ChannelKind),
    /// A topic filter; a topic when it has no wildcards.
    Filter(ChannelTemplate),
}

/// Use of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Naming the principal: a channel.
    Bind,
    /// Subscribing and receiving.
    Subscribe,
    /// Publishing.
    Publish,
}

/// Name with which claims begin in a template.
pub(super) const CLAIMS: &str = "claims";

impl RoleEntry {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`TemplateError`] when it cannot be read, names an undeclared channel or anything but
    /// claims, or has a wildcard where none is allowed.
    pub fn parse(text: &str, purpose: Use, kinds: &Kinds) -> Result<Self, TemplateError> {
        let form = match template::channel(text, kinds)? {
            Some((kind, "*")) if purpose != Use::Bind => EntryForm::EveryChannel(kind.clone()),
            Some((kind, id)) => channel(kind, id).map_err(|error| TemplateError {
                offset: error.offset + kind.name().len() + 1,
                ..error
            })?,
            None if purpose == Use::Bind => {
                return Err(fail(
                    0,
                    "client ids are bound to a channel",
                    "write it like user:{claims.sub}",
                ));
            }
            None => filter(text, purpose)?,
        };
        Ok(Self {
            form,
            written: text.into(),
        })
    }

    /// The kind of channel it names, if it names one.
    pub fn kind(&self) -> Option<&ChannelKind> {
        match &self.form {
            EntryForm::Channel(kind, _) | EntryForm::EveryChannel(kind) => Some(kind),
            EntryForm::Filter(_) => None,
        }
    }
}

impl fmt::Display for RoleEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn fail(offset: usize, message: impl Into<String>, help: &str) -> TemplateError {
    TemplateError {
        message: message.into(),
        offset,
        help: Some(help.to_owned()),
    }
}

fn literal(template: &ChannelTemplate) -> String {
    let texts = template.parts().iter().filter_map(|part| match part {
        Part::Literal(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

fn channel(kind: &ChannelKind, id: &str) -> Result<EntryForm, TemplateError> {
    let name = kind.name();
    if id.is_empty() {
        return Err(fail(
            0,
            format!("channel `{name}` has no id"),
            "write {claims.sub} for the id, or * for all channels of the kind where that is meant",
        ));
    }
    let template = parse_claims(id)?;
    let fixed = literal(&template);
    if let Some(c) = fixed.chars().find(|c| "*?$+#/".contains(*c)) {
        return Err(fail(
            0,
            format!("the id has `{c}`"),
            "ids are exact; all channels of the kind are NAME:*, and filters are topics such as order/+/state",
        ));
    }
    let is_fixed = template.paths().next().is_none();
    if is_fixed && !kind.id().accepts(&fixed) {
        return Err(fail(
            0,
            format!(
                "`{fixed}` is no id of channel `{name}`, which wants {}",
                kind.id()
            ),
            "claims are written in braces: {claims.sub}",
        ));
    }
    Ok(EntryForm::Channel(kind.clone(), template))
}

fn filter(text: &str, purpose: Use) -> Result<EntryForm, TemplateError> {
    let template = parse_claims(text)?;
    if let Some(c) = literal(&template).chars().find(|c| "*?$".contains(*c)) {
        let help = match c {
            '$' if text.starts_with("$share/") => {
                "shared subscriptions are not granted: AWS's texts disagree on how their deliveries are checked"
            }
            '$' => "topics that begin with `$` are AWS's own; policy variables are never generated",
            _ => {
                "write MQTT's wildcards (+ for one level, # for the rest), or order:* for all channels of a kind"
            }
        };
        return Err(fail(0, format!("the filter has `{c}`"), help));
    }
    let mut levels = vec![String::new()];
    let mut first_is_literal = true;
    for part in template.parts() {
        match part {
            Part::Literal(text) => {
                let mut pieces = text.split('/');
                if let (Some(last), Some(piece)) = (levels.last_mut(), pieces.next()) {
                    last.push_str(piece);
                }
                levels.extend(pieces.map(str::to_owned));
            }
            _ => {
                first_is_literal &= levels.len() > 1;
                // A claim's value is no wildcard: any character may replace it.
                if let Some(last) = levels.last_mut() {
                    last.push('x');
                }
            }
        }
    }
    if !first_is_literal || levels.first().is_none_or(String::is_empty) {
        return Err(fail(
            0,
            "the first level of a filter must be literal text",
            "a claim there could name any channel: begin with a word, as in tenant/{claims.tenant}/alerts",
        ));
    }
    wildcards(&levels, purpose)?;
    Ok(EntryForm::Filter(template))
}

fn wildcards(levels: &[String], purpose: Use) -> Result<(), TemplateError> {
    for (index, level) in levels.iter().enumerate() {
        let Some(c) = level.chars().find(|c| matches!(c, '+' | '#')) else {
            continue;
        };
        if purpose != Use::Subscribe {
            return Err(fail(
                0,
                format!("the topic has the wildcard `{c}`; a publish topic must not"),
                "name the topic, or write order:* for all channels of a kind",
            ));
        }
        if level.len() > 1 || (c == '#' && index + 1 < levels.len()) {
            return Err(fail(
                0,
                format!("`{c}` in the level `{level}` is no wildcard"),
                "`+` stands alone in its level, `#` alone in the last",
            ));
        }
    }
    Ok(())
}

/// A template whose placeholders all name claims.
fn parse_claims(text: &str) -> Result<ChannelTemplate, TemplateError> {
    let template = ChannelTemplate::parse(text)?;
    for part in template.parts() {
        let (written, claims) = match part {
            Part::Literal(_) => continue,
            Part::RouteName => ("{aws.events.rule-name}", false),
            Part::Placeholder(placeholder) => {
                if placeholder.filters.path {
                    return Err(fail(
                        0,
                        format!("{} lets a claim add levels", placeholder.written),
                        "name each level by a claim of its own",
                    ));
                }
                let first = placeholder.segments.first();
                let named = first.is_some_and(|first| &**first == CLAIMS);
                (
                    &*placeholder.written,
                    named && placeholder.segments.len() > 1,
                )
            }
        };
        if !claims {
            return Err(fail(
                0,
                format!("{written} names no claim"),
                "a role knows the claims of a token: {claims.sub}",
            ));
        }
    }
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::IdFormat;

    fn kinds() -> Kinds {
        let kind = |name: &str, id| (name.into(), ChannelKind::try_new(name, id).unwrap());
        [
            kind("order", IdFormat::Uuid),
            kind("depot", IdFormat::pattern("[a-z]+").unwrap()),
        ]
        .into()
    }

    #[track_caller]
    fn check(text: &str, purpose: Use, form: &str) {
        let entry = RoleEntry::parse(text, purpose, &kinds()).unwrap();
        let found = match entry.form {
            EntryForm::Channel(..) => "channel",
            EntryForm::EveryChannel(_) => "every channel",
            EntryForm::Filter(_) => "filter",
        };
        assert_eq!((found, entry.to_string().as_str()), (form, text));
    }

    #[test]
    fn entries() {
        check("order:{claims.orders[*]}", Use::Subscribe, "channel");
        check("order:{claims.orders[*]}", Use::Bind, "channel");
        check("depot:north", Use::Publish, "channel");
        check("order:*", Use::Subscribe, "every channel");
        check("order:*", Use::Publish, "every channel");
        check("tenant/{claims.tenant}/alerts", Use::Publish, "filter");
        check("tenant/+/alerts", Use::Subscribe, "filter");
        check("tenant/{claims.tenant}/#", Use::Subscribe, "filter");
        check("+/alerts", Use::Subscribe, "filter");
        check("#", Use::Subscribe, "filter");
    }

    #[test]
    fn faults() {
        let fault = |text: &str, purpose| {
            let error = RoleEntry::parse(text, purpose, &kinds()).unwrap_err();
            format!("{}; {}", error.message, error.help.unwrap_or_default())
        };
        let cases = [
            ("oder:{claims.a}", Use::Subscribe),
            ("order:", Use::Subscribe),
            ("order:{detail.a}", Use::Subscribe),
            ("order:{claims}", Use::Subscribe),
            ("order:{aws.events.rule-name}", Use::Subscribe),
            ("order:north", Use::Subscribe),
            ("depot:a*", Use::Subscribe),
            ("depot:{claims.a|path}", Use::Subscribe),
            ("order:*", Use::Bind),
            ("a/{claims.a}", Use::Bind),
            ("", Use::Subscribe),
            ("/a", Use::Subscribe),
            ("{claims.a}/b", Use::Subscribe),
            ("a{claims.a}/b", Use::Subscribe),
            ("a/*", Use::Subscribe),
            ("a/${iot:ClientId}", Use::Subscribe),
            ("a/${{x}}", Use::Subscribe),
            ("$share/g/a", Use::Subscribe),
            ("$aws/things", Use::Publish),
            ("a/b+", Use::Subscribe),
            ("a/#/b", Use::Subscribe),
            ("a/{claims.a}+", Use::Subscribe),
            ("a/+", Use::Publish),
        ];
        let told: Vec<String> = cases
            .iter()
            .map(|(text, purpose)| format!("{text:?} {purpose:?}: {}", fault(text, *purpose)))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
