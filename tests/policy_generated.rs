//! Generated documents allow exactly the granted actions: the evaluator's verdicts, over the
//! neighbours of every grant, against a few lines that say what a grant means.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails should say where"
)]

use std::collections::BTreeSet;

use eventcast::channel::filter::Filter;
use eventcast::channel::{ChannelKind, IdFormat, Kinds};
use eventcast::policy::arn::ResourceArn;
use eventcast::policy::context::{ClientPrincipal, Context};
use eventcast::policy::document::Document;
use eventcast::policy::draft::Draft;
use eventcast::policy::evaluate::{Request, decide};
use eventcast::policy::generate::{DocumentForm, GenerateError, generate};
use eventcast::policy::grant::{Grants, Reach};
use eventcast::policy::lint::{LintSource, lint};
use eventcast::policy::principal::ClientIdRules;
use eventcast::policy::role::{Role, RoleEntry, Use};
use eventcast::policy::scope::Scope;
use proptest::prelude::*;
use serde_json::{Value, json};

const ARN: &str = "arn:aws:iot:eu-central-1:123456789012:";

fn scope() -> Scope {
    Scope::try_new("eu-central-1", "123456789012").unwrap()
}

fn kinds() -> Kinds {
    let kind = |name: &str, id| (name.into(), ChannelKind::try_new(name, id).unwrap());
    let word = || IdFormat::pattern("[a-z0-9]{1,8}").unwrap();
    [
        kind("user", word()),
        kind("order", word()),
        kind("depot", word()),
    ]
    .into()
}

fn entries(texts: &[String], purpose: Use) -> Vec<RoleEntry> {
    let entry = |text: &String| RoleEntry::parse(text, purpose, &kinds()).unwrap();
    texts.iter().map(entry).collect()
}

/// A role's lines and the claims of one token, so that levels, ids and prefixes meet.
#[derive(Clone, Debug)]
struct Case {
    subscribe: Vec<String>,
    publish: Vec<String>,
    retain: bool,
    claims: Value,
    environment: Option<&'static str>,
}

impl Case {
    fn grants(&self) -> Grants {
        let role = Role {
            name: "role".into(),
            bind: RoleEntry::parse("user:{claims.sub}", Use::Bind, &kinds()).unwrap(),
            client_ids: ClientIdRules::default(),
            subscribe: entries(&self.subscribe, Use::Subscribe),
            publish: entries(&self.publish, Use::Publish),
            retain: self.retain,
        };
        Grants::of(&role, &self.claims, self.environment).unwrap()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let subscribe = prop::sample::select(vec![
        "user:{claims.sub}",
        "order:{claims.orders[*]}",
        "order:*",
        "tenant/{claims.tenant}/alerts",
        "tenant/+/alerts",
        "tenant/{claims.tenant}/#",
        "tenant/+",
        "order/+/a",
        "news",
        "news/a/b",
        "depot/a",
        "+/alerts",
        "#",
    ]);
    let publish = prop::sample::select(vec![
        "order:{claims.orders[*]}",
        "depot:{claims.orders[*]}",
        "depot:*",
        "user:{claims.sub}",
        "tenant/{claims.tenant}/alerts",
        "news",
    ]);
    let ids = prop::collection::vec("[ab1]{1,3}", 0..4);
    let set = |strategy, most| prop::collection::hash_set(strategy, 0..most);
    (
        (set(subscribe.boxed(), 5), set(publish.boxed(), 4)),
        (ids, "[ab]{1,2}", "[ab]{1,2}"),
        any::<bool>(),
        prop::sample::select(vec![None, Some("prod")]),
    )
        .prop_map(
            |((subscribe, publish), (orders, sub, tenant), retain, environment)| Case {
                subscribe: subscribe.into_iter().map(str::to_owned).collect(),
                publish: publish.into_iter().map(str::to_owned).collect(),
                retain,
                claims: json!({"sub": sub, "orders": orders, "tenant": tenant}),
                environment,
            },
        )
}

/// Returns `true` where a filter fits a name when each of its wildcards may span levels, as `*` of
/// policies does.
fn spans(levels: &[&str], name: &str) -> bool {
    let Some((level, rest)) = levels.split_first() else {
        return false;
    };
    let ends = (0..=name.len()).filter(|end| match *level {
        "+" | "#" => name.is_char_boundary(*end),
        level => name[..*end] == *level,
    });
    ends.into_iter()
        .any(|end| match name[end..].strip_prefix('/') {
            Some(name) if !rest.is_empty() => spans(rest, name),
            _ => rest.is_empty() && end == name.len(),
        })
}

/// Returns `true` where grants allow a request: their meaning, written directly.
fn granted(grants: &Grants, action: &str, kind: &str, name: &str) -> bool {
    let principal = grants.principal.as_str();
    let topic = |reach: &Reach| match reach {
        Reach::Topic(topic) => **topic == *name,
        Reach::Under(prefix) => name.starts_with(&**prefix),
        Reach::Filter(filter) => {
            let pattern: Vec<&str> = filter.split('/').collect();
            spans(&pattern, name)
        }
    };
    match (action, kind) {
        ("iot:Connect", "client") => {
            name == principal || name.starts_with(&format!("{principal}-"))
        }
        ("iot:Subscribe", "topicfilter") => grants.subscriptions.iter().any(|reach| match reach {
            Reach::Topic(text) | Reach::Filter(text) => **text == *name,
            Reach::Under(prefix) => name.starts_with(&**prefix),
        }),
        ("iot:Receive", "topic") => grants.subscriptions.iter().any(topic),
        ("iot:Publish", "topic") => grants.publications.iter().any(topic),
        ("iot:RetainPublish", "topic") => grants.retained.iter().any(topic),
        _ => false,
    }
}

/// Names near a name: changed, longer, shorter, its parents and children, its wildcard forms.
fn neighbours(name: &str) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = ["", "#", "+", "*", "?", "+/#", "$SYS/#", "x", "/"]
        .map(str::to_owned)
        .into();
    found.insert(name.to_owned());
    for form in [
        "{}x",
        "x{}",
        "{}/",
        "/{}",
        "{}/x",
        "{}/#",
        "{}/+",
        "{}-",
        "{}-x",
        "{}-*",
        "{}*",
        "{}?",
        "$share/g/{}",
        "prod/{}",
        "$aws/rules/r/{}",
    ] {
        found.insert(form.replace("{}", name));
    }
    found.insert(name.to_uppercase());
    if let Some((end, _)) = name.char_indices().last() {
        found.insert(name[..end].to_owned());
    }
    for at in 0..name.len() {
        for c in ["?", "*", "+", "#", "/", "z"] {
            found.insert(format!("{}{c}{}", &name[..at], &name[at + 1..]));
        }
    }
    let levels: Vec<&str> = name.split('/').collect();
    for at in 0..levels.len() {
        found.insert(levels[..at].join("/"));
        found.insert(format!("{}/#", levels[..at].join("/")));
        for level in ["+", "*", "a", "b", "1", ""] {
            let mut other = levels.clone();
            other[at] = level;
            found.insert(other.join("/"));
        }
    }
    found
}

const REQUESTS: [(&str, &str); 15] = [
    ("iot:Connect", "client"),
    ("iot:Subscribe", "topicfilter"),
    ("iot:Receive", "topic"),
    ("iot:Publish", "topic"),
    ("iot:RetainPublish", "topic"),
    // Resources of other actions.
    ("iot:Connect", "topic"),
    ("iot:Subscribe", "topic"),
    ("iot:Receive", "topicfilter"),
    ("iot:Publish", "topicfilter"),
    // Actions that no grant gives.
    ("iot:GetRetainedMessage", "topic"),
    ("iot:DeleteConnection", "client"),
    ("iot:SendDirectMessage", "client"),
    ("iot:UpdateThingShadow", "thing"),
    ("iot:AssumeRoleWithCertificate", "rolealias"),
    ("sqs:SendMessage", "topic"),
];

fn allowed(documents: &[Document], action: &str, resource: &str) -> bool {
    let context = Context::of_client("a");
    let request = Request {
        action,
        resource: ResourceArn::new(resource),
        context: &context,
    };
    decide(documents, &request).is_allowed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn documents_allow_exactly_the_grants(case in cases()) {
        let grants = case.grants();
        let generated = generate(&grants, &scope(), DocumentForm::Authorizer, None).unwrap();
        prop_assert!(generated.documents.len() <= 10);
        let documents: Vec<Document> = generated
            .documents
            .iter()
            .map(|draft| {
                assert!(draft.minified().len() <= 2_048);
                assert!(!draft.minified().contains("Deny") && !draft.minified().contains("${"));
                Document::parse(&draft.minified()).unwrap()
            })
            .collect();
        let mut names = neighbours(grants.principal.as_str());
        for reach in grants.subscriptions.iter().chain(&grants.publications) {
            names.append(&mut neighbours(reach.text()));
            names.append(&mut neighbours(&reach.topic_glob().replace('*', "y")));
        }
        for (action, kind) in REQUESTS {
            for name in &names {
                let resource = format!("{ARN}{kind}/{name}");
                let expected = granted(&grants, action, kind, name);
                prop_assert_eq!(allowed(&documents, action, &resource), expected, "{} {}", action, resource);
                // Another account, Region and partition.
                if expected {
                    for other in ["arn:aws:iot:eu-central-1:123456789013:", "arn:aws:iot:eu-west-1:123456789012:", "arn:aws-cn:iot:eu-central-1:123456789012:"] {
                        let elsewhere = format!("{other}{kind}/{name}");
                        prop_assert!(!allowed(&documents, action, &elsewhere), "{}", elsewhere);
                    }
                }
            }
            prop_assert!(!allowed(&documents, action, "*"));
        }
        // Nothing to complain of, unless the role itself grants everything.
        let everything = |reach: &Reach| reach.text().starts_with(['+', '#']);
        if !grants.subscriptions.iter().any(everything) {
            let texts: Vec<String> = generated.documents.iter().map(Draft::minified).collect();
            let sources: Vec<LintSource<'_>> = texts.iter().zip(&documents).map(|(text, document)| LintSource { text, document }).collect();
            prop_assert_eq!(lint(&sources, Some(ClientPrincipal::CustomAuthorizer)), []);
        }
    }

    /// A client can get at exactly the topics that were granted, by any filter that it may
    /// subscribe to, in MQTT's own sense of it.
    #[test]
    fn what_arrives_is_what_was_granted(case in cases()) {
        let grants = case.grants();
        let generated = generate(&grants, &scope(), DocumentForm::Authorizer, None).unwrap();
        let read = |text: String| Document::parse(&text).unwrap();
        let documents: Vec<Document> = generated.documents.iter().map(|draft| read(draft.minified())).collect();
        let mut names = BTreeSet::new();
        for reach in &grants.subscriptions {
            names.append(&mut neighbours(reach.text()));
            names.append(&mut neighbours(&reach.topic_glob().replace('*', "y")));
        }
        let filters: Vec<Filter> = names
            .iter()
            .filter(|name| allowed(&documents, "iot:Subscribe", &format!("{ARN}topicfilter/{name}")))
            .filter_map(|name| Filter::parse(name).ok())
            .collect();
        for topic in names.iter().filter(|name| !name.contains(['+', '#']) && !name.starts_with('$') && !name.is_empty()) {
            let arrives = filters.iter().any(|filter| filter.matches(topic))
                && allowed(&documents, "iot:Receive", &format!("{ARN}topic/{topic}"));
            let meant = grants.subscriptions.iter().any(|reach| match reach {
                Reach::Topic(granted) => **granted == **topic,
                Reach::Filter(filter) => Filter::parse(filter).unwrap().matches(topic),
                Reach::Under(prefix) => topic.starts_with(&**prefix),
            });
            prop_assert_eq!(arrives, meant, "{}", topic);
        }
    }
}

/// As many channels as there are, with ids of UUID's length.
fn uuid_grants(orders: usize) -> Grants {
    let kind = |name: &str| {
        (
            name.into(),
            ChannelKind::try_new(name, IdFormat::Uuid).unwrap(),
        )
    };
    let kinds: Kinds = [kind("user"), kind("order")].into();
    let entry = |text, purpose| RoleEntry::parse(text, purpose, &kinds).unwrap();
    let role = Role {
        name: "customer".into(),
        bind: entry("user:{claims.sub}", Use::Bind),
        client_ids: ClientIdRules::default(),
        subscribe: vec![entry("order:{claims.orders[*]}", Use::Subscribe)],
        publish: vec![],
        retain: false,
    };
    let uuid = |n: usize| format!("{n:08x}-4f0b-4d3e-9f51-6a4f0c6c2a11");
    let orders: Vec<String> = (0..orders).map(uuid).collect();
    Grants::of(&role, &json!({"sub": uuid(0), "orders": orders}), None).unwrap()
}

#[test]
fn ten_channels_fit_a_document_and_what_does_not_fit_is_reckoned_out() {
    let of = |orders, form, quota| generate(&uuid_grants(orders), &scope(), form, quota);
    let documents = |orders| {
        of(orders, DocumentForm::Authorizer, Some(1_000))
            .unwrap()
            .documents
            .len()
    };
    assert_eq!((documents(1), documents(9), documents(11)), (1, 1, 2));
    assert_eq!(documents(50), 5);
    insta::assert_snapshot!(of(51, DocumentForm::Authorizer, None).unwrap_err(), @"51 subscriptions are granted; a connection may have 50");
    assert!(of(51, DocumentForm::Authorizer, Some(60)).is_ok());
    insta::assert_snapshot!(of(150, DocumentForm::Authorizer, Some(1_000)).unwrap_err(), @"302 resources make 27975 characters, which need 15 documents of 2048; a custom authorizer may answer with 10");
    insta::assert_snapshot!(of(12, DocumentForm::Named, None).unwrap_err(), @"26 resources make 2583 characters, which need 2 documents of 2048; a named policy is one");
    insta::assert_snapshot!(of(12, DocumentForm::Session, None).unwrap_err(), @"26 resources make 2583 characters, which need 2 documents of 2048; a session policy is one");
    assert!(matches!(
        of(12, DocumentForm::Named, None),
        Err(GenerateError::Room { .. })
    ));
    let most = (0..150)
        .take_while(|orders| of(*orders, DocumentForm::Authorizer, Some(1_000)).is_ok())
        .last();
    assert_eq!(most, Some(101));
}
