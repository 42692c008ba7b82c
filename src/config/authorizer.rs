//! The `authorizer` section: the issuers whose tokens are accepted, and the claims in these tokens.
//!
//! The development key cannot be named here: it is asked for on the command line, or not at all.

pub mod issuer;
pub mod revoked;

use std::time::Duration;

use self::issuer::TokenIssuer;
use self::revoked::RevocationSettings;
use super::check::{Faults, text_of};
use super::section::time;
use super::shape::DefaultValue::Text;
use super::shape::{KnownKey, Shape, optional};
use super::{member, text};
use crate::channel::limits::AUTHORIZER_SECONDS;
use crate::event::pattern::tree::{NodeValue, TreeValue};
use crate::policy::role::Role;
use crate::policy::scope::{Scope, ScopeError};

const PATH: &str = "authorizer";

const ACCOUNT: &str = "an account id of 12 digits, such as \"123456789012\"";

/// The most that clocks may differ.
const MOST_LEEWAY: Duration = Duration::from_secs(300);

pub(super) const KEYS: &[KnownKey] = &[
    issuer::KEYS,
    issuer::KEYS_URL,
    issuer::ISSUER,
    issuer::AUDIENCE,
    issuer::ALGORITHMS_KEY,
    issuer::SHARED_SECRET_VARIABLE,
    issuer::REQUIRE,
    issuer::ROLE_CLAIM.default(Text("role")),
    issuer::ROLE_CHOICE.default(Text("first")),
    issuer::ROLE_NAMES,
    optional(
        "issuers",
        Shape::Map(&Shape::Section(issuer::SECTION)),
        "Several issuers, by names of your own, each with its keys and an `issuer` of its own; what they do not say of roles is as it is \
         above them.",
    ),
    optional(
        "revoked",
        Shape::Section(revoked::KEYS),
        "A list of subjects and tokens that are refused although they are valid: file or table.",
    ),
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

/// Issuers whose tokens are accepted, and the terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizerConfig {
    /// The issuers; never none. Several differ in `iss`.
    pub issuers: Vec<TokenIssuer>,
    /// The list of revoked subjects and tokens.
    pub revoked: Option<RevocationSettings>,
    /// The most that clocks may differ.
    pub leeway: Duration,
    /// Time after which the authorizer is asked again.
    pub refresh: Duration,
    /// The name that clients send the token under.
    pub token_key: String,
    /// The Region and account in ARNs.
    pub scope: Option<Scope>,
}

pub(super) fn read(root: &TreeValue, roles: &[Role], faults: &mut Faults<'_>) -> AuthorizerConfig {
    let empty = TreeValue::empty_object(root.at);
    let node = member(root, PATH).unwrap_or(&empty);
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
        time(node, (PATH, key), default, bounds, accepted, faults)
    });
    AuthorizerConfig {
        issuers: issuers(node, roles, faults),
        revoked: revoked::read(node, faults),
        leeway,
        refresh,
        token_key: token_key(node, faults),
        scope: scope(node, faults),
    }
}

/// Keys of one issuer that make no sense beside several.
const OF_ONE: [&str; 7] = [
    "keys",
    "keys_url",
    "issuer",
    "audience",
    "algorithms",
    "shared_secret_variable",
    "require",
];

fn issuers(node: &TreeValue, roles: &[Role], faults: &mut Faults<'_>) -> Vec<TokenIssuer> {
    let only = issuer::read(node, PATH, None, None, roles, faults);
    let several = match member(node, "issuers").map(|node| &node.value) {
        Some(NodeValue::Object(members)) if !members.is_empty() => members,
        _ => return vec![only],
    };
    for name in OF_ONE {
        if let Some(value) = member(node, name) {
            let key = format!("{PATH}.{name}");
            let message = format!("`{key}` and `{PATH}.issuers` are both there");
            faults.error("does-not-fit", &key, value.at, message).help =
                Some(format!("move `{name}` to the issuer that it belongs to"));
        }
    }
    let mut read: Vec<TokenIssuer> = Vec::new();
    for section in several {
        let path = format!("{PATH}.issuers.{}", section.key);
        let name = Some(section.key.clone());
        let above = Some(&only.role_claim);
        let issuer = issuer::read(&section.value, &path, name, above, roles, faults);
        let twin = read
            .iter()
            .find(|other| other.issuer.is_some() && other.issuer == issuer.issuer);
        let (message, help) = match (&issuer.issuer, twin) {
            (None, _) => (
                format!("`{path}` has no `issuer`"),
                "name what `iss` of its tokens is, so that each token has one issuer",
            ),
            (Some(_), _) if issuer.has_no_keys() => (
                format!("`{path}` has no keys"),
                "add keys_url, keys, or shared_secret_variable",
            ),
            (Some(of), Some(_)) => (
                format!("`{path}.issuer` is `{of}`, which another issuer is as well"),
                "put the keys and audiences of both into one",
            ),
            (Some(_), None) => {
                read.push(issuer);
                continue;
            }
        };
        faults
            .error("does-not-fit", &path, section.key_at, message)
            .help = Some(help.into());
    }
    // With a fault nobody reads it.
    if read.is_empty() {
        read.push(only);
    }
    read
}

/// IoT Core's own form of the name (API reference, CreateAuthorizer, `tokenKeyName`).
fn token_key(node: &TreeValue, faults: &mut Faults<'_>) -> String {
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

fn scope(node: &TreeValue, faults: &mut Faults<'_>) -> Option<Scope> {
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
