//! Drafts of sources in five languages, with and without a platform.

use super::*;
use crate::config::{ConfigSource, load};
use crate::guard::manifest;

const PLATFORM: &str = r#"
channels: { user: { id: uuid }, order: { id: uuid } }
routes:
  - name: orders
    match: { source: [shop.orders], detail-type: [OrderPlaced, "Order Shipped"] }
    to: ["order:{detail.orderId}", "user:{detail.customerId}"]
roles:
  customer: { bind: "user:{claims.sub}", subscribe: ["user:{claims.sub}", "order:{claims.orders[*]}"] }
bridge: { queue: "https://sqs.eu-central-1.amazonaws.com/123456789012/q" }
"#;

fn found() -> SourceFindings {
    let mut found = SourceFindings::default();
    for (path, text) in [
        (
            "src/put.ts",
            "await client.send(new PutEventsCommand({ Entries: [{\n  Source: 'shop.orders',\n  DetailType: \"OrderPlaced\",\n  Detail: JSON.stringify(order),\n}] }));\nconst other = { Source: SOURCE, DetailType: types.LOST };\n",
        ),
        (
            "put.py",
            "events.put_events(Entries=[{'Source': 'shop.orders', 'DetailType': 'Order Shipped', 'Detail': body}])\n",
        ),
        (
            "Put.java",
            "PutEventsRequestEntry.builder()\n    .source(\"shop.pay\")\n    .detailType(\"Paid\")\n    .build();\n",
        ),
        (
            "put.go",
            "entry := types.PutEventsRequestEntry{\n\tDetailType: aws.String(\"Refunded\"),\n\tSource:     aws.String(\"shop.pay\"),\n}\n",
        ),
        (
            "put.rs",
            "client.put_events().entries(PutEventsRequestEntry::builder().source(\"shop.stock\").detail_type(\"Counted\").build())",
        ),
        (
            "src/page.ts",
            "client.subscribe(`order/${order.id}`, { qos: 1 });\nclient.subscribe(\"user/\" + id);\nstore.subscribe(listener);\nclient.subscribe('tenant/+/alerts');\nbus.subscribe('click', f);\nclient.subscribe(topicOf(order));\n",
        ),
        (
            "page.py",
            "client.subscribe(f\"tenant/{tenant_id}/alerts\", qos=1)\n",
        ),
        (
            "min.js",
            &format!("{}client.subscribe('a/b')", "x".repeat(3_000)),
        ),
        (
            "plain.ts",
            "const row = { Source: 'shop.orders', DetailType: 'NotPut' };",
        ),
    ] {
        found.search(path, text);
    }
    found
}

/// Sources of five languages, literals and others.
#[test]
fn what_sources_say() {
    insta::assert_debug_snapshot!(found());
}

#[test]
fn drafts_are_manifests() {
    let config = load(&ConfigSource {
        file: "eventcast.yaml",
        text: PLATFORM,
        ..ConfigSource::default()
    });
    let config = config.config.unwrap();
    let with = draft("order-tracking", &found(), "eventcast.yaml", Some(&config));
    insta::assert_snapshot!(with);
    for text in [
        with,
        draft("f", &found(), "platform/e.yaml", None),
        draft(
            "true",
            &SourceFindings::default(),
            "eventcast.yaml",
            Some(&config),
        ),
        draft("a: b", &SourceFindings::default(), "e.yaml", None),
    ] {
        let faults = manifest::read("realtime.yaml", &text)
            .err()
            .unwrap_or_default();
        // Channels that only a page names have no event yet, which is said.
        assert!(
            faults.iter().all(|fault| fault.code == "unused-channel"),
            "{text}\n{faults:?}"
        );
    }
}
