//! A running `eventcast dev`, asked for a client's needs: the broker's address, a token, topics,
//! and reasons for refusals.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::cli::http;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The platform at an address.
pub(in crate::cli) struct DevPlatform {
    endpoint: String,
    told: Value,
}

/// Failure of a question.
#[derive(Debug)]
pub(in crate::cli) enum AskError {
    /// Nobody answers there as `eventcast dev` does; with the answer that was seen, and advice.
    Unreachable { what: String, help: &'static str },
    /// The question is not right; why, in words of the platform.
    Wrong(String),
}

/// A development token, and its grants.
pub(in crate::cli) struct MintedToken {
    pub(in crate::cli) token: String,
    /// The name under which the broker looks for it.
    pub(in crate::cli) key: String,
    pub(in crate::cli) principal: String,
    /// Filters, or prefixes of filters and a `*`.
    pub(in crate::cli) subscribe: Vec<String>,
}

impl DevPlatform {
    /// Reaches the platform.
    pub(in crate::cli) async fn reach(endpoint: &str) -> Result<Self, AskError> {
        let told = ask(endpoint, "/_dev/platform", None).await?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            told,
        })
    }

    /// The address of the broker's WebSocket.
    pub(in crate::cli) fn websocket(&self) -> Option<&str> {
        self.told.pointer("/addresses/mqtt/ws")?.as_str()
    }

    /// Returns `true` where clients need a token.
    pub(in crate::cli) fn wants_tokens(&self) -> bool {
        self.told.get("tokens") == Some(&Value::Bool(true))
    }

    /// Names of roles.
    pub(in crate::cli) fn roles(&self) -> Vec<&str> {
        let roles = list(&self.told, "roles");
        roles.filter_map(|role| text(role, "name")).collect()
    }

    /// Claims for which a role gives grants.
    pub(in crate::cli) fn example_claims(&self, role: &str) -> Map<String, Value> {
        let told = list(&self.told, "roles").find(|told| text(told, "name") == Some(role));
        let claims = told.and_then(|told| told.get("example")?.as_object());
        claims.cloned().unwrap_or_default()
    }

    /// Makes a token.
    pub(in crate::cli) async fn mint(
        &self,
        role: &str,
        claims: &Map<String, Value>,
    ) -> Result<MintedToken, AskError> {
        let body = json!({ "role": role, "claims": claims }).to_string();
        let told = ask(&self.endpoint, "/_dev/tokens", Some(body)).await?;
        let member = |name: &str| text(&told, name).unwrap_or_default().to_owned();
        Ok(MintedToken {
            token: member("token"),
            key: member("key"),
            principal: member("principal"),
            subscribe: texts(&told, "subscribe"),
        })
    }

    /// The topic of a channel, or of a topic as it is.
    pub(in crate::cli) async fn topic(&self, channel: &str) -> Result<String, AskError> {
        let path = format!("/_dev/channel?topic={}", escaped(channel));
        let told = ask(&self.endpoint, &path, None).await?;
        Ok(text(&told, "topic").unwrap_or(channel).to_owned())
    }

    /// Advice on a topic that a client may not subscribe to.
    pub(in crate::cli) async fn advice(&self, client: &str, topic: &str) -> Vec<String> {
        let (client, topic) = (escaped(client), escaped(topic));
        let path = format!("/_dev/hear?client={client}&topic={topic}");
        let told = ask(&self.endpoint, &path, None).await.unwrap_or_default();
        texts(&told, "advice")
    }

    /// The reason for which a client was refused last.
    pub(in crate::cli) async fn last_refusal(&self, client: &str) -> Option<String> {
        let path = format!("/_dev/client?id={}", escaped(client));
        let told = ask(&self.endpoint, &path, None).await.ok()?;
        let why = list(&told, "denials").find_map(|denial| text(denial, "why"));
        why.map(str::to_owned)
    }
}

/// Text of a member.
fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

/// Items of a member.
fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Items of a member that are text.
fn texts(value: &Value, name: &str) -> Vec<String> {
    let items = list(value, name);
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Asks, or posts a body; an answer other than 200 is an error.
async fn ask(endpoint: &str, path: &str, body: Option<String>) -> Result<Value, AskError> {
    let authority = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    let authority = authority.trim_end_matches('/');
    let asking = async {
        match body {
            Some(body) => http::post(authority, path, body).await,
            None => http::get(authority, path).await,
        }
    };
    let asked = timeout(PATIENCE, asking).await;
    let asked = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {PATIENCE:?}")));
    let endpoint = http::shown(endpoint);
    let (status, body) = asked.map_err(|error| AskError::Unreachable {
        what: format!("asking `{endpoint}`: {error:#}"),
        help: "start `eventcast dev`, or name its address with --endpoint; --url and --token connect to another broker",
    })?;
    let told: Value = serde_json::from_slice(&body).map_err(|_| {
        let says = String::from_utf8_lossy(&body);
        let says = says.lines().next().unwrap_or_default();
        AskError::Unreachable {
            what: format!(
                "`{endpoint}` does not answer as `eventcast dev` does (HTTP {status}): {says}"
            ),
            help: "run it without --bare, or name another address with --endpoint",
        }
    })?;
    match (status, text(&told, "error")) {
        (200, _) => Ok(told),
        (_, Some(why)) => Err(AskError::Wrong(why.to_owned())),
        (status, None) => Err(AskError::Unreachable {
            what: format!("`{endpoint}` does not answer as `eventcast dev` does (HTTP {status})"),
            help: "name another address with --endpoint",
        }),
    }
}
