//! The dead-letter messages that a command is about, and names that no message has.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::aws::dead_letter_queue::{DeadLetterMessage, REDRIVE, UNDELIVERED};
use crate::cli::user_error::write_error;
use crate::config::{Config, duration};
use crate::escape::{escaped, write_line};

/// Reasons that the daemon gives (docs/metrics.md), and those of a queue's own redrive and of
/// EventBridge. Dead-letter messages of another version may have others.
const REASONS: [&str; 17] = [
    "not_an_event",
    "match_budget",
    "payload",
    "too_large",
    "too_many_topics",
    "template_missing",
    "several_values",
    "value_type",
    "value_rejected",
    "channel_id",
    "topic_rejected",
    "not_authorized",
    "topic_invalid",
    "payload_invalid",
    "refused",
    REDRIVE,
    UNDELIVERED,
];

/// Likeness above which a word is taken for a mistyped one.
const NEAR: f64 = 0.75;

#[derive(Debug, Default, Args)]
pub(super) struct MessageFilter {
    /// Only messages with this reason (repeatable)
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only messages of this route (repeatable)
    #[arg(long, value_name = "ROUTE")]
    route: Vec<String>,
    /// Only the message with this id: its own, that of the original message, or the event's (repeatable)
    #[arg(long, value_name = "ID", alias = "event")]
    id: Vec<String>,
    /// Only messages sent longer ago than this, such as 1h
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<Duration>,
    /// Only messages sent since then, such as 2d
    #[arg(long, value_name = "TIME", value_parser = time)]
    newer_than: Option<Duration>,
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a time such as 30s, 5m, 1h, 2d is wanted".to_owned())
}

impl MessageFilter {
    /// Returns `true` for a message that the filter selects.
    pub(super) fn takes(&self, message: &DeadLetterMessage, now: Timestamp) -> bool {
        let named = |wanted: &[String], value: Option<&String>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.contains(value))
        };
        let age = message
            .sent
            .and_then(|sent| Duration::try_from(now.duration_since(sent)).ok())
            .unwrap_or_default();
        named(&self.reason, Some(&message.reason))
            && named(&self.route, message.route.as_ref())
            && (self.id.is_empty() || self.id.iter().any(|id| message.has_id(id)))
            && self.older_than.is_none_or(|bound| age > bound)
            && self.newer_than.is_none_or(|bound| age <= bound)
    }

    /// Reports reasons and routes that neither a message has nor eventcast knows, and returns
    /// `true` where there are some. A route that was renamed since is none: messages still have its
    /// old name. `config` is missing where the queues were named by flags and there is no file.
    pub(super) fn report_unknown(
        &self,
        seen: &SeenNames,
        config: Option<&Config>,
        messages: &mut impl Write,
    ) -> std::io::Result<bool> {
        let mut unknown = false;
        let reasons = || {
            REASONS
                .into_iter()
                .chain(seen.reasons.iter().map(String::as_str))
        };
        for reason in &self.reason {
            if !reasons().any(|known| known == reason) {
                unknown = true;
                report("reason", reason, reasons(), messages)?;
            }
        }
        let routes = config.iter().flat_map(|config| &config.routes);
        let routes: Vec<&str> = routes
            .map(|route| &*route.name)
            .chain(seen.routes.iter().map(String::as_str))
            .collect();
        for route in &self.route {
            if routes.contains(&&**route) {
                continue;
            }
            if config.is_some() {
                unknown = true;
                report("route", route, routes.iter().copied(), messages)?;
            } else {
                let route = escaped(route);
                write_line(
                    messages,
                    format_args!(
                        "note: no message is of route `{route}`; there is no configuration to look it up in"
                    ),
                )?;
            }
        }
        Ok(unknown)
    }
}

fn report<'k>(
    noun: &str,
    word: &str,
    known: impl Iterator<Item = &'k str>,
    messages: &mut impl Write,
) -> std::io::Result<()> {
    let known: BTreeSet<&str> = known.collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&word.to_lowercase(), known), *known))
        .filter(|(likeness, _)| *likeness > NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let meant = nearest.map_or_else(String::new, |(_, known)| {
        format!("did you mean `{}`? ", escaped(known))
    });
    let list: Vec<_> = known.iter().map(|known| escaped(known)).collect();
    let list = match list.as_slice() {
        [] => "there are none".to_owned(),
        list => format!("there are {}", list.join(", ")),
    };
    write_error(
        messages,
        format_args!("there is no {noun} `{}`", escaped(word)),
        format_args!("{meant}{list}"),
    )
}

/// Reasons and routes of the messages that were looked at.
#[derive(Default)]
pub(super) struct SeenNames {
    reasons: BTreeSet<String>,
    routes: BTreeSet<String>,
}

impl SeenNames {
    pub(super) fn add(&mut self, message: &DeadLetterMessage) {
        if !self.reasons.contains(&message.reason) {
            self.reasons.insert(message.reason.clone());
        }
        if let Some(route) = &message.route
            && !self.routes.contains(route)
        {
            self.routes.insert(route.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(filter: &MessageFilter, seen: &SeenNames) -> (bool, String) {
        let mut messages = Vec::new();
        let unknown = filter.report_unknown(seen, None, &mut messages).unwrap();
        (unknown, String::from_utf8(messages).unwrap())
    }

    fn reason(reason: &str) -> MessageFilter {
        MessageFilter {
            reason: vec![reason.into()],
            ..MessageFilter::default()
        }
    }

    #[test]
    fn unknown_reasons() {
        let mut seen = SeenNames::default();
        for known in REASONS {
            assert_eq!(told(&reason(known), &seen), (false, String::new()));
        }
        for (word, meant) in [
            ("templat_missing", "did you mean `template_missing`? "),
            ("Too_Large", "did you mean `too_large`? "),
            ("not_authorised", "did you mean `not_authorized`? "),
            ("xyz", ""),
        ] {
            let (unknown, text) = told(&reason(word), &seen);
            let begin =
                format!("error: there is no reason `{word}`\nhelp: {meant}there are channel_id, ");
            assert!(unknown && text.starts_with(&begin), "{text}");
        }
        // Another version's.
        seen.reasons.insert("quota".into());
        assert_eq!(told(&reason("quota"), &seen), (false, String::new()));
    }

    /// The manual lists the same reasons; `redrive` and `undelivered` are none of the daemon's.
    #[test]
    fn the_manual_lists_them() {
        let manual = include_str!("../../../docs/metrics.md");
        let of_others = [REDRIVE, UNDELIVERED];
        for reason in REASONS
            .into_iter()
            .filter(|reason| !of_others.contains(reason))
        {
            assert!(manual.contains(&format!("`{reason}`")), "{reason}");
        }
    }
}
