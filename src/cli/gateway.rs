//! What the gateway is told by a configuration.

use crate::config::Config;
use crate::gateway::directory::Directory;

/// The names that a configuration gives to clients and channels.
pub(super) fn directory(config: &Config) -> Directory {
    Directory {
        kinds: config.kinds.clone(),
        environment: config.environment.clone(),
        roles: config.roles.clone(),
        role_claims: config
            .authorizer
            .issuers
            .iter()
            .map(|issuer| (issuer.issuer.clone(), issuer.role_claim.clone()))
            .collect(),
    }
}
