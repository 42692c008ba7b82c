//! Patterns, targets and grants that no event or token can ever meet, and those that look like it and are right.

use super::{loaded, told};
use crate::config::fault::Severity;

/// The warnings of a configuration with one route; nothing but warnings is accepted.
#[track_caller]
fn warnings(route: &str) -> String {
    let text = format!("{CHANNELS}routes:\n  - {{ name: r, {route} }}\n");
    warnings_of(&text)
}

#[track_caller]
fn warnings_of(text: &str) -> String {
    let loaded = loaded(text, &[], &[]);
    assert!(loaded.config.is_some(), "{}", told(&loaded.faults));
    assert!(
        loaded
            .faults
            .iter()
            .all(|fault| fault.severity == Severity::Warning)
    );
    told(&loaded.faults)
}

const CHANNELS: &str = "channels: { order: { id: uuid }, depot: { id: { pattern: '[a-z]+' } } }\n";

#[track_caller]
fn pattern(pattern: &str, expected: &str) {
    let told = warnings(&format!("match: {pattern}, to: [a/x]"));
    match expected {
        "" => assert_eq!(told, "", "{pattern}"),
        expected => assert!(told.contains(expected), "{pattern}: {told}"),
    }
}

#[test]
fn members_that_no_event_has() {
    let no = |name: &str, meant: &str| {
        format!(
            "no-such-field: `{name}` can never match: no EventBridge event has a member `{name}`; help: did you mean `{meant}`?"
        )
    };
    pattern(
        "{ source: [s], detailType: [X] }",
        &no("detailType", "detail-type"),
    );
    pattern("{ Source: [s] }", &no("Source", "source"));
    pattern(
        "{ source: [s], detail_type: [X] }",
        &no("detail_type", "detail-type"),
    );
    pattern("{ resource: [s] }", &no("resource", "resources"));
    pattern(
        "{ source: [s], $or: [{ detail: { a: [1] } }, { detial: { a: [1] } }] }",
        "`detial` can never match: no EventBridge event has a member `detial`; help: did you mean `detail`?",
    );
    pattern(
        "{ source: [s], $or: [{ region: [eu-west-1] }, { Region: [eu-west-1] }] }",
        &no("Region", "region"),
    );
    pattern(
        "{ orderId: ['1'] }",
        "a platform's own data is below `detail`, as in `detail.orderId`",
    );
    pattern(
        "{ Data: { a: [1] } }",
        "`Data` can never match: `Data` of a version-2 delivery is read as `detail`; help: did you mean `detail`?",
    );
    pattern(
        "{ source: [s], detailType: [{ exists: false }] }",
        "`detailType` always holds",
    );
    pattern(
        r#"'{"source":["s"],"DetailType":["X"]}'"#,
        &no("DetailType", "detail-type"),
    );
    pattern(
        "{ detail.orderId: ['1'], detial.state: [x] }",
        "`detial.state`",
    );
    for fine in [
        "{ source: [s], detail-type: [X], detail: { detailType: [X], source: { x: [1] } } }",
        "{ version: ['0'], id: [a], time: [{ prefix: '2026' }], resources: [{ prefix: 'arn:' }] }",
        "{ account: ['123456789012'], region: [{ anything-but: [eu-west-1] }] }",
        "{ replay-name: [{ exists: false }], source: [s] }",
        "{ SystemMetadata: { aws:DeliveryType: [LIVE] }, Metadata: { tenant: [a] } }",
        "{ detail.orderId: ['1'] }",
        "{ detail-type: [{ exists: false }] }",
    ] {
        pattern(fine, "");
    }
}

#[test]
fn values_that_a_member_never_has() {
    pattern(
        "{ source: { name: [s] } }",
        "`source.name` can never match: `source` is text in every event, and has no members; help: did you mean `source`?",
    );
    pattern(
        "{ resources: { arn: [s] } }",
        "`resources.arn` can never match",
    );
    pattern(
        "{ detail-type: { x: { y: [s] } } }",
        "`detail-type.x` can never match",
    );
    pattern(
        "{ account: [123456789012] }",
        "never-matches: `account` can never be 123456789012: it is text in every event, and text never equals a number; help: write it in quotes: \"123456789012\"",
    );
    pattern("{ version: [0] }", "`version` can never be 0");
    pattern("{ source: [true] }", "`source` can never be true");
    pattern(
        "{ time: [{ numeric: ['>', 5] }] }",
        "`numeric` compares numbers",
    );
    pattern("{ source: [null] }", "`source` can never be null");
    pattern("{ id: [{ exists: false }] }", "every event has it");
    pattern("{ account: ['1234-5678-9012'] }", "has 12 digits");
    pattern("{ account: [{ anything-but: [1] }] }", "excludes nothing");
    pattern("{ region: [EU-WEST-1] }", "such as eu-west-1");
    pattern("{ region: [eu_west_1] }", "such as eu-west-1");
    pattern("{ resources: [17] }", "`resources` can never be 17");
    pattern("{ detail: { account: [123], region: [EU] } }", "");
}

#[test]
fn a_raw_body_may_have_any_member() {
    let text = "envelope: raw\nroutes:\n  - { name: r, match: { detailType: [X], source: { x: [1] }, account: [7] }, to: ['a/{detial.x}', 'a/{source.x}'] }\n";
    assert_eq!(warnings_of(text), "");
}

#[test]
fn repeated_keys_of_a_pattern() {
    let error = |pattern: &str| {
        let text = format!("routes:\n  - name: r\n    to: [a/x]\n    match: {pattern}\n");
        let loaded = loaded(&text, &[], &[]);
        assert!(loaded.config.is_none(), "{pattern}");
        told(&loaded.faults)
    };
    insta::assert_snapshot!(error(r#"'{"source":["a"],"source":["b"]}'"#), @"eventcast.yaml:4:12 repeated-key: the key `source` of the pattern is repeated: line 1, column 2 of its JSON and line 1, column 17 of its JSON; help: JSON keeps the last one only; write all values in one list, or use `$or`");
    insta::assert_snapshot!(error("\n      source: [a]\n      source: [b]"), @"eventcast.yaml:6:7 repeated-key: the key `source` of the pattern is repeated: line 5 and line 6; help: JSON keeps the last one only; write all values in one list, or use `$or`");
    insta::assert_snapshot!(error("|\n      {\"detail\": {\"a\": [1],\n       \"a\": [2]}}"), @"eventcast.yaml:5:7 repeated-key: the key `a` of the pattern is repeated: line 1, column 13 of its JSON and line 2, column 2 of its JSON; help: JSON keeps the last one only; write all values in one list, or use `$or`");
    let twice = error("{ detail: { a: [{ prefix: x, prefix: y }] } }");
    assert!(
        twice.contains("the key `prefix` of the pattern is repeated: line 4 and line 4"),
        "{twice}"
    );
}

#[track_caller]
fn target(target: &str, expected: &str) {
    let told = warnings(&format!("match: {{ source: [s] }}, to: [{target:?}]"));
    match expected {
        "" => assert_eq!(told, "", "{target}"),
        expected => assert!(told.contains(expected), "{target}: {told}"),
    }
}

#[test]
fn fields_that_no_target_can_have() {
    target(
        "trip/{detial.tripId}",
        "no-such-field: target `trip/{detial.tripId}`: `{detial.tripId}` can never be filled in: no EventBridge event has a member `detial`; help: did you mean `{detail.tripId}`?",
    );
    target("order:{detailType}", "did you mean `{detail-type}`?");
    target("a/{orderId}", "as in `{detail.orderId}`");
    target(
        "a/{source.name}",
        "`source` is text in every event, and has no members",
    );
    target("a/{detail-type[*].y}", "`detail-type` is text");
    target("a/{resources.x}", "`resources` is a list of text");
    target(
        "a/{resources[*].arn|encode}",
        "`resources` is a list of text",
    );
    target("a/{source[*]}", "`{source[*]}` picks elements");
    target("a/{$.region[0]}", "`{$.region[0]}` picks elements");
    target("a/{Data.orderId}", "did you mean `{detail.orderId}`?");
    target("a/{SystemMetadata.aws:EventId}", "did you mean `{id}`?");
    target("a/{detial.x|default:none}", "is always `none`");
    for fine in [
        "a/{detail.x.y[*].z}",
        "a/{source}",
        "a/{$.detail.x}",
        "a/{resources[*]|encode}",
        "a/{resources[0]|path}",
        "a/{detail-type|lower|default:none}",
        "a/{aws.events.rule-name}",
        "a/{Metadata.tenant}",
        "order:{id}",
        "depot:{detail.x}",
        "order:{detail.a}-{detail.b}",
    ] {
        target(fine, "");
    }
}

#[test]
fn ids_that_a_channel_never_has() {
    target(
        "order:{account}",
        "never-fits: target `order:{account}`: no id of channel `order` can be made of it: `account` is never a UUID; accepted: ids of the format uuid",
    );
    target("order:x-{detail.id}", "`x-` has `x`, and a UUID has none");
    target("order:17", "`17` is none");
    target("depot:HERE", "`HERE` is none");
    target("order:{time}", "`time` is never a UUID");
    target("depot:here", "");
    target("depot:{account}", "");
}

#[test]
fn placeholders_of_other_tools() {
    target(
        "orders/${detail.orderId}",
        "foreign-placeholder: target `orders/${detail.orderId}`: `${detail.orderId}` is a placeholder of shells, JavaScript, Serverless and IoT SQL, not of eventcast; help: here it is {detail.orderId}",
    );
    target(
        "orders/{{detail.orderId}}",
        "help: here it is {detail.orderId}",
    );
    target(
        "orders/<detail.orderId>",
        "EventBridge's input transformers",
    );
    target(
        "order:${detail.orderId}",
        "help: here it is {detail.orderId}",
    );
    target("orders/:orderId", "web routers");
    target("orders/{{today}}/{detail.orderId}", "");
    let text = "routes:\n  - { name: r, match: { source: [s] }, to: ['a/#{detail.x}'] }\n";
    let faults = told(&loaded(text, &[], &[]).faults);
    assert!(
        faults.contains("`#{detail.x}` is a placeholder of Ruby and Spring; here it is {detail.x}"),
        "{faults}"
    );
    let roles = "routes: [{ name: r, match: { source: [s] }, to: [a/x] }]\nchannels: { user: { id: uuid } }\nroles:\n  a: { bind: 'user:{claims.sub}', subscribe: ['orders/<claims.order>'] }\n";
    let faults = warnings_of(roles);
    assert!(
        faults.contains("help: here it is {claims.order}"),
        "{faults}"
    );
}

#[test]
fn merge_keys_and_extensions() {
    let text = "x-orders: &orders\n  match: { source: [shop.orders] }\n  qos: 0\nx-note: anything\nroutes:\n  - <<: *orders\n    name: a\n    to: [a/x]\n  - <<: [*orders, { retain: true }]\n    name: b\n    x-owner: orders team\n    qos: 1\n    to: [b/x]\nbridge: { x-why: [1, 2] }\n";
    let loaded = loaded(text, &[], &[]);
    assert_eq!(told(&loaded.faults), "");
    let routes = loaded.config.unwrap().routes;
    assert_eq!(
        routes
            .iter()
            .map(|route| (route.qos, route.retain))
            .collect::<Vec<_>>(),
        [
            (crate::route::publication::Qos::AtMostOnce, false),
            (crate::route::publication::Qos::AtLeastOnce, true)
        ]
    );
}

#[test]
fn a_bad_id_pattern_is_one_fault() {
    let text = "channels: { user: { id: { pattern: '[a-z' } } }\nroutes:\n  - { name: r, match: { source: [s] }, to: ['user:{detail.u}', 'user:x'] }\nroles: { a: { bind: 'user:{claims.sub}', subscribe: ['user:*', 'user:{claims.o}', 'user:x'] } }\n";
    insta::assert_snapshot!(told(&loaded(text, &[], &[]).faults), @"eventcast.yaml:1:36 bad-id-format: id pattern `[a-z` is not a regular expression; accepted: a regular expression that an id matches as a whole; help: unclosed character class");
}

#[test]
fn findings_are_bounded() {
    let keys: String = (0..5_000).map(|key| format!("k{key}: 1\n")).collect();
    let faults = loaded(
        &format!("routes: [{{ name: r, match: {{ source: [s] }}, to: [a] }}]\n{keys}"),
        &[],
        &[],
    )
    .faults;
    assert_eq!(faults.len(), 1_001);
    assert_eq!(faults[1_000].message, "4000 more findings are not shown");
}
