//! Policies in force for a certificate, and their decision on a request: GetEffectivePolicies and
//! TestAuthorization (IoT API reference).
//!
//! The evaluator decides, on the ARNs as they are asked for. Several resources of one question are
//! allowed together if each of them is allowed. AWS does not document its own rule for several
//! resources.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::asked::ApiRequest;
use super::policies::summary;
use super::registry::RegistryState;
use crate::dev::rest::RestAnswer;
use crate::dev::rest::refusal::RestError;
use crate::policy::arn::ResourceArn;
use crate::policy::context::{ClientPrincipal, Context};
use crate::policy::document::Document;
use crate::policy::evaluate::{PolicyDecision, Request, Verdict, decide};

/// The most questions of one call (IoT API model, AuthInfos).
const QUESTIONS: usize = 10;

/// Kinds of questions, and the actions that they mean.
const ACTIONS: [(&str, &str); 4] = [
    ("CONNECT", "iot:Connect"),
    ("PUBLISH", "iot:Publish"),
    ("SUBSCRIBE", "iot:Subscribe"),
    ("RECEIVE", "iot:Receive"),
];

/// The names of the policies that count for a principal as the client of a thing.
fn counting(
    state: &RegistryState,
    principal: Option<&str>,
    thing: Option<&str>,
) -> Result<BTreeSet<String>, RestError> {
    let mut names = BTreeSet::new();
    if let Some(principal) = principal {
        if !state.has_target(principal) {
            return Err(RestError::absent(format!(
                "there is no certificate or thing group `{principal}`"
            )));
        }
        names.extend(state.attached_to(principal).cloned());
    }
    if let Some(thing) = thing {
        let groups = state.groups_of(thing);
        names.extend(
            groups
                .iter()
                .flat_map(|arn| state.attached_to(arn))
                .cloned(),
        );
    }
    Ok(names)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EffectivePoliciesInput {
    principal: Option<String>,
    cognito_identity_pool_id: Option<String>,
}

pub(super) fn policies(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let whose: EffectivePoliciesInput = asked.body()?;
    no_cognito(whose.cognito_identity_pool_id.as_deref())?;
    let thing = asked.of_query("thingName");
    if thing.is_some_and(|name| !state.things.contains_key(name)) {
        return Err(RestError::absent("there is no such thing"));
    }
    let names = counting(state, whose.principal.as_deref(), thing)?;
    let told = |name: &String| {
        let policy = state.policies.get(name);
        let version = policy.and_then(|policy| policy.in_force());
        json!({
            "policyName": name,
            "policyArn": state.arn("policy", name),
            "policyDocument": version.map(|version| &version.text),
        })
    };
    let policies: Vec<Value> = names.iter().map(told).collect();
    Ok(Some(json!({ "effectivePolicies": policies })))
}

fn no_cognito(pool: Option<&str>) -> Result<(), RestError> {
    match pool {
        None => Ok(()),
        Some(_) => Err(RestError::invalid("there are no Cognito identities here")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestAuthorizationInput {
    principal: Option<String>,
    cognito_identity_pool_id: Option<String>,
    auth_infos: Vec<AuthInfo>,
    #[serde(default)]
    policy_names_to_add: Vec<String>,
    #[serde(default)]
    policy_names_to_skip: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthInfo {
    action_type: Option<String>,
    resources: Vec<String>,
}

/// The policies of a test, by name, and the client that asks.
struct TestedPolicies {
    policies: Vec<(String, Document)>,
    context: Context,
}

pub(super) fn test(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let test: TestAuthorizationInput = asked.body()?;
    no_cognito(test.cognito_identity_pool_id.as_deref())?;
    if test.auth_infos.is_empty() || test.auth_infos.len() > QUESTIONS {
        return Err(RestError::invalid(format!(
            "authInfos has {}; 1 to {QUESTIONS} are possible",
            test.auth_infos.len()
        )));
    }
    let grounds = grounds(state, asked, &test)?;
    let results = test.auth_infos.iter();
    let results = results.map(|question| answer(state, &grounds, question));
    let results: Vec<Value> = results.collect::<Result<_, _>>()?;
    Ok(Some(json!({ "authResults": results })))
}

fn grounds(
    state: &RegistryState,
    asked: &ApiRequest,
    test: &TestAuthorizationInput,
) -> Result<TestedPolicies, RestError> {
    let principal = test.principal.as_deref();
    let client_id = asked.of_query("clientId");
    let thing = principal.and_then(|arn| state.thing_of(arn, client_id.unwrap_or_default()));
    let name = thing.as_ref().map(|thing| &*thing.name);
    let mut names = counting(state, principal, name)?;
    for name in &test.policy_names_to_add {
        if !state.policies.contains_key(name) {
            return Err(RestError::absent(format!("there is no policy `{name}`")));
        }
        names.insert(name.clone());
    }
    names.retain(|name| !test.policy_names_to_skip.contains(name));
    let certificate = principal.and_then(|arn| state.certificate_of(arn));
    let certificate = certificate.and_then(|id| state.certificates.get(id));
    let mut context = Context::default();
    context.client_id = client_id.map(Into::into);
    context.principal = certificate.map(|_| ClientPrincipal::Certificate);
    context.thing = thing;
    context.certificate = certificate.map(|certificate| certificate.read.facts.clone());
    let policies = names.into_iter().filter_map(|name| {
        let version = state.policies.get(&name)?.in_force()?;
        Some((name, version.document.clone()))
    });
    Ok(TestedPolicies {
        policies: policies.collect(),
        context,
    })
}

fn answer(
    state: &RegistryState,
    grounds: &TestedPolicies,
    question: &AuthInfo,
) -> Result<Value, RestError> {
    let kind = question.action_type.as_deref().unwrap_or_default();
    let action = ACTIONS.into_iter().find(|(known, _)| *known == kind);
    let (_, action) = action.ok_or_else(|| {
        let known = ACTIONS.map(|(known, _)| known).join(", ");
        RestError::invalid(format!("actionType is `{kind}`; one of {known} is wanted"))
    })?;
    let decided = |resource: &String| {
        if resource.splitn(6, ':').count() < 6 {
            return Err(RestError::invalid(format!(
                "the resource is `{resource}`; an ARN is wanted"
            )));
        }
        let request = Request {
            action,
            resource: ResourceArn::new(resource),
            context: &grounds.context,
        };
        let documents = grounds.policies.iter().map(|(_, document)| document);
        Ok(decide(documents, &request))
    };
    let decisions = question.resources.iter().map(decided);
    let decisions: Vec<PolicyDecision> = decisions.collect::<Result<_, _>>()?;
    let verdicts = decisions.iter().map(|decision| decision.verdict);
    // Allowed, implicitly denied, explicitly denied: the last of these that occurs.
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Allowed => 0,
        Verdict::ImplicitDeny => 1,
        Verdict::ExplicitDeny => 2,
    };
    let verdict = verdicts.max_by_key(rank);
    let verdict = verdict.ok_or_else(|| RestError::invalid("no resource is asked about"))?;
    let mut told = told(state, grounds, verdict, &decisions);
    told.insert(
        "authInfo".into(),
        json!({ "actionType": kind, "resources": question.resources }),
    );
    Ok(Value::Object(told))
}

fn told(
    state: &RegistryState,
    grounds: &TestedPolicies,
    verdict: Verdict,
    decisions: &[PolicyDecision],
) -> Map<String, Value> {
    let decisive = decisions
        .iter()
        .filter(|decision| decision.verdict == verdict);
    let named: BTreeSet<usize> = match verdict {
        // None of them says anything.
        Verdict::ImplicitDeny => (0..grounds.policies.len()).collect(),
        _ => decisive
            .flat_map(|decision| &decision.statements)
            .map(|at| at.document)
            .collect(),
    };
    let named = named.into_iter().filter_map(|at| grounds.policies.get(at));
    let policies: Vec<Value> = named.map(|(name, _)| summary(state, name)).collect();
    let policies = json!({ "policies": policies });
    let missing = decisions.iter().flat_map(|decision| &decision.missing);
    let missing: BTreeSet<&str> = missing.map(|key| &**key).collect();
    let mut told = Map::new();
    match verdict {
        Verdict::Allowed => told.insert("allowed".into(), policies),
        Verdict::ImplicitDeny => told.insert("denied".into(), json!({ "implicitDeny": policies })),
        Verdict::ExplicitDeny => told.insert("denied".into(), json!({ "explicitDeny": policies })),
    };
    told.insert("authDecision".into(), verdict.as_str().into());
    told.insert("missingContextValues".into(), json!(missing));
    told
}
