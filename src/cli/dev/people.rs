//! The clients that the broker of `eventcast dev` admits: the bridge beside it, and every client
//! with a token for a role of the configuration. The development key or a key of the configuration
//! signs such tokens. The maker of such tokens is here too.

use std::io::Write;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use ring::hmac;
use ring::rand::{self, SystemRandom};
use serde_json::{Map, Value};

use crate::authorizer::access::{Tokens, granted};
use crate::authorizer::decide::{AdmittedClient, TokenAuthority};
use crate::authorizer::key::TokenSigner;
use crate::authorizer::token::mint;
use crate::aws::client::by_environment;
use crate::cli::authority::{KeyChoice, authority};
use crate::config::Config;
use crate::dev::broker::everybody::AllowAll;
use crate::policy::draft::Draft;
use crate::policy::generate::{DocumentForm, documents};
use crate::policy::scope::Scope;
use crate::port::{
    Authentication, AuthenticationFuture, AuthenticationRefusal, Authorizer, Identity, Issued,
    Issuer, Presented,
};

/// Validity of tokens that are made here.
const LIFE: Duration = Duration::from_secs(12 * 3_600);

/// User name of the bridge.
const BRIDGE: &str = "eventcast-bridge";

pub(super) struct People {
    pub(super) authorizer: Arc<dyn Authorizer>,
    /// Maker of tokens; none where there are no roles.
    pub(super) issuer: Option<Arc<Development>>,
    /// The bridge's token for the broker.
    pub(super) bridge_token: String,
    /// The name under which the broker looks for tokens.
    pub(super) token_key: String,
}

impl People {
    /// Everybody may do everything.
    pub(super) fn everybody() -> Self {
        Self {
            authorizer: Arc::new(AllowAll),
            issuer: None,
            // Nobody asks for it.
            bridge_token: String::new(),
            token_key: "token".into(),
        }
    }

    /// The clients that a configuration knows; without roles, every client.
    pub(super) fn of(
        config: &Config,
        scope: &Scope,
        messages: &mut impl Write,
    ) -> anyhow::Result<Self> {
        if config.roles.is_empty() {
            return Ok(Self::everybody());
        }
        let token_key = config.authorizer.token_key.clone();
        let password = BridgePassword::generate()?;
        let bridge_token = password.text.clone();
        let grants = RoleGrants::of(config, scope, messages)?;
        let grants = Arc::new(RwLock::new(Arc::new(grants)));
        let doorkeeper = Doorkeeper {
            password,
            grants: Arc::clone(&grants),
        };
        Ok(Self {
            authorizer: Arc::new(doorkeeper),
            issuer: Some(Arc::new(Development {
                grants,
                token_key: token_key.clone(),
            })),
            bridge_token,
            token_key,
        })
    }

    /// Decides by another configuration from now on. Returns `true` where the bridge's rights have
    /// changed. Connected clients keep their grants until they are asked again or reconnect, as on
    /// IoT Core.
    pub(super) fn reload(
        &self,
        config: &Config,
        scope: &Scope,
        messages: &mut impl Write,
    ) -> anyhow::Result<bool> {
        let Some(issuer) = self.issuer.as_ref().filter(|_| !config.roles.is_empty()) else {
            return Ok(false);
        };
        let grants = Arc::new(RoleGrants::of(config, scope, messages)?);
        let mut current = issuer
            .grants
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, Arc::clone(&grants));
        Ok(before.bridge_documents != grants.bridge_documents)
    }
}

/// Grants of the configuration that is in force, replaced as a whole by a reload.
type CurrentGrants = Arc<RwLock<Arc<RoleGrants>>>;

/// Decisions on tokens and on the bridge by one configuration.
struct RoleGrants {
    authority: Arc<TokenAuthority>,
    tokens: Tokens,
    bridge: Identity,
    /// The policy documents of the bridge.
    bridge_documents: Vec<String>,
}

impl RoleGrants {
    fn of(config: &Config, scope: &Scope, messages: &mut impl Write) -> anyhow::Result<Self> {
        let of = |choice, messages: &mut _| authority(config, choice, by_environment, messages);
        let authority = match of(KeyChoice::DevelopmentToo, messages)? {
            Some(authority) => authority,
            None => {
                writeln!(messages, "note: going on with the development key alone")?;
                of(KeyChoice::Development, messages)?.context("the development key")?
            }
        };
        let authority = Arc::new(TokenAuthority {
            scope: scope.clone(),
            ..authority
        });
        let (bridge, bridge_documents) = bridge(config, &authority.scope)?;
        Ok(Self {
            tokens: Tokens::new(Arc::clone(&authority), &config.authorizer.token_key),
            bridge,
            bridge_documents,
            authority,
        })
    }
}

fn in_force(grants: &CurrentGrants) -> Arc<RoleGrants> {
    Arc::clone(&grants.read().unwrap_or_else(PoisonError::into_inner))
}

/// A password of the bridge at the broker beside it: 256 random bits of the operating system, valid
/// as long as the process lives.
struct BridgePassword {
    /// Text in hexadecimal, as it is sent.
    text: String,
    key: hmac::Key,
    tag: hmac::Tag,
}

impl BridgePassword {
    fn generate() -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let no_randomness = |_| anyhow::anyhow!("the system has no random numbers");
        let bytes: [u8; 32] = rand::generate(&random).map_err(no_randomness)?.expose();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(no_randomness)?;
        let tag = hmac::sign(&key, text.as_bytes());
        Ok(Self { text, key, tag })
    }

    /// Compares in constant time: tags under a random key are compared, so that time says nothing
    /// of the password.
    fn is(&self, shown: &str) -> bool {
        hmac::verify(&self.key, shown.as_bytes(), self.tag.as_ref()).is_ok()
    }
}

/// The bridge has the rights of `policy generate --for bridge`.
fn bridge(config: &Config, scope: &Scope) -> anyhow::Result<(Identity, Vec<String>)> {
    let mut config = config.clone();
    let section = &mut config.bridge;
    // The queues' names do not matter here: the broker is asked about topics and client ids.
    let url = format!(
        "https://sqs.{}.amazonaws.com/{}/x",
        scope.region, scope.account
    );
    section.queue = Some(url);
    section.dead_letter_queue = None;
    section.broker = None;
    section.publish = crate::config::bridge::Publish::Mqtt;
    section.credentials = crate::config::bridge::BrokerCredentials::None;
    let needs = config
        .bridge_permissions(scope)
        .context("saying what the bridge needs")?;
    let drafts =
        documents(&needs.broker, DocumentForm::Authorizer).context("the bridge's policies")?;
    let access = granted(Some("bridge".into()), &drafts, scope.clone());
    let identity = Identity {
        principal: BRIDGE.into(),
        access: Arc::new(access.map_err(anyhow::Error::msg)?),
        refresh_after: None,
        disconnect_after: None,
    };
    Ok((identity, drafts.iter().map(Draft::minified).collect()))
}

/// Knows the bridge, and asks for the tokens of all others.
struct Doorkeeper {
    password: BridgePassword,
    grants: CurrentGrants,
}

impl Authorizer for Doorkeeper {
    fn authenticate<'a>(&'a self, presented: &'a Presented) -> AuthenticationFuture<'a> {
        let user_name = presented
            .login
            .as_ref()
            .and_then(|login| login.user_name.as_deref());
        let shown = user_name.and_then(|name| name.rsplit_once('='));
        if shown.is_some_and(|(_, token)| self.password.is(token)) {
            let bridge = Authentication::Known(in_force(&self.grants).bridge.clone());
            return Box::pin(async { Ok::<_, AuthenticationRefusal>(bridge) });
        }
        let grants = in_force(&self.grants);
        Box::pin(async move { grants.tokens.authenticate(presented).await })
    }
}

/// Makes tokens with the development key.
pub(super) struct Development {
    grants: CurrentGrants,
    token_key: String,
}

impl Development {
    /// A token for a role, and its grants.
    pub(super) fn admit(
        &self,
        role: &str,
        claims: &Map<String, Value>,
    ) -> Result<(String, AdmittedClient), String> {
        let authority = Arc::clone(&in_force(&self.grants).authority);
        let mut claims = claims.clone();
        if let Some(issuer) = authority.issuers.first() {
            issuer.expected.fill(&mut claims);
            issuer.role_claim.set(&mut claims, role);
        }
        let minted = mint(claims, &TokenSigner::development(), Timestamp::now(), LIFE);
        let token = minted.map_err(|error| error.to_string())?.token;
        let admission = authority.decide(&token);
        let admission = admission.map_err(|rejection| rejection.to_string())?;
        Ok((token, admission))
    }
}

impl Issuer for Development {
    fn issue(&self, role: &str, claims: &Map<String, Value>) -> Result<Issued, String> {
        let (token, AdmittedClient { grants, .. }) = self.admit(role, claims)?;
        Ok(Issued {
            token,
            key: self.token_key.clone(),
            principal: grants.principal.as_str().to_owned(),
            subscribe: grants.filter_globs(),
            publish: grants.topic_globs(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_the_bridge() {
        let (one, other) = (
            BridgePassword::generate().unwrap(),
            BridgePassword::generate().unwrap(),
        );
        assert_eq!(one.text.len(), 64);
        assert_ne!(one.text, other.text);
        assert!(one.is(&one.text));
        for wrong in [&*other.text, "", &one.text[..63], &format!("{}0", one.text)] {
            assert!(!one.is(wrong), "{wrong}");
        }
    }
}
