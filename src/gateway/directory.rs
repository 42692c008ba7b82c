//! Names: of a client by its token's claims, of channels and their topics.

use serde_json::{Map, Value};

use crate::channel::filter::Filter;
use crate::channel::template::channel;
use crate::channel::{Kinds, limits::CLIENT_ID_BYTES};
use crate::policy::grant::Grants;
use crate::policy::role::Role;
use crate::policy::role_claim::RoleClaim;

/// What a configuration says of names.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// The kinds of channels.
    pub kinds: Kinds,
    /// The first level of every topic, where there is one.
    pub environment: Option<String>,
    /// The roles. Without any, clients need no token.
    pub roles: Vec<Role>,
    /// The claims that name roles, by the `iss` of their tokens; of one issuer whatever that is.
    pub role_claims: Vec<(Option<String>, RoleClaim)>,
}

/// What a client is called at the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName {
    /// Its principal.
    pub principal: Box<str>,
    /// Whether its client id is the principal alone, as the role has it.
    pub is_exact: bool,
}

/// Bytes of a client id's random part, in hexadecimal.
const RANDOM_BYTES: usize = 10;

impl Directory {
    /// Whether clients need a token.
    pub fn asks_for_tokens(&self) -> bool {
        !self.roles.is_empty()
    }

    /// The name of a token's bearer, as the role that its claims name binds client ids. The claims need not be proved: a client id that
    /// is not the bearer's is refused by the broker.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub fn name(&self, claims: Option<&Map<String, Value>>) -> Result<ClientName, String> {
        if !self.asks_for_tokens() {
            return Ok(ClientName {
                principal: "anonymous".into(),
                is_exact: false,
            });
        }
        let claims = claims.ok_or("the token is no JWT")?;
        let roles = self
            .role_claim(claims)?
            .roles(claims, &self.roles, |role| &role.name)
            .map_err(|error| error.to_string())?;
        let mut merged: Option<Grants> = None;
        for role in roles {
            // The principal alone: what the role grants is for the broker to say.
            let bound = Role {
                subscribe: Vec::new(),
                publish: Vec::new(),
                ..role.clone()
            };
            let grants = Grants::of(&bound, &Value::Object(claims.clone()), None)
                .map_err(|_| format!("the token's claims do not fit `{}`", role.bind))?;
            match &mut merged {
                None => merged = Some(grants),
                Some(all) => all
                    .merge(grants)
                    .map_err(|_| "the token's roles bind it to two principals")?,
            }
        }
        let principal = merged.ok_or("the token names no role")?.principal;
        Ok(ClientName {
            is_exact: principal.is_exact(),
            principal: principal.as_str().into(),
        })
    }

    fn role_claim(&self, claims: &Map<String, Value>) -> Result<&RoleClaim, String> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        let found = match self.role_claims.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|(named, _)| named.as_deref() == issuer),
        };
        found
            .map(|(_, claim)| claim)
            .ok_or_else(|| "the token's issuer is unknown".to_owned())
    }

    /// The filter to subscribe to for a channel: `order:ID`, `order:*`, or a topic filter as it is.
    ///
    /// # Errors
    /// Why there is none, in one line.
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
    /// A client id of this client that nobody can guess; of an exact name there is one only.
    pub fn client_id(&self) -> Option<Box<str>> {
        if self.is_exact {
            return Some(self.principal.clone());
        }
        let random: [u8; RANDOM_BYTES] = super::session::random()?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let room = CLIENT_ID_BYTES.checked_sub(self.principal.len() + 1)?;
        let random = random.get(..random.len().min(room))?;
        Some(format!("{}-{random}", self.principal).into())
    }
}
