//! `eventcast token verify`: the verification of a token, its claims, and its grants.
//!
//! It prints claims, since that is what it is asked for. It never prints the token.

use std::io::{BufRead, Write};

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::authorizer::answer::AuthorizerResponse;
use crate::authorizer::decide::{AdmittedClient, TokenAuthority};
use crate::aws::client::by_environment;
use crate::channel::limits::{AUTHORIZER_DOCUMENTS, TOKEN_CHARACTERS};
use crate::cli::authority::{KeyChoice, authority, has_no_keys};
use crate::cli::configuration::Configuration;
use crate::cli::input::{INPUT_BYTES, text_of};
use crate::cli::json::write_json;
use crate::cli::runtime::block_on;
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status};
use crate::config::Config;
use crate::escape::write_line;

pub(super) const HELP: &str = "\
The keys are those of the configuration (files, and key sets by https), unless --key or --dev names \
others. Where the configuration has a list of revoked tokens, it is asked. \
With --format json the answer for IoT Core is there as well; its ARNs have the configuration's \
Region and account, or those of AWS's own examples.

Examples:
  eventcast token verify - < token
  eventcast token mint --dev --role customer --claims claims.json | eventcast token verify --dev -
  eventcast token verify --key jwks.json --format json $TOKEN

Exit status: 0 it is believed and lets a client in, 1 it does not, 2 the configuration or the keys \
are not right, or a key set or the list of revoked tokens cannot be read.";

#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// The token, or - to read it from standard input, where other users of the machine do not see it
    #[arg(value_name = "TOKEN|-")]
    token: String,
    /// A file with public keys, instead of the configuration's (repeatable)
    #[arg(long, value_name = "FILE")]
    key: Vec<String>,
    /// Believe the development key, and no other
    #[arg(long, conflicts_with = "key")]
    dev: bool,
    #[command(flatten)]
    configuration: Configuration,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// Runs the command.
pub(super) fn run(
    command: &Verify,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let configuration = &command.configuration;
    let Some(config) = configuration.read_for_tokens(command.dev, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let Some(authority) = command.authority(&config, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let Some(token) = command.token(input, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let decided = block_on(authority.admit(&token))?;
    let now = Timestamp::now();
    let status = match &decided {
        Ok(_) => Status::Yes,
        Err(rejection) if rejection.is_transient() => Status::CannotAnswer,
        Err(_) => Status::No,
    };
    if token.trim().len() > TOKEN_CHARACTERS {
        write_line(
            messages,
            format_args!(
                "warning: it has {} characters; IoT Core hands {TOKEN_CHARACTERS} to an authorizer at most",
                token.trim().len()
            ),
        )?;
    }
    match (command.format, decided) {
        (OutputFormat::Text, Ok(admission)) => text(&authority, &admission, now, out, messages)?,
        (OutputFormat::Text, Err(rejection)) => {
            write_line(out, format_args!("not let in: {rejection}"))?
        }
        (OutputFormat::Json, decided) => {
            let report = match decided {
                Ok(admission) => TokenReport::of(&admission, now),
                Err(rejection) => TokenReport {
                    error: Some(rejection.to_string()),
                    ..TokenReport::default()
                },
            };
            write_json(&report, out)?;
        }
    }
    Ok(status)
}

impl Verify {
    fn authority(
        &self,
        config: &Config,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<TokenAuthority>> {
        let choice = match self.key.as_slice() {
            _ if self.dev => KeyChoice::Development,
            [] => KeyChoice::Configured,
            files => KeyChoice::Files(files),
        };
        if matches!(choice, KeyChoice::Configured) && has_no_keys(config) {
            write_error(
                messages,
                "no keys are known that a token could be believed by",
                "set authorizer.keys or keys_url in the configuration, name a file with --key, or believe the development key with --dev",
            )?;
            return Ok(None);
        }
        authority(config, choice, by_environment, messages)
    }

    fn token(
        &self,
        input: Option<impl BufRead>,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<String>> {
        if self.token != "-" {
            return Ok(Some(self.token.clone()));
        }
        let token = match input {
            Some(input) => {
                text_of(input, INPUT_BYTES).context("reading the token from standard input")?
            }
            None => {
                write_error(
                    messages,
                    "no token",
                    "pipe it to standard input: eventcast token verify - < token",
                )?;
                return Ok(None);
            }
        };
        Ok(Some(token))
    }
}

fn text(
    authority: &TokenAuthority,
    admission: &AdmittedClient,
    now: Timestamp,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<()> {
    let verified = &admission.verified;
    let key = match &verified.key {
        Some(id) => format!(", key `{id}`"),
        None => String::new(),
    };
    write_line(
        out,
        format_args!(
            "believed until {}; signed by {}{key}",
            verified.expires, verified.algorithm
        ),
    )?;
    let issuer = authority
        .issuers
        .iter()
        .find(|issuer| issuer.name == admission.issuer);
    if let Some(name) = &admission.issuer {
        write_line(out, format_args!("issuer {name}"))?;
    }
    if let Some(kind) = &verified.kind
        && let Some(meaning) = meaning(kind)
    {
        write_line(out, format_args!("type {kind}: {meaning}"))?;
    }
    let noun = match admission.roles.len() {
        1 => "role",
        _ => "roles",
    };
    let roles = admission.roles.join(", ");
    match issuer.map(|issuer| &issuer.role_claim.path) {
        Some(path) => write_line(out, format_args!("{noun} {roles} (of the claim {path})"))?,
        None => write_line(out, format_args!("{noun} {roles}"))?,
    }
    if authority.revoked.is_some() {
        write_line(out, format_args!("not revoked"))?;
    }
    write_line(out, format_args!("claims"))?;
    for (name, value) in &verified.claims {
        write_line(out, format_args!("  {name}: {value}"))?;
    }
    write_line(out, format_args!("may"))?;
    let grants = &admission.grants;
    for client in grants.principal.client_globs() {
        write_line(out, format_args!("  connect as {client}"))?;
    }
    for reach in &grants.subscriptions {
        write_line(out, format_args!("  subscribe to {}", reach.filter_glob()))?;
    }
    for reach in &grants.publications {
        let retained = if grants.retained.contains(reach) {
            ", retained too"
        } else {
            ""
        };
        write_line(
            out,
            format_args!("  publish to {}{retained}", reach.topic_glob()),
        )?;
    }
    let answer = admission.answer(now);
    write_line(
        out,
        format_args!(
            "IoT Core: principal {}, connected for {}s at most, asks again after {}s, {} of {AUTHORIZER_DOCUMENTS} documents",
            answer.principal_id,
            answer.disconnect_after_in_seconds,
            answer.refresh_after_in_seconds,
            answer.policy_documents.len()
        ),
    )?;
    for note in &admission.notes {
        write_line(messages, format_args!("note: {note}"))?;
    }
    Ok(())
}

/// Meaning of a type that is not the usual one. Types have no case, and `application/` in front of
/// one may be left out (RFC 7515, section 4.1.9).
fn meaning(kind: &str) -> Option<&'static str> {
    let kind = kind.to_ascii_lowercase();
    match kind.strip_prefix("application/").unwrap_or(&kind) {
        "jwt" => None,
        "at+jwt" => Some("an access token (RFC 9068)"),
        _ => Some("it decides nothing; `audience` and `require` say which tokens are taken"),
    }
}

/// The answer for programs.
#[derive(Debug, Default, Serialize)]
struct TokenReport {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Box<str>>,
    /// All roles, with a comma between several.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<GrantedChannels>,
    /// The answer of a custom authorizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AuthorizerResponse>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct GrantedChannels {
    principal: String,
    connect: Vec<String>,
    subscribe: Vec<String>,
    publish: Vec<String>,
    retain: bool,
}

impl TokenReport {
    fn of(admission: &AdmittedClient, now: Timestamp) -> Self {
        let (verified, grants) = (&admission.verified, &admission.grants);
        Self {
            valid: true,
            error: None,
            expires: Some(verified.expires),
            algorithm: Some(verified.algorithm),
            key: verified.key.clone(),
            kind: verified.kind.clone(),
            issuer: admission.issuer.clone(),
            role: Some(admission.role()),
            roles: admission.roles.clone(),
            claims: Some(verified.claims.clone()),
            grants: Some(GrantedChannels {
                principal: grants.principal.to_string(),
                connect: grants.principal.client_globs(),
                subscribe: grants.filter_globs(),
                publish: grants.topic_globs(),
                retain: !grants.retained.is_empty(),
            }),
            answer: Some(admission.answer(now)),
            notes: admission.notes.clone(),
        }
    }
}
