//! Each rule on its own samples: the hits are found, by this rule alone, and the near misses are
//! not.

use std::fmt::Write as _;

use super::*;
use crate::config::valid;
use crate::guard::manifest;
use crate::guard::rule::RuleSample;

/// The findings of some files: `realtime.yaml`, `eventcast.yaml`, and the same below `base/`.
fn checked(files: &[(&str, &str)]) -> ContractCheck {
    let text = |name: &str| {
        files
            .iter()
            .find(|(path, _)| *path == name)
            .map(|(_, text)| *text)
    };
    let manifest = match manifest::read("realtime.yaml", text("realtime.yaml").unwrap()) {
        Ok(manifest) => manifest,
        Err(faults) => {
            return ContractCheck {
                findings: manifest_findings("realtime.yaml", &faults),
                unproved: Vec::new(),
            };
        }
    };
    let now = valid(text("eventcast.yaml").unwrap());
    let base =
        text("base/realtime.yaml").map(|text| manifest::read("realtime.yaml", text).unwrap());
    let base_platform = text("base/eventcast.yaml").map(valid);
    check(ContractInput {
        manifest: &manifest,
        platform: &now,
        base: base.as_ref().map(|manifest| BaseContract {
            manifest,
            platform: base_platform.as_ref(),
        }),
    })
}

fn of_samples(samples: &[RuleSample]) -> ContractCheck {
    let files: Vec<_> = samples
        .iter()
        .map(|sample| (sample.path, sample.text))
        .collect();
    checked(&files)
}

fn shown(check: &ContractCheck) -> String {
    let mut out = String::new();
    for finding in &check.findings {
        let at = finding.region.start;
        writeln!(
            out,
            "{} {}:{}: {}",
            finding.rule, at.line, at.column, finding.message
        )
        .unwrap();
        if let Some(help) = &finding.help {
            writeln!(out, "  help: {help}").unwrap();
        }
    }
    for part in &check.unproved {
        writeln!(out, "{} unproved: {}", part.rule, part.detail).unwrap();
    }
    out
}

#[test]
fn each_rule_finds_its_hits_and_passes_by_its_near_misses() {
    let mut found = String::new();
    for rule in rules::RULES {
        let hit = of_samples(rule.hits);
        let ids: Vec<&str> = hit.findings.iter().map(|finding| &*finding.rule).collect();
        assert!(ids.contains(&&*rule.id), "{}: {}", rule.id, shown(&hit));
        writeln!(found, "{} {}\n{}", rule.id, rule.name, shown(&hit)).unwrap();
        let near = of_samples(rule.near_misses);
        let again = near.findings.iter().find(|finding| finding.rule == rule.id);
        assert!(again.is_none(), "{}: {}", rule.id, shown(&near));
    }
    insta::assert_snapshot!(found);
}

#[test]
fn ids_and_names_are_unique() {
    for (index, rule) in rules::RULES.iter().enumerate() {
        for other in rules::RULES.iter().skip(index + 1) {
            assert!(rule.id < other.id, "{} {}", rule.id, other.id);
            assert_ne!(rule.name, other.name);
        }
    }
}

const PLATFORM: &str = r##"
environment: prod
channels:
  user: { id: uuid }
  tenant: { id: uuid }
  order: { id: uuid }
  depot: { id: { pattern: "[a-z]+" } }
routes:
  - name: orders
    match: { source: [shop.orders], detail-type: [OrderPlaced, OrderPacked] }
    to: ["order:{detail.orderId}", "tenant:{detail.tenantId}", "user:{detail.watchers[*].userId}"]
    expires: 5m
  - name: alerts
    match: { source: [shop.alerts] }
    to: ["tenant/{detail.tenantId}/area/{detail.area}"]
    qos: 0
    conflate: true
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["user:{claims.sub}", "order:{claims.orders[*].id}"]
  support: { bind: "user:{claims.sub}", subscribe: ["order:*", "tenant/+/area/north"] }
  manager: { bind: "user:{claims.sub}", subscribe: ["tenant:{claims.tenant}", "tenant/{claims.tenant}/area/+"] }
  auditor: { bind: "user:{claims.sub}", subscribe: ["#"] }
bridge: { queue: "https://sqs.eu-central-1.amazonaws.com/123456789012/q" }
"##;

#[track_caller]
fn contract(manifest: &str) -> String {
    shown(&checked(&[
        ("realtime.yaml", manifest),
        ("eventcast.yaml", PLATFORM),
    ]))
}

const EVENT: &str = r#"
events:
  - name: placed
    source: shop.orders
    detail-type: OrderPlaced
    to: ["CHANNEL"]
    examples:
      - detail:
          orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01
          tenantId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a02
          watchers: [{ userId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a03 }]
"#;

fn audience(channel: &str, audience: &str, event: &str) -> String {
    let head = format!(
        "feature: f\nplatform: {{ config: eventcast.yaml }}\nchannels:\n  - channel: \"{channel}\"\n    audience: {audience}\n"
    );
    contract(&format!("{head}{}", event.replace("CHANNEL", channel)))
}

/// Audiences of channels, of topics with several parameters, by tokens, wildcards and filters.
#[test]
fn audiences_are_asked_of_the_documents() {
    assert_eq!(
        audience(
            "order:{id}",
            "{ customer: own, support: all, auditor: all }",
            EVENT
        ),
        ""
    );
    insta::assert_snapshot!(audience("order:{id}", "[customer, suport]", EVENT));
    insta::assert_snapshot!(audience(
        "tenant:{id}",
        "{ manager: all, customer: own, auditor: all }",
        EVENT
    ));
    assert_eq!(
        audience("user:{id}", "{ customer: own, auditor: all }", EVENT),
        ""
    );
    let alerts = r#"
events:
  - name: alert
    source: shop.alerts
    detail-type: Alerted
    to: ["CHANNEL"]
    examples: [{ detail: { tenantId: t-1, area: north } }]
"#;
    let topic = "tenant/{tenant}/area/{area}";
    let roles = "{ manager: [tenant], support: [area], auditor: all }";
    assert_eq!(audience(topic, roles, alerts), "");
    insta::assert_snapshot!(audience(topic, "{ manager: own, support: all }", alerts));
    // One value of a parameter is a channel of its own.
    assert_eq!(
        audience(
            "tenant/{tenant}/area/north",
            "{ manager: own, support: all, auditor: all }",
            alerts
        ),
        ""
    );
}

/// Roles whose claims cannot be made up need examples of them.
#[test]
fn claims_that_cannot_be_made_up_are_asked_for() {
    let platform = PLATFORM.replace("[a-z]+", "[A-Z]{3}\\\\d{7}").replace(
        "subscribe: [\"#\"]",
        "subscribe: [\"order:{claims.depot}\", \"depot:{claims.depot}\"]",
    );
    let manifest = format!(
        "feature: f\nplatform: {{ config: e }}\nCLAIMS\nchannels:\n  - channel: \"depot:{{id}}\"\n    audience: [auditor]\n{}",
        EVENT.replace("CHANNEL", "depot:{id}")
    );
    let check = checked(&[
        ("realtime.yaml", &manifest.replace("CLAIMS", "")),
        ("eventcast.yaml", &platform),
    ]);
    let unproved: Vec<&str> = check.unproved.iter().map(|part| &*part.rule).collect();
    assert_eq!(unproved, ["RT104"], "{}", shown(&check));
}

#[test]
fn events_run_through_the_routes() {
    let manifest = |event: &str| {
        format!(
            "feature: f\nplatform: {{ config: eventcast.yaml }}\nchannels:\n  - channel: \"order:{{id}}\"\n    audience: {{ customer: own, support: all, auditor: all }}\nevents:\n  - name: placed\n    source: shop.orders\n    detail-type: OrderPlaced\n    to: [\"order:{{id}}\"]\n{event}"
        )
    };
    let id = "0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01";
    let rest = format!("tenantId: {id}, watchers: []");
    let good = format!(
        "    examples: [{{ detail: {{ orderId: {id}, {rest} }}, expect: [\"order:{id}\"] }}]\n"
    );
    assert_eq!(contract(&manifest(&good)), "");
    let other = id.replace("7a01", "7a09");
    insta::assert_snapshot!(contract(&manifest(
        &good.replace(&format!("order:{id}"), &format!("order:{other}"))
    )));
    insta::assert_snapshot!(contract(&manifest(&good.replace("orderId", "order_id"))));
    insta::assert_snapshot!(contract(&manifest(
        &good.replace("examples: [{", "examples: [{ detail-type: OrderLost,")
    )));
    insta::assert_snapshot!(contract(&manifest(
        &good.replace("examples: [{", "examples: [{ source: shop.alerts,")
    )));
    insta::assert_snapshot!(contract(&manifest(&format!(
        "{good}    counter_examples: [{{ detail: {{ orderId: {id}, {rest} }}, detail-type: OrderPacked }}, {{ detail: {{}}, source: shop.cart }}]\n"
    ))));
}

/// A whole platform that changes under an unchanged manifest.
#[test]
fn changes_of_the_platform_are_changes_of_the_contract() {
    let manifest = format!(
        "feature: f\nplatform: {{ config: eventcast.yaml }}\nchannels:\n  - channel: \"order:{{id}}\"\n    audience: {{ customer: own, support: all, auditor: all }}\n{}",
        EVENT.replace("CHANNEL", "order:{id}")
    );
    let change = |old: &str, new: &str| {
        let now = PLATFORM.replace(old, new);
        assert_ne!(now, PLATFORM);
        shown(&checked(&[
            ("realtime.yaml", &manifest),
            ("eventcast.yaml", &now),
            ("base/realtime.yaml", &manifest),
            ("base/eventcast.yaml", PLATFORM),
        ]))
    };
    let changes = [
        ("expires: 5m", "expires: 30s"),
        ("expires: 5m", "expires: 1h"),
        ("expires: 5m", "qos: 0"),
        ("expires: 5m", "expires: 5m\n    conflate: true"),
        ("expires: 5m", "expires: 5m\n    payload: detail"),
        ("environment: prod", "environment: live"),
        ("name: orders", "name: all-orders"),
    ];
    let told = changes.map(|(old, new)| format!("{old} -> {new}\n{}", change(old, new)));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn loads_are_summed() {
    let manifest = |scale: &str, more: &str| {
        format!(
            "feature: f\nplatform: {{ config: eventcast.yaml{more} }}\nchannels:\n  - channel: \"order:{{id}}\"\n    audience: {{ customer: own, support: all, auditor: all }}\n    scale: {{ {scale} }}\n{}",
            EVENT.replace("CHANNEL", "order:{id}")
        )
    };
    for good in [
        "peak_per_second: 20000, subscribers: 1",
        "peak_per_second: 200, subscribers: 100",
        "channel_peak_per_second: 2, channels_per_client: 50",
        "channel_peak_per_second: 100",
    ] {
        assert_eq!(contract(&manifest(good, "")), "", "{good}");
    }
    let told = [
        "peak_per_second: 20001",
        "peak_per_second: 201, subscribers: 100",
        "channel_peak_per_second: 2, channels_per_client: 51",
        "channel_peak_per_second: 101",
        "peak_per_second: 100000000, subscribers: 100000000",
    ]
    .map(|scale| format!("{scale}\n{}", contract(&manifest(scale, ""))));
    insta::assert_snapshot!(told.join("\n"));
    let raised = ", quotas: { outbound_per_second: 40000, subscriptions_per_connection: 200 }";
    assert_eq!(
        contract(&manifest(
            "peak_per_second: 300, subscribers: 100, channels_per_client: 150",
            raised
        )),
        ""
    );
}
