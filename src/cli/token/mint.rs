//! `eventcast token mint`: a token for a role and claims, as an issuer would make it.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::read;
use crate::authorizer::expected::ExpectedClaims;
use crate::authorizer::key::TokenSigner;
use crate::authorizer::token::{self, Minted};
use crate::aws::client::by_environment;
use crate::channel::limits::TOKEN_CHARACTERS;
use crate::cli::authority::{KeyChoice, authority};
use crate::cli::configuration::Configuration;
use crate::cli::json::write_json;
use crate::cli::policy::generate::arguments::claim;
use crate::cli::user_error::UserError;
use crate::cli::{OutputFormat, Status};
use crate::config::authorizer::issuer::TokenIssuer;
use crate::config::{Config, duration};
use crate::escape::write_line;
use crate::policy::grant::Grants;

pub(super) const HELP: &str = "\
Issuer, audience and the claim that names the role are the configuration's. The development key \
is no secret: it is believed only where somebody asks for it by name, as token verify --dev does. With --dev and \
without eventcast.yaml the built-in shop of `eventcast dev` is read.

Examples:
  eventcast token mint --dev --role customer --sub $USER_ID --claim orders=
  eventcast token mint --dev --role customer --sub $USER_ID --claim orders=$A,$B --expires 5m
  eventcast token mint --key issuer.key --role customer --sub $USER_ID --claims claims.json > token

Exit status: 0 minted (a warning says when nobody would be let in with it), 2 the configuration, \
the key or the claims are not right.";

const KEY_HELP: &str = "give a private key as PEM (PKCS#8), or --dev for the development key";
const CLAIMS_HELP: &str = "give --claims '{\"sub\":\"…\"}', a file, or `-` for standard input";

#[derive(Debug, Args)]
pub(in crate::cli) struct MintCommand {
    /// A role of the configuration
    #[arg(long, value_name = "NAME")]
    role: String,
    /// The claim `sub`: who the client is
    #[arg(long, value_name = "TEXT")]
    sub: Option<String>,
    /// A claim; values with commas between them are a list, none are an empty list (repeatable)
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]", value_parser = claim)]
    claim: Vec<(String, Value)>,
    /// Further claims: JSON text (beginning with `{`), a file, or `-`; --claim and --sub take
    /// precedence
    #[arg(long, value_name = "JSON|FILE")]
    claims: Option<String>,
    /// For how long the token is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    expires: Duration,
    #[command(flatten)]
    with: With,
    /// The issuer of authorizer.issuers that the token is to be of, instead of the first
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// What the token says in `kid`, for issuers with several keys
    #[arg(long, value_name = "ID", requires = "key")]
    key_id: Option<String>,
    #[command(flatten)]
    configuration: Configuration,
    /// How the token is written: text is the token alone, json one object with its claims
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct With {
    /// The private key, as PEM: RSA, P-256 or Ed25519
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// The development key, which is no secret
    #[arg(long)]
    dev: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a time such as 5m or 1h is wanted".to_owned())
}

/// Runs the command.
pub(super) fn run(
    command: &MintCommand,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let configuration = &command.configuration;
    let Some(config) = configuration.read_for_tokens(command.with.dev, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let Minted { token, claims } = match command.minted(&config) {
        Ok(minted) => minted,
        Err(error) => {
            error.write(messages)?;
            return Ok(Status::CannotAnswer);
        }
    };
    command.warn(&config, &claims, &token, messages)?;
    match command.format {
        OutputFormat::Text => writeln!(out, "{token}")?,
        OutputFormat::Json => {
            let told = json!({ "token": token, "claims": claims });
            write_json(&told, out)?;
        }
    }
    Ok(Status::Yes)
}

impl MintCommand {
    fn minted(&self, config: &Config) -> Result<Minted, UserError> {
        if !config.roles.iter().any(|role| *role.name == *self.role) {
            let known: Vec<&str> = config.roles.iter().map(|role| &*role.name).collect();
            let help = match known.as_slice() {
                [] => "add roles to the configuration".to_owned(),
                known => format!("roles are {}", known.join(", ")),
            };
            return Err(UserError::new(
                format_args!("there is no role `{}`", self.role),
                help,
            ));
        }
        let key = self.key()?;
        let claims = self.all_claims(config)?;
        token::mint(claims, &key, Timestamp::now(), self.expires)
            .map_err(|error| UserError::new(error, "give another --key, or --expires"))
    }

    /// The issuer that the token is to be of: the named one, or the first.
    fn issuer<'c>(&self, config: &'c Config) -> Result<&'c TokenIssuer, UserError> {
        let all = &config.authorizer.issuers;
        let found = match &self.issuer {
            None => all.first(),
            Some(name) => all
                .iter()
                .find(|issuer| issuer.name.as_deref() == Some(name)),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = all
                .iter()
                .filter_map(|issuer| issuer.name.as_deref())
                .collect();
            let named = self.issuer.as_deref().unwrap_or_default();
            let help = match known.as_slice() {
                [] => {
                    "authorizer.issuers has the names; here is one issuer without a name".to_owned()
                }
                known => format!("issuers are {}", known.join(", ")),
            };
            UserError::new(format_args!("there is no issuer `{named}`"), help)
        })
    }

    fn key(&self) -> Result<TokenSigner, UserError> {
        let Some(file) = &self.with.key else {
            return Ok(TokenSigner::development());
        };
        let text =
            read(file).map_err(|error| UserError::new(format_args!("{error:#}"), KEY_HELP))?;
        TokenSigner::parse(&text, self.key_id.clone()).map_err(|error| {
            UserError::new(format_args!("the key file `{file}`: {error}"), KEY_HELP)
        })
    }

    fn all_claims(&self, config: &Config) -> Result<Map<String, Value>, UserError> {
        let mut all = match &self.claims {
            None => Map::new(),
            Some(argument) => {
                let text = if argument.trim_start().starts_with('{') {
                    argument.clone()
                } else {
                    read(argument)
                        .map_err(|error| UserError::new(format_args!("{error:#}"), CLAIMS_HELP))?
                };
                serde_json::from_str(&text).map_err(|error| {
                    UserError::new(
                        format_args!("the claims are no JSON object: {error}"),
                        CLAIMS_HELP,
                    )
                })?
            }
        };
        if let Some(subject) = &self.sub {
            all.insert("sub".into(), subject.as_str().into());
        }
        let issuer = self.issuer(config)?;
        ExpectedClaims {
            issuer: issuer.issuer.clone(),
            audiences: issuer.audiences.clone(),
            required: issuer.required.clone(),
            ..ExpectedClaims::default()
        }
        .fill(&mut all);
        issuer.role_claim.set(&mut all, &self.role);
        all.extend(self.claim.iter().cloned());
        Ok(all)
    }

    /// Warns of a token that no broker would accept.
    fn warn(
        &self,
        config: &Config,
        claims: &Map<String, Value>,
        token: &str,
        messages: &mut impl Write,
    ) -> anyhow::Result<()> {
        let role = config.roles.iter().find(|role| *role.name == *self.role);
        let claims = Value::Object(claims.clone());
        let grants = role.map(|role| Grants::of(role, &claims, config.environment.as_deref()));
        let mut refused: Vec<String> = Vec::new();
        if let Some(Err(errors)) = grants {
            refused.extend(errors.iter().map(ToString::to_string));
            refused.dedup();
        } else if self.with.dev {
            // The whole verification, as where the development key is trusted.
            let authority = authority(config, KeyChoice::Development, by_environment, messages)?;
            let decided = authority.map(|authority| authority.decide(token));
            let rejection = decided.and_then(Result::err);
            refused.extend(rejection.map(|error| error.to_string()));
        }
        for why in refused {
            write_line(
                messages,
                format_args!("warning: this token would be rejected: {why}"),
            )?;
        }
        if token.len() > TOKEN_CHARACTERS {
            write_line(
                messages,
                format_args!(
                    "warning: it has {} characters; IoT Core hands {TOKEN_CHARACTERS} to an authorizer at most",
                    token.len()
                ),
            )?;
        }
        Ok(())
    }
}
