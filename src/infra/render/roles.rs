//! Roles: of the bridge, and of operators who look at dead-letter messages or replay them.

use serde_json::{Map, Value, json};

use super::RenderError;
use crate::config::Config;
use crate::config::permission::{DEFAULT_CLUSTER, DeadLetterAccess, RequiredPermissions};
use crate::policy::draft::Draft;
use crate::policy::generate::{DocumentForm, documents};
use crate::policy::scope::Scope;

/// Use of the key by those who send to a queue, and by those who receive alone.
const SEND: &[&str] = &["kms:Decrypt", "kms:GenerateDataKey"];
const READ: &[&str] = &["kms:Decrypt"];

/// The template, and remarks on the policies.
pub(super) fn template(
    config: &Config,
    scope: &Scope,
) -> Result<(Value, Vec<String>), RenderError> {
    let bridge = config.bridge_permissions(scope)?;
    let mut resources = Map::new();
    let mut outputs = Map::new();
    let mut add = |name: &str,
                   suffix: &str,
                   required: &RequiredPermissions,
                   trust: Value,
                   keys: &[&str]| {
        let policies = documents(&required.role, DocumentForm::Role)?;
        resources.insert(
            format!("{name}Role"),
            role(suffix, trust, name, policies.len()),
        );
        for (at, policy) in policies.iter().enumerate() {
            let policy = json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": {
                "Description": format!("eventcast: {suffix}"),
                "PolicyDocument": policy,
            } });
            resources.insert(format!("{name}Policy{at}"), policy);
        }
        let use_key = json!({ "Type": "AWS::IAM::RolePolicy", "Condition": "HasKey", "Properties": {
            "PolicyName": "key",
            "RoleName": { "Ref": format!("{name}Role") },
            "PolicyDocument": { "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": keys, "Resource": { "Ref": "KeyArn" } },
            ] },
        } });
        resources.insert(format!("{name}Key"), use_key);
        outputs.insert(
            format!("{name}RoleArn"),
            json!({ "Description": format!("The role {suffix}"), "Value": { "Fn::GetAtt": [format!("{name}Role"), "Arn"] } }),
        );
        Ok::<(), RenderError>(())
    };
    let tasks = json!({
        "Effect": "Allow",
        "Principal": { "Service": "ecs-tasks.amazonaws.com" },
        "Action": "sts:AssumeRole",
        "Condition": { "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } },
    });
    let operators = json!({
        "Effect": "Allow",
        "Principal": { "AWS": { "Ref": "OperatorArn" } },
        "Action": "sts:AssumeRole",
    });
    add("Bridge", "bridge", &bridge, tasks, SEND)?;
    let counted = bridge.counts_tasks.then(list_tasks);
    let doctor = config.doctor_permissions(scope)?;
    add("Doctor", "doctor", &doctor, operators.clone(), READ)?;
    if config.bridge.dead_letter_queue.is_some() {
        for (name, suffix, access, keys) in [
            ("DeadLetters", "dlq", DeadLetterAccess::Change, SEND),
            ("DeadLettersRead", "dlq-read", DeadLetterAccess::Read, READ),
        ] {
            let required = config.dead_letter_permissions(scope, access)?;
            add(name, suffix, &required, operators.clone(), keys)?;
        }
    }
    if let Some(policy) = counted {
        resources.insert("BridgeTasks".into(), policy);
    }
    if !bridge.broker.is_empty() {
        for (at, policy) in documents(&bridge.broker, DocumentForm::Named)?
            .iter()
            .enumerate()
        {
            resources.insert(format!("BridgeBrokerPolicy{at}"), named(policy));
        }
    }
    let mut template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "eventcast: the roles of the bridge and of operators (made by `eventcast infra render`)",
        "Parameters": {
            "Name": { "Type": "String", "Default": "eventcast", "Description": "What the roles' names begin with" },
            "KeyArn": { "Type": "String", "Default": "", "Description": "The key of queues.yaml; empty with SSE-SQS" },
            "OperatorArn": {
                "Type": "String",
                "Default": "",
                "Description": "Role or user that may become an operator; empty for all of this account whom IAM allows it",
            },
        },
        "Conditions": {
            "HasKey": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "KeyArn" }, ""] }] },
            "HasOperator": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "OperatorArn" }, ""] }] },
        },
        "Resources": resources,
        "Outputs": outputs,
    });
    if bridge.counts_tasks
        && let Some(Value::Object(parameters)) = template.get_mut("Parameters")
    {
        let cluster = json!({
            "Type": "String",
            "Default": DEFAULT_CLUSTER,
            "Description": "The cluster of service.yaml, whose tasks the bridge counts",
        });
        parameters.insert("ClusterName".into(), cluster);
    }
    Ok((with_operator(template), bridge.role_notes))
}

/// The right to list the tasks of one cluster, which the template knows and the configuration does
/// not.
fn list_tasks() -> Value {
    json!({ "Type": "AWS::IAM::RolePolicy", "Properties": {
        "PolicyName": "tasks",
        "RoleName": { "Ref": "BridgeRole" },
        "PolicyDocument": { "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Action": "ecs:ListTasks",
            "Resource": "*",
            "Condition": { "ArnEquals": { "ecs:cluster": {
                "Fn::Sub": "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:cluster/${ClusterName}",
            } } },
        }] },
    } })
}

/// A role with managed policies, whose documents may be longer than those in a role.
fn role(suffix: &str, trust: Value, name: &str, policies: usize) -> Value {
    let policies: Vec<Value> = (0..policies)
        .map(|at| json!({ "Ref": format!("{name}Policy{at}") }))
        .collect();
    json!({
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": { "Fn::Sub": format!("${{Name}}-{suffix}") },
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [trust] },
            "ManagedPolicyArns": policies,
        },
    })
}

/// A policy of IoT Core, for a bridge whose certificate it is attached to.
fn named(policy: &Draft) -> Value {
    json!({
        "Type": "AWS::IoT::Policy",
        "Properties": { "PolicyName": { "Fn::Sub": "${Name}-bridge" }, "PolicyDocument": policy },
    })
}

/// The principal of operators: the account where none is named.
fn with_operator(mut value: Value) -> Value {
    let named = json!({ "Ref": "OperatorArn" });
    let chosen = json!({ "Fn::If": [
        "HasOperator",
        named,
        { "Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root" },
    ] });
    if let Some(Value::Object(resources)) = value.get_mut("Resources") {
        for resource in resources.values_mut() {
            let principal = resource
                .pointer_mut("/Properties/AssumeRolePolicyDocument/Statement/0/Principal/AWS");
            if let Some(principal) = principal {
                *principal = chosen.clone();
            }
        }
    }
    value
}
