//! Who is let in at the broker of `eventcast dev`: the bridge beside it, and whoever has a token for a role of the configuration,
//! signed with the development key or one of the configuration's. And who makes such tokens.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::authorizer::access::{Tokens, granted};
use crate::authorizer::decide::{Admission, Authority};
use crate::authorizer::key::{Keys, Mint};
use crate::authorizer::token::mint;
use crate::cli::authority;
use crate::config::Config;
use crate::dev::broker::everybody::Everybody;
use crate::policy::generate::{Form, documents};
use crate::policy::scope::Scope;
use crate::port::{
    Answer, Authentication, Authorizer, Identity, Issued, Issuer, Presented, Refusal,
};

/// How long tokens are valid that are made here.
const LIFE: Duration = Duration::from_secs(12 * 3_600);

/// Who the bridge is.
const BRIDGE: &str = "eventcast-bridge";

pub(super) struct People {
    pub(super) authorizer: Arc<dyn Authorizer>,
    /// Who makes tokens; nobody where there are no roles.
    pub(super) issuer: Option<Arc<Development>>,
    /// What the bridge shows to the broker.
    pub(super) bridge_token: String,
    /// The name under which tokens are looked for.
    pub(super) token_key: String,
}

impl People {
    /// Everybody may do everything.
    pub(super) fn everybody() -> Self {
        Self {
            authorizer: Arc::new(Everybody),
            issuer: None,
            bridge_token: secret(),
            token_key: "token".into(),
        }
    }

    /// Those that a configuration knows. Without roles that is everybody.
    pub(super) fn of(
        config: &Config,
        scope: &Scope,
        messages: &mut impl Write,
    ) -> anyhow::Result<Self> {
        if config.roles.is_empty() {
            return Ok(Self::everybody());
        }
        let mut keys = Keys::development();
        match authority::keys(&config.authorizer.keys, messages)? {
            Some(others) => keys.extend(others),
            None => writeln!(messages, "note: going on with the development key alone")?,
        }
        let authority = Arc::new(authority::authority(config, keys, scope.clone()));
        let token_key = config.authorizer.token_key.clone();
        let bridge_token = secret();
        let doorkeeper = Doorkeeper {
            bridge_token: bridge_token.clone(),
            bridge: bridge(config, &authority.scope)?,
            tokens: Tokens::new(Arc::clone(&authority), token_key.clone()),
        };
        let issuer = Development {
            authority,
            token_key: token_key.clone(),
        };
        Ok(Self {
            authorizer: Arc::new(doorkeeper),
            issuer: Some(Arc::new(issuer)),
            bridge_token,
            token_key,
        })
    }
}

/// A word that nobody guesses; it lives as long as the process.
fn secret() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The bridge may do what `policy generate --for bridge` says.
fn bridge(config: &Config, scope: &Scope) -> anyhow::Result<Identity> {
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
    section.credentials = crate::config::bridge::Credentials::None;
    let needs = config
        .needs(scope)
        .context("saying what the bridge needs")?;
    let drafts = documents(&needs.broker, Form::Authorizer).context("the bridge's policies")?;
    let access = granted(Some("bridge".into()), &drafts, scope.clone());
    Ok(Identity {
        principal: BRIDGE.into(),
        access: Arc::new(access.map_err(anyhow::Error::msg)?),
        refresh_after: None,
        disconnect_after: None,
    })
}

/// Knows the bridge, and asks for the tokens of all others.
struct Doorkeeper {
    bridge_token: String,
    bridge: Identity,
    tokens: Tokens,
}

impl Authorizer for Doorkeeper {
    fn authenticate<'a>(&'a self, presented: &'a Presented) -> Answer<'a> {
        let user_name = presented
            .login
            .as_ref()
            .and_then(|login| login.user_name.as_deref());
        let shown = user_name.and_then(|name| name.rsplit_once('='));
        if shown.is_some_and(|(_, token)| token == self.bridge_token) {
            let bridge = Authentication::Known(self.bridge.clone());
            return Box::pin(async { Ok::<_, Refusal>(bridge) });
        }
        self.tokens.authenticate(presented)
    }
}

/// Makes tokens with the development key.
pub(super) struct Development {
    authority: Arc<Authority>,
    token_key: String,
}

impl Development {
    /// A token for a role, and what it is worth.
    pub(super) fn admit(
        &self,
        role: &str,
        claims: &Map<String, Value>,
    ) -> Result<(String, Admission), String> {
        let authority = &self.authority;
        let mut claims = claims.clone();
        let expected = &authority.expected;
        let named = [
            ("iss", expected.issuer.as_deref()),
            ("aud", expected.audience.as_deref()),
            (authority.role_claim.as_str(), Some(role)),
        ];
        for (name, value) in named {
            claims.extend(value.map(|value| (name.to_owned(), value.into())));
        }
        let minted = mint(claims, &Mint::development(), Timestamp::now(), LIFE);
        let token = minted.map_err(|error| error.to_string())?.token;
        let admission = authority.decide(&token);
        let admission = admission.map_err(|rejection| rejection.to_string())?;
        Ok((token, admission))
    }
}

impl Issuer for Development {
    fn issue(&self, role: &str, claims: &Map<String, Value>) -> Result<Issued, String> {
        let (token, Admission { grants, .. }) = self.admit(role, claims)?;
        Ok(Issued {
            token,
            key: self.token_key.clone(),
            principal: grants.principal.as_str().to_owned(),
            subscribe: grants.filter_globs(),
            publish: grants.topic_globs(),
        })
    }
}
