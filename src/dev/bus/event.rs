//! An event on a bus: how an entry becomes one, and its envelope (EventBridge user guide, "Events"; the order of members and
//! the words of errors are those recorded from the service).
//!
//! The detail is passed on as it was put: numbers and escapes keep their spelling and members their
//! order; white space is left out.

use std::cell::OnceCell;

use jiff::Timestamp;

use super::super::ACCOUNT;
use super::super::uuid::uuid;
use super::wire::{PutEventsEntry, PutEventsResultEntry};
use crate::event::pattern::tree::{NodeValue, TreeValue, quoted};

/// One event.
#[derive(Debug)]
pub(super) struct BusEvent {
    pub(super) id: String,
    /// Time at which the bus took the event, as in the envelope.
    pub(super) ingested: String,
    pub(super) trace_header: Option<String>,
    /// The envelope as JSON.
    pub(super) text: String,
    /// The envelope without `detail`, as `<aws.events.event>` has it: in its own order, with `detailType`.
    pub(super) without_detail: String,
    tree: OnceCell<Option<TreeValue>>,
}

impl BusEvent {
    /// Makes an event of an entry that was put on a bus.
    pub(super) fn try_new(
        entry: &PutEventsEntry,
        region: &str,
        now: Timestamp,
    ) -> Result<Self, PutEventsResultEntry> {
        let source = required("Source", entry.source.as_deref())?;
        let detail_type = required("DetailType", entry.detail_type.as_deref())?;
        let detail = required("Detail", entry.detail.as_deref())?;
        if source.starts_with("aws.") {
            return Err(PutEventsResultEntry::Refused {
                error_code: "NotAuthorizedForSourceException",
                error_message: "Not authorized for the source.".into(),
            });
        }
        let parsed = TreeValue::parse(detail);
        if !parsed.is_ok_and(|node| matches!(node.value, NodeValue::Object(_))) {
            return Err(PutEventsResultEntry::Refused {
                error_code: "MalformedDetail",
                error_message: "Detail is malformed.".into(),
            });
        }
        let time = match entry.time {
            Some(seconds) => timestamp(seconds).ok_or_else(|| argument("Time", "out of range"))?,
            None => now,
        };
        let id = uuid();
        let text = |text: &str| quoted(text.as_bytes());
        let resources = entry.resources.as_deref().unwrap_or_default();
        let resources: Vec<String> = resources.iter().map(|resource| text(resource)).collect();
        let (time, resources) = (seconds(time), resources.join(","));
        let (source, detail_type, region) = (text(source), text(detail_type), text(region));
        Ok(Self {
            text: format!(
                r#"{{"version":"0","id":"{id}","detail-type":{detail_type},"source":{source},"account":"{ACCOUNT}","time":"{time}","region":{region},"resources":[{resources}],"detail":{}}}"#,
                compact(detail)
            ),
            without_detail: format!(
                r#"{{"id":"{id}","account":"{ACCOUNT}","detailType":{detail_type},"time":"{time}","source":{source},"region":{region},"resources":[{resources}],"version":"0"}}"#
            ),
            id,
            ingested: seconds(now),
            trace_header: entry.trace_header.clone(),
            tree: OnceCell::new(),
        })
    }

    /// The envelope as a tree, for paths.
    pub(super) fn tree(&self) -> Option<&TreeValue> {
        let tree = self.tree.get_or_init(|| TreeValue::parse(&self.text).ok());
        tree.as_ref()
    }
}

/// JSON without white space between its tokens; the content of strings stays as it is.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut is_inside, mut is_escaped) = (false, false);
    for c in json.chars() {
        if is_inside || !matches!(c, ' ' | '\t' | '\n' | '\r') {
            out.push(c);
        }
        is_inside ^= c == '"' && !is_escaped;
        is_escaped = is_inside && c == '\\' && !is_escaped;
    }
    out
}

fn required<'e>(
    name: &'static str,
    value: Option<&'e str>,
) -> Result<&'e str, PutEventsResultEntry> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| argument(name, &format!("{name} is a required argument")))
}

fn argument(name: &str, reason: &str) -> PutEventsResultEntry {
    PutEventsResultEntry::Refused {
        error_code: "InvalidArgument",
        error_message: format!("Parameter {name} is not valid. Reason: {reason}."),
    }
}

fn timestamp(seconds: f64) -> Option<Timestamp> {
    let nanoseconds = (seconds * 1e9).round();
    // The cast saturates, and what is out of range is refused.
    Timestamp::from_nanosecond(nanoseconds as i128).ok()
}

/// A time as envelopes have it: RFC 3339 with whole seconds.
fn seconds(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_nanosecond().div_euclid(1_000_000_000) as i64);
    whole.unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> PutEventsEntry {
        serde_json::from_str(json).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-25T15:17:06.987Z".parse().unwrap()
    }

    #[track_caller]
    fn refused(json: &str) -> String {
        let outcome = BusEvent::try_new(&entry(json), "us-east-1", now()).unwrap_err();
        serde_json::to_string(&outcome).unwrap()
    }

    #[test]
    fn the_envelope_is_compact_and_whole() {
        let entry = entry(
            r#"{"Time": 1764083826.75, "Source": "shop.\"o\"", "DetailType": "OrderPlacéd", "Resources": ["arn:x", "y"],
                "Detail": "{ \"total\": 1.50,\n \"a\": [1e2, \"\\u00e9 <b>\"], \"a\": null }"}"#,
        );
        let event = BusEvent::try_new(&entry, "eu-central-1", now()).unwrap();
        let text = |text: &str| text.replace(&event.id, "ID");
        insta::assert_snapshot!(text(&event.text), @r#"{"version":"0","id":"ID","detail-type":"OrderPlacéd","source":"shop.\"o\"","account":"000000000000","time":"2025-11-25T15:17:06Z","region":"eu-central-1","resources":["arn:x","y"],"detail":{"total":1.50,"a":[1e2,"\u00e9 <b>"],"a":null}}"#);
        insta::assert_snapshot!(text(&event.without_detail), @r#"{"id":"ID","account":"000000000000","detailType":"OrderPlacéd","time":"2025-11-25T15:17:06Z","source":"shop.\"o\"","region":"eu-central-1","resources":["arn:x","y"],"version":"0"}"#);
        assert_eq!(event.ingested, "2026-11-25T15:17:06Z");
        let detail = event.tree().unwrap().to_json();
        assert!(detail.contains(r#""a":[1e2,"é <b>"]"#), "{detail}");
    }

    #[test]
    fn details_keep_their_escapes() {
        for (detail, compacted) in [
            (
                r#"{ "a" : "\/ \u002f \" \\ " , "\u0061":1 }"#,
                r#"{"a":"\/ \u002f \" \\ ","\u0061":1}"#,
            ),
            (
                "{\r\n\t\"é\": \"\\ud83d\\ude00 \\t\"}",
                r#"{"é":"\ud83d\ude00 \t"}"#,
            ),
            (r#"{"a\\": [ "x" , " " ]}"#, r#"{"a\\":["x"," "]}"#),
        ] {
            assert_eq!(compact(detail), compacted);
        }
    }

    #[test]
    fn entries_that_are_no_events() {
        insta::assert_snapshot!(refused(r#"{"DetailType":"t","Detail":"{}"}"#), @r#"{"ErrorCode":"InvalidArgument","ErrorMessage":"Parameter Source is not valid. Reason: Source is a required argument."}"#);
        insta::assert_snapshot!(refused(r#"{"Source":"s","DetailType":"","Detail":"{}"}"#), @r#"{"ErrorCode":"InvalidArgument","ErrorMessage":"Parameter DetailType is not valid. Reason: DetailType is a required argument."}"#);
        insta::assert_snapshot!(refused(r#"{"Source":"s","DetailType":"t"}"#), @r#"{"ErrorCode":"InvalidArgument","ErrorMessage":"Parameter Detail is not valid. Reason: Detail is a required argument."}"#);
        insta::assert_snapshot!(refused(r#"{"Source":"aws.s3","DetailType":"t","Detail":"{}"}"#), @r#"{"ErrorCode":"NotAuthorizedForSourceException","ErrorMessage":"Not authorized for the source."}"#);
        for detail in ["[]", "\\\"text\\\"", "{", "null", "{} {}", "not json"] {
            let told = refused(&format!(
                r#"{{"Source":"s","DetailType":"t","Detail":"{detail}"}}"#
            ));
            assert!(told.contains("MalformedDetail"), "{detail}: {told}");
        }
        for time in ["1e300", "-1e300"] {
            let told = refused(&format!(
                r#"{{"Source":"s","DetailType":"t","Detail":"{{}}","Time":{time}}}"#
            ));
            assert!(told.contains("Parameter Time is not valid"), "{told}");
        }
    }
}
