//! Issuers: those whose tokens are accepted, the roles that their tokens name, and the list of
//! revoked tokens.

use std::time::Duration;

use super::{GOOD, loaded, told};
use crate::config::Loaded;
use crate::config::authorizer::revoked::RevocationSource;
use crate::policy::role_claim::RoleChoice;

const ROLES: &str = "roles:\n  customer: { bind: \"order:{claims.sub}\", subscribe: [a] }\n";

fn section(lines: &str) -> String {
    format!("{GOOD}{ROLES}authorizer:\n{lines}")
}

/// Findings about a configuration with these lines.
fn told_of(lines: &str) -> String {
    told(&loaded(&section(lines), &[], &[]).faults)
}

#[test]
fn several_issuers() {
    let text = section(
        r#"  role_claim: cognito:groups
  role_choice: all
  issuers:
    cognito:
      issuer: https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc
      keys_url: https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc/.well-known/jwks.json
      audience: [app1, app2]
      require: { token_use: access, "custom.tenant": [t1, t2] }
    auth0:
      issuer: https://shop.eu.auth0.com/
      keys: [auth0.pem]
      algorithms: [RS256]
      audience: https://api.shop.example/
      role_claim: '"https://shop.example/roles"'
      role_choice: first
      role_names: { shop/customers: customer }
    local: { issuer: shop, shared_secret_variable: SHOP_SECRET }
"#,
    );
    let Loaded { config, faults, .. } = loaded(
        &text,
        &[("EVENTCAST_AUTHORIZER_ISSUERS_LOCAL_AUDIENCE", "realtime")],
        &["authorizer.issuers.auth0.audience=other"],
    );
    assert_eq!(told(&faults), "");
    let issuers = config.unwrap().authorizer.issuers;
    let [cognito, auth0, local] = issuers.as_slice() else {
        panic!("{issuers:?}")
    };
    assert_eq!(cognito.name.as_deref(), Some("cognito"));
    assert_eq!(cognito.audiences, ["app1", "app2"]);
    assert_eq!(cognito.required.len(), 2);
    assert_eq!(cognito.required[1].1, ["t1", "t2"]);
    assert_eq!(cognito.role_claim.path.as_str(), "cognito:groups");
    assert_eq!(cognito.role_claim.choice, RoleChoice::All);
    assert_eq!(
        (auth0.audiences.as_slice(), auth0.algorithms.as_slice()),
        (&["other".into()][..], &["RS256".into()][..])
    );
    assert_eq!(auth0.role_claim.choice, RoleChoice::First);
    assert_eq!(&*auth0.role_claim.names["shop/customers"], "customer");
    assert_eq!(local.audiences, ["realtime"]);
    assert_eq!(local.role_claim.path.as_str(), "cognito:groups");
    assert_eq!(local.shared_secret_variable.as_deref(), Some("SHOP_SECRET"));
}

#[test]
fn faults_of_issuers_are_told_at_once() {
    insta::assert_snapshot!(told_of(
        r#"  keys_url: http://id.example.com/jwks.json
  audience: []
  algorithms: [HS256, RS512]
  shared_secret_variable: "a secret, by mistake"
  require: { "a..b": x, ok: 7 }
  role_claim: https://shop.example/roles
  role_choice: any
  role_names: { a: custmer }
  revoked: { file: a, table: b }
"#
    ));
    insta::assert_snapshot!(told_of(
        r#"  keys: [a.pem]
  audience: x
  issuers:
    none: { keys_url: "https://a/b" }
    keyless: { issuer: a }
    one: { issuer: b, keys: [b.pem] }
    two: { issuer: b, keys: [c.pem] }
    odd: { issuer: c, keys: [d.pem], keyurl: x }
"#
    ));
    insta::assert_snapshot!(told_of(
        "  shared_secret_variable: EVENTCAST_SECRET\n  revoked: {}\n"
    ));
    insta::assert_snapshot!(told_of(
        "  revoked: { table: a b, remember: 10m, unreadable: maybe }\n"
    ));
}

#[test]
fn lists_of_revoked_tokens() {
    let of = |lines: &str| {
        let Loaded { config, faults, .. } = loaded(&section(lines), &[], &[]);
        assert_eq!(told(&faults), "");
        config.unwrap().authorizer.revoked.unwrap()
    };
    let file = of("  revoked: { file: revoked.jsonl }\n");
    assert_eq!(file.source, RevocationSource::File("revoked.jsonl".into()));
    assert_eq!(
        (file.remember, file.admits_unread),
        (Duration::from_secs(10), false)
    );
    let table = of("  revoked: { table: eventcast-revoked, remember: 0s, unreadable: admit }\n");
    assert_eq!(
        table.source,
        RevocationSource::Table("eventcast-revoked".into())
    );
    assert_eq!(
        (table.remember, table.admits_unread),
        (Duration::ZERO, true)
    );
}
