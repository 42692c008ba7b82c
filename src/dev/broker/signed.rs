//! Authorizer for signed WebSocket URLs: admits clients whose URL is signed (SigV4) with a
//! configured AWS key.
//!
//! A signature allows what the IAM policies of the signer allow. A key with policies is limited to
//! them; any other key may do everything. Another authorizer decides on clients without a
//! WebSocket, and on unsigned ones where that authorizer knows tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::signature::SignedRequest;
use crate::port::{
    Authentication, AuthenticationFuture, AuthenticationRefusal, Authorizer, ClientAccess,
    Identity, Presented,
};

/// Authorizer of clients with a signed URL.
pub struct SignedUrlAuthorizer {
    keys: SigningKeys,
    others: Arc<dyn Authorizer>,
    /// `true` where a WebSocket may be opened without a signature, since the other authorizer asks
    /// for a token.
    takes_unsigned: bool,
}

/// Keys by their key ids.
#[derive(Clone, Default)]
pub struct SigningKeys(BTreeMap<String, AwsSigningKey>);

/// AWS access key with its permissions.
#[derive(Clone)]
pub struct AwsSigningKey {
    /// Secret access key.
    pub secret: String,
    /// Permissions of the key's holder.
    pub access: Arc<dyn ClientAccess>,
}

impl fmt::Debug for SigningKeys {
    /// Prints key ids only, never a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, AwsSigningKey)> for SigningKeys {
    fn from_iter<I: IntoIterator<Item = (String, AwsSigningKey)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl SignedUrlAuthorizer {
    /// Creates an authorizer for the keys, in front of another authorizer.
    pub fn new(keys: SigningKeys, others: Arc<dyn Authorizer>, takes_unsigned: bool) -> Self {
        Self {
            keys,
            others,
            takes_unsigned,
        }
    }

    /// Returns the identity of the signer; `None` where the URL is unsigned and no signature is
    /// required.
    fn signer(
        &self,
        presented: &Presented,
        now: SystemTime,
    ) -> Result<Option<Identity>, AuthenticationRefusal> {
        let Some(upgrade) = &presented.upgrade else {
            return Ok(None);
        };
        let query = upgrade.query.as_deref().unwrap_or_default();
        if !SignedRequest::is_there(query) {
            return if self.takes_unsigned {
                Ok(None)
            } else {
                let why = "the address is not signed, and --aws-key asks for signatures";
                Err(AuthenticationRefusal::BadCredentials(why.to_owned()))
            };
        }
        let signed = SignedRequest {
            path: &upgrade.path,
            query,
            headers: &upgrade.headers,
        };
        let secret = |id: &str| self.keys.0.get(id).map(|key| key.secret.as_str());
        let signer = signed.verify(&secret, now);
        let id =
            signer.map_err(|error| AuthenticationRefusal::BadCredentials(error.to_string()))?;
        let key = self.keys.0.get(&id);
        Ok(key.map(|key| Identity {
            principal: id.as_str().into(),
            access: Arc::clone(&key.access),
            refresh_after: None,
            disconnect_after: None,
        }))
    }
}

impl Authorizer for SignedUrlAuthorizer {
    fn authenticate<'a>(&'a self, presented: &'a Presented) -> AuthenticationFuture<'a> {
        match self.signer(presented, SystemTime::now()) {
            Err(refusal) => Box::pin(async { Err(refusal) }),
            Ok(None) => self.others.authenticate(presented),
            Ok(Some(identity)) => Box::pin(async { Ok(Authentication::Known(identity)) }),
        }
    }
}
