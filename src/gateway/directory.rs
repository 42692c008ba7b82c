//! Names: of a client by its token's claims, of channels and their topics.

use serde_json::{Map, Value};

use crate::channel::filter::Filter;
use crate::channel::template::channel;
use crate::channel::{Kinds, limits::CLIENT_ID_BYTES};
use crate::policy::grant::{Grants, MergeError};
use crate::policy::role::Role;
use crate::policy::role_claim::RoleClaim;

/// Names of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// The kinds of channels.
    pub kinds: Kinds,
    /// The first level of every topic, where there is one.
    pub environment: Option<String>,
    /// The roles. Without any, clients need no token.
    pub roles: Vec<Role>,
    /// The issuers of tokens, and the claims that name roles in theirs.
    pub issuers: Vec<IssuerRoles>,
}

/// One issuer's way to name roles.
#[derive(Clone, Debug)]
pub struct IssuerRoles {
    /// The `iss` of its tokens, where the configuration names it.
    pub issuer: Option<String>,
    /// The claim that names the roles.
    pub role_claim: RoleClaim,
}

/// Name of a client at the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName {
    /// Its principal.
    pub principal: Box<str>,
    /// `true` where its client id is the principal alone, as the role has it.
    pub is_exact: bool,
}

/// The part of a client id by which logs and the inspector distinguish a gateway's connections from
/// a client's own.
const LABEL: &str = "-gateway-";

/// Bytes of a client id's random part, in hexadecimal.
const RANDOM_BYTES: usize = 10;

impl Directory {
    /// Returns `true` where clients need a token.
    pub fn asks_for_tokens(&self) -> bool {
        !self.roles.is_empty()
    }

    /// The name of a token's bearer, as the role that its claims name binds client ids. The claims
    /// need not be proved: a client id that is not the bearer's is refused by the broker.
    ///
    /// # Errors
    /// The reason why there is none, in one line.
    pub fn name(&self, claims: Option<&Map<String, Value>>) -> Result<ClientName, String> {
        if !self.asks_for_tokens() {
            return Ok(ClientName {
                principal: "anonymous".into(),
                is_exact: false,
            });
        }
        let claims = claims.ok_or("the token is no JWT")?;
        let role_claim = self.role_claim(claims)?;
        let roles = role_claim.roles(claims, &self.roles, |role| &role.name);
        // The principals alone: the broker decides what roles grant.
        let bound: Vec<Role> = roles
            .map_err(|error| error.to_string())?
            .into_iter()
            .map(|role| Role {
                subscribe: Vec::new(),
                publish: Vec::new(),
                ..role.clone()
            })
            .collect();
        let merged = Grants::of_roles(&bound, &Value::Object(claims.clone()), None);
        let merged = merged.map_err(|error| match error {
            MergeError::Claims { role, .. } => {
                format!("the token's claims do not fit `{}`", role.bind)
            }
            MergeError::Principals(..) => "the token's roles bind different principals".to_owned(),
        })?;
        let grants = merged.ok_or("the token names no role")?;
        Ok(ClientName {
            is_exact: grants.principal.is_exact(),
            principal: grants.principal.as_str().into(),
        })
    }

    /// The claim that names the roles of a token: of several issuers that of the one it names.
    fn role_claim(&self, claims: &Map<String, Value>) -> Result<&RoleClaim, String> {
        if let [only] = self.issuers.as_slice() {
            return Ok(&only.role_claim);
        }
        let named = claims.get("iss").and_then(Value::as_str);
        let is_named =
            |known: &&IssuerRoles| known.issuer.is_some() && known.issuer.as_deref() == named;
        let known = self.issuers.iter().find(is_named);
        let known = known.ok_or("the token's `iss` is none of the issuers")?;
        Ok(&known.role_claim)
    }

    /// The filter to subscribe to for a channel: `order:ID`, `order:*`, or a topic filter as it is.
    ///
    /// # Errors
    /// The reason why there is none, in one line.
    pub fn filter(&self, name: &str) -> Result<Filter, String> {
        let text = match channel(name, &self.kinds) {
            Ok(Some((kind, id))) => {
                if id != "*" && !kind.id().accepts(id) {
                    let name = kind.name();
                    return Err(format!("the id is no id of channel `{name}`"));
                }
                let id = if id == "*" { "+" } else { id };
                let environment = self.environment.iter();
                let environment: String = environment.map(|name| format!("{name}/")).collect();
                format!("{environment}{}/{id}", kind.name())
            }
            Ok(None) => name.to_owned(),
            Err(error) => return Err(error.message),
        };
        let filter = Filter::parse(&text).map_err(|error| error.to_string())?;
        if filter.share().is_some() {
            return Err("shared subscriptions are not offered to clients".into());
        }
        Ok(filter)
    }

    /// The channel that a topic belongs to.
    pub fn channel(&self, topic: &str) -> Option<String> {
        let rest = match &self.environment {
            Some(environment) => topic
                .strip_prefix(environment.as_str())?
                .strip_prefix('/')?,
            None => topic,
        };
        let (name, id) = rest.split_once('/')?;
        let kind = self.kinds.get(name)?;
        kind.id().accepts(id).then(|| format!("{name}:{id}"))
    }
}

impl ClientName {
    /// Returns `true` where a client id is this client's, as policies grant them: its principal, or
    /// that with a hyphen and a suffix.
    pub fn has_client_id(&self, id: &str) -> bool {
        let suffix = id.strip_prefix(&*self.principal);
        let is_own =
            suffix.is_some_and(|rest| rest.is_empty() || (!self.is_exact && rest.starts_with('-')));
        is_own && id.len() <= CLIENT_ID_BYTES
    }

    /// A client id of this client that nobody can guess; of an exact name there is one only.
    pub fn client_id(&self) -> Option<Box<str>> {
        if self.is_exact {
            return Some(self.principal.clone());
        }
        let random: [u8; RANDOM_BYTES] = super::session::random()?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let room = CLIENT_ID_BYTES.checked_sub(self.principal.len() + LABEL.len())?;
        let random = random.get(..random.len().min(room))?;
        Some(format!("{}{LABEL}{random}", self.principal).into())
    }
}
