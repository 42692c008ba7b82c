//! One issuer of tokens: its keys, and the meaning of its tokens' claims.

use std::collections::BTreeMap;

use crate::config::check::{Faults, join, text_of};
use crate::config::shape::{KnownKey, Shape, optional};
use crate::config::{elements, member, text};
use crate::event::pattern::tree::{NodeValue, TreeValue};
use crate::policy::claim_path::ClaimPath;
use crate::policy::role::Role;
use crate::policy::role_claim::{RoleChoice, RoleClaim};

/// Algorithms of signatures by public keys (RFC 7518, section 3; RFC 8037).
const ALGORITHMS: &[&str] = &["RS256", "ES256", "EdDSA"];

/// Hosts whose key sets may be fetched without TLS: they are on this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

const KEY_ADDRESS: &str = "an https address without user information, such as https://id.example.com/jwks.json; http for this machine alone";

pub(super) const KEYS: KnownKey = optional(
    "keys",
    Shape::List(&Shape::Text {
        example: "issuer.pem",
    }),
    "Files with the public keys that tokens are believed by: PEM (RSA for RS256, P-256 for ES256, Ed25519 for EdDSA) or key sets \
     (JWKS).",
);
pub(super) const KEYS_URL: KnownKey = optional(
    "keys_url",
    Shape::Text {
        example: "https://id.example.com/.well-known/jwks.json",
    },
    "The https address of the issuer's key set (JWKS). It is fetched when it is first needed, every 15 minutes, and for a key id that is \
     not in it.",
);
pub(super) const ISSUER: KnownKey = optional(
    "issuer",
    Shape::Text {
        example: "https://id.example.com/",
    },
    "What a token's `iss` must be. Without it any issuer's tokens are believed that the keys signed.",
);
pub(super) const AUDIENCE: KnownKey = optional(
    "audience",
    Shape::Texts {
        example: "realtime",
    },
    "What a token's `aud` must be, or have among others; of several texts any one. Where a token has no `aud`, it is compared with \
     `client_id`. Without it neither is looked at.",
);
pub(super) const ALGORITHMS_KEY: KnownKey = optional(
    "algorithms",
    Shape::List(&Shape::Choice(ALGORITHMS)),
    "The algorithms of the keys that are used, where those of its keys are more: RS256, ES256, EdDSA.",
);
pub(super) const SHARED_SECRET_VARIABLE: KnownKey = optional(
    "shared_secret_variable",
    Shape::Text {
        example: "SHOP_TOKEN_SECRET",
    },
    "The environment variable with a secret of 32 bytes and more that HS256 tokens are believed by. Whoever has it can make tokens as well.",
);
pub(super) const REQUIRE: KnownKey = optional(
    "require",
    Shape::Map(&Shape::Texts { example: "access" }),
    "Claims that a token must have, with the text that each must be or have among others; of several texts any one.",
);
pub(super) const ROLE_CLAIM: KnownKey = optional(
    "role_claim",
    Shape::Text { example: "role" },
    "The claim that names the role: text, a list, or words in a text. Dots lead into objects (realm_access.roles); a name with dots is \
     in quotation marks.",
);
pub(super) const ROLE_CHOICE: KnownKey = optional(
    "role_choice",
    Shape::Choice(&["first", "all"]),
    "What counts where a token names several roles: first (in its order) or all (the client gets what each of them grants).",
);
pub(super) const ROLE_NAMES: KnownKey = optional(
    "role_names",
    Shape::Map(&Shape::Text {
        example: "customer",
    }),
    "The role for a name in a token that is not the role's own, such as `shop/customers: customer`.",
);

/// The keys of an issuer's own section.
pub(super) const SECTION: &[KnownKey] = &[
    ISSUER,
    KEYS,
    KEYS_URL,
    AUDIENCE,
    ALGORITHMS_KEY,
    SHARED_SECRET_VARIABLE,
    REQUIRE,
    ROLE_CLAIM,
    ROLE_CHOICE,
    ROLE_NAMES,
];

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIssuer {
    /// Its name in the configuration; `None` where it is the only one.
    pub name: Option<Box<str>>,
    /// The value of `iss`.
    pub issuer: Option<String>,
    /// The files of its public keys.
    pub keys: Vec<String>,
    /// The address of its key set.
    pub keys_url: Option<String>,
    /// Accepted values of `aud`; empty where it is not looked at.
    pub audiences: Vec<String>,
    /// The algorithms of its keys that count; empty for all.
    pub algorithms: Vec<String>,
    /// The environment variable with the secret of HS256.
    pub shared_secret_variable: Option<String>,
    /// Claims that must be there, with the texts that each may be.
    pub required: Vec<(ClaimPath, Vec<String>)>,
    /// The claim that names the role.
    pub role_claim: RoleClaim,
}

impl TokenIssuer {
    /// Returns `true` where no source of keys is named, so that no token can be accepted.
    pub fn has_no_keys(&self) -> bool {
        self.keys.is_empty() && self.keys_url.is_none() && self.shared_secret_variable.is_none()
    }
}

/// Texts of a key that takes one or several.
fn texts(node: &TreeValue, name: &str) -> Vec<String> {
    match member(node, name).map(|node| &node.value) {
        Some(NodeValue::String(text)) => vec![text_of(text)],
        Some(NodeValue::Array(all)) => all.iter().filter_map(text_of_node).collect(),
        _ => Vec::new(),
    }
}

fn text_of_node(node: &TreeValue) -> Option<String> {
    match &node.value {
        NodeValue::String(text) => Some(text_of(text)),
        _ => None,
    }
}

/// Reads an issuer. Settings of roles that it does not have are taken from `above`.
pub(super) fn read(
    node: &TreeValue,
    path: &str,
    name: Option<Box<str>>,
    above: Option<&RoleClaim>,
    roles: &[Role],
    faults: &mut Faults<'_>,
) -> TokenIssuer {
    TokenIssuer {
        name,
        issuer: text(node, "issuer"),
        keys: elements(node, "keys")
            .iter()
            .filter_map(text_of_node)
            .collect(),
        keys_url: keys_url(node, path, faults),
        audiences: texts(node, "audience"),
        algorithms: elements(node, "algorithms")
            .iter()
            .filter_map(text_of_node)
            .collect(),
        shared_secret_variable: shared_secret_variable(node, path, faults),
        required: required(node, path, faults),
        role_claim: role_claim(node, path, above, roles, faults),
    }
}

fn keys_url(node: &TreeValue, path: &str, faults: &mut Faults<'_>) -> Option<String> {
    let url = text(node, "keys_url")?;
    if !is_key_address(&url) {
        let at = member(node, "keys_url").unwrap_or(node).at;
        let key = join(path, "keys_url");
        let fault = faults.error("bad-address", &key, at, format!("`{key}` is `{url}`"));
        fault.accepted = Some(KEY_ADDRESS.into());
    }
    Some(url)
}

fn is_key_address(url: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '\\' | '"' | '<' | '>');
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_allowed = match scheme {
        "https" => !host.is_empty(),
        "http" => LOOPBACK.contains(&host),
        _ => false,
    };
    is_allowed && is_port && !authority.contains('@') && url.chars().all(is_plain)
}

fn shared_secret_variable(node: &TreeValue, path: &str, faults: &mut Faults<'_>) -> Option<String> {
    let name = text(node, "shared_secret_variable")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_name || name.starts_with("EVENTCAST_") {
        let at = member(node, "shared_secret_variable").unwrap_or(node).at;
        let key = join(path, "shared_secret_variable");
        // It may be the secret itself.
        let message = format!("`{key}` is no name of a variable that may hold it");
        let fault = faults.error("bad-name", &key, at, message);
        fault.accepted = Some(
            "letters, digits and `_`, such as SHOP_TOKEN_SECRET; EVENTCAST_… are for this file's own values".into(),
        );
    }
    Some(name)
}

fn claim_path(
    written: &str,
    key: &str,
    at: &TreeValue,
    faults: &mut Faults<'_>,
) -> Option<ClaimPath> {
    match ClaimPath::parse(written) {
        Ok(path) => Some(path),
        Err(error) => {
            let message = format!("`{key}`: {error}");
            let fault = faults.error("bad-claim", key, at.at, message);
            fault.accepted = Some(
                "role, cognito:groups, realm_access.roles, or a name in quotation marks".into(),
            );
            fault.help = Some(format!("for one name with dots write '\"{written}\"'"));
            None
        }
    }
}

fn required(
    node: &TreeValue,
    path: &str,
    faults: &mut Faults<'_>,
) -> Vec<(ClaimPath, Vec<String>)> {
    let path = join(path, "require");
    let Some(section) = member(node, "require") else {
        return Vec::new();
    };
    let NodeValue::Object(members) = &section.value else {
        return Vec::new();
    };
    let read = members.iter().filter_map(|claim| {
        let key = join(&path, &claim.key);
        let place = claim_path(&claim.key, &key, &claim.value, faults)?;
        Some((place, texts(section, &claim.key)))
    });
    read.collect()
}

fn role_claim(
    node: &TreeValue,
    path: &str,
    above: Option<&RoleClaim>,
    roles: &[Role],
    faults: &mut Faults<'_>,
) -> RoleClaim {
    let mut claim = above.cloned().unwrap_or_else(|| RoleClaim::of_name("role"));
    if let Some(written) = text(node, "role_claim") {
        let place = member(node, "role_claim").unwrap_or(node);
        let read = claim_path(&written, &join(path, "role_claim"), place, faults);
        claim.path = read.unwrap_or(claim.path);
    }
    match text(node, "role_choice").as_deref() {
        Some("all") => claim.choice = RoleChoice::All,
        Some("first") => claim.choice = RoleChoice::First,
        _ => {}
    }
    if let Some(names) = role_names(node, path, roles, faults) {
        claim.names = names;
    }
    claim
}

fn role_names(
    node: &TreeValue,
    path: &str,
    roles: &[Role],
    faults: &mut Faults<'_>,
) -> Option<BTreeMap<Box<str>, Box<str>>> {
    let NodeValue::Object(members) = &member(node, "role_names")?.value else {
        return None;
    };
    let mut names = BTreeMap::new();
    for name in members {
        let Some(role) = text_of_node(&name.value) else {
            continue;
        };
        if !roles.iter().any(|known| *known.name == *role) {
            let key = join(&join(path, "role_names"), &name.key);
            let message = format!("`{key}` is `{role}`, which is no role of this file");
            let known: Vec<&str> = roles.iter().map(|role| &*role.name).collect();
            faults
                .error("no-such-role", &key, name.value.at, message)
                .accepted = Some(match known.as_slice() {
                [] => "a name of the section `roles`".into(),
                known => known.join(", "),
            });
        }
        names.insert(name.key.clone(), role.into());
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::is_key_address;

    #[test]
    fn addresses_of_key_sets() {
        for good in [
            "https://id.example.com/.well-known/jwks.json",
            "https://login.microsoftonline.com/common/discovery/v2.0/keys?appid=1",
            "https://id.example.com:8443/keys",
            "https://[2001:db8::1]/keys",
            "http://localhost:8080/realms/shop/protocol/openid-connect/certs",
            "http://127.0.0.1:9/keys",
            "http://[::1]:9/keys",
        ] {
            assert!(is_key_address(good), "{good}");
        }
        for bad in [
            "http://id.example.com/jwks.json",
            "http://localhost.example.com/keys",
            "http://127.0.0.1@id.example.com/keys",
            "https://user:secret@id.example.com/keys",
            "https:///keys",
            "https://",
            "file:///etc/keys",
            "id.example.com/keys",
            "https://id.example.com/a b",
            "https://id.example.com/#keys",
            "https://id.example.com:0/keys",
            "https://id.example.com:x/keys",
        ] {
            assert!(!is_key_address(bad), "{bad}");
        }
    }
}
