//! Whom a change of the registry concerns, and that it is bounded.

use std::collections::HashMap;

use axum::http::HeaderMap;
use serde_json::json;

use super::registry::{MOST, room};
use super::*;
use crate::dev::ACCOUNT;

const CERTIFICATE: &str = "x-amzn-principal";

/// Makes a call of the table; returns its answer, and the principals that it concerns.
fn call(
    registry: &IotRegistry,
    action: &str,
    path: &[(&str, &str)],
    query: &[(&str, &str)],
    body: &serde_json::Value,
) -> (RestAnswer, AffectedPrincipals) {
    let owned = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let mut headers = HeaderMap::new();
    if let Some(principal) = body["principal"].as_str() {
        headers.insert(CERTIFICATE, principal.parse().unwrap());
    }
    let asked = ApiRequest {
        path: owned(path),
        query: owned(query),
        headers,
        body: body.to_string().into(),
    };
    let found = CALLS.iter().find(|(known, ..)| *known == action);
    let (.., act) = found.unwrap();
    registry.act(|state| act(state, &asked))
}

fn document(client: &str) -> serde_json::Value {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:{ACCOUNT}:client/{client}"}}}}"#
    );
    json!({ "policyDocument": text })
}

/// A certificate that is made here; its id and its ARN.
fn certificate(registry: &IotRegistry) -> (String, String) {
    let (answer, _) = call(
        registry,
        "CreateKeysAndCertificate",
        &[],
        &[("setAsActive", "true")],
        &json!({}),
    );
    let told = answer.unwrap().unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    (text("certificateId"), text("certificateArn"))
}

#[test]
fn a_change_concerns_those_whose_permissions_it_may_change() {
    let registry = IotRegistry::new("us-east-1");
    let (id, arn) = certificate(&registry);
    let (other, other_arn) = certificate(&registry);
    let one = |id: &str| AffectedPrincipals::Certificates([id.to_owned()].into());
    let both = AffectedPrincipals::Certificates([id.clone(), other.clone()].into());
    let (p, q) = (("policyName", "p"), ("policyName", "q"));
    let of_certificate = ("certificateId", &*id);
    let target = |arn: &str| json!({ "target": arn });
    let group = format!("arn:aws:iot:us-east-1:{ACCOUNT}:thinggroup/g");
    type Pairs<'p> = &'p [(&'p str, &'p str)];
    let steps: [(
        &str,
        Pairs<'_>,
        Pairs<'_>,
        serde_json::Value,
        AffectedPrincipals,
    ); 18] = [
        // Until the first policy, a client that is not registered may do everything.
        (
            "CreatePolicy",
            &[p],
            &[],
            document("a"),
            AffectedPrincipals::Everybody,
        ),
        (
            "CreatePolicy",
            &[q],
            &[],
            document("b"),
            AffectedPrincipals::Nobody,
        ),
        ("AttachPolicy", &[p], &[], target(&arn), one(&id)),
        ("AttachPolicy", &[p], &[], target(&other_arn), one(&other)),
        ("AttachPolicy", &[q], &[], target(&arn), one(&id)),
        (
            "GetPolicy",
            &[p],
            &[],
            json!({}),
            AffectedPrincipals::Nobody,
        ),
        (
            "CreatePolicyVersion",
            &[p],
            &[],
            document("c"),
            AffectedPrincipals::Nobody,
        ),
        (
            "CreatePolicyVersion",
            &[p],
            &[("setAsDefault", "true")],
            document("d"),
            both.clone(),
        ),
        (
            "SetDefaultPolicyVersion",
            &[p, ("policyVersionId", "1")],
            &[],
            json!({}),
            both,
        ),
        (
            "SetDefaultPolicyVersion",
            &[q, ("policyVersionId", "1")],
            &[],
            json!({}),
            one(&id),
        ),
        (
            "DeletePolicyVersion",
            &[p, ("policyVersionId", "2")],
            &[],
            json!({}),
            AffectedPrincipals::Nobody,
        ),
        ("DetachPolicy", &[q], &[], target(&arn), one(&id)),
        (
            "UpdateCertificate",
            &[of_certificate],
            &[("newStatus", "INACTIVE")],
            json!({}),
            one(&id),
        ),
        (
            "CreateThing",
            &[("thingName", "t")],
            &[],
            json!({}),
            AffectedPrincipals::Nobody,
        ),
        (
            "AttachThingPrincipal",
            &[("thingName", "t")],
            &[],
            json!({ "principal": arn }),
            one(&id),
        ),
        (
            "CreateThingGroup",
            &[("thingGroupName", "g")],
            &[],
            json!({}),
            AffectedPrincipals::Nobody,
        ),
        (
            "AttachPolicy",
            &[q],
            &[],
            target(&group),
            AffectedPrincipals::Everybody,
        ),
        (
            "AddThingToThingGroup",
            &[],
            &[],
            json!({ "thingGroupName": "g", "thingName": "t" }),
            AffectedPrincipals::Everybody,
        ),
    ];
    for (action, path, query, body, expected) in steps {
        let (answer, concerned) = call(&registry, action, path, query, &body);
        assert!(answer.is_ok(), "{action}: {answer:?}");
        assert_eq!(concerned, expected, "{action}");
    }
    // A refused call changes nothing.
    let (answer, concerned) = call(&registry, "DeletePolicy", &[p], &[], &json!({}));
    assert!(answer.is_err());
    assert_eq!(concerned, AffectedPrincipals::Nobody);
}

#[test]
fn no_more_is_held_than_there_is_room_for() {
    assert!(room(MOST - 1, "policies").is_ok());
    let refused = room(MOST, "policies").unwrap_err();
    assert!(format!("{refused:?}").contains("LimitExceededException"));
    // Every call that holds something asks: here with a registry that is full.
    let registry = IotRegistry::new("us-east-1");
    let document = document("a");
    for number in 0..=MOST {
        let name = format!("p{number}");
        let path = [("policyName", &*name)];
        let (answer, _) = call(&registry, "CreatePolicy", &path, &[], &document);
        assert_eq!(answer.is_ok(), number < MOST, "{number}");
    }
}
