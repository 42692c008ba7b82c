//! One row of a test's table: the question, the client, and the expected decision.

use super::super::check::Faults;
use super::super::{member, text};
use super::keys::{CONTEXT, QUESTIONS};
use super::{ExpectedDecision, PolicyCase};
use crate::channel::filter::Filter;
use crate::event::pattern::tree::{NodeValue, TreeValue};
use crate::policy::ask::Ask;
use crate::policy::context::Context;

/// Reads a row; `client` is the test's description of the client that asks.
pub(super) fn case(
    node: &TreeValue,
    key: &str,
    client: &Context,
    faults: &mut Faults<'_>,
) -> Option<PolicyCase> {
    let mut context = client.clone();
    if let Some(facts) = member(node, "context") {
        case_context(facts, key, &mut context, faults);
    }
    let ask = question(node, key, &mut context, faults)?;
    let expected = match text(node, "expect")?.as_str() {
        "allowed" => ExpectedDecision::Allowed,
        "denied" => ExpectedDecision::Denied,
        "explicit_deny" => ExpectedDecision::ExplicitDeny,
        "implicit_deny" => ExpectedDecision::ImplicitDeny,
        // Reported as an unknown word.
        _ => return None,
    };
    Some(PolicyCase {
        ask,
        context,
        expected,
        line: node.at.line,
    })
}

fn case_context(node: &TreeValue, key: &str, context: &mut Context, faults: &mut Faults<'_>) {
    // The facts' own reader knows the accepted values.
    let facts = format!("{{\"conditions\":{}}}", node.to_json());
    let known: Result<Context, _> = serde_json::from_str(&facts);
    match (&node.value, known) {
        (NodeValue::Object(_), Ok(facts)) => context.extend(facts),
        _ => {
            let key = format!("{key}.context");
            let message = format!("`{key}` is {}", node.to_json());
            let fault = faults.error("bad-context", &key, node.at, message);
            fault.accepted = Some(CONTEXT.into());
            fault.help = Some("values are text, numbers, true or false, or lists of them".into());
        }
    }
}

/// The one question of a case. A client id to connect with becomes that of the context.
fn question(
    node: &TreeValue,
    key: &str,
    context: &mut Context,
    faults: &mut Faults<'_>,
) -> Option<Ask> {
    let asked: Vec<&str> = QUESTIONS
        .into_iter()
        .filter(|name| member(node, name).is_some())
        .collect();
    let (&[name], resource) = (asked.as_slice(), member(node, "resource")) else {
        let message = match asked.as_slice() {
            [] => format!("`{key}` asks nothing"),
            _ => format!("`{key}` asks several questions: {}", asked.join(", ")),
        };
        let fault = faults.error("does-not-fit", key, node.at, message);
        fault.accepted = Some(format!("one of {}", QUESTIONS.join(", ")));
        fault.help = Some("write one case for each question".into());
        return None;
    };
    if (name == "action") != resource.is_some() {
        let message = format!("`{key}` has one of `action` and `resource`");
        let fault = faults.error("does-not-fit", key, node.at, message);
        fault.accepted = Some("both, or neither".into());
        fault.help =
            Some("write { action: iot:GetRetainedMessage, resource: topic/order/1, … }".into());
        return None;
    }
    // Another type is reported as such.
    let value = text(node, name)?;
    let at = member(node, name)?.at;
    let topic = |ask: fn(Filter) -> Ask| {
        Filter::exact(&value)
            .map(ask)
            .map_err(|error| error.to_string())
    };
    let ask = match name {
        "connect" => {
            context.client_id = Some(value.as_str().into());
            Ok(Ask::Connect)
        }
        "subscribe" => Filter::parse(&value)
            .map(Ask::Subscribe)
            .map_err(|error| error.to_string()),
        "publish" => topic(Ask::Publish),
        // `hear` is the older word for it.
        "receive" | "hear" => topic(Ask::Hear),
        _ => Ok(Ask::Action {
            action: value.clone(),
            resource: text(node, "resource")?,
        }),
    };
    match ask {
        Ok(ask) => Some(ask),
        Err(error) => {
            let key = format!("{key}.{name}");
            let message = format!("`{key}` is `{value}`: {error}");
            let fault = faults.error("bad-topic", &key, at, message);
            fault.accepted = Some(
                "a topic such as `order/1`; a filter such as `order/+` to subscribe to".into(),
            );
            fault.help = Some("IoT Core would refuse it whatever the policies say".into());
            None
        }
    }
}
