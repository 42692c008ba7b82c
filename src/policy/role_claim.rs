//! From a token's claims to the names of its roles.
//!
//! Issuers say roles in several ways: one name (`role: customer`), a list (`cognito:groups`,
//! `realm_access.roles`, `roles` of Entra), or words in a text (`scope`; RFC 8693, section 4.2).
//! Names that no role has are passed over in a list and among words, since issuers put there what
//! is meant for others.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::claim_path::ClaimPath;

/// The most names that are looked at.
const MAX_NAMES: usize = 1_000;

/// The longest name that a message quotes, in characters.
const QUOTED: usize = 60;

/// Choice among the roles that a token names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoleChoice {
    /// The first in the token's order.
    #[default]
    First,
    /// All of them: the client gets the grants of each.
    All,
}

/// The claim that names a client's roles, and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleClaim {
    /// The claim.
    pub path: ClaimPath,
    /// Choice where it names several.
    pub choice: RoleChoice,
    /// The role for a name that is not the role's own, such as `shop/customers` for `customer`.
    pub names: BTreeMap<Box<str>, Box<str>>,
}

/// Reason why a token has no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleClaimError {
    /// The claim is missing, or names nothing.
    #[error("the claim `{0}`, which names the role, is {1}")]
    Absent(String, &'static str),
    /// One name, which no role has.
    #[error("the role `{0}` does not exist")]
    Unknown(String),
    /// Several names, of which no role has one.
    #[error("the claim `{claim}` names no role that exists: {}", quoted(.names))]
    NoneKnown {
        /// The claim.
        claim: String,
        /// Names that it has instead.
        names: Vec<String>,
    },
    /// Too many names.
    #[error("the claim `{0}` has more than {MAX_NAMES} names")]
    TooMany(String),
}

fn quoted(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(5)
        .map(|name| format!("`{}`", shortened(name)))
        .collect();
    let more = if names.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", shown.join(", "))
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

impl RoleClaim {
    /// The claim of a name, which names one role or several of which the first counts.
    pub fn of_name(name: &str) -> Self {
        Self {
            path: ClaimPath::of_name(name),
            choice: RoleChoice::First,
            names: BTreeMap::new(),
        }
    }

    /// The roles among those that exist, in the token's order, each once; never none.
    ///
    /// # Errors
    /// [`RoleClaimError`] says why there are none.
    pub fn roles<'r, R>(
        &self,
        claims: &Map<String, Value>,
        existing: &'r [R],
        name_of: impl Fn(&R) -> &str,
    ) -> Result<Vec<&'r R>, RoleClaimError> {
        let absent = |what| RoleClaimError::Absent(self.path.to_string(), what);
        let (names, is_one): (Vec<&str>, bool) = match self.path.find(claims) {
            None | Some(Value::Null) => return Err(absent("missing")),
            Some(Value::String(text)) if text.trim().is_empty() => return Err(absent("empty")),
            Some(Value::String(text)) if self.names.contains_key(&**text) => (vec![text], true),
            Some(Value::String(text)) => {
                let words: Vec<&str> = text.split_whitespace().take(MAX_NAMES + 1).collect();
                let is_one = words.len() == 1;
                (words, is_one)
            }
            Some(Value::Array(all)) if all.is_empty() => return Err(absent("an empty list")),
            Some(Value::Array(all)) => {
                let names: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
                let names = names.ok_or_else(|| absent("a list with more than texts in it"))?;
                (names, false)
            }
            Some(_) => return Err(absent("no text and no list of texts")),
        };
        if names.len() > MAX_NAMES {
            return Err(RoleClaimError::TooMany(self.path.to_string()));
        }
        let role_of = |name: &str| {
            let own = self.names.get(name).map_or(name, |own| own);
            existing.iter().find(|role| name_of(role) == own)
        };
        let mut found: Vec<&R> = Vec::new();
        for role in names.iter().filter_map(|name| role_of(name)) {
            if !found.iter().any(|known| std::ptr::eq(*known, role)) {
                found.push(role);
            }
        }
        if self.choice == RoleChoice::First {
            found.truncate(1);
        }
        match (found.is_empty(), names.as_slice()) {
            (false, _) => Ok(found),
            (true, [name]) if is_one => Err(RoleClaimError::Unknown(shortened(name))),
            (true, names) => Err(RoleClaimError::NoneKnown {
                claim: self.path.to_string(),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
            }),
        }
    }

    /// Sets the claim to name a role, as a token made for it would have it.
    pub fn set(&self, claims: &mut Map<String, Value>, role: &str) {
        let other = self.names.iter().find(|(_, own)| &***own == role);
        let name = other.map_or(role, |(name, _)| name);
        self.path.set(claims, name.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXISTING: [&str; 3] = ["customer", "courier", "support"];

    fn asked(claim: &RoleClaim, claims: Value) -> String {
        let found = claim.roles(claims.as_object().unwrap(), &EXISTING, |role| role);
        match found {
            Ok(roles) => roles.into_iter().copied().collect::<Vec<_>>().join("+"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn one_role_of_texts_lists_and_words() {
        let claim = RoleClaim::of_name("role");
        for (value, role) in [
            (json!("courier"), "courier"),
            (json!("openid email courier customer"), "courier"),
            (json!(["admins", "support", "customer"]), "support"),
            (json!(["customer"]), "customer"),
        ] {
            assert_eq!(asked(&claim, json!({ "role": value })), role);
        }
    }

    #[test]
    fn all_roles_of_lists_and_words() {
        let claim = RoleClaim {
            path: ClaimPath::parse("realm_access.roles").unwrap(),
            choice: RoleChoice::All,
            names: [("shop/customers".into(), "customer".into())].into(),
        };
        let of = |roles: Value| asked(&claim, json!({ "realm_access": { "roles": roles } }));
        assert_eq!(
            of(json!(["courier", "offline_access", "support"])),
            "courier+support"
        );
        assert_eq!(of(json!(["courier", "courier"])), "courier");
        assert_eq!(
            of(json!("shop/customers customer courier")),
            "customer+courier"
        );
        let mut claims = Map::new();
        claim.set(&mut claims, "customer");
        claim.set(&mut claims, "customer");
        assert_eq!(asked(&claim, Value::Object(claims)), "customer");
    }

    #[test]
    fn tokens_without_a_role() {
        let told = |claims| asked(&RoleClaim::of_name("role"), claims);
        insta::assert_snapshot!(told(json!({})), @"the claim `role`, which names the role, is missing");
        insta::assert_snapshot!(told(json!({ "role": null })), @"the claim `role`, which names the role, is missing");
        insta::assert_snapshot!(told(json!({ "role": " " })), @"the claim `role`, which names the role, is empty");
        insta::assert_snapshot!(told(json!({ "role": [] })), @"the claim `role`, which names the role, is an empty list");
        insta::assert_snapshot!(told(json!({ "role": 7 })), @"the claim `role`, which names the role, is no text and no list of texts");
        insta::assert_snapshot!(told(json!({ "role": ["customer", 7] })), @"the claim `role`, which names the role, is a list with more than texts in it");
        insta::assert_snapshot!(told(json!({ "role": "Customer" })), @"the role `Customer` does not exist");
        insta::assert_snapshot!(told(json!({ "role": ["a", "b", "c", "d", "e", "f"] })), @"the claim `role` names no role that exists: `a`, `b`, `c`, `d`, `e`, …");
        insta::assert_snapshot!(told(json!({ "role": vec!["a"; 1_001] })), @"the claim `role` has more than 1000 names");
        assert!(told(json!({ "role": "x".repeat(10_000) })).len() < 300);
    }
}
