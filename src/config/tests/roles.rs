//! Roles: their grants, and the client ids that a principal may connect with.

use super::{loaded, told};
use crate::config::Loaded;
use crate::policy::principal::ClientIdBinding;

const ROLES: &str = r#"
channels:
  user: { id: uuid }
  order: { id: uuid }
  depot: { id: { pattern: "[a-z]{1,5}" } }
  word: { id: { pattern: "[0-9a-z-]+" } }
routes: [{ name: r, match: { source: [s] }, to: [a] }]
roles:
"#;

/// Findings about a configuration with these roles.
fn told_of_roles(roles: &str) -> String {
    told(&loaded(&format!("{ROLES}{roles}"), &[], &[]).faults)
}

#[test]
fn roles() {
    let roles = r#"
  customer:
    bind: user:{claims.sub}
    subscribe: ["user:{claims.sub}", "order:{claims.orders[*]}"]
    publish: ["presence/{claims.sub}"]
    retain: true
  support: { bind: "user:{claims.sub}", subscribe: ["order:*", "tenant/+/alerts"] }
"#;
    let Loaded { config, faults, .. } = loaded(&format!("{ROLES}{roles}"), &[], &[]);
    assert_eq!(told(&faults), "");
    let [customer, support] = config.unwrap().roles.try_into().unwrap();
    assert_eq!(&*customer.name, "customer");
    assert_eq!(customer.bind.to_string(), "user:{claims.sub}");
    assert_eq!((customer.subscribe.len(), customer.publish.len()), (2, 1));
    assert!(customer.retain && !support.retain);
    let entries: Vec<String> = support.subscribe.iter().map(ToString::to_string).collect();
    assert_eq!(entries, ["order:*", "tenant/+/alerts"]);
}

#[test]
fn client_ids_of_different_channels() {
    let told = |binds: [&str; 2]| {
        let [a, b] =
            binds.map(|kind| format!("{{ bind: \"{kind}:{{claims.sub}}\", publish: [a] }}"));
        told_of_roles(&format!("  a: {a}\n  b: {b}\n"))
    };
    assert_eq!(told(["user", "order"]), "");
    assert_eq!(told(["depot", "depot"]), "");
    assert_eq!(told(["user", "depot"]), "");
    assert!(told(["depot", "word"]).contains("shared-client-ids: `a` and `b` bind"));
    assert!(told(["user", "word"]).contains("shared-client-ids: `a` and `b` bind"));
    // One kind, of which one role binds `a` with any suffix, and the other `a-b` exactly.
    let roles = |of_b| {
        format!(
            "  a: {{ bind: \"word:{{claims.sub}}\", publish: [a] }}\n  b: {{ bind: \"word:{{claims.sub}}\", publish: [a], client_ids: {of_b} }}\n"
        )
    };
    assert!(told_of_roles(&roles("prefix")).contains("shared-client-ids: `a` and `b` bind"));
    assert!(!told_of_roles(&roles("exact")).contains("shared-client-ids"));
}

/// A principal that may connect with `-` and anything behind its name must not make that a
/// principal of another role.
#[test]
fn client_ids_that_are_another_principal() {
    let told = |first: &str, second: &str| {
        let text = format!(
            "channels:\n  one: {{ id: {{ pattern: '{first}' }} }}\n  two: {{ id: {{ pattern: '{second}' }} }}\n\
             routes: [{{ name: r, match: {{ source: [s] }}, to: [a] }}]\nroles:\n  \
             a: {{ bind: \"one:{{claims.sub}}\", publish: [a] }}\n  b: {{ bind: \"two:{{claims.sub}}\", publish: [a] }}\n"
        );
        let loaded = loaded(&text, &[], &[]);
        (loaded.config.is_none(), told(&loaded.faults))
    };
    for (first, second, name, client_id) in [
        ("[a-z]+", "[a-z]+-[0-9]", "a", "a-0"),
        ("[a-z]+-[0-9]", "[a-z]+", "a", "a-0"),
        ("user[0-9]{2}", "user00-(phone|pad)", "user00", "user00-pad"),
        ("[A-Z]{2}", "AB-.+", "AB", "AB-0"),
        ("\\d+", "[0-9]{4}-[0-9]{2}-[0-9]{2}", "0000", "0000-00-00"),
    ] {
        let (is_error, told) = told(first, second);
        assert!(is_error, "{first} {second}: {told}");
        let words = format!("a client of principal `{name}` may connect as `{client_id}`");
        assert!(
            told.contains(&words.escape_debug().to_string()),
            "{first} {second}: {told}"
        );
        assert!(told.contains("client_ids: exact"), "{told}");
    }
    // Equal names, and nothing that begins with another's and a hyphen.
    for (first, second) in [
        ("[a-z]+", "[a-z0-9]+"),
        ("[a-z]+", "[0-9]+-[0-9]+"),
        ("user-[0-9]+", "courier-[0-9]+"),
        ("[a-z]{3}", "[a-z]{2}-[a-z]{3}"),
        ("[a-z]{3}", "[a-z]{3}-"),
    ] {
        let (is_error, told) = told(first, second);
        assert!(!is_error, "{first} {second}: {told}");
        assert!(
            told.contains("shared-client-ids"),
            "{first} {second}: {told}"
        );
    }
}

/// The bridge's client ids, `eventcast-<random>-<n>`, are refused to everybody; ids that a role
/// seems to accept are warned of.
#[test]
fn client_ids_of_the_bridge() {
    let verdict = |pattern: &str, bridge: &str, role: &str| {
        let text = format!(
            "channels: {{ service: {{ id: {{ pattern: '{pattern}' }} }} }}\n\
             routes: [{{ name: r, match: {{ source: [s] }}, to: [a] }}]\n\
             bridge: {{ client_id: {bridge} }}\n\
             roles: {{ office: {{ bind: 'service:{{claims.sub}}', publish: [a]{role} }} }}\n"
        );
        let Loaded { config, faults, .. } = loaded(&text, &[], &[]);
        let role = config.unwrap().roles.remove(0);
        let codes: Vec<_> = faults.iter().map(|fault| fault.code).collect();
        (codes.join(" "), role.client_ids.binding)
    };
    let warned = "reserved-client-ids";
    assert_eq!(
        verdict("[a-z]+", "eventcast", ""),
        (warned.into(), ClientIdBinding::Prefix)
    );
    assert_eq!(
        verdict("[a-z]+", "live-bridge", ""),
        (warned.into(), ClientIdBinding::Prefix)
    );
    assert_eq!(
        verdict("[a-z-]+", "live-bridge", ""),
        (warned.into(), ClientIdBinding::Exact)
    );
    assert_eq!(
        verdict("[a-z]+", "live-bridge", ", client_ids: exact").0,
        ""
    );
    assert_eq!(verdict("[a-z]+", "bridge_live", "").0, "");
    assert_eq!(verdict("svc_[a-z]+", "eventcast", "").0, "");
    assert_eq!(
        verdict("[a-z0-9-]+:[0-9a-f-]{36}", "eventcast", ""),
        (String::new(), ClientIdBinding::Exact)
    );
    assert_eq!(
        verdict(
            "[a-z0-9-]+:[0-9a-f-]{36}",
            "eventcast",
            ", client_ids: prefix"
        )
        .1,
        ClientIdBinding::Prefix
    );
}

#[test]
fn the_bridge_has_client_ids_that_iot_core_takes() {
    let verdict = |id: &str| {
        let text = format!(
            "routes: [{{ name: r, match: {{ source: [s] }}, to: [a] }}]\nbridge: {{ client_id: \"{id}\" }}\n"
        );
        told(&loaded(&text, &[], &[]).faults)
    };
    assert_eq!(verdict("shop-live"), "");
    assert_eq!(verdict(&"x".repeat(106)), "");
    assert!(
        verdict(&"x".repeat(107))
            .contains("bad-client-id: `bridge.client_id` has 107 bytes; 22 more follow")
    );
    assert!(verdict("$aws").contains("bad-client-id: `bridge.client_id` is `$aws`"));
    assert!(verdict("a\\nb").contains("bad-client-id"));
}

#[test]
fn a_role_may_grant_one_of_both_lists() {
    let role = |lists: &str| {
        told_of_roles(&format!(
            "  a: {{ bind: 'user:{{claims.sub}}', {lists} }}\n"
        ))
    };
    assert_eq!(role("subscribe: ['order:*'], publish: []"), "");
    assert_eq!(role("subscribe: [], publish: [a]"), "");
    assert!(role("subscribe: [], publish: []").contains("role `a` grants nothing"));
}

#[test]
fn faults_of_roles_are_told_at_once() {
    insta::assert_snapshot!(told_of_roles(
        r#"
  customer:
    subscribe: ["oder:{claims.a}", "order:{detail.id}", 7, ""]
    publish: ["a/+"]
  no body: { bind: "user:{claims.sub}" }
  service:
    bind: word:{claims.depot}
    subscribe: ["order:*"]
    retain: true
    pubish: [a]
  other: { bind: "user:*", publish: ["a/*"] }
"#
    ));
}

#[test]
fn roles_are_overridden_like_everything() {
    let roles = "  a: { bind: 'user:{claims.sub}', publish: [a/b] }\n";
    let text = format!("{ROLES}{roles}");
    let config = loaded(
        &text,
        &[("EVENTCAST_ROLES_A_RETAIN", "true")],
        &["roles.a.bind=user:{claims.id}"],
    );
    let role = &config.config.unwrap().roles[0];
    assert!(role.retain);
    assert_eq!(role.bind.to_string(), "user:{claims.id}");
}
