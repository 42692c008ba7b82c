//! Contents read from files of policy tests, and every message about faults in them.

use super::*;
use crate::channel::filter::Filter;

const GOOD: &str = r#"
account: 123456789012
region: eu-central-1
tests:
  - name: a lamp
    client: { clientId: lamp1, thing: { name: lamp1, attachedToPrincipal: true } }
    documents:
      - lamp.json
      - Version: 2012-10-17
        Statement:
          Effect: Allow
          Action: [iot:Connect]
          Resource: "*"
    cases:
      - { connect: lamp2, expect: denied }
      - { subscribe: "lamp1/+", expect: allowed, context: { aws:SourceIp: 10.0.0.1 } }
      - { action: iot:GetRetainedMessage, resource: topic/a, expect: implicit_deny }
"#;

#[test]
fn what_is_read() {
    let tests = load("t.yaml", GOOD).unwrap();
    assert_eq!(tests.account.as_deref(), Some("123456789012"));
    let [test] = tests.tests.as_slice() else {
        panic!("one test")
    };
    assert_eq!((&*test.name, test.line), ("a lamp", 5));
    let [
        PolicySource::File { path, at },
        PolicySource::Inline(document),
    ] = test.documents.as_slice()
    else {
        panic!("a file and a document")
    };
    assert_eq!((&**path, at.line), ("lamp.json", 8));
    assert_eq!(document.statements[0].at.line, 11);
    let [connect, subscribe, action] = test.cases.as_slice() else {
        panic!("three cases")
    };
    assert_eq!(connect.context.client_id.as_deref(), Some("lamp2"));
    assert_eq!(subscribe.context.client_id.as_deref(), Some("lamp1"));
    assert_eq!(
        subscribe.ask,
        Ask::Subscribe(Filter::parse("lamp1/+").unwrap())
    );
    assert_eq!(
        (action.expected, action.line),
        (ExpectedDecision::ImplicitDeny, 17)
    );
}

#[test]
fn every_fault_is_told_at_once() {
    let text = r#"
account: [1]
regions: eu-central-1
tests:
  - name: first
    client: { clientID: c }
    documents: [7, { Version: "2012-10-17", Statement: { Effect: Alow, Action: "*", Resource: "*" } }]
    cases:
      - { expect: allowed }
      - { subscribe: a, publish: a, expect: allowed }
      - { subscribe: "a/#/b", expect: allowed }
      - { publish: "a/+", expect: denied }
      - { hear: a, expect: maybe }
      - { action: iot:Publish, expect: denied }
      - { hear: a, expect: denied, context: [1] }
      - { receive: 1, expect: denied }
  - client: ""
    documents: []
    cases: [{ connect: c }]
"#;
    let faults = load("t.yaml", text).unwrap_err();
    let lines = faults.iter().map(|fault| {
        format!(
            "{} {}: {} | accepted: {} | help: {}\n",
            fault.place,
            fault.code,
            fault.message,
            fault.accepted.as_deref().unwrap_or("-"),
            fault.help.as_deref().unwrap_or("-"),
        )
    });
    insta::assert_snapshot!(lines.collect::<String>());
}

#[test]
fn empty_and_broken_files() {
    let first = |text| load("t.yaml", text).unwrap_err()[0].message.clone();
    assert_eq!(first(""), "the file has no `tests`");
    assert!(first("a: [").starts_with("not YAML: "));
}

#[test]
fn roles_in_place_of_documents() {
    let text = r#"
config: shop.yaml
tests:
  - name: a customer
    role: customer
    claims: { sub: 7, orders: [a, b] }
    cases: [{ connect: c, expect: denied }]
"#;
    let tests = load("t.yaml", text).unwrap();
    assert_eq!(tests.config.as_deref(), Some("shop.yaml"));
    let role = tests.tests[0].role.as_ref().unwrap();
    assert_eq!((&*role.name, role.at.line), ("customer", 5));
    assert_eq!(
        role.claims,
        serde_json::json!({"sub": 7, "orders": ["a", "b"]})
    );
    let faults = load(
        "t.yaml",
        r#"
tests:
  - { name: none, cases: [{ connect: c, expect: denied }] }
  - { name: both, client: c, role: r, documents: [a.json], cases: [{ connect: c, expect: denied }] }
  - { name: claims, client: c, claims: {}, documents: [a.json], cases: [{ connect: c, expect: denied }] }
  - { name: claims, role: r, claims: [7], cases: [{ connect: c, expect: denied }] }
"#,
    )
    .unwrap_err();
    let lines = faults
        .iter()
        .map(|fault| format!("{} {}: {}\n", fault.place, fault.code, fault.message));
    insta::assert_snapshot!(lines.collect::<String>());
}
