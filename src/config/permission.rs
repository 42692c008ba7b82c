//! What the daemon of a configuration has to be allowed: from its routes what it publishes, from its bridge section the rest.
//!
//! Nothing else is allowed. A topic's placeholder becomes `*`, which spans levels where a value does not; what a route says literally
//! stays literal. What a key of KMS needs, the configuration does not know.

use super::Config;
use super::bridge::{Credentials, Publish, is_iot_core};
use crate::policy::draft::{Permissions, escaped};
use crate::policy::scope::{Scope, ScopeError};
use crate::route::table::Route;
use crate::route::target::{Piece, Target};

/// What the daemon needs, by who it has to be allowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The role that every AWS SDK finds: an IAM policy.
    pub role: Permissions,
    /// Whoever it is to the broker, where that is not the role: a policy of IoT Core.
    pub broker: Permissions,
    /// What somebody should know about the role's policy, a line each.
    pub role_notes: Vec<String>,
    /// What somebody should know about the broker's.
    pub broker_notes: Vec<String>,
}

/// A queue's name, as its URL has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueName<'u> {
    /// The Region, where the host says it.
    pub region: Option<&'u str>,
    /// The account.
    pub account: &'u str,
    /// The name.
    pub name: &'u str,
}

impl<'u> QueueName<'u> {
    /// Reads `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, and what else ends in account and name.
    pub fn of_url(url: &'u str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let (before, name) = path.trim_end_matches('/').rsplit_once('/')?;
        let account = before.rsplit('/').next()?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let labels: Vec<&str> = host.split('.').collect();
        let region = labels.windows(2).find_map(|pair| match *pair {
            ["sqs" | "sqs-fips", region] | [region, "queue"] => Some(region),
            _ => None,
        });
        Some(Self {
            region: region.filter(|region| Scope::try_new(region, account).is_ok()),
            account,
            name,
        })
    }

    fn arn(&self, usual: &Scope) -> Result<String, ScopeError> {
        let region = self.region.unwrap_or(&usual.region);
        Ok(Scope::try_new(region, self.account)?.arn_in("sqs", self.name))
    }
}

/// Why it cannot be said what the daemon needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedsError {
    /// The daemon would not start.
    #[error("`bridge.queue` is not set")]
    NoQueue,
    /// Not a queue's URL.
    #[error("`{key}` is `{url}`, which does not end in an account and a queue's name")]
    Queue {
        /// The configuration's key.
        key: &'static str,
        /// Its value.
        url: Box<str>,
    },
    /// What cannot be part of an ARN.
    #[error(transparent)]
    Scope(#[from] ScopeError),
}

impl Config {
    /// What the daemon of this configuration has to be allowed, where IoT Core is that of `scope`.
    ///
    /// # Errors
    /// [`NeedsError`] when the queues' URLs do not say which queues they are.
    pub fn needs(&self, scope: &Scope) -> Result<Needs, NeedsError> {
        let mut needs = Needs::default();
        self.needs_of_queues(scope, &mut needs)?;
        let bridge = &self.bridge;
        let (signed, asks) = match &bridge.publish {
            Publish::Https { endpoint, .. } => (true, endpoint.is_none()),
            Publish::Mqtt => (
                bridge.credentials == Credentials::Aws,
                bridge.broker.is_none(),
            ),
        };
        if asks {
            needs.role.allow("iot:DescribeEndpoint", "*".into());
        }
        let mut notes = Vec::new();
        let mut publishing = self.publishing(scope, &mut notes);
        if bridge.publish == Publish::Mqtt {
            let clients = format!("client/{}-*", escaped(&bridge.client_id));
            publishing.allow("iot:Connect", scope.arn_in("iot", &clients));
        }
        if signed {
            needs.role.extend(&publishing);
            needs.role_notes.extend(notes);
        } else if bridge.broker.as_ref().is_none_or(is_iot_core) {
            needs.broker = publishing;
            needs.broker_notes = notes;
            needs.role_notes.push(
                "to IoT Core the bridge is who its certificate or token says, which needs a policy of its own: see --as iot".into(),
            );
        } else {
            let note = "the broker is not IoT Core: its own access lists decide what the bridge may publish";
            needs.role_notes.push(note.into());
        }
        Ok(needs)
    }

    fn needs_of_queues(&self, scope: &Scope, needs: &mut Needs) -> Result<(), NeedsError> {
        let queue = |key, url: &str| match QueueName::of_url(url) {
            Some(queue) => Ok(queue.arn(scope)?),
            None => Err(NeedsError::Queue {
                key,
                url: url.into(),
            }),
        };
        let url = self.bridge.queue.as_deref().ok_or(NeedsError::NoQueue)?;
        let arn = queue("bridge.queue", url)?;
        for action in [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
        ] {
            needs.role.allow(action, arn.clone());
        }
        if let Some(url) = &self.bridge.dead_letter_queue {
            let arn = queue("bridge.dead_letter_queue", url)?;
            needs.role.allow("sqs:SendMessage", arn);
        }
        needs.role_notes.push(
            "queues that are encrypted with a key of your own need kms:Decrypt on it, and kms:GenerateDataKey for the dead-letter queue".into(),
        );
        Ok(())
    }

    fn publishing(&self, scope: &Scope, notes: &mut Vec<String>) -> Permissions {
        let mut permissions = Permissions::default();
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
                if target.pieces(&route.name).any(|piece| piece == Piece::Gap)
                    && !notes.contains(&note)
                {
                    notes.push(note);
                }
            }
        }
        permissions.without_included()
    }

    /// The topics that a target can make, as a name in a policy.
    fn glob(&self, route: &Route, target: &Target) -> String {
        let mut glob = match &self.environment {
            Some(environment) => format!("{}/", escaped(environment)),
            None => String::new(),
        };
        for piece in target.pieces(&route.name) {
            match piece {
                Piece::Text(text) => glob.push_str(&escaped(text)),
                Piece::Gap if glob.ends_with('*') => {}
                Piece::Gap => glob.push('*'),
            }
        }
        glob
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::{Source, load};
    use crate::policy::arn::Arn;
    use crate::policy::context::Context;
    use crate::policy::document::Document;
    use crate::policy::evaluate::{Request, decide};
    use crate::policy::generate::{Form, documents};

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
        let source = Source {
            file: "eventcast.yaml",
            text: &text,
            ..Source::default()
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
        let needs = config("").needs(&scope()).unwrap();
        assert!(needs.broker.is_empty());
        insta::assert_snapshot!(lines(&needs.role));
        insta::assert_snapshot!(needs.role_notes.join("\n"));
    }

    #[test]
    fn who_has_to_be_allowed() {
        let told = |bridge: &str| {
            let Needs { role, broker, .. } = config(bridge).needs(&scope()).unwrap();
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

    /// Whatever the routes make of an event may be published, and what is next to it may not.
    #[test]
    fn what_routes_reach_is_allowed() {
        let config = config("");
        let needs = config.needs(&scope()).unwrap();
        let drafts = documents(&needs.role, Form::Role).unwrap();
        let documents: Vec<Document> = drafts
            .iter()
            .map(|draft| Document::parse(&draft.minified()).unwrap())
            .collect();
        let context = Context::default();
        let allowed = |action: &str, topic: &str| {
            let resource = scope().arn_in("iot", &format!("topic/{topic}"));
            let request = Request {
                action,
                resource: Arn::new(&resource),
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
    fn queues_are_known_by_their_urls() {
        let told = |url| QueueName::of_url(url).map(|queue| queue.arn(&scope()).unwrap());
        for (url, arn) in [
            (
                "https://sqs.eu-west-1.amazonaws.com/210987654321/q",
                "arn:aws:sqs:eu-west-1:210987654321:q",
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/210987654321/q.fifo",
                "arn:aws-cn:sqs:cn-north-1:210987654321:q.fifo",
            ),
            (
                "https://eu-west-1.queue.amazonaws.com/210987654321/q",
                "arn:aws:sqs:eu-west-1:210987654321:q",
            ),
            (
                "http://127.0.0.1:9324/210987654321/q",
                "arn:aws:sqs:eu-central-1:210987654321:q",
            ),
            (
                "http://sqs.localhost:9324/210987654321/q",
                "arn:aws:sqs:eu-central-1:210987654321:q",
            ),
        ] {
            assert_eq!(told(url).as_deref(), Some(arn));
        }
        assert_eq!(told("https://queues.example/q"), None);
        assert_eq!(told("https://queues.example/a/q"), None);
        let config = config("  publish: https\n");
        let other = Config {
            bridge: crate::config::bridge::Bridge {
                queue: None,
                ..config.bridge.clone()
            },
            ..config
        };
        assert_eq!(other.needs(&scope()), Err(NeedsError::NoQueue));
    }
}
