//! Manifests that are read, and every message about those that are not.

use super::*;

fn told(file: &str, text: &str) -> String {
    let lines: Vec<String> = match read(file, text) {
        Ok(manifest) => vec![format!("{manifest:#?}")],
        Err(faults) => faults
            .iter()
            .map(|fault| {
                format!(
                    "{} {}: {} | accepted: {} | help: {}",
                    fault.place,
                    fault.code,
                    fault.message,
                    fault.accepted.as_deref().unwrap_or("-"),
                    fault.help.as_deref().unwrap_or("-"),
                )
            })
            .collect(),
    };
    lines.join("\n")
}

const GOOD: &str = r##"
feature: order-tracking
owner: team-orders
platform: { config: platform/eventcast.yaml, quotas: { outbound_per_second: 30000 } }
channels:
  - channel: "order:{orderId}"
    about: where an order is
    audience: { customer: own, support: all }
    delivery: { qos: 1, expires: 5m, conflate: false }
    scale: { peak_per_second: 10, subscribers: 3 }
    snapshot: GET /orders/{orderId}
    fallback: gateway
  - channel: tenant/{tenantId}/area/{area}
    audience: { manager: [tenantId] }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderPlaced
    to: ["order:{id}", "tenant/{tenantId}/area/{area}"]
    schema:
      $defs: { money: { type: integer } }
      type: object
      required: [orderId, total]
      properties: { orderId: { type: string }, total: { $ref: "#/$defs/money" } }
    examples:
      - detail: { orderId: o-1, total: 1000000000000000000000 }
        time: 2026-11-27T10:00:00Z
        expect: ["order:o-1"]
      - body: { source: x, detail: { orderId: o-2, total: 1 } }
    counter_examples:
      - { source: shop.cart, detail: {} }
claims:
  customer: { sub: u-1, orders: [o-1] }
"##;

#[test]
fn what_is_read() {
    let manifest = read(
        "realtime.yaml",
        &GOOD.replace("1000000000000000000000", "7"),
    )
    .unwrap();
    assert_eq!(manifest.channels.len(), 2);
    let event = &manifest.events[0];
    assert_eq!(event.to, [0, 1]);
    let example = &event.examples[0];
    assert!(
        example
            .body
            .contains(r#""detail":{"orderId":"o-1","total":7}"#),
        "{}",
        example.body
    );
    assert!(
        example.body.contains(r#""source":"shop.orders""#),
        "{}",
        example.body
    );
    assert_eq!(example.expect[0].topic, "order/o-1");
    assert_eq!(event.counter_examples.len(), 1);
    let schema = event.schema.as_ref().unwrap();
    assert_eq!(schema.written["properties"]["total"]["type"], "integer");
    assert_eq!(
        manifest.channels[0].delivery.expires,
        Some(Duration::from_secs(300))
    );
    assert_eq!(manifest.platform.quotas.outbound_per_second, Some(30_000));
    assert_eq!(manifest.claims["customer"]["sub"], "u-1");
}

#[test]
fn every_fault_is_reported_at_once() {
    insta::assert_snapshot!(told(
        "realtime.yaml",
        r##"
version: 2
featur: x
platform: { config: ../eventcast.yaml, sha256: abc, quotas: { outbound: 1 } }
channels:
  - channel: order:{orderId}
    audience: []
  - channel: "order:{detail.id}"
    audience: customer
  - channel: "order:{a}"
    audience: { customer: some, support: [b], x: own }
    delivery: { qos: 2, expires: soon }
    scale: { peak: 1 }
    fallback: maybe
  - channel: "order:{b}"
    audience: [customer, customer, 7]
  - { channel: "depot:{d}", audience: [x] }
events:
  - name: one
    source: shop.orders
    detail-type: OrderPlaced
    to: ["order:{a}", "orders:{a}"]
    schema: { type: objekt, properties: [a], items: 7, required: [1], allOf: [{ $ref: "#/nowhere" }] }
    examples: [{ detial: {} }, 7, { detail: {}, body: {} }, { detail: 1e999 }, { detail: {}, expect: ["order:{a}"] }]
  - name: one
    source: ""
    detail-type: X
    to: []
    examples: []
claims: { customer: 7 }
"##
    ));
}

#[test]
fn examples_are_of_their_schema() {
    let of = |detail: &str| {
        told(
            "r.yaml",
            &GOOD.replace("{ orderId: o-1, total: 1000000000000000000000 }", detail),
        )
    };
    insta::assert_snapshot!(
        [
            "{ total: 1 }",
            "{ orderId: 1, total: x }",
            "[]",
            "{ orderId: o-1, total: 1.5 }"
        ]
        .map(of)
        .join("\n")
    );
}

#[test]
fn what_is_no_manifest() {
    for (text, wanted) in [
        ("", "the file has no `feature`"),
        ("a: [", "not YAML"),
        ("- a", "`` is a list"),
        ("asyncapi: 2.6.0", "`asyncapi` is `2.6.0`"),
        ("asyncapi: 3.0.0", "the document has no `x-realtime`"),
        (
            "asyncapi: 3.1.0\nx-realtime: { feature: f, platform: { config: e } }",
            "no channel has `x-realtime`",
        ),
    ] {
        let told = told("r.yaml", text);
        assert!(told.contains(wanted), "{text}: {told}");
    }
}

/// Schemas that refer to themselves, and files made to take long.
#[test]
fn work_is_bounded() {
    let own = GOOD.replace(
        "{ type: integer }",
        "{ properties: { a: { $ref: \"#/$defs/money\" } } }",
    );
    assert!(
        told("r.yaml", &own).contains("refers to itself"),
        "{}",
        told("r.yaml", &own)
    );
    let wide =
        "{ a: { $ref: \"#/$defs/a\" }, b: { $ref: \"#/$defs/a\" }, c: { $ref: \"#/$defs/a\" } }";
    let own = GOOD.replace(
        "$defs: { money: { type: integer } }",
        &format!("$defs: {{ money: {{ type: integer }}, a: {{ properties: {wide} }} }}\n      not: {{ $ref: \"#/$defs/a\" }}"),
    );
    // A schema that is only kept, and never judged, has no end either.
    assert!(
        read("r.yaml", &own).is_err() || read("r.yaml", &own).unwrap().events[0].schema.is_none()
    );
}

const ASYNCAPI: &str = r##"{
  "asyncapi": "3.0.0",
  "info": { "title": "Order tracking", "version": "1.0.0" },
  "x-realtime": { "owner": "team-orders", "platform": { "config": "eventcast.yaml" } },
  "channels": {
    "order": {
      "address": "order/{orderId}",
      "summary": "where an order is",
      "parameters": { "orderId": {} },
      "messages": { "placed": { "$ref": "#/components/messages/placed" } },
      "x-realtime": { "audience": ["customer"], "delivery": { "qos": 1 } }
    },
    "user": {
      "address": "user/{userId}",
      "messages": { "placed": { "$ref": "#/components/messages/placed" } },
      "x-realtime": { "channel": "user:{userId}", "audience": { "customer": "own" } }
    },
    "queue": { "address": "sqs-queue", "messages": { "other": { "payload": {} } } }
  },
  "components": {
    "messages": {
      "placed": {
        "name": "order-placed",
        "payload": { "type": "object", "properties": { "detail": { "$ref": "#/components/schemas/order" } } },
        "examples": [ { "payload": { "detail": { "orderId": "o-1" } } } ],
        "x-realtime": { "source": "shop.orders", "detail-type": "OrderPlaced", "counter_examples": [ { "detail": { "orderId": "o-2" } } ] }
      }
    },
    "schemas": { "order": { "type": "object", "required": ["orderId"], "properties": { "orderId": { "type": "string" } } } }
  }
}"##;

#[test]
fn asyncapi_documents_are_manifests() {
    let manifest = read("asyncapi.json", ASYNCAPI).unwrap();
    assert_eq!(manifest.feature, "Order tracking");
    let names: Vec<String> = manifest
        .channels
        .iter()
        .map(|channel| channel.address.to_string())
        .collect();
    assert_eq!(names, ["order/{orderId}", "user:{userId}"]);
    let [event] = manifest.events.as_slice() else {
        panic!("one event for both channels")
    };
    assert_eq!(
        (
            event.to.as_slice(),
            event.examples.len(),
            event.counter_examples.len()
        ),
        (&[0, 1][..], 1, 1)
    );
    assert!(
        event
            .schema
            .as_ref()
            .unwrap()
            .part
            .required
            .contains("orderId")
    );
    let broken = ASYNCAPI
        .replace("[\"customer\"]", "[]")
        .replace("\"detail-type\": \"OrderPlaced\", ", "")
        .replace("\"address\": \"user/{userId}\",", "")
        .replace("\"channel\": \"user:{userId}\", ", "");
    insta::assert_snapshot!(told("asyncapi.json", &broken));
}
