//! Policies and their versions (IoT API reference, CreatePolicy and its neighbours).
//!
//! A document is refused if the evaluator does not read it, or if it is longer than IoT Core takes.
//! A document accepted here would be accepted there as well, as far as that can be known.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{ApiRequest, seconds};
use super::registry::{PolicyVersion, RegisteredPolicy, RegistryState, room};
use crate::dev::rest::RestAnswer;
use crate::dev::rest::refusal::RestError;
use crate::dev::uuid::uuid;
use crate::policy::deploy::target::PolicyName;
use crate::policy::deploy::text::PolicyText;
use crate::policy::document::Document;

/// The most versions of a policy (AWS General Reference, "AWS IoT Core endpoints and quotas").
const VERSIONS: usize = 5;

/// Names of the API's parameters for the size and the marker of pages.
pub(super) const PAGES: (&str, &str) = ("pageSize", "marker");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyInput {
    policy_document: String,
}

/// The document of a call, checked.
fn version(asked: &ApiRequest, id: u32) -> Result<PolicyVersion, RestError> {
    let PolicyInput { policy_document } = asked.body()?;
    let malformed = |why: String| RestError::malformed_policy(why);
    PolicyText::parse(&policy_document).map_err(|unfit| malformed(unfit.to_string()))?;
    let document = Document::parse(&policy_document);
    Ok(PolicyVersion {
        id,
        document: document.map_err(|error| malformed(error.to_string()))?,
        text: policy_document,
        created: SystemTime::now(),
    })
}

fn absent(name: &str) -> RestError {
    RestError::absent(format!("there is no policy `{name}`"))
}

/// The policy that a call names.
fn found<'s>(
    state: &'s mut RegistryState,
    asked: &ApiRequest,
) -> Result<&'s mut RegisteredPolicy, RestError> {
    let name = asked.named("policyName");
    let policy = state.policies.get_mut(name);
    policy.ok_or_else(|| absent(name))
}

/// The version that a call names.
fn wanted(asked: &ApiRequest) -> Result<u32, RestError> {
    let id = asked.named("policyVersionId");
    id.parse().map_err(|_| {
        RestError::invalid(format!(
            "the version is `{id}`; a number such as 2 is wanted"
        ))
    })
}

fn no_version(asked: &ApiRequest) -> RestError {
    let (name, id) = (asked.named("policyName"), asked.named("policyVersionId"));
    RestError::absent(format!("policy `{name}` has no version `{id}`"))
}

pub(super) fn create(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("policyName");
    PolicyName::parse(name)
        .map_err(|bad| RestError::invalid(format!("{}; {}", bad.what, bad.help)))?;
    let arn = state.arn("policy", name);
    if state.policies.contains_key(name) {
        let why = format!("there is a policy `{name}` already");
        return Err(RestError::exists(why, name, arn));
    }
    room(state.policies.len(), "policies")?;
    let version = version(asked, 1)?;
    let told = json!({
        "policyName": name,
        "policyArn": arn,
        "policyDocument": version.text,
        "policyVersionId": "1",
    });
    let policy = RegisteredPolicy {
        number: state.number(),
        created: version.created,
        modified: version.created,
        versions: vec![version],
        default: 1,
        next: 2,
    };
    state.policies.insert(name.to_owned(), policy);
    if !state.had_policy {
        // From now on certificates without a policy may nothing.
        state.had_policy = true;
        state.concerns_everybody();
    }
    Ok(Some(told))
}

pub(super) fn one(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("policyName");
    let arn = state.arn("policy", name);
    let policy = found(state, asked)?;
    Ok(Some(json!({
        "policyName": name,
        "policyArn": arn,
        "policyDocument": policy.in_force().map(|version| &version.text),
        "defaultVersionId": policy.default.to_string(),
        "creationDate": seconds(policy.created),
        "lastModifiedDate": seconds(policy.modified),
        "generationId": uuid(),
    })))
}

/// A policy in a list.
pub(super) fn summary(state: &RegistryState, name: &str) -> Value {
    json!({ "policyName": name, "policyArn": state.arn("policy", name) })
}

pub(super) fn list(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let all = state.policies.iter();
    let all: Vec<(&String, u64)> = all.map(|(name, policy)| (name, policy.number)).collect();
    let (page, next) = asked.page(all, PAGES, |(_, number)| *number)?;
    let policies: Vec<Value> = page.iter().map(|(name, _)| summary(state, name)).collect();
    Ok(Some(json!({ "policies": policies, "nextMarker": next })))
}

pub(super) fn delete(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("policyName");
    let versions = found(state, asked)?.versions.len();
    if state.targets(name).next().is_some() {
        return Err(RestError::in_use(format!(
            "policy `{name}` is attached to a target; detach it first"
        )));
    }
    if versions > 1 {
        return Err(RestError::in_use(format!(
            "policy `{name}` has {versions} versions; delete those first that are not the default"
        )));
    }
    state.policies.remove(name);
    Ok(None)
}

pub(super) fn create_version(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("policyName");
    let arn = state.arn("policy", name);
    let as_default = asked.flag("setAsDefault")?;
    let policy = found(state, asked)?;
    if policy.versions.len() >= VERSIONS {
        return Err(RestError::too_many_versions(format!(
            "policy `{name}` has {VERSIONS} versions, and no more are possible; delete one first"
        )));
    }
    let version = version(asked, policy.next)?;
    let told = json!({
        "policyArn": arn,
        "policyDocument": version.text,
        "policyVersionId": version.id.to_string(),
        "isDefaultVersion": as_default,
    });
    policy.next += 1;
    policy.modified = version.created;
    if as_default {
        policy.default = version.id;
    }
    policy.versions.push(version);
    if as_default {
        concerns_holders(state, name);
    }
    Ok(Some(told))
}

/// Records that a change concerns all principals that a policy is attached to.
fn concerns_holders(state: &mut RegistryState, name: &str) {
    let targets: Vec<String> = state.targets(name).cloned().collect();
    for target in targets {
        state.concerns_target(&target);
    }
}

pub(super) fn version_of(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("policyName");
    let arn = state.arn("policy", name);
    let id = wanted(asked)?;
    let policy = found(state, asked)?;
    let version = policy.version(id).ok_or_else(|| no_version(asked))?;
    Ok(Some(json!({
        "policyArn": arn,
        "policyName": name,
        "policyDocument": version.text,
        "policyVersionId": version.id.to_string(),
        "isDefaultVersion": version.id == policy.default,
        "creationDate": seconds(version.created),
        "lastModifiedDate": seconds(version.created),
        "generationId": uuid(),
    })))
}

pub(super) fn versions(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let policy = found(state, asked)?;
    let told = |version: &PolicyVersion| {
        json!({
            "versionId": version.id.to_string(),
            "isDefaultVersion": version.id == policy.default,
            "createDate": seconds(version.created),
        })
    };
    let versions: Vec<Value> = policy.versions.iter().map(told).collect();
    Ok(Some(json!({ "policyVersions": versions })))
}

pub(super) fn set_default(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let id = wanted(asked)?;
    let policy = found(state, asked)?;
    if policy.version(id).is_none() {
        return Err(no_version(asked));
    }
    policy.default = id;
    policy.modified = SystemTime::now();
    concerns_holders(state, asked.named("policyName"));
    Ok(None)
}

pub(super) fn delete_version(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let id = wanted(asked)?;
    let policy = found(state, asked)?;
    if policy.version(id).is_none() {
        return Err(no_version(asked));
    }
    if policy.default == id {
        return Err(RestError::invalid(format!(
            "version `{id}` is the default of policy `{}`; make another one the default first",
            asked.named("policyName")
        )));
    }
    policy.versions.retain(|version| version.id != id);
    Ok(None)
}
