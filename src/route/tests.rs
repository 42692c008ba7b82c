//! Routes from end to end: patterns and targets in, publications out.

mod fan_out;

use std::sync::Arc;

use bytes::Bytes;

use super::oversize::{Oversize, Projection};
use super::payload::PayloadShape;
use super::publication::Qos;
use super::table::{OnInvalidTopic, Route, RouteRefusal, RouteTable, RoutingResult};
use super::target::TopicTarget;
use crate::channel::{ChannelKind, IdFormat, Kinds};
use crate::event::envelope::{Envelope, MessageOrigin};
use crate::event::pattern::Pattern;

const UUID: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

fn kinds() -> Kinds {
    let kind = |name: &str, id| (name.into(), ChannelKind::try_new(name, id).unwrap());
    [
        kind("order", IdFormat::Uuid),
        kind("user", IdFormat::pattern("[a-z0-9]+").unwrap()),
    ]
    .into()
}

fn route(name: &str, targets: &[&str]) -> Route {
    Route {
        name: Arc::from(name),
        pattern: Pattern::parse(r#"{"source":["shop"]}"#).unwrap(),
        targets: targets
            .iter()
            .map(|text| TopicTarget::parse(text, &kinds()).unwrap())
            .collect(),
        payload: PayloadShape::Event,
        oversize: Oversize::DeadLetter,
        qos: Qos::AtLeastOnce,
        retain: false,
        expires: None,
        conflate: false,
        order: None,
        replay: false,
        on_invalid_topic: OnInvalidTopic::DeadLetter,
    }
}

fn event(detail: &str) -> Bytes {
    format!(r#"{{"id":"e1","source":"shop","detail-type":"T","time":"2026-11-24T10:00:00Z","detail":{detail}}}"#).into()
}

fn routed(routes: Vec<Route>, body: &Bytes) -> Result<RoutingResult, RouteRefusal> {
    RouteTable::new(routes, Envelope::EventBridge, None).route(body, "m1")
}

#[track_caller]
fn topics(target: &str, detail: &str) -> Vec<String> {
    let routed = routed(vec![route("r", &[target])], &event(detail)).unwrap();
    assert_eq!(routed.empty == 1, routed.publications.is_empty());
    routed
        .publications
        .iter()
        .map(|publication| publication.topic.to_string())
        .collect()
}

#[track_caller]
fn refusal(target: &str, detail: &str) -> String {
    let refusal = routed(vec![route("r", &[target])], &event(detail)).unwrap_err();
    format!("{}: {}", refusal.reason, refusal.detail)
}

#[test]
fn values_become_topics() {
    assert_eq!(topics("a/{detail.x}", r#"{"x":"y"}"#), ["a/y"]);
    assert_eq!(topics("a/{detail.x}", r#"{"x":42}"#), ["a/42"]);
    assert_eq!(topics("a/{detail.x}", r#"{"x":true}"#), ["a/true"]);
    assert_eq!(topics("a/{detail.x.y}", r#"{"x.y":"z"}"#), ["a/z"]);
    assert_eq!(
        topics("a/{source}/{aws.events.rule-name}", "{}"),
        ["a/shop/r"]
    );
    assert_eq!(
        topics("order:{detail.id}", &format!(r#"{{"id":"{UUID}"}}"#)),
        [format!("order/{UUID}")]
    );
    assert_eq!(topics(r#"a/{detail."x y"}"#, r#"{"x y":"z"}"#), ["a/z"]);
}

#[test]
fn filters() {
    assert_eq!(topics("a/{detail.x|lower}", r#"{"x":"ÄB"}"#), ["a/äb"]);
    assert_eq!(
        topics("a/{detail.x|encode}", r##"{"x":"$1/2+3%#\n"}"##),
        ["a/%241%2F2%2B3%25%23%0A"]
    );
    assert_eq!(topics("a/{detail.x|path}", r#"{"x":"1/2"}"#), ["a/1/2"]);
    assert_eq!(topics("a/{detail.x|default:none}", "{}"), ["a/none"]);
    assert_eq!(
        topics("a/{detail.x|default:none}", r#"{"x":null}"#),
        ["a/none"]
    );
    assert_eq!(
        topics("a/{detail.x|default:none}", r#"{"x":1.5}"#),
        ["a/none"]
    );
}

#[test]
fn arrays_fan_out() {
    let detail = r#"{"w":[{"id":"a","n":"1"},{"id":"b"},{"id":"a","n":"3"}],"t":["x","y"]}"#;
    assert_eq!(
        topics("user:{detail.w[*].id}", detail),
        ["user/a", "user/b"]
    );
    assert_eq!(
        topics("a/{detail.w[*].id}/{detail.w[*].n}", detail),
        ["a/a/1", "a/a/3"]
    );
    assert_eq!(
        topics("a/{detail.w[*].id}/{detail.w[*].n|default:0}", detail),
        ["a/a/1", "a/b/0", "a/a/3"]
    );
    assert_eq!(
        topics("a/{detail.t[*]}/{detail.t[*]}", detail),
        ["a/x/x", "a/y/y"]
    );
    assert_eq!(
        topics("a/{detail.t[*]}/{detail.w[*].n}", detail),
        ["a/x/1", "a/x/3", "a/y/1", "a/y/3"]
    );
    assert_eq!(topics("a/{detail.t[1]}", detail), ["a/y"]);
    assert_eq!(
        topics("a/{detail.w[0].id}/{detail.w[1].id}", detail),
        ["a/a/b"]
    );
}

#[test]
fn refusals() {
    insta::assert_snapshot!(refusal("a/{detail.x}", "{}"), @"template_missing: {detail.x}: the event has no `detail.x`");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":[]}"#), @"template_missing: {detail.x}: `detail.x` is an empty array");
    insta::assert_snapshot!(refusal("a/{detail.x.y}", r#"{"x":"{\"y\":1}"}"#), @"template_missing: {detail.x.y}: `detail.x` is text, JSON in a string");
    insta::assert_snapshot!(refusal("a/{detail.t[3]}", r#"{"t":[1]}"#), @"template_missing: {detail.t[3]}: the event's arrays have no such element");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":null}"#), @"value_type: {detail.x}: the value is null; a topic takes text, whole numbers and booleans");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":{"y":1}}"#), @"value_type: {detail.x}: the value is an object; a topic takes text, whole numbers and booleans");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":1e3}"#), @"value_type: {detail.x}: the value is a number with a fraction or an exponent; a topic takes text, whole numbers and booleans");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":"1/../admin"}"#), @"value_rejected: {detail.x}: the value has a `/`, which would add a level: `1/../admin`");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":""}"#), @"value_rejected: {detail.x}: the value is empty: ``");
    insta::assert_snapshot!(refusal("a/{detail.x}", r##"{"x":"a#"}"##), @"value_rejected: {detail.x}: the value has the wildcard `#`: `a#`");
    insta::assert_snapshot!(refusal("a/{detail.x|path}", r#"{"x":"a//b"}"#), @"value_rejected: {detail.x|path}: the value is empty: `a//b`");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":"\ud83d"}"#), @"value_type: {detail.x}: the value is text with a lone surrogate; a topic takes text, whole numbers and booleans");
    insta::assert_snapshot!(refusal("order:{detail.x}", r#"{"x":"17"}"#), @"channel_id: order:{detail.x}: `17` is no id of channel `order`, which wants uuid");
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(300));
    insta::assert_snapshot!(refusal("a/{detail.x}", &long), @"topic_rejected: a/{detail.x}: the topic is 302 bytes long; IoT Core takes 256");
    let deep = r#"{"x":"1/2/3/4/5/6/7/8"}"#;
    insta::assert_snapshot!(refusal("a/{detail.x|path}", deep), @"topic_rejected: a/{detail.x|path}: the topic has 8 slashes; IoT Core takes 7");
    let many = format!(
        r#"{{"x":[{}]}}"#,
        (0..65).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    );
    insta::assert_snapshot!(refusal("a/{detail.x[*]}", &many), @"too_many_topics: a/{detail.x[*]}: more than 64 topics");
    let same = format!(r#"{{"x":[{0}],"y":[{0}]}}"#, vec!["1"; 1_000].join(","));
    insta::assert_snapshot!(refusal("a/{detail.x[*]}/{detail.y[*]}", &same), @"too_many_topics: a/{detail.x[*]}/{detail.y[*]}: more than 64 topics");
}

#[test]
fn payloads() {
    let body = event(r#"{ "n": 1.50 }"#);
    let payload = |payload| {
        let route = Route {
            payload,
            ..route("r", &["a"])
        };
        let publication = routed(vec![route], &body).unwrap().publications.remove(0);
        (
            publication.content_type,
            String::from_utf8(publication.payload.to_vec()).unwrap(),
        )
    };
    assert_eq!(
        payload(PayloadShape::Event),
        (
            "application/json",
            String::from_utf8(body.to_vec()).unwrap()
        )
    );
    assert_eq!(
        payload(PayloadShape::Detail),
        ("application/json", r#"{ "n": 1.50 }"#.into())
    );
    insta::assert_snapshot!(payload(PayloadShape::CloudEvents).1, @r#"{"specversion":"1.0","id":"e1","source":"shop","type":"T","time":"2026-11-24T10:00:00Z","datacontenttype":"application/json","data":{ "n": 1.50 }}"#);
}

#[test]
fn too_large_a_payload_is_refused() {
    let detail = format!(r#"{{"x":"{}"}}"#, "x".repeat(128 * 1024));
    assert!(refusal("a", &detail).starts_with("too_large: "));
}

#[test]
fn what_an_invalid_topic_means_is_the_routes_choice() {
    let with = |choice| {
        let bad = Route {
            on_invalid_topic: choice,
            ..route("bad", &["a/{detail.x}"])
        };
        routed(vec![bad, route("good", &["b"])], &event("{}"))
    };
    let skipped = with(OnInvalidTopic::Skip).unwrap();
    assert_eq!((skipped.publications.len(), skipped.skipped.len()), (1, 1));
    let refused = with(OnInvalidTopic::DeadLetter).unwrap_err();
    assert_eq!(refused.route.as_deref(), Some("bad"));
    assert_eq!(refused.reason, "template_missing");
}

#[test]
fn an_event_has_a_cap_of_its_own() {
    let ids: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    let body = event(&format!(r#"{{"x":[{}]}}"#, ids.join(",")));
    let routes = (0..5)
        .map(|n| route(&format!("r{n}"), &["a/{detail.x[*]}"]))
        .collect();
    assert_eq!(routed(routes, &body).unwrap_err().reason, "too_many_topics");
}

#[test]
fn replays_are_pushed_only_where_asked() {
    let version_2 = r#"{"Data":{},"SystemMetadata":{"aws:EventId":"e","aws:Source":"shop","aws:DetailType":"T","aws:DeliveryType":"REPLAY"}}"#;
    let classic =
        r#"{"id":"e","source":"shop","detail-type":"T","replay-name":"incident-42","detail":{}}"#;
    for body in [version_2, classic] {
        let quiet = routed(vec![route("r", &["a"])], &Bytes::from(body)).unwrap();
        let held_back = RoutingResult {
            held_back: 1,
            ..RoutingResult::default()
        };
        assert_eq!(quiet, held_back);
        let loud = Route {
            replay: true,
            ..route("r", &["a"])
        };
        let routed = routed(vec![loud], &Bytes::from(body)).unwrap();
        assert_eq!(routed.publications.len(), 1);
    }
}

#[test]
fn the_environment_is_the_first_level() {
    let table = RouteTable::new(
        vec![route("r", &["a"])],
        Envelope::EventBridge,
        Some("prod"),
    );
    let routed = table.route(&event("{}"), "m1").unwrap();
    assert_eq!(routed.publications[0].topic.as_str(), "prod/a");
    let properties: Vec<_> = routed.publications[0]
        .user_properties()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        properties,
        [
            "eb-id=e1",
            "eb-source=shop",
            "eb-detail-type=T",
            "eb-time=2026-11-24T10:00:00Z",
            "eb-route=r"
        ]
    );
}

#[test]
fn what_is_no_event_is_refused() {
    let refused = routed(vec![], &Bytes::from("hello")).unwrap_err();
    assert_eq!(refused.reason, "not_an_event");
}

fn large() -> Bytes {
    let blob = "x".repeat(130 * 1024);
    event(&format!(
        r#"{{"orderId":"{UUID}","blob":"{blob}","total":1.50}}"#
    ))
}

/// Returns the payload that a route with a payload shape sends of an event that is too large.
fn stands_in(payload: PayloadShape, oversize: Oversize) -> serde_json::Value {
    let route = Route {
        payload,
        oversize,
        ..route("r", &["a"])
    };
    let routed = routed(vec![route], &large()).unwrap();
    let publication = &routed.publications[0];
    let marks: Vec<_> = publication
        .user_properties()
        .filter(|(name, _)| *name == "eb-oversize")
        .collect();
    assert_eq!(marks.len(), 1);
    serde_json::from_slice(&publication.payload).unwrap()
}

#[test]
fn an_oversize_event_is_cut_to_named_fields() {
    let project = || {
        let paths = ["detail.orderId", "detail.total"];
        Oversize::Project(Projection::parse(paths).unwrap())
    };
    let detail = serde_json::json!({ "orderId": UUID, "total": 1.5 });
    let event = stands_in(PayloadShape::Event, project());
    assert_eq!((&event["detail"], &event["id"]), (&detail, &"e1".into()));
    assert_eq!(stands_in(PayloadShape::Detail, project()), detail);
    let cloud_event = stands_in(PayloadShape::CloudEvents, project());
    assert_eq!(
        (&cloud_event["data"], &cloud_event["type"]),
        (&detail, &"T".into())
    );
}

#[test]
fn an_oversize_event_becomes_a_pointer() {
    let bytes = large().len();
    let pointer = serde_json::json!({ "oversize": { "id": "e1", "bytes": bytes } });
    assert_eq!(
        stands_in(PayloadShape::Event, Oversize::Pointer)["detail"],
        pointer
    );
}

#[test]
fn what_stays_too_large_is_a_dead_letter() {
    let blob = Oversize::Project(Projection::parse(["detail.blob"]).unwrap());
    for (oversize, told) in [
        (Oversize::DeadLetter, "the payload has"),
        (blob, "what stands in for the payload has"),
    ] {
        let route = Route {
            oversize,
            ..route("r", &["a"])
        };
        let refusal = routed(vec![route], &large()).unwrap_err();
        assert_eq!(refusal.reason, "too_large");
        assert!(refusal.detail.starts_with(told), "{}", refusal.detail);
    }
}

#[test]
fn trace_context_of_the_event_comes_before_the_message_s() {
    let table = RouteTable::new(vec![route("r", &["a"])], Envelope::EventBridge, None);
    let message = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let own = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let origin = MessageOrigin {
        message_id: "m1",
        traceparent: Some(message),
    };
    for (detail, expected) in [
        ("{}".to_owned(), message),
        (r#"{"traceparent":"nonsense"}"#.to_owned(), message),
        (format!(r#"{{"traceparent":"{own}"}}"#), own),
    ] {
        let routed = table.route(&event(&detail), origin).unwrap();
        let mut properties = routed.publications[0].user_properties();
        let traceparent = properties.find(|(name, _)| *name == "traceparent");
        assert_eq!(traceparent, Some(("traceparent", expected)), "{detail}");
    }
}
