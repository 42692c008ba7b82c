//! The authority that decides on tokens. It is built from the configuration, the files that it
//! names, and the adapters that it asks for.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::variable;
use super::input::{self, INPUT_BYTES};
use super::revoked_file::RevokedFile;
use crate::authorizer::decide::TokenAuthority;
use crate::authorizer::expected::ExpectedClaims;
use crate::authorizer::issuer::TrustedIssuer;
use crate::authorizer::key::Keys;
use crate::authorizer::key_set::{FetchedKeys, IssuerKeys};
use crate::authorizer::revoked::RevocationCheck;
use crate::aws::client::SdkLoader;
use crate::aws::key_set::HttpsKeySet;
use crate::aws::revoked_table::RevokedTable;
use crate::config::Config;
use crate::config::authorizer::issuer::TokenIssuer;
use crate::config::authorizer::revoked::RevocationSource;
use crate::escape::write_line;
use crate::port::RevocationList;

/// The keys that verify tokens.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyChoice<'a> {
    /// The configuration's keys.
    Configured,
    /// The development key, and no other.
    Development,
    /// The configuration's keys, as far as there are any, and the development key.
    #[cfg_attr(
        not(feature = "dev"),
        allow(dead_code, reason = "`eventcast dev` asks for it")
    )]
    DevelopmentToo,
    /// Keys of some files, for every issuer.
    Files(&'a [String]),
}

/// Builds the authority that decides on tokens, with the revocation list where the configuration
/// has one. Returns `None`, after it reports the reason, when keys cannot be read.
pub(super) fn authority(
    config: &Config,
    choice: KeyChoice<'_>,
    sdk: SdkLoader,
    messages: &mut impl Write,
) -> anyhow::Result<Option<TokenAuthority>> {
    let authorizer = &config.authorizer;
    let mut issuers = Vec::new();
    for issuer in &authorizer.issuers {
        let Some(keys) = keys(issuer, choice, messages)? else {
            return Ok(None);
        };
        issuers.push(TrustedIssuer {
            name: issuer.name.clone(),
            expected: ExpectedClaims {
                issuer: issuer.issuer.clone(),
                audiences: issuer.audiences.clone(),
                required: issuer.required.clone(),
                leeway: authorizer.leeway,
            },
            keys,
            role_claim: issuer.role_claim.clone(),
        });
    }
    let revoked = authorizer.revoked.as_ref().map(|settings| {
        let list: Arc<dyn RevocationList> = match &settings.source {
            RevocationSource::File(file) => Arc::new(RevokedFile(PathBuf::from(file))),
            RevocationSource::Table(table) => Arc::new(RevokedTable::new(table, sdk)),
        };
        let check = RevocationCheck::new(list, settings.remember, settings.admits_unread);
        Arc::new(check)
    });
    Ok(Some(TokenAuthority {
        issuers,
        revoked,
        roles: config.roles.clone(),
        environment: config.environment.clone(),
        scope: authorizer.scope.clone().unwrap_or_default(),
        refresh: authorizer.refresh,
    }))
}

/// The keys of one issuer; `None` (and reported) when some cannot be read.
fn keys(
    issuer: &TokenIssuer,
    choice: KeyChoice<'_>,
    messages: &mut impl Write,
) -> anyhow::Result<Option<IssuerKeys>> {
    let mut fixed = match choice {
        KeyChoice::Development | KeyChoice::DevelopmentToo => Keys::development(),
        KeyChoice::Configured | KeyChoice::Files(_) => Keys::default(),
    };
    let (files, with_others) = match choice {
        KeyChoice::Development => (&[][..], false),
        KeyChoice::Files(files) => (files, false),
        KeyChoice::Configured | KeyChoice::DevelopmentToo => (issuer.keys.as_slice(), true),
    };
    let Some(read) = keys_of_files(files, messages)? else {
        return Ok(None);
    };
    let read_any = !read.is_empty();
    let read = read.only(&issuer.algorithms);
    if read_any && read.is_empty() {
        let algorithms = issuer.algorithms.join(", ");
        let files = files.join(", ");
        write_line(
            messages,
            format_args!("error: none of the keys of {files} is for {algorithms}"),
        )?;
        writeln!(
            messages,
            "help: correct authorizer.algorithms, or name files with other keys"
        )?;
        return Ok(None);
    }
    fixed.extend(read);
    if let Some(name) = issuer
        .shared_secret_variable
        .as_ref()
        .filter(|_| with_others)
    {
        let secret = variable(name).ok_or_else(|| "it is not set".to_owned());
        match secret.and_then(|secret| Keys::shared_secret(&secret).map_err(|e| e.to_string())) {
            Ok(secret) => fixed.extend(secret),
            Err(why) => {
                write_line(
                    messages,
                    format_args!(
                        "error: the variable `{name}` of authorizer.shared_secret_variable: {why}"
                    ),
                )?;
                writeln!(
                    messages,
                    "help: set it to the secret that the issuer signs with, 32 bytes and more"
                )?;
                return Ok(None);
            }
        }
    }
    let url = issuer.keys_url.as_ref().filter(|_| with_others);
    Ok(Some(match url {
        None => IssuerKeys::Fixed(Arc::new(fixed)),
        Some(url) => {
            let source = Box::new(HttpsKeySet::new(url));
            let keys = FetchedKeys::new(source, fixed, issuer.algorithms.clone());
            IssuerKeys::Fetched(Arc::new(keys))
        }
    }))
}

/// Reads files with public keys. `None` (and reported) when one of them has none.
fn keys_of_files(files: &[String], messages: &mut impl Write) -> anyhow::Result<Option<Keys>> {
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

/// Returns `true` where the configuration names no keys that could verify a token.
pub(super) fn has_no_keys(config: &Config) -> bool {
    config
        .authorizer
        .issuers
        .iter()
        .all(TokenIssuer::has_no_keys)
}
