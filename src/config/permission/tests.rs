//! Actions and resources, by the configuration that needs them.

use bytes::Bytes;

use super::*;
use crate::config::valid;
use crate::policy::arn::ResourceArn;
use crate::policy::context::Context;
use crate::policy::document::Document;
use crate::policy::evaluate::{Request, decide};
use crate::policy::generate::{DocumentForm, documents};

const ROUTES: &str = r#"
environment: prod
channels:
  order: { id: uuid }
routes:
  - { name: orders, match: { source: [s] }, to: ["order:{detail.id}", "order/{detail.id}/{detail.state}/{detail.x}-{detail.y}"] }
  - { name: last value, match: { source: [s] }, to: ["state/{aws.events.rule-name}", "a*b?c$d/{detail.id}"], retain: true }
bridge:
  queue: https://sqs.eu-west-1.amazonaws.com/210987654321/events
  dead_letter_queue: https://sqs.eu-west-1.amazonaws.com/210987654321/events-dlq
"#;

fn scope() -> Scope {
    Scope::try_new("eu-central-1", "123456789012").unwrap()
}

fn config(bridge: &str) -> Config {
    valid(&format!("{ROUTES}{bridge}"))
}

fn lines(permissions: &Permissions) -> String {
    let line = |(action, resource)| format!("{action} {resource}");
    permissions.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn signed_over_mqtt() {
    let needs = config("").bridge_permissions(&scope()).unwrap();
    assert!(needs.broker.is_empty());
    insta::assert_snapshot!(lines(&needs.role));
    insta::assert_snapshot!(needs.role_notes.join("\n"));
}

#[test]
fn for_dead_letters() {
    let permissions = |access| {
        let required = config("").dead_letter_permissions(&scope(), access);
        lines(&required.unwrap().role)
    };
    insta::assert_snapshot!(permissions(DeadLetterAccess::Read), @r"
    sqs:ChangeMessageVisibility arn:aws:sqs:eu-west-1:210987654321:events-dlq
    sqs:GetQueueAttributes arn:aws:sqs:eu-west-1:210987654321:events-dlq
    sqs:ReceiveMessage arn:aws:sqs:eu-west-1:210987654321:events-dlq
    ");
    insta::assert_snapshot!(permissions(DeadLetterAccess::Change), @r"
    sqs:SendMessage arn:aws:sqs:eu-west-1:210987654321:events
    sqs:ChangeMessageVisibility arn:aws:sqs:eu-west-1:210987654321:events-dlq
    sqs:DeleteMessage arn:aws:sqs:eu-west-1:210987654321:events-dlq
    sqs:GetQueueAttributes arn:aws:sqs:eu-west-1:210987654321:events-dlq
    sqs:ReceiveMessage arn:aws:sqs:eu-west-1:210987654321:events-dlq
    ");
}

#[test]
fn who_has_to_be_allowed() {
    let told = |bridge: &str| {
        let required = config(bridge).bridge_permissions(&scope()).unwrap();
        let RequiredPermissions { role, broker, .. } = required;
        let actions = |permissions: &Permissions| {
            let actions = permissions
                .iter()
                .map(|(action, _)| action)
                .filter(|action| action.starts_with("iot:"));
            let mut actions: Vec<&str> = actions.collect();
            actions.sort_unstable();
            actions.dedup();
            actions.join(" ")
        };
        format!("role {}; broker {}", actions(&role), actions(&broker))
    };
    let all = "iot:Connect iot:Publish iot:RetainPublish";
    let iot = "abc-ats.iot.eu-central-1.amazonaws.com";
    assert_eq!(
        told(""),
        "role iot:Connect iot:DescribeEndpoint iot:Publish iot:RetainPublish; broker "
    );
    assert_eq!(
        told(&format!("  broker: wss://{iot}\n")),
        format!("role {all}; broker ")
    );
    let certificate = "  tls: { certificate: c, key: k }\n";
    assert_eq!(
        told(certificate),
        format!("role iot:DescribeEndpoint; broker {all}")
    );
    assert_eq!(
        told(&format!("  broker: mqtts://{iot}\n{certificate}")),
        format!("role ; broker {all}")
    );
    assert_eq!(told("  broker: mqtt://127.0.0.1\n"), "role ; broker ");
    let https = "  publish: https\n";
    assert_eq!(
        told(https),
        "role iot:DescribeEndpoint iot:Publish iot:RetainPublish; broker "
    );
    assert_eq!(
        told(&format!("{https}  endpoint: https://{iot}\n")),
        "role iot:Publish iot:RetainPublish; broker "
    );
}

/// Every topic that the routes make of an event may be published to, and the topics next to it
/// may not.
#[test]
fn what_routes_reach_is_allowed() {
    let config = config("");
    let needs = config.bridge_permissions(&scope()).unwrap();
    let drafts = documents(&needs.role, DocumentForm::Role).unwrap();
    let documents: Vec<Document> = drafts
        .iter()
        .map(|draft| Document::parse(&draft.minified()).unwrap())
        .collect();
    let context = Context::default();
    let allowed = |action: &str, topic: &str| {
        let resource = scope().arn_in("iot", &format!("topic/{topic}"));
        let request = Request {
            action,
            resource: ResourceArn::new(&resource),
            context: &context,
        };
        decide(&documents, &request).is_allowed()
    };
    let event = r#"{"id":"e","source":"s","detail-type":"d","detail":{"id":"5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11","state":"new","x":"1","y":2}}"#;
    let routed = config
        .route_table()
        .route(&Bytes::from(event), "m")
        .unwrap();
    assert_eq!(routed.publications.len(), 4);
    for publication in routed.publications {
        let topic = publication.topic.as_str();
        assert!(allowed("iot:Publish", topic), "{topic}");
        assert_eq!(
            allowed("iot:RetainPublish", topic),
            publication.retain,
            "{topic}"
        );
        assert!(!allowed("iot:Subscribe", topic), "{topic}");
    }
    for topic in [
        "prod",
        "prod/orders/1",
        "order/1",
        "prod/state/last value/1",
        "prod/state/x",
        "prod/axbxcxd/1",
        "test/order/1",
    ] {
        assert!(!allowed("iot:Publish", topic), "{topic}");
    }
}

#[test]
fn a_queue_is_needed() {
    let config = config("  publish: https\n");
    let other = Config {
        bridge: crate::config::bridge::BridgeConfig {
            queue: None,
            ..config.bridge.clone()
        },
        ..config
    };
    let absent = Err(PermissionError::NoQueue {
        key: "bridge.queue",
    });
    assert_eq!(other.bridge_permissions(&scope()), absent);
    let access = DeadLetterAccess::Change;
    assert_eq!(other.dead_letter_permissions(&scope(), access), absent);
    // Reading needs no queue to send to.
    let access = DeadLetterAccess::Read;
    assert!(other.dead_letter_permissions(&scope(), access).is_ok());
}
