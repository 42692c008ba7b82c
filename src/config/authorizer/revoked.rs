//! The list of revoked subjects and tokens, and the decision where it cannot be read.

use std::time::Duration;

use super::time;
use crate::config::check::Faults;
use crate::config::shape::{KnownKey, Shape, optional};
use crate::config::{member, text};
use crate::event::pattern::tree::TreeValue;

/// The longest time that an answer of the list may be remembered.
const MOST_REMEMBERED: Duration = Duration::from_secs(300);

pub(super) const KEYS: &[KnownKey] = &[
    optional(
        "file",
        Shape::Text {
            example: "revoked.jsonl",
        },
        "A file of JSON lines: {\"subject\": TEXT} or {\"token\": ID}, each with issued_before (seconds since 1970) where later tokens count.",
    ),
    optional(
        "table",
        Shape::Text {
            example: "eventcast-revoked",
        },
        "A DynamoDB table with the text `id` as its key: subject:TEXT or token:ID. Number attributes: issued_before, expires.",
    ),
    optional(
        "remember",
        Shape::Duration,
        "How long an answer of the list is remembered, 0s to 5m; 10s where it is not set.",
    ),
    optional(
        "unreadable",
        Shape::Choice(&["refuse", "admit"]),
        "What happens while the list cannot be read: refuse (nobody is let in) or admit (as if nobody were revoked); refuse where it is not set.",
    ),
];

/// The list of revoked subjects and tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevocationSource {
    /// A file of JSON lines.
    File(String),
    /// A DynamoDB table.
    Table(String),
}

/// The list of revoked subjects and tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationSettings {
    /// Its place.
    pub source: RevocationSource,
    /// Time that an answer is remembered.
    pub remember: Duration,
    /// `true` where clients are let in while it cannot be read.
    pub admits_unread: bool,
}

pub(super) fn read(authorizer: &TreeValue, faults: &mut Faults<'_>) -> Option<RevocationSettings> {
    const PATH: &str = "authorizer.revoked";
    let node = member(authorizer, "revoked")?;
    let remember = time(
        node,
        (PATH, "remember"),
        Duration::from_secs(10),
        (Duration::ZERO, MOST_REMEMBERED),
        "0s to 5m",
        faults,
    );
    let source = match (text(node, "file"), text(node, "table")) {
        (Some(file), None) => RevocationSource::File(file),
        (None, Some(table)) => {
            // Amazon DynamoDB developer guide, "Supported data types and naming rules".
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if !(3..=255).contains(&table.len()) || !table.chars().all(fits) {
                let at = member(node, "table").unwrap_or(node).at;
                let key = format!("{PATH}.table");
                let message = format!("`{key}` is `{table}`");
                faults.error("bad-name", &key, at, message).accepted =
                    Some("3 to 255 letters, digits, `-`, `_` and `.`".into());
            }
            RevocationSource::Table(table)
        }
        (file, _) => {
            let what = match file {
                Some(_) => "has both `file` and `table`",
                None => "has neither `file` nor `table`",
            };
            let message = format!("`{PATH}` {what}");
            faults.error("does-not-fit", PATH, node.at, message).help =
                Some("name one of them: file: revoked.jsonl, or table: eventcast-revoked".into());
            return None;
        }
    };
    Some(RevocationSettings {
        source,
        remember,
        admits_unread: text(node, "unreadable").as_deref() == Some("admit"),
    })
}
