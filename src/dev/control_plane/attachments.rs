//! Attachments of policies to certificates and thing groups (IoT API reference, AttachPolicy and
//! its neighbours).
//!
//! Never here: Cognito identities, which no service of this process knows.

use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{ApiRequest, page_of_names};
use super::policies::{PAGES, summary};
use super::registry::RegistryState;
use crate::dev::rest::RestAnswer;
use crate::dev::rest::refusal::RestError;

/// The most policies of a certificate (AWS General Reference, "AWS IoT Core endpoints and quotas").
const POLICIES: usize = 10;

/// The header that the older calls name a certificate in.
const PRINCIPAL: &str = "x-amzn-iot-principal";

#[derive(Deserialize)]
struct AttachmentBody {
    target: String,
}

fn no_target(target: &str) -> RestError {
    RestError::absent(format!(
        "there is no target `{target}`; a registered certificate or a thing group is wanted, by its ARN"
    ))
}

fn attach_to(state: &mut RegistryState, name: &str, target: &str) -> RestAnswer {
    if !state.policies.contains_key(name) {
        return Err(RestError::absent(format!("there is no policy `{name}`")));
    }
    if !state.has_target(target) {
        return Err(no_target(target));
    }
    let names = state.attached.entry(target.to_owned()).or_default();
    if !names.contains(name) && names.len() >= POLICIES {
        return Err(RestError::beyond(format!(
            "`{target}` has {POLICIES} policies, and no more are possible"
        )));
    }
    names.insert(name.to_owned());
    state.concerns_target(target);
    Ok(None)
}

fn detach_from(state: &mut RegistryState, name: &str, target: &str) -> RestAnswer {
    if !state.policies.contains_key(name) {
        return Err(RestError::absent(format!("there is no policy `{name}`")));
    }
    if !state.has_target(target) {
        return Err(no_target(target));
    }
    if let Some(names) = state.attached.get_mut(target) {
        names.remove(name);
        if names.is_empty() {
            state.attached.remove(target);
        }
    }
    state.concerns_target(target);
    Ok(None)
}

pub(super) fn attach(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let AttachmentBody { target } = asked.body()?;
    attach_to(state, asked.named("policyName"), &target)
}

pub(super) fn detach(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let AttachmentBody { target } = asked.body()?;
    detach_from(state, asked.named("policyName"), &target)
}

/// The older form of [`attach`].
pub(super) fn attach_principal(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let target = asked.header(PRINCIPAL)?;
    attach_to(state, asked.named("policyName"), target)
}

/// The older form of [`detach`].
pub(super) fn detach_principal(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let target = asked.header(PRINCIPAL)?;
    detach_from(state, asked.named("policyName"), target)
}

fn policies_of(state: &RegistryState, asked: &ApiRequest, target: &str) -> RestAnswer {
    if !state.has_target(target) {
        return Err(no_target(target));
    }
    let mut names: Vec<String> = state.attached_to(target).cloned().collect();
    if asked.flag("recursive")? {
        names.extend(state.inherited_by(target));
        names.sort();
        names.dedup();
    }
    let (names, next) = page_of_names(asked, PAGES, names.into_iter())?;
    let policies: Vec<Value> = names.iter().map(|name| summary(state, name)).collect();
    Ok(Some(json!({ "policies": policies, "nextMarker": next })))
}

pub(super) fn policies(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    policies_of(state, asked, asked.named("target"))
}

/// The older form of [`policies`].
pub(super) fn policies_of_principal(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    policies_of(state, asked, asked.header(PRINCIPAL)?)
}

pub(super) fn targets(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("policyName");
    if !state.policies.contains_key(name) {
        return Err(RestError::absent(format!("there is no policy `{name}`")));
    }
    let targets = state.targets(name).cloned();
    let (targets, next) = page_of_names(asked, PAGES, targets)?;
    Ok(Some(json!({ "targets": targets, "nextMarker": next })))
}
