//! Tokens as real issuers make them: Amazon Cognito, Auth0, Okta, Microsoft Entra, Keycloak. By
//! their documentation; each with its audience, its place for roles and its form of subjects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{USER, kinds, signed};
use crate::authorizer::answer::principal_id;
use crate::authorizer::decide::{AdmittedClient, Rejection, TokenAuthority};
use crate::authorizer::expected::ExpectedClaims;
use crate::authorizer::issuer::TrustedIssuer;
use crate::authorizer::key::Keys;
use crate::authorizer::key_set::IssuerKeys;
use crate::channel::{ChannelKind, IdFormat};
use crate::policy::claim_path::ClaimPath;
use crate::policy::principal::{ClientIdBinding, ClientIdRules};
use crate::policy::role::{Role, RoleEntry, Use};
use crate::policy::role_claim::{RoleChoice, RoleClaim};

/// An issuer of one's own choice of audiences and roles, with roles whose principals are subjects
/// of any form.
fn authority(
    audiences: &[&str],
    required: &[(&str, &str)],
    role_claim: RoleClaim,
) -> TokenAuthority {
    let mut kinds = kinds();
    let pattern = IdFormat::pattern("[A-Za-z0-9|:@._-]+").unwrap();
    kinds.insert(
        "identity".into(),
        ChannelKind::try_new("identity", pattern).unwrap(),
    );
    let entry = |text: &str, purpose| RoleEntry::parse(text, purpose, &kinds).unwrap();
    let role = |name: &str, subscribe: &[&str], publish: &[&str]| Role {
        name: name.into(),
        bind: entry("identity:{claims.sub}", Use::Bind),
        client_ids: ClientIdRules {
            binding: ClientIdBinding::Exact,
            reserved: Some("eventcast".into()),
        },
        subscribe: subscribe
            .iter()
            .map(|text| entry(text, Use::Subscribe))
            .collect(),
        publish: publish
            .iter()
            .map(|text| entry(text, Use::Publish))
            .collect(),
        retain: false,
    };
    let text = |text: &&str| (*text).to_owned();
    TokenAuthority {
        issuers: vec![TrustedIssuer {
            name: None,
            expected: ExpectedClaims {
                issuer: Some("https://id.example.com/".into()),
                audiences: audiences.iter().map(text).collect(),
                required: required
                    .iter()
                    .map(|(path, value)| {
                        (ClaimPath::parse(path).unwrap(), vec![(*value).to_owned()])
                    })
                    .collect(),
                ..ExpectedClaims::default()
            },
            keys: IssuerKeys::Fixed(Arc::new(Keys::development())),
            role_claim,
        }],
        roles: vec![
            role("customer", &["identity:{claims.sub}"], &[]),
            role("courier", &["depot:north"], &["depot:north"]),
            role("support", &["order:*"], &[]),
        ],
        ..super::authority()
    }
}

fn claim(path: &str, choice: RoleChoice) -> RoleClaim {
    RoleClaim {
        path: ClaimPath::parse(path).unwrap(),
        choice,
        names: [("realtime/customer".into(), "customer".into())].into(),
    }
}

fn decided(authority: &TokenAuthority, mut claims: Value) -> Result<AdmittedClient, Rejection> {
    claims["iss"] = "https://id.example.com/".into();
    claims["exp"] = (jiff::Timestamp::now().as_second() + 600).into();
    authority.decide(&signed(&claims))
}

#[track_caller]
fn roles(authority: &TokenAuthority, claims: Value, expected: &str) {
    match decided(authority, claims) {
        Ok(admission) => assert_eq!(&*admission.role(), expected),
        Err(rejection) => assert_eq!(rejection.to_string(), expected),
    }
}

/// Amazon Cognito developer guide, "Understanding the identity (ID) token" and "Understanding the
/// access token".
#[test]
fn cognito() {
    const CLIENT: &str = "1example23456789";
    let id = json!({ "sub": USER, "aud": CLIENT, "token_use": "id", "cognito:groups": ["admins", "customer"],
                     "cognito:username": "alice", "custom:role": "courier" });
    let access = json!({ "sub": USER, "client_id": CLIENT, "token_use": "access", "scope": "openid realtime/customer",
                         "cognito:groups": ["support", "customer"], "origin_jti": "a", "jti": "b" });
    let groups = authority(&[CLIENT], &[], claim("cognito:groups", RoleChoice::First));
    roles(&groups, id.clone(), "customer");
    roles(&groups, access.clone(), "support");
    let custom = authority(
        &["other", CLIENT],
        &[],
        claim("custom:role", RoleChoice::First),
    );
    roles(&custom, id.clone(), "courier");
    let scopes = authority(&[CLIENT], &[], claim("scope", RoleChoice::First));
    roles(&scopes, access.clone(), "customer");
    // One kind of token alone.
    let of_access = authority(
        &[CLIENT],
        &[("token_use", "access")],
        claim("cognito:groups", RoleChoice::First),
    );
    roles(&of_access, access.clone(), "support");
    roles(
        &of_access,
        id,
        "the token is not believed: the claim `token_use` is \"id\", which the configuration does not take",
    );
    let another = authority(&["app2"], &[], claim("cognito:groups", RoleChoice::First));
    roles(
        &another,
        access,
        "the token is not believed: it has no `aud`, and was issued to another client: `client_id` is `\"1example23456789\"`",
    );
}

/// Auth0: audience lists, claims with the name of an address, subjects such as
/// `google-oauth2|1035…`.
#[test]
fn auth0() {
    let path = "\"https://shop.example/roles\"";
    let token = json!({ "sub": "google-oauth2|103547991597142817347",
                        "aud": ["https://api.example.com/", "https://tenant.eu.auth0.com/userinfo"],
                        "https://shop.example/roles": ["customer", "courier"], "scope": "openid profile" });
    let audiences = ["https://api.example.com/", "https://other.example.com/"];
    roles(
        &authority(&audiences, &[], claim(path, RoleChoice::First)),
        token.clone(),
        "customer",
    );
    roles(
        &authority(&audiences, &[], claim(path, RoleChoice::All)),
        token.clone(),
        "customer,courier",
    );
    roles(
        &authority(&audiences[1..], &[], claim(path, RoleChoice::All)),
        token,
        "the token is not believed: made for another audience: `[\"https://api.example.com/\",\"https://tenant.eu.auth0.com/userinfo\"]`",
    );
}

/// Microsoft Entra: `roles` and `scp`, a tenant that has to be the right one; Okta: `groups`;
/// Keycloak: `realm_access.roles`.
#[test]
fn entra_okta_and_keycloak() {
    let entra = authority(
        &["api://realtime"],
        &[("tid", "t1"), ("ver", "2.0")],
        claim("roles", RoleChoice::All),
    );
    let token = json!({ "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "aud": "api://realtime", "tid": "t1", "ver": "2.0",
                        "roles": ["support"], "scp": "read courier" });
    roles(&entra, token.clone(), "support");
    let scopes = authority(&["api://realtime"], &[], claim("scp", RoleChoice::First));
    roles(&scopes, token.clone(), "courier");
    let mut foreign = token;
    foreign["tid"] = "t2".into();
    roles(
        &entra,
        foreign,
        "the token is not believed: the claim `tid` is \"t2\", which the configuration does not take",
    );
    let okta = authority(&["api://default"], &[], claim("groups", RoleChoice::First));
    let token = json!({ "sub": "alice@example.com", "aud": "api://default", "groups": ["Everyone", "courier"] });
    roles(&okta, token, "courier");
    let keycloak = authority(
        &["account", "realtime"],
        &[("azp", "shop-web")],
        claim("realm_access.roles", RoleChoice::All),
    );
    let token = json!({ "sub": USER, "aud": "account", "azp": "shop-web",
                        "realm_access": { "roles": ["offline_access", "customer", "support"] } });
    roles(&keycloak, token, "customer,support");
    let token = json!({ "sub": USER, "aud": "account", "azp": "shop-web", "realm_access": { "roles": ["offline_access"] } });
    roles(
        &keycloak,
        token,
        "the claim `realm_access.roles` names no role that exists: `offline_access`",
    );
    let token = json!({ "sub": USER, "aud": "account" });
    roles(
        &keycloak,
        token,
        "the token is not believed: the claim `azp` is missing",
    );
}

/// Subjects of every form become principals of letters and digits, and client ids of their own.
#[test]
fn subjects() {
    let authority = authority(&[], &[], claim("role", RoleChoice::First));
    let mut principals = std::collections::BTreeSet::new();
    let subjects = [
        USER,
        "eu-west-1:5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11",
        "google-oauth2|103547991597142817347",
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "samlp|okta|alice@example.com",
        "00u1a2b3c4D5E6F7g8h9",
        "mary-ann@example.com",
        "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    ];
    for subject in subjects {
        let admission = decided(&authority, json!({ "sub": subject, "role": "customer" })).unwrap();
        let answer = admission.answer(jiff::Timestamp::now());
        let id = answer.principal_id;
        assert!(
            id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{id}"
        );
        assert_eq!(id, principal_id(subject));
        assert!(principals.insert(id), "{subject} is another's principal");
        assert_eq!(admission.grants.principal.client_globs(), [subject]);
        for other in subjects.into_iter().filter(|other| *other != subject) {
            assert!(!admission.grants.principal.owns(other));
        }
        assert!(!admission.grants.principal.owns(&format!("{subject}-phone")));
    }
    for refused in [
        "a/b",
        "a+b",
        "*",
        "",
        "a b",
        "eventcast",
        "${iot:ClientId}",
        "é",
    ] {
        assert!(
            decided(&authority, json!({ "sub": refused, "role": "customer" })).is_err(),
            "{refused}"
        );
    }
}
