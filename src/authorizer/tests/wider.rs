//! No token yields documents that allow more than the roles that it names.
//!
//! The roles are written as plain functions here, from claims to what is allowed: a slow, obvious
//! second opinion. Documents are asked by the evaluator, about topics near to and far from the
//! claims.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{kinds, minted, role};
use crate::authorizer::decide::TokenAuthority;
use crate::policy::claim_path::ClaimPath;
use crate::policy::context::Context;
use crate::policy::document::Document;
use crate::policy::role::{Role, RoleEntry, Use};
use crate::policy::role_claim::{RoleChoice, RoleClaim};
use crate::policy::scope::{ResourceKind, Scope};
use crate::policy::simulate::Simulation;

fn authority(choice: RoleChoice) -> TokenAuthority {
    let mut authority = super::authority();
    let keeper = Role {
        retain: true,
        ..role("keeper", &[], &["state/{claims.depot}"])
    };
    let viewer = Role {
        subscribe: ["depot/+/open", "news/#"]
            .map(|text| RoleEntry::parse(text, Use::Subscribe, &kinds()).unwrap())
            .into(),
        ..role("viewer", &[], &[])
    };
    authority.roles.extend([keeper, viewer]);
    authority.issuers[0].role_claim = RoleClaim {
        path: ClaimPath::parse("access.roles").unwrap(),
        choice,
        ..RoleClaim::of_name("role")
    };
    authority
}

/// Topics, or beginnings of topics, that may be received, published and retained, each with its
/// action.
fn allowed(roles: &[String], claims: &Value) -> BTreeSet<(&'static str, String)> {
    let mut all = BTreeSet::new();
    let depot = claims["depot"].as_str().unwrap_or_default();
    for role in roles {
        match role.as_str() {
            "customer" => {
                let sub = claims["sub"].as_str().unwrap();
                all.insert(("hear", format!("user/{sub}")));
                for order in claims["orders"].as_array().into_iter().flatten() {
                    all.insert(("hear", format!("order/{}", order.as_str().unwrap())));
                }
            }
            "courier" => {
                all.insert(("hear", format!("depot/{depot}")));
                all.insert(("publish", format!("depot/{depot}")));
            }
            "keeper" => {
                all.insert(("publish", format!("state/{depot}")));
                all.insert(("retain", format!("state/{depot}")));
            }
            // A `*` of policies spans levels, which docs/roles.md says.
            "viewer" => {
                all.insert(("hear", "depot/*/open".into()));
                all.insert(("hear", "news/*".into()));
            }
            _ => {}
        }
    }
    all
}

fn is_in(all: &BTreeSet<(&'static str, String)>, action: &'static str, topic: &str) -> bool {
    all.iter().any(|(named, text)| {
        *named == action
            && match text.split_once('*') {
                None => text == topic,
                Some((begin, end)) => {
                    topic.len() >= begin.len() + end.len()
                        && topic.starts_with(begin)
                        && topic.ends_with(end)
                }
            }
    })
}

const IDS: [&str; 3] = [
    "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11",
    "11111111-4f0b-4d3e-9f51-6a4f0c6c2a11",
    "22222222-4f0b-4d3e-9f51-6a4f0c6c2a11",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("north".to_owned()),
        Just("*".to_owned()),
        Just("+".to_owned()),
        Just("#".to_owned()),
        Just("${iot:ClientId}".to_owned()),
        Just("north/open".to_owned()),
        "[ -~é]{0,6}",
        "[a-n*?+#/$]{1,4}",
    ]
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(vec![
        "customer", "courier", "keeper", "viewer", "admin", "Customer", "*", "",
    ]);
    prop::collection::vec(name.prop_map(str::to_owned), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn documents_allow_what_roles_say_and_nothing_else(
        names in names(),
        in_words in any::<bool>(),
        all in any::<bool>(),
        sub in prop_oneof![4 => prop::sample::select(IDS.to_vec()).prop_map(str::to_owned), 1 => word()],
        orders in prop::collection::vec(
            prop_oneof![6 => prop::sample::select(IDS.to_vec()).prop_map(str::to_owned), 1 => word()], 0..4),
        depot in word(),
        other in word(),
    ) {
        let roles: Value = if in_words { names.join(" ").into() } else { json!(names) };
        let claims = json!({ "sub": sub, "access": { "roles": roles }, "orders": orders, "depot": depot });
        let choice = if all { RoleChoice::All } else { RoleChoice::First };
        let authority = authority(choice);
        let Ok(admission) = authority.decide(&minted(claims.clone())) else { return Ok(()) };
        let existing = ["customer", "courier", "keeper", "viewer"];
        let mut named: Vec<String> =
            names.iter().filter(|name| existing.contains(&name.as_str())).cloned().collect();
        if choice == RoleChoice::First {
            named.truncate(1);
        }
        let expected = allowed(&named, &claims);
        prop_assert!(admission.documents.len() <= 10);
        let documents: Vec<Document> = admission.documents.iter()
            .map(|draft| Document::parse(&draft.minified()).unwrap())
            .collect();
        for draft in &admission.documents {
            prop_assert!(draft.minified().len() <= 2_048);
        }
        let (scope, context) = (Scope::default(), Context::of_client(&sub));
        let simulation = Simulation { documents: &documents, scope: &scope, context: &context };
        let retained = |topic: &str| simulation.decide("iot:RetainPublish", &scope.arn(ResourceKind::Topic, topic));
        let mut topics: Vec<String> = vec!["news/a".into(), "#".into(), "$aws/things/x".into(), "depot/x/y/open".into()];
        for word in [&depot, &other, &sub, "north", "+"].into_iter().chain(orders.iter().map(String::as_str).collect::<Vec<_>>()) {
            topics.extend(["user/", "order/", "depot/", "state/", "news/", ""].map(|kind| format!("{kind}{word}")));
            topics.push(format!("depot/{word}/open"));
        }
        for topic in &topics {
            let hears = is_in(&expected, "hear", topic);
            prop_assert_eq!(simulation.receive(topic).is_allowed(), hears, "receive {}", topic);
            let publishes = is_in(&expected, "publish", topic);
            prop_assert_eq!(simulation.publish(topic).is_allowed(), publishes, "publish {}", topic);
            let retains = is_in(&expected, "retain", topic);
            prop_assert_eq!(retained(topic).is_allowed(), retains, "retain {}", topic);
        }
        for id in IDS.into_iter().chain(["", "*", "eventcast", &depot, &other]) {
            for id in [id.to_owned(), format!("{id}-x")] {
                let own = id == sub || id.strip_prefix(&*sub).is_some_and(|rest| rest.starts_with('-'));
                let context = Context::of_client(&id);
                let simulation = Simulation { documents: &documents, scope: &scope, context: &context };
                prop_assert_eq!(simulation.connect().is_allowed(), own, "connect {}", id);
            }
        }
    }
}
