//! Requests of EventBridge's JSON protocol (EventBridge API reference; members that are null count
//! as left out).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EventsRequest {
    pub(super) name: Option<String>,
    pub(super) name_prefix: Option<String>,
    pub(super) event_bus_name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) event_source_name: Option<String>,
    pub(super) kms_key_identifier: Option<String>,
    pub(super) dead_letter_config: Option<DeadLetterConfig>,
    pub(super) log_config: Option<Value>,
    pub(super) tags: Option<Vec<ResourceTag>>,
    pub(super) tag_keys: Option<Vec<String>>,
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
    pub(super) event_pattern: Option<String>,
    pub(super) schedule_expression: Option<String>,
    pub(super) state: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) targets: Option<Vec<TargetInputShape>>,
    pub(super) ids: Option<Vec<String>>,
    pub(super) target_arn: Option<String>,
    pub(super) limit: Option<i64>,
    pub(super) next_token: Option<String>,
    pub(super) entries: Option<Vec<PutEventsEntry>>,
    pub(super) event: Option<String>,
}

/// An event as it is put on a bus.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PutEventsEntry {
    /// Seconds since 1970.
    pub(super) time: Option<f64>,
    pub(super) source: Option<String>,
    pub(super) resources: Option<Vec<String>>,
    pub(super) detail_type: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) event_bus_name: Option<String>,
    pub(super) trace_header: Option<String>,
}

/// Outcome of one entry.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum PutEventsResultEntry {
    #[serde(rename_all = "PascalCase")]
    Taken { event_id: String },
    #[serde(rename_all = "PascalCase")]
    Refused {
        error_code: &'static str,
        error_message: String,
    },
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ResourceTag {
    pub(super) key: String,
    pub(super) value: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DeadLetterConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arn: Option<String>,
}

/// Target of a rule, and the input that it receives.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TargetInputShape {
    pub(super) id: Option<String>,
    pub(super) arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_transformer: Option<InputTransformer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sqs_parameters: Option<SqsParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dead_letter_config: Option<DeadLetterConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_policy: Option<RetryPolicy>,
    /// Parameters of targets of other kinds.
    #[serde(flatten, skip_serializing)]
    pub(super) others: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InputTransformer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_paths_map: Option<BTreeMap<String, String>>,
    pub(super) input_template: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SqsParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_group_id: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RetryPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) maximum_retry_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) maximum_event_age_in_seconds: Option<i64>,
}
