//! The description of a platform, read back as a manifest and proved on the platform itself.

use std::collections::BTreeMap;

use super::asyncapi::{DocumentTitle, asyncapi};
use super::typescript::typescript;
use crate::config::valid;
use crate::guard::contract::served::{EventKey, ServedContract};
use crate::guard::contract::{ContractInput, check};
use crate::guard::manifest;
use crate::guard::manifest::schema::PayloadSchema;

const PLATFORM: &str = r#"
environment: prod
channels: { user: { id: uuid }, order: { id: uuid }, position: { id: uuid } }
routes:
  - name: orders
    match: { source: [shop.orders], detail-type: [OrderPlaced, "Order Shipped"] }
    to: ["order:{detail.orderId}", "user:{detail.watchers[*].userId}"]
    expires: 5m
  - name: order-state
    match: { source: [shop.orders], detail-type: [OrderPlaced] }
    to: ["state/{detail.orderId}"]
    payload: detail
    qos: 0
    conflate: true
  - name: anything-paid
    match: { source: [{ prefix: shop.pay }] }
    to: ["paid/{detail.region}-{detail.shop}"]
    payload: cloudevents
    retain: true
roles:
  customer: { bind: "user:{claims.sub}", subscribe: ["user:{claims.sub}", "order:{claims.orders[*]}"] }
  courier:
    bind: "user:{claims.sub}"
    subscribe: ["order:*", "state/+", "paid/#"]
    publish: ["position:{claims.sub}", "tenant/{claims.tenant|lower}/alerts"]
bridge: { queue: "https://sqs.eu-central-1.amazonaws.com/123456789012/q" }
"#;

const MANIFEST: &str = r##"
feature: f
platform: { config: eventcast.yaml }
channels: [{ channel: "order:{id}", audience: [customer] }]
events:
  - name: placed
    source: shop.orders
    detail-type: OrderPlaced
    to: ["order:{id}"]
    schema:
      $defs:
        money: { type: object, required: [cents], properties: { cents: { type: integer }, "currency-code": { enum: [EUR, null, 7] } } }
      type: object
      required: [orderId, total, "odd name"]
      properties:
        orderId: { type: string, description: "*/ alert(1)" }
        total: { $ref: "#/$defs/money" }
        lines: { type: array, items: { oneOf: [{ type: string }, { type: object, properties: { sku: { type: [string, "null"] } } }] } }
        note: true
    examples: [{ detail: { orderId: o, total: { cents: 1 }, "odd name": 1 } }]
"##;

fn schemas() -> BTreeMap<EventKey, PayloadSchema> {
    let manifest =
        manifest::read("realtime.yaml", MANIFEST).unwrap_or_else(|faults| panic!("{faults:?}"));
    let event = &manifest.events[0];
    let key = EventKey {
        source: event.source.clone(),
        detail_type: event.detail_type.clone(),
    };
    BTreeMap::from([(key, event.schema.clone().unwrap())])
}

fn title() -> DocumentTitle {
    DocumentTitle {
        title: "Shop".into(),
        version: "1.0.0".into(),
        endpoint: Some("abc-ats.iot.eu-central-1.amazonaws.com".into()),
        file: "eventcast.yaml".into(),
    }
}

#[test]
fn documents_of_a_platform() {
    let config = valid(PLATFORM);
    let contract = ServedContract::of_platform(&config, &schemas());
    assert_eq!(contract.unknown, [""; 0]);
    let document = asyncapi(&config, &contract, &title());
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn types_of_a_platform() {
    let config = valid(PLATFORM);
    let contract = ServedContract::of_platform(&config, &schemas());
    insta::assert_snapshot!(typescript(&config, &contract, "eventcast.yaml"));
}

/// Channels, audiences and deliveries of the document hold on the platform it is made of.
#[test]
fn the_document_is_a_manifest_that_the_platform_keeps() {
    let config = valid(PLATFORM);
    let contract = ServedContract::of_platform(&config, &BTreeMap::new());
    let text = asyncapi(&config, &contract, &title()).to_string();
    let manifest =
        manifest::read("asyncapi.json", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(manifest.channels.len(), 4);
    let proved = check(ContractInput {
        manifest: &manifest,
        platform: &config,
        base: None,
    });
    assert!(
        proved.findings.is_empty() && proved.unproved.is_empty(),
        "{proved:#?}"
    );
}
