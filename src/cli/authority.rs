//! Who decides on tokens, put together from the configuration and the files that it names.

use std::io::Write;
use std::path::Path;

use super::input::{self, INPUT_BYTES};
use crate::authorizer::decide::Authority;
use crate::authorizer::key::Keys;
use crate::authorizer::token::Expected;
use crate::config::Config;
use crate::escape::write_line;
use crate::policy::scope::Scope;

/// Reads files with public keys. `None` (and told) when one of them has none.
pub(super) fn keys(files: &[String], messages: &mut impl Write) -> anyhow::Result<Option<Keys>> {
    let mut keys = Keys::default();
    let mut sound = true;
    for file in files {
        let read = input::read_text(Path::new(file), INPUT_BYTES)
            .map_err(|error| error.to_string())
            .and_then(|text| Keys::parse(&text).map_err(|error| error.to_string()));
        match read {
            Ok(read) => keys.extend(read),
            Err(why) => {
                sound = false;
                write_line(
                    messages,
                    format_args!("error: the key file `{file}`: {why}"),
                )?;
            }
        }
    }
    if !sound {
        writeln!(
            messages,
            "help: name files with public keys as PEM, or key sets as JSON; file names are relative to where the command runs"
        )?;
    }
    Ok(sound.then_some(keys))
}

/// What decides on tokens that some keys signed.
pub(super) fn authority(config: &Config, keys: Keys, scope: Scope) -> Authority {
    let authorizer = &config.authorizer;
    Authority {
        keys,
        expected: Expected {
            issuer: authorizer.issuer.clone(),
            audience: authorizer.audience.clone(),
            leeway: authorizer.leeway,
        },
        role_claim: authorizer.role_claim.clone(),
        roles: config.roles.clone(),
        environment: config.environment.clone(),
        scope,
        refresh: authorizer.refresh,
    }
}
