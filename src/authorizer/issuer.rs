//! An issuer whose tokens are accepted: its keys belong to it alone, and a token's `iss` decides
//! which issuer's count.

use std::sync::Arc;

use super::expected::ExpectedClaims;
use super::key::Keys;
use super::key_set::IssuerKeys;
use crate::policy::role_claim::RoleClaim;

/// An issuer.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// Its name in the configuration; `None` where it is the only one.
    pub name: Option<Box<str>>,
    /// Claims of its valid tokens.
    pub expected: ExpectedClaims,
    /// Its keys.
    pub keys: IssuerKeys,
    /// The claim of its tokens that names roles.
    pub role_claim: RoleClaim,
}

impl TrustedIssuer {
    /// The holder of the development key: `role` names the role, and nothing else of a token is
    /// looked at.
    pub fn development() -> Self {
        Self {
            name: None,
            expected: ExpectedClaims::default(),
            keys: IssuerKeys::Fixed(Arc::new(Keys::development())),
            role_claim: RoleClaim::of_name("role"),
        }
    }
}
