//! Permissions by label: statements that AddPermission writes into a queue's policy and that
//! RemovePermission takes out of it. They are stored and returned; nothing here checks the caller.

use serde_json::{Map, Value, json};

use super::super::refusal::ApiRefusal;
use super::super::{ACCOUNT, ApiResult};
use super::api::{QueueHandle, lock};
use super::refusals::{invalid, invalid_value, missing, over_limit};
use super::wire::SqsRequest;

/// The most actions of one permission.
const MOST_ACTIONS: usize = 7;

/// The actions that only the owner of a queue may call: no permission for them can be given (SQS
/// API reference, AddPermission).
const OF_OWNERS: [&str; 10] = [
    "AddPermission",
    "CancelMessageMoveTask",
    "CreateQueue",
    "DeleteQueue",
    "ListMessageMoveTasks",
    "RemovePermission",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
];

impl QueueHandle {
    pub(super) fn add_permission(&self, request: &SqsRequest) -> ApiResult {
        let label = label(request)?;
        check(request)?;
        let mut facts = lock(&self.facts);
        let mut policy = match facts.attributes.get("Policy") {
            Some(policy) => parsed(policy)?,
            None => {
                let id = format!("{}/SQSDefaultPolicy", self.arn);
                let new = json!({ "Version": "2008-10-17", "Id": id, "Statement": [] });
                new.as_object().cloned().unwrap_or_default()
            }
        };
        let mut statements = take_statements(&mut policy);
        if statements
            .iter()
            .any(|one| one.get("Sid") == Some(&label.into()))
        {
            return Err(invalid_value("Label", label, "Already exists."));
        }
        let principals = request.account_ids.iter();
        let principals = principals
            .map(|id| format!("arn:aws:iam::{id}:root"))
            .collect();
        let actions = request.actions.iter();
        let actions = actions.map(|action| format!("SQS:{action}")).collect();
        statements.push(json!({
            "Sid": label,
            "Effect": "Allow",
            "Principal": { "AWS": one_or_all(principals) },
            "Action": one_or_all(actions),
            "Resource": self.arn,
        }));
        policy.insert("Statement".into(), statements.into());
        let written = Value::Object(policy).to_string();
        facts.attributes.insert("Policy".into(), written);
        Ok(b"{}".to_vec())
    }

    pub(super) fn remove_permission(&self, request: &SqsRequest) -> ApiResult {
        let label = label(request)?;
        let not_found = || invalid_value("Label", label, "can't find label.");
        let mut facts = lock(&self.facts);
        let policy = facts.attributes.get("Policy").ok_or_else(not_found)?;
        let mut policy = parsed(policy)?;
        let mut statements = take_statements(&mut policy);
        let before = statements.len();
        statements.retain(|one| one.get("Sid") != Some(&label.into()));
        if statements.len() == before {
            return Err(not_found());
        }
        if statements.is_empty() {
            facts.attributes.remove("Policy");
        } else {
            policy.insert("Statement".into(), statements.into());
            let written = Value::Object(policy).to_string();
            facts.attributes.insert("Policy".into(), written);
        }
        Ok(b"{}".to_vec())
    }
}

fn label(request: &SqsRequest) -> Result<&str, ApiRefusal> {
    let label = request.label.as_deref().unwrap_or_default();
    let is_taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match label {
        "" => Err(missing("Label")),
        label if label.len() <= 80 && label.chars().all(is_taken) => Ok(label),
        label => Err(invalid_value(
            "Label",
            label,
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        )),
    }
}

fn check(request: &SqsRequest) -> Result<(), ApiRefusal> {
    let count = request.actions.len();
    if count == 0 {
        return Err(missing("Actions"));
    }
    if count > MOST_ACTIONS {
        return Err(over_limit(format!(
            "{count} Actions were found, maximum allowed is {MOST_ACTIONS}."
        )));
    }
    let owners = |action: &&String| OF_OWNERS.contains(&action.as_str());
    if let Some(action) = request.actions.iter().find(owners) {
        let reason = "Only the queue owner is allowed to invoke this action.";
        return Err(invalid_value("ActionName", format!("SQS:{action}"), reason));
    }
    let is_account =
        |id: &String| id.len() == ACCOUNT.len() && id.bytes().all(|b| b.is_ascii_digit());
    if request.account_ids.is_empty() || !request.account_ids.iter().all(is_account) {
        let ids = format!("[{}]", request.account_ids.join(", "));
        return Err(invalid_value("PrincipalId", ids, "Unable to verify."));
    }
    Ok(())
}

fn parsed(policy: &str) -> Result<Map<String, Value>, ApiRefusal> {
    serde_json::from_str(policy).map_err(|_| invalid("The queue's policy is not a JSON map."))
}

/// Takes the statements out of a policy, which may have a single one without a list.
fn take_statements(policy: &mut Map<String, Value>) -> Vec<Value> {
    match policy.remove("Statement") {
        Some(Value::Array(statements)) => statements,
        Some(statement) => vec![statement],
        None => Vec::new(),
    }
}

/// Writes a list of one member as that member.
fn one_or_all(mut texts: Vec<String>) -> Value {
    match texts.len() {
        1 => texts.remove(0).into(),
        _ => texts.into(),
    }
}
