//! The `authorizer` section: whose tokens are believed, and what they say.
//!
//! The development key is none of the keys that can stand here: it is asked for on the command line, or not at all.

use std::time::Duration;

use super::check::{Faults, ParseDuration, text_of};
use super::shape::DefaultValue::Text;
use super::shape::{Key, Shape, optional};
use super::{elements, member, text};
use crate::channel::limits::AUTHORIZER_SECONDS;
use crate::event::pattern::tree::{Node, NodeValue};
use crate::policy::scope::{Scope, ScopeError};

const ACCOUNT: &str = "an account id of 12 digits, such as \"123456789012\"";

/// How far clocks may be apart at most.
const MOST_LEEWAY: Duration = Duration::from_secs(300);

pub(super) const KEYS: &[Key] = &[
    optional(
        "keys",
        Shape::List(&Shape::Text {
            example: "issuer.pem",
        }),
        "Files with the public keys that tokens are believed by: PEM (RSA for RS256, P-256 for ES256, Ed25519 for EdDSA) or key sets \
         (JWKS).",
    ),
    optional(
        "issuer",
        Shape::Text {
            example: "https://id.example.com/",
        },
        "What a token's `iss` must be. Without it any issuer's tokens are believed that the keys signed.",
    ),
    optional(
        "audience",
        Shape::Text {
            example: "realtime",
        },
        "What a token's `aud` must be, or have among others. Without it that is not looked at.",
    ),
    optional(
        "role_claim",
        Shape::Text { example: "role" },
        "The claim that names the role. Default role.",
    ).default(Text("role")),
    optional(
        "leeway",
        Shape::Duration,
        "How far the issuer's clock may be apart, 0s to 5m. Default 30s.",
    ).default(Text("30s")),
    optional(
        "refresh",
        Shape::Duration,
        "After which time IoT Core asks again, 5m to 24h; then a token that has expired ends its connection. Default 15m.",
    ).default(Text("15m")),
    optional(
        "token_key",
        Shape::Text { example: "token" },
        "The name that clients send the token under, in a query string or a header. Default token.",
    ).default(Text("token")),
    optional(
        "region",
        Shape::Text {
            example: "eu-central-1",
        },
        "The Region in the ARNs of policies.",
    ),
    optional(
        "account",
        Shape::Read { accepts: ACCOUNT },
        "The account in the ARNs of policies.",
    ),
];

/// Whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorizer {
    /// The files of the public keys.
    pub keys: Vec<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be.
    pub audience: Option<String>,
    /// The claim that names the role.
    pub role_claim: String,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// After which time to be asked again.
    pub refresh: Duration,
    /// The name that clients send the token under.
    pub token_key: String,
    /// The Region and account in ARNs.
    pub scope: Option<Scope>,
}

pub(super) fn read(root: &Node, faults: &mut Faults<'_>) -> Authorizer {
    let empty = Node {
        value: NodeValue::Object(Vec::new()),
        at: root.at,
    };
    let node = member(root, "authorizer").unwrap_or(&empty);
    let keys = elements(node, "keys").iter();
    let keys = keys.filter_map(|file| match &file.value {
        NodeValue::String(file) => Some(text_of(file)),
        _ => None,
    });
    let (least, most) = (*AUTHORIZER_SECONDS.start(), *AUTHORIZER_SECONDS.end());
    let refresh = (Duration::from_secs(least), Duration::from_secs(most));
    let times = [
        ("leeway", 30, (Duration::ZERO, MOST_LEEWAY), "0s to 5m"),
        (
            "refresh",
            900,
            refresh,
            "5m to 24h, which is what IoT Core takes",
        ),
    ];
    let [leeway, refresh] = times.map(|(key, default, bounds, accepted)| {
        let default = Duration::from_secs(default);
        time(node, key, default, bounds, accepted, faults)
    });
    Authorizer {
        keys: keys.collect(),
        issuer: text(node, "issuer"),
        audience: text(node, "audience"),
        role_claim: text(node, "role_claim").unwrap_or_else(|| "role".into()),
        leeway,
        refresh,
        token_key: token_key(node, faults),
        scope: scope(node, faults),
    }
}

fn time(
    node: &Node,
    name: &str,
    default: Duration,
    (least, most): (Duration, Duration),
    accepted: &str,
    faults: &mut Faults<'_>,
) -> Duration {
    let Some(time) = text(node, name).and_then(|text| text.parse_duration()) else {
        return default;
    };
    if !(least..=most).contains(&time) {
        let at = member(node, name).unwrap_or(node).at;
        let key = format!("authorizer.{name}");
        let message = format!("`{key}` is {time:?}");
        faults.error("out-of-range", &key, at, message).accepted = Some(accepted.into());
    }
    time
}

/// IoT Core's own form of the name (API reference, CreateAuthorizer, `tokenKeyName`).
fn token_key(node: &Node, faults: &mut Faults<'_>) -> String {
    let name = text(node, "token_key").unwrap_or_else(|| "token".into());
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.len() > 128 || !name.chars().all(fits) {
        let at = member(node, "token_key").unwrap_or(node).at;
        let message = format!("`authorizer.token_key` is `{name}`");
        faults
            .error("bad-name", "authorizer.token_key", at, message)
            .accepted = Some("up to 128 letters, digits, `-` and `_`".into());
    }
    name
}

fn scope(node: &Node, faults: &mut Faults<'_>) -> Option<Scope> {
    let region = text(node, "region");
    let account = member(node, "account").map(|account| match &account.value {
        NodeValue::String(text) => text_of(text),
        _ => account.to_json(),
    });
    let at = |key| member(node, key).unwrap_or(node).at;
    let (region, account) = match (region, account) {
        (None, None) => return None,
        (Some(region), Some(account)) => (region, account),
        (region, _) => {
            let (there, missing) = match region {
                Some(_) => ("region", "account"),
                None => ("account", "region"),
            };
            let key = format!("authorizer.{there}");
            let message = format!("`{key}` stands without `authorizer.{missing}`");
            faults.error("does-not-fit", &key, at(there), message).help =
                Some(format!("ARNs have both: add `{missing}`"));
            return None;
        }
    };
    match Scope::try_new(&region, &account) {
        Ok(scope) => Some(scope),
        Err(error) => {
            let (key, accepted) = match &error {
                ScopeError::Region(_) => ("region", "a Region such as eu-central-1"),
                ScopeError::Account(_) => ("account", ACCOUNT),
            };
            let path = format!("authorizer.{key}");
            faults
                .error("bad-scope", &path, at(key), error.to_string())
                .accepted = Some(accepted.into());
            None
        }
    }
}
