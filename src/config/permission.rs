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
    /// `true` where the daemon lists the tasks of its cluster, which the configuration does not
    /// name: see [`Self::within_cluster`].
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
mod tests;
