//! The road before the queue: rules of event buses that send to it, their targets, and keys.

use aws_config::SdkConfig;
use serde_json::{Value, json};

use super::json_call::{CallError, EVENTBRIDGE, KMS};

/// The most pages of a list that are read: a bound against a service that never ends one.
const MAX_PAGES: usize = 100;

/// A rule that sends to a queue.
#[derive(Clone, Debug)]
pub struct UpstreamRule {
    /// The bus.
    pub bus: String,
    /// The rule's name.
    pub name: String,
    /// The answer of DescribeRule.
    pub described: Value,
    /// Its targets, as ListTargetsByRule has them.
    pub targets: Vec<Value>,
}

/// Number of buses that were looked at, and the rules of them that send to a queue.
#[derive(Clone, Debug, Default)]
pub struct UpstreamRules {
    /// All buses of the account and Region.
    pub buses: usize,
    /// The rules.
    pub rules: Vec<UpstreamRule>,
}

/// Finds the rules that send to a queue, by its ARN.
///
/// # Errors
/// [`CallError`] when EventBridge refuses a question or cannot be reached.
pub async fn rules(config: &SdkConfig, queue_arn: &str) -> Result<UpstreamRules, CallError> {
    let buses = list(config, "ListEventBuses", &json!({}), "EventBuses").await?;
    let mut found = UpstreamRules {
        buses: buses.len(),
        rules: Vec::new(),
    };
    for bus in buses {
        let Some(bus) = bus.get("Name").and_then(Value::as_str) else {
            continue;
        };
        let input = json!({ "EventBusName": bus, "TargetArn": queue_arn });
        for name in list(config, "ListRuleNamesByTarget", &input, "RuleNames").await? {
            let Some(name) = name.as_str() else {
                continue;
            };
            let rule = json!({ "EventBusName": bus, "Name": name });
            let targets = json!({ "EventBusName": bus, "Rule": name });
            found.rules.push(UpstreamRule {
                bus: bus.to_owned(),
                name: name.to_owned(),
                described: EVENTBRIDGE.call(config, "DescribeRule", &rule).await?,
                targets: list(config, "ListTargetsByRule", &targets, "Targets").await?,
            });
        }
    }
    Ok(found)
}

/// All pages of a list.
async fn list(
    config: &SdkConfig,
    action: &str,
    input: &Value,
    member: &str,
) -> Result<Vec<Value>, CallError> {
    let mut all = Vec::new();
    let mut input = input.clone();
    for _ in 0..MAX_PAGES {
        let mut answer = EVENTBRIDGE.call(config, action, &input).await?;
        if let Some(Value::Array(page)) = answer.get_mut(member).map(Value::take) {
            all.extend(page);
        }
        match answer.get("NextToken") {
            Some(Value::String(token)) => {
                if let Value::Object(members) = &mut input {
                    members.insert("NextToken".into(), token.as_str().into());
                }
            }
            _ => break,
        }
    }
    Ok(all)
}

/// The policy of a key, by its id, ARN or alias.
///
/// # Errors
/// [`CallError`] when KMS refuses a question or cannot be reached.
pub async fn key_policy(config: &SdkConfig, key: &str) -> Result<Value, CallError> {
    let described = KMS
        .call(config, "DescribeKey", &json!({ "KeyId": key }))
        .await?;
    // GetKeyPolicy takes no alias.
    let id = described
        .pointer("/KeyMetadata/KeyId")
        .cloned()
        .unwrap_or_default();
    let input = json!({ "KeyId": id, "PolicyName": "default" });
    let answer = KMS.call(config, "GetKeyPolicy", &input).await?;
    let text = answer
        .get("Policy")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Ok(serde_json::from_str(text).unwrap_or_default())
}
