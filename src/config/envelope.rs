//! Members of an event's envelope, and the paths of fields that no EventBridge event has.
//!
//! Classic events have the members of the EventBridge user guide ("Events", "AWS service event metadata"): version, id,
//! detail-type, source, account, time, region, resources, detail, and replay-name where an archive replays them.
//! Deliveries of a version-2 bus are read under the same names (`src/event/envelope.rs`); their `Metadata` and the rest of
//! their `SystemMetadata` keep their own.

use super::check::nearest;

/// The kind of a member's value, where every event agrees on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberType {
    /// Text.
    Text,
    /// A list of text.
    TextList,
    /// Anything: a platform's own data.
    Any,
}

/// The members by their names. Those of version-2 deliveries come last.
const MEMBERS: [(&str, MemberType); 12] = [
    ("version", MemberType::Text),
    ("id", MemberType::Text),
    ("detail-type", MemberType::Text),
    ("source", MemberType::Text),
    ("account", MemberType::Text),
    ("time", MemberType::Text),
    ("region", MemberType::Text),
    ("resources", MemberType::TextList),
    ("detail", MemberType::Any),
    ("replay-name", MemberType::Text),
    ("Metadata", MemberType::Any),
    ("SystemMetadata", MemberType::Any),
];

/// The members that a person is reminded of.
pub(super) const CLASSIC_MEMBERS: &str =
    "version, id, detail-type, source, account, time, region, resources, detail, replay-name";

/// Names of a version-2 delivery whose values are read under a classic name only.
const RENAMED: [(&[&str], &str); 5] = [
    (&["Data"], "detail"),
    (&["SystemMetadata", "aws:EventId"], "id"),
    (&["SystemMetadata", "aws:Source"], "source"),
    (&["SystemMetadata", "aws:DetailType"], "detail-type"),
    (&["SystemMetadata", "aws:IngestionTime"], "time"),
];

/// Words of other envelopes (CloudEvents, SNS, CloudTrail, logs) for a member.
const OTHER_WORDS: [(&str, &str); 14] = [
    ("type", "detail-type"),
    ("event", "detail-type"),
    ("name", "detail-type"),
    ("data", "detail"),
    ("body", "detail"),
    ("payload", "detail"),
    ("message", "detail"),
    ("timestamp", "time"),
    ("date", "time"),
    ("awsregion", "region"),
    ("awsaccount", "account"),
    ("accountid", "account"),
    ("arn", "resources"),
    ("replay", "replay-name"),
];

/// Reason why no event has a field at some path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MissingField {
    /// One clause.
    pub(super) message: String,
    /// The path that is meant, where it can be guessed.
    pub(super) meant: Option<String>,
    /// Number of the path's segments that lead to the fault.
    pub(super) depth: usize,
}

impl MissingField {
    /// The advice, where a field is written as `written` makes it of a path.
    pub(super) fn help(&self, written: impl Fn(&str) -> String) -> String {
        match &self.meant {
            Some(path) => format!("did you mean `{}`?", written(path)),
            None => format!(
                "members of an event are {CLASSIC_MEMBERS}; a platform's own data is below `detail`, as in `{}`",
                written("detail.orderId")
            ),
        }
    }
}

/// The type of a top-level member, if events have it.
pub(super) fn member_type(name: &str) -> Option<MemberType> {
    let known = MEMBERS.iter().find(|(known, _)| *known == name);
    known.map(|(_, kind)| *kind)
}

/// The reason why no event has a field at a path; `None` where one may.
pub(super) fn missing(segments: &[&str]) -> Option<MissingField> {
    let (first, below) = segments.split_first()?;
    let under = |name: &str, rest: &[&str]| {
        let all = std::iter::once(name).chain(rest.iter().copied());
        Some(all.collect::<Vec<_>>().join("."))
    };
    for (renamed, classic) in RENAMED {
        if let Some(rest) = segments.strip_prefix(renamed) {
            let written = renamed.join(".");
            return Some(MissingField {
                message: format!("`{written}` of a version-2 delivery is read as `{classic}`"),
                meant: under(classic, rest),
                depth: renamed.len(),
            });
        }
    }
    match member_type(first) {
        None => Some(MissingField {
            message: format!("no EventBridge event has a member `{first}`"),
            meant: meant(first).and_then(|name| under(name, below)),
            depth: 1,
        }),
        Some(MemberType::Any) => None,
        Some(_) if below.is_empty() => None,
        Some(MemberType::Text) => Some(MissingField {
            message: format!("`{first}` is text in every event, and has no members"),
            meant: Some((*first).to_owned()),
            depth: 2,
        }),
        Some(MemberType::TextList) => Some(MissingField {
            message: format!("`{first}` is a list of text in every event, without members"),
            meant: Some((*first).to_owned()),
            depth: 2,
        }),
    }
}

/// The member that a wrong name was meant to be.
fn meant(name: &str) -> Option<&'static str> {
    let plain = plain(name);
    let classic = || MEMBERS.iter().take(10).map(|(known, _)| *known);
    classic()
        .find(|known| self::plain(known) == plain)
        .or_else(|| {
            let other = OTHER_WORDS.iter().find(|(word, _)| {
                plain == *word || plain == format!("event{word}") || plain == format!("{word}s")
            });
            other.map(|(_, member)| *member)
        })
        .or_else(|| nearest(name, classic()))
}

/// A name without its way of joining words: `detailType`, `DetailType`, `detail_type` and `detail-type` are one.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let segments: Vec<&str> = path.split('.').collect();
        let told = missing(&segments).map_or("fine".to_owned(), |missing| {
            let meant = missing.meant.as_deref().unwrap_or("?").to_owned();
            format!("{}; {meant}", missing.message)
        });
        assert_eq!(told, expected, "{path}");
    }

    #[test]
    fn fields_that_events_have() {
        for path in [
            "source",
            "detail",
            "detail.detial.x",
            "resources",
            "replay-name",
            "Metadata.tenant",
            "SystemMetadata.aws:DeliveryType",
            "SystemMetadata.EventGroupId",
        ] {
            check(path, "fine");
        }
    }

    #[test]
    fn fields_that_no_event_has() {
        let no = |name: &str, meant: &str| {
            format!("no EventBridge event has a member `{name}`; {meant}")
        };
        for (path, name, meant) in [
            ("detial.orderId", "detial", "detail.orderId"),
            ("detailType", "detailType", "detail-type"),
            ("detail_type", "detail_type", "detail-type"),
            ("DetailType", "DetailType", "detail-type"),
            ("Source", "Source", "source"),
            ("soruce", "soruce", "source"),
            ("eventType", "eventType", "detail-type"),
            ("payload.id", "payload", "detail.id"),
            ("timestamp", "timestamp", "time"),
            ("awsRegion", "awsRegion", "region"),
            ("resource", "resource", "resources"),
            ("replayName", "replayName", "replay-name"),
            ("orderId", "orderId", "?"),
        ] {
            check(path, &no(name, meant));
        }
        check(
            "source.x",
            "`source` is text in every event, and has no members; source",
        );
        check(
            "resources.arn",
            "`resources` is a list of text in every event, without members; resources",
        );
        check(
            "Data.order.id",
            "`Data` of a version-2 delivery is read as `detail`; detail.order.id",
        );
        check(
            "SystemMetadata.aws:Source",
            "`SystemMetadata.aws:Source` of a version-2 delivery is read as `source`; source",
        );
    }
}
