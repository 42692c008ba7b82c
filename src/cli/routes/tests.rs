//! Explanations of events, and faults of a configuration, as people and programs read them.

use super::*;
use crate::config::{ConfigSource, load};

const CONFIG: &str = r#"
channels:
  order: { id: uuid }
routes:
  - name: orders
    match: { source: [shop.orders], detail-type: [OrderPlaced] }
    to: ["order:{detail.orderId}", "status/{detail.state|default:none}"]
    expires: 5m
  - name: strict
    match: { source: [shop.orders] }
    to: ["courier/{detail.courierId}"]
  - name: payments
    match: { source: [{ prefix: shop.pay }] }
    to: [payments]
"#;
const EVENT: &str = r#"{"id":"e1","source":"shop.orders","detail-type":"OrderPlaced","time":"2026-11-24T10:00:00Z","detail":{"orderId":"5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11"}}"#;

fn config() -> Config {
    let source = ConfigSource {
        file: "eventcast.yaml",
        text: CONFIG,
        ..ConfigSource::default()
    };
    load(&source).config.unwrap()
}

#[test]
fn explained_as_text() {
    let explanation = explained(&config(), &Bytes::from(EVENT), None).unwrap();
    let mut out = Vec::new();
    write_text(&explanation, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn explained_as_json() {
    let explanation = explained(&config(), &Bytes::from(EVENT), None).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&explanation).unwrap());
}

fn text_of(event: &str) -> String {
    let explanation = explained(&config(), &Bytes::copy_from_slice(event.as_bytes()), None);
    let mut out = Vec::new();
    write_text(&explanation.unwrap(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_list_without_elements_and_a_replay_are_explained() {
    let fans_out = CONFIG.replace("[payments]", "[\"watch/{detail.watchers[*].id}\"]");
    let source = ConfigSource {
        file: "eventcast.yaml",
        text: &fans_out,
        ..ConfigSource::default()
    };
    let config = load(&source).config.unwrap();
    let event = r#"{"id":"\u001b[31me1","source":"shop.payments","detail-type":"Paid","detail":{"watchers":[]}}"#;
    let explanation = explained(&config, &Bytes::from(event), None).unwrap();
    assert!(!explanation.publishes());
    let mut out = Vec::new();
    write_text(&explanation, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("event \\u{1b}[31me1: Paid"), "{text}");
    assert!(
        text.contains(
            "  watch/{detail.watchers[*].id}: no message: `detail.watchers` is an empty array\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("\ndeleted: nothing to publish\n"), "{text}");
    let replayed = EVENT.replacen('{', r#"{"replay-name":"incident-42","#, 1);
    let text = text_of(&replayed);
    assert!(
        text.contains("replay: the event is replayed from an archive"),
        "{text}"
    );
    assert!(
        text.ends_with("\ndeleted: routes hold back an event that is replayed from an archive\n"),
        "{text}"
    );
}

#[test]
fn an_event_comes_from_standard_input() {
    let body = event_body("-", Some("[1]".as_bytes())).unwrap();
    assert_eq!(&body[..], b"[1]");
    assert_eq!(&event_body(" [2]", None::<&[u8]>).unwrap()[..], b" [2]");
    assert!(event_body("-", None::<&[u8]>).is_err());
}

#[test]
fn moments() {
    assert_eq!("now".parse(), Ok(ExplainTime::Now));
    assert_eq!("event".parse(), Ok(ExplainTime::Event));
    assert_eq!("event".parse::<ExplainTime>().unwrap().time(), None);
    let time = "2026-11-27T10:00:00Z";
    assert_eq!(time.parse(), Ok(ExplainTime::Time(time.parse().unwrap())));
    assert!("yesterday".parse::<ExplainTime>().is_err());
}

#[test]
fn what_is_no_event_is_said() {
    let refusal = explained(&config(), &Bytes::from("{}"), None).unwrap_err();
    assert_eq!(refusal.reason, "not_an_event");
}

#[test]
fn faults_are_shown_with_their_line() {
    let text = CONFIG.replace("expires: 5m", "expries: 5m");
    let source = ConfigSource {
        file: "eventcast.yaml",
        text: &text,
        ..ConfigSource::default()
    };
    let mut out = Vec::new();
    for fault in load(&source).faults {
        render_in(Palette::PLAIN, &fault, &text, &mut out).unwrap();
    }
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}
