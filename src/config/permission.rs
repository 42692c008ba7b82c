//! Permissions of the daemon and of the commands that work with its dead-letter queue, derived from
//! the configuration.
//!
//! Nothing else is allowed. A topic's placeholder becomes `*`, which spans levels where a value does
//! not; literal text of a route stays literal. The configuration does not know a queue's KMS key.
//!
//! A call of SQS that takes a batch is allowed by the action of the single call:
//! `sqs:DeleteMessage` allows DeleteMessageBatch (SQS developer guide, "Amazon SQS API permissions:
//! Actions and resource reference",
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html>).

use super::Config;
use super::bridge::{BridgeConfig, BrokerCredentials, is_iot_core};
use super::queue_name::QueueName;
use crate::policy::draft::{ArnCondition, Permissions, escaped};
use crate::policy::scope::{Scope, ScopeError};
use crate::route::table::Route;
use crate::route::target::{TargetPart, TopicTarget};

/// The topic of `eventcast doctor --publish`, below the environment. No route publishes there, so
/// that a test message reaches no client.
const DOCTOR_TOPIC: &str = "eventcast/doctor";

/// Name of the cluster in `infra/cloudformation/service.yaml`.
pub const DEFAULT_CLUSTER: &str = "eventcast";

const KMS_NOTE: &str = "queues that are encrypted with a key of your own need kms:Decrypt on it, and kms:GenerateDataKey for the queue that is sent to";

/// Permissions by the holder of the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredPermissions {
    /// The role that every AWS SDK finds: an IAM policy.
    pub role: Permissions,
    /// The daemon's identity at the broker, where that is not the role: a policy of IoT Core.
    pub broker: Permissions,
    /// `true` where the daemon lists the tasks of its cluster, which the configuration does not name:
    /// see [`Self::within_cluster`].
    pub counts_tasks: bool,
    /// Remarks on the role's policy, a line each.
    pub role_notes: Vec<String>,
    /// Remarks on the broker's policy, a line each.
    pub broker_notes: Vec<String>,
}

/// Extent of access to the dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterAccess {
    /// `eventcast dlq list` and `show`: messages are received and made visible again.
    Read,
    /// `replay` and `purge` as well: messages are sent to the queue and deleted.
    Change,
}

/// Reason why the permissions are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// A queue is not configured.
    #[error("`{key}` is not set")]
    NoQueue {
        /// The configuration's key.
        key: &'static str,
    },
    /// Not a queue's URL.
    #[error("`{key}` is `{url}`, which does not end in an account and a queue's name")]
    Queue {
        /// The configuration's key.
        key: &'static str,
        /// Its value.
        url: Box<str>,
    },
    /// A value that cannot be part of an ARN.
    #[error(transparent)]
    Scope(#[from] ScopeError),
}

impl RequiredPermissions {
    /// The same permissions, with that of listing a cluster's tasks where they are counted.
    ///
    /// The tasks are no resource of the action; its condition key is the cluster (service
    /// authorization reference, "Actions, resources, and condition keys for Amazon ECS",
    /// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html>).
    #[must_use]
    pub fn within_cluster(mut self, scope: &Scope, cluster: &str) -> Self {
        if self.counts_tasks {
            let arn = scope.arn_in("ecs", &format!("cluster/{cluster}"));
            let cluster = ArnCondition::new("ecs:cluster", arn);
            self.role.allow_when("ecs:ListTasks", "*".into(), cluster);
        }
        self
    }
}

/// One of the two queues: the configuration's key and value.
type QueueKey<'c> = (&'static str, Option<&'c str>);

impl BridgeConfig {
    fn queue_key(&self) -> QueueKey<'_> {
        ("bridge.queue", self.queue.as_deref())
    }

    fn dead_letter_queue_key(&self) -> QueueKey<'_> {
        (
            "bridge.dead_letter_queue",
            self.dead_letter_queue.as_deref(),
        )
    }
}

fn arn((key, url): QueueKey<'_>, scope: &Scope) -> Result<String, PermissionError> {
    let url = url.ok_or(PermissionError::NoQueue { key })?;
    match QueueName::of_url(url) {
        Some(queue) => Ok(queue.arn(scope)?),
        None => Err(PermissionError::Queue {
            key,
            url: url.into(),
        }),
    }
}

impl Config {
    /// The permissions of the daemon, where IoT Core is that of `scope`. They include those of
    /// `eventcast doctor`, which is run with the daemon's role.
    ///
    /// # Errors
    /// [`PermissionError`] when the queues' URLs do not name account and queue.
    pub fn bridge_permissions(
        &self,
        scope: &Scope,
    ) -> Result<RequiredPermissions, PermissionError> {
        let mut required = RequiredPermissions::default();
        self.allow_queues(scope, &mut required)?;
        let bridge = &self.bridge;
        let (calls, connects) = (
            bridge.publish.data_plane(),
            bridge.publish.has_connections(),
        );
        // By HTTPS the role publishes; over MQTT it does where it signs.
        let signed = calls.is_some() || bridge.credentials == BrokerCredentials::Aws;
        let asks = calls.is_some_and(|calls| calls.endpoint.is_none())
            || (connects && bridge.broker.is_none());
        if asks {
            required.role.allow("iot:DescribeEndpoint", "*".into());
        }
        required.counts_tasks = bridge.pace.counts_tasks;
        let mut notes = Vec::new();
        let mut publishing = self.publishing(scope, &mut notes);
        if connects {
            let clients = format!("client/{}-*", escaped(&bridge.client_id));
            publishing.allow("iot:Connect", scope.arn_in("iot", &clients));
        }
        if signed {
            required.role.extend(&publishing);
            required.role_notes.extend(notes);
        } else if bridge.broker.as_ref().is_none_or(is_iot_core) {
            required.broker = publishing;
            required.broker_notes = notes;
            required.role_notes.push(
                "at IoT Core the bridge is the principal of its certificate or token, which needs a policy of its own: see --as iot".into(),
            );
        } else {
            let note = "the broker is not IoT Core: its own access lists decide what the bridge may publish";
            required.role_notes.push(note.into());
        }
        Ok(required)
    }

    /// The permissions of `eventcast dlq`.
    ///
    /// # Errors
    /// [`PermissionError`] when a queue that is needed is not set, or its URL does not name account
    /// and queue.
    pub fn dead_letter_permissions(
        &self,
        scope: &Scope,
        access: DeadLetterAccess,
    ) -> Result<RequiredPermissions, PermissionError> {
        let mut required = RequiredPermissions::default();
        let letters = arn(self.bridge.dead_letter_queue_key(), scope)?;
        for action in [
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:ChangeMessageVisibility",
        ] {
            required.role.allow(action, letters.clone());
        }
        if access == DeadLetterAccess::Change {
            let queue = arn(self.bridge.queue_key(), scope)?;
            required.role.allow("sqs:DeleteMessage", letters);
            required.role.allow("sqs:SendMessage", queue);
        }
        required.role_notes.push(KMS_NOTE.into());
        Ok(required)
    }

    /// The permissions of `eventcast doctor --upstream`: settings of all queues and keys of the
    /// account, since the configuration names neither the dead-letter queue of a rule's target nor
    /// a key.
    ///
    /// # Errors
    /// [`PermissionError`] when the queue is not set, or its URL does not name account and queue.
    pub fn doctor_permissions(
        &self,
        scope: &Scope,
    ) -> Result<RequiredPermissions, PermissionError> {
        let mut required = self.bridge_permissions(scope)?;
        let received = [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:SendMessage",
            "iot:RetainPublish",
        ];
        required.role = required.role.without(&received);
        let publishing = scope.arn_in("iot", &format!("topic/{}", escaped(&self.doctor_topic())));
        required.role = required.role.only_on("iot:Publish", &publishing);
        let queue = arn(self.bridge.queue_key(), scope)?;
        let place: Vec<&str> = queue.split(':').take(5).collect();
        let [_, partition, _, region, account] = place.as_slice() else {
            return Ok(required);
        };
        let all = |service: &str, resource: &str| {
            format!("arn:{partition}:{service}:{region}:{account}:{resource}")
        };
        required
            .role
            .allow("sqs:GetQueueAttributes", all("sqs", "*"));
        required.role.allow("events:ListEventBuses", "*".into());
        required
            .role
            .allow("events:ListRuleNamesByTarget", "*".into());
        for action in ["events:DescribeRule", "events:ListTargetsByRule"] {
            required.role.allow(action, all("events", "rule/*"));
        }
        for action in ["kms:DescribeKey", "kms:GetKeyPolicy"] {
            required.role.allow(action, all("kms", "key/*"));
        }
        required.role = required.role.without_included();
        Ok(required)
    }

    /// The topic of `eventcast doctor --publish`, which the daemon's policy allows.
    pub fn doctor_topic(&self) -> String {
        match &self.environment {
            Some(environment) => format!("{environment}/{DOCTOR_TOPIC}"),
            None => DOCTOR_TOPIC.to_owned(),
        }
    }

    fn allow_queues(
        &self,
        scope: &Scope,
        required: &mut RequiredPermissions,
    ) -> Result<(), PermissionError> {
        let queue = arn(self.bridge.queue_key(), scope)?;
        for action in [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
        ] {
            required.role.allow(action, queue.clone());
        }
        if self.bridge.dead_letter_queue.is_some() {
            let letters = arn(self.bridge.dead_letter_queue_key(), scope)?;
            required.role.allow("sqs:SendMessage", letters.clone());
            // The doctor compares both queues' settings.
            required.role.allow("sqs:GetQueueAttributes", letters);
        }
        required.role_notes.push(KMS_NOTE.into());
        Ok(())
    }

    fn publishing(&self, scope: &Scope, notes: &mut Vec<String>) -> Permissions {
        let mut permissions = Permissions::default();
        let doctor = format!("topic/{}", escaped(&self.doctor_topic()));
        permissions.allow("iot:Publish", scope.arn_in("iot", &doctor));
        for route in &self.routes {
            for target in &route.targets {
                let glob = self.glob(route, target);
                let resource = scope.arn_in("iot", &format!("topic/{glob}"));
                permissions.allow("iot:Publish", resource.clone());
                if route.retain {
                    permissions.allow("iot:RetainPublish", resource);
                }
                let note = format!(
                    "`topic/{glob}`: `*` spans levels, so that deeper topics are allowed as well"
                );
                if target
                    .pieces(&route.name)
                    .any(|piece| piece == TargetPart::Gap)
                    && !notes.contains(&note)
                {
                    notes.push(note);
                }
            }
        }
        permissions.without_included()
    }

    /// The topics that a target can make, as a name in a policy.
    fn glob(&self, route: &Route, target: &TopicTarget) -> String {
        let mut glob = match &self.environment {
            Some(environment) => format!("{}/", escaped(environment)),
            None => String::new(),
        };
        for piece in target.pieces(&route.name) {
            match piece {
                TargetPart::Text(text) => glob.push_str(&escaped(text)),
                TargetPart::Gap if glob.ends_with('*') => {}
                TargetPart::Gap => glob.push('*'),
            }
        }
        glob
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::{ConfigSource, load};
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
        let text = format!("{ROUTES}{bridge}");
        let source = ConfigSource {
            file: "eventcast.yaml",
            text: &text,
            ..ConfigSource::default()
        };
        let loaded = load(&source);
        loaded
            .config
            .unwrap_or_else(|| panic!("{:?}", loaded.faults))
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
}
