//! Diagnoses of delivery and non-delivery, as a person reads them.

use std::sync::Arc;

use super::*;
use crate::config::{ConfigSource, load};
use crate::policy::context::Context;
use crate::policy::document::Document;
use crate::policy::query_report::Policies;
use crate::policy::scope::{ResourceKind, Scope};

const ORDER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
const OTHER: &str = "11111111-4f0b-4d3e-9f51-6a4f0c6c2a11";

fn config() -> Config {
    let text = "\
channels:
  user: { id: uuid }
  order: { id: uuid }
  tenant: { id: uuid }
routes:
  - { name: r, match: { source: [s] }, to: [t] }
roles:
  customer: { bind: 'user:{claims.sub}', subscribe: ['order:{claims.orders[*]}'] }
";
    let source = ConfigSource {
        file: "f",
        text,
        ..ConfigSource::default()
    };
    load(&source).config.unwrap()
}

/// Policies that allow subscribing to filters and receiving on topics.
fn grounds(filters: &[&str], topics: &[&str]) -> Grounds {
    let arns = |kind, names: &[&str]| -> Vec<String> {
        names
            .iter()
            .map(|name| Scope::default().arn(kind, name))
            .collect()
    };
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[
{{"Effect":"Allow","Action":"iot:Subscribe","Resource":{:?}}},
{{"Effect":"Allow","Action":"iot:Receive","Resource":{:?}}}]}}"#,
        arns(ResourceKind::TopicFilter, filters),
        arns(ResourceKind::Topic, topics),
    );
    let mut policies = Policies::default();
    let document = Document::parse(&text).unwrap();
    policies.push("policy 1".into(), text, document);
    Grounds {
        role: Some("customer".into()),
        policies: Arc::new(policies),
        scope: Scope::default(),
        context: Context::of_client("u-phone"),
    }
}

fn connection(is_connected: bool) -> ConnectionFacts {
    ConnectionFacts {
        is_connected,
        since: None,
        disconnect_reason: (!is_connected).then_some("FORBIDDEN_ACCESS"),
        disconnect_why: None,
        is_clean: true,
        session_expiry: 0,
        keep_alive: None,
        principal: Some("u".into()),
        source: None,
        queued: 0,
    }
}

fn known(
    subscriptions: &[&str],
    grounds: Option<Grounds>,
    is_connected: bool,
) -> KnownClient<'static> {
    KnownClient {
        client: "u-phone",
        connection: Some(connection(is_connected)),
        subscriptions: subscriptions
            .iter()
            .map(|filter| ((*filter).to_owned(), 1))
            .collect(),
        is_free: grounds.is_none() && is_connected,
        grounds,
        refused: None,
        strangers: None,
    }
}

/// Returns the diagnosis as a person reads it.
fn explained(known: &KnownClient<'_>, topic: &str) -> String {
    let heard = hear(known, &Filter::exact(topic).unwrap(), &config());
    let mut lines = vec![heard.says];
    for check in heard.checks {
        let holds = check
            .holds
            .map_or("?", |holds| if holds { "yes" } else { "no" });
        lines.push(format!("{} {holds}", check.what));
        lines.extend(check.words.iter().map(|word| format!("  {word}")));
    }
    lines.extend(heard.advice.iter().map(|advice| format!("-> {advice}")));
    lines.join("\n")
}

#[test]
fn who_hears() {
    let topic = format!("order/{ORDER}");
    let all = known(&[&topic], Some(grounds(&[&topic], &[&topic])), true);
    insta::assert_snapshot!(explained(&all, &topic));
    let anybody = known(&["#"], None, true);
    insta::assert_snapshot!(explained(&anybody, &topic));
    let wide = known(
        &["order/+"],
        Some(grounds(&["order/+"], &["order/*"])),
        true,
    );
    insta::assert_snapshot!(explained(&wide, &topic));
}

#[test]
fn who_does_not() {
    let topic = format!("order/{ORDER}");
    let other = format!("order/{OTHER}");
    let may = || Some(grounds(&[&topic], &[&topic]));
    insta::assert_snapshot!(
        "not_subscribed",
        explained(&known(&[&other], may(), true), &topic)
    );
    insta::assert_snapshot!("not_granted", explained(&known(&[], may(), true), &other));
    insta::assert_snapshot!(
        "another_kind",
        explained(&known(&[], may(), true), &format!("tenant/{ORDER}"))
    );
    let deaf = known(&[&topic], Some(grounds(&[&topic], &[&other])), true);
    insta::assert_snapshot!("not_received", explained(&deaf, &topic));
    let parent = known(
        &["board/#"],
        Some(grounds(&["board", "board/#"], &["*"])),
        true,
    );
    insta::assert_snapshot!("the_parent", explained(&parent, "board"));
    insta::assert_snapshot!("thrown_out", explained(&known(&[], may(), false), &other));
    let stranger = KnownClient {
        connection: None,
        refused: Some("the token is not believed".into()),
        ..known(&[], None, false)
    };
    insta::assert_snapshot!("not_let_in", explained(&stranger, &topic));
    // A client whose token is refused in the WebSocket's URL has no known id.
    let unknown = KnownClient {
        refused: None,
        strangers: Some("2 connections were refused".into()),
        ..stranger
    };
    insta::assert_snapshot!("never_seen", explained(&unknown, &topic));
}

/// A client that authenticates without a token gets other advice.
#[test]
fn who_has_no_token() {
    let topic = format!("order/{ORDER}");
    for (name, principal) in [
        ("by_certificate", ClientPrincipal::Certificate),
        ("by_key", ClientPrincipal::Iam),
    ] {
        let mut grounds = grounds(&["board"], &["board"]);
        grounds.role = None;
        grounds.context.principal = Some(principal);
        insta::assert_snapshot!(name, explained(&known(&[], Some(grounds), false), &topic));
    }
}
