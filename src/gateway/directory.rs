//! Names: of a client by its token's claims, of channels and their topics.

use serde_json::{Map, Value};

use crate::channel::filter::Filter;
use crate::channel::template::channel;
use crate::channel::{Kinds, limits::CLIENT_ID_BYTES};
use crate::policy::grant::Grants;
use crate::policy::role::Role;

/// What a configuration says of names.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// The kinds of channels.
    pub kinds: Kinds,
    /// The first level of every topic, where there is one.
    pub environment: Option<String>,
    /// The roles. Without any, clients need no token.
    pub roles: Vec<Role>,
    /// The claim that names the role.
    pub role_claim: String,
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
        let role = claims.get(&self.role_claim).and_then(Value::as_str);
        let role = role.ok_or_else(|| format!("the claim `{}` names no role", self.role_claim))?;
        let known = self.roles.iter().find(|known| *known.name == *role);
        let known = known.ok_or("the token's role does not exist")?;
        // The principal alone: what the role grants is for the broker to say.
        let bound = Role {
            subscribe: Vec::new(),
            publish: Vec::new(),
            ..known.clone()
        };
        let grants = Grants::of(&bound, &Value::Object(claims.clone()), None)
            .map_err(|_| format!("the token's claims do not fit `{}`", known.bind))?;
        Ok(ClientName {
            is_exact: grants.principal.client_globs().len() == 1,
            principal: grants.principal.as_str().into(),
        })
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
