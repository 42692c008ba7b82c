//! The AWS keys that the broker of `eventcast dev` knows, and the policies that their signers are
//! held to.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::access::Documents;
use crate::cli::input::{self, INPUT_BYTES};
use crate::cli::policy::read_policies;
use crate::cli::user_error::write_error;
use crate::dev::broker::everybody::AllowAll;
use crate::dev::broker::signed::{AwsSigningKey, SigningKeys};
use crate::policy::context::{ClientPrincipal, Context};
use crate::policy::scope::Scope;
use crate::port::ClientAccess;

#[derive(Debug, Args)]
#[command(next_help_heading = "The broker")]
pub(super) struct Signers {
    /// A key that signs addresses of WebSockets (SigV4), and its secret, or `@` and a file with it, which other users of the machine do
    /// not see among arguments; repeatable. Then signatures are checked
    #[arg(long, value_name = "ID:SECRET|ID:@FILE", value_parser = key)]
    aws_key: Vec<KeySecret>,
    /// A policy of IAM that holds for a key; may be given several times. A key without any may do everything
    #[arg(long, value_name = "ID=FILE", value_parser = policy, requires = "aws_key")]
    aws_policy: Vec<(String, PathBuf)>,
}

/// A key's id and its secret.
#[derive(Clone)]
struct KeySecret(String, String);

impl fmt::Debug for KeySecret {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.0).finish()
    }
}

fn key(text: &str) -> Result<KeySecret, String> {
    let parts = text.split_once(':');
    let parts = parts.filter(|(id, secret)| !id.is_empty() && !secret.is_empty());
    let (id, secret) = parts.ok_or_else(|| {
        "ID:SECRET or ID:@FILE is expected, such as AKIDEVELOPMENT:secret".to_owned()
    })?;
    let secret = match secret.strip_prefix('@') {
        None => secret.to_owned(),
        Some(file) => {
            let read = input::read_text(Path::new(file), INPUT_BYTES);
            let read = read.map_err(|error| format!("reading `{file}`: {error}"))?;
            let secret = read.trim();
            if secret.is_empty() {
                return Err(format!("`{file}` is empty; a secret is expected there"));
            }
            secret.to_owned()
        }
    };
    Ok(KeySecret(id.to_owned(), secret))
}

fn policy(text: &str) -> Result<(String, PathBuf), String> {
    let parts = text.split_once('=');
    let parts = parts.filter(|(id, file)| !id.is_empty() && !file.is_empty());
    parts
        .map(|(id, file)| (id.to_owned(), file.into()))
        .ok_or_else(|| "ID=FILE is wanted, such as AKIDEVELOPMENT=policy.json".to_owned())
}

/// The result of reading the arguments.
pub(super) enum SignerLookup {
    /// Signatures are not looked at.
    Nobody,
    Keys(SigningKeys),
    /// An argument or a file has a fault, which was reported.
    Wrong,
}

impl Signers {
    /// The keys with what they may do, at an endpoint with this scope.
    pub(super) fn read(
        &self,
        scope: &Scope,
        messages: &mut impl Write,
    ) -> anyhow::Result<SignerLookup> {
        if self.aws_key.is_empty() {
            return Ok(SignerLookup::Nobody);
        }
        let known = |id: &str| self.aws_key.iter().any(|KeySecret(known, _)| known == id);
        if let Some((id, _)) = self.aws_policy.iter().find(|(id, _)| !known(id)) {
            let ids: Vec<&str> = self.aws_key.iter().map(|KeySecret(id, _)| &**id).collect();
            write_error(
                messages,
                format_args!(
                    "--aws-policy names the key `{id}`, and --aws-key gives `{}` only",
                    ids.join("`, `")
                ),
                format_args!("give its secret with `--aws-key {id}:SECRET`"),
            )?;
            return Ok(SignerLookup::Wrong);
        }
        let mut keys = Vec::new();
        for KeySecret(id, secret) in &self.aws_key {
            let Some(access) = self.access(id, scope, messages)? else {
                return Ok(SignerLookup::Wrong);
            };
            let secret = secret.clone();
            keys.push((id.clone(), AwsSigningKey { secret, access }));
        }
        Ok(SignerLookup::Keys(keys.into_iter().collect()))
    }

    /// The rights of a key. `None`, after a report, when one of its policies has a fault.
    fn access(
        &self,
        id: &str,
        scope: &Scope,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<Arc<dyn ClientAccess>>> {
        let of_key = self.aws_policy.iter().filter(|(named, _)| named == id);
        let files: Vec<String> = of_key.map(|(_, file)| file.display().to_string()).collect();
        if files.is_empty() {
            return Ok(Some(Arc::new(AllowAll)));
        }
        let Some(policies) = read_policies(&files, &mut None::<&[u8]>, messages)? else {
            return Ok(None);
        };
        let mut context = Context::default();
        context.principal = Some(ClientPrincipal::Iam);
        Ok(Some(Arc::new(Documents {
            role: None,
            policies: Arc::new(policies),
            scope: scope.clone(),
            context,
            none: None,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_keys() {
        let read = |text: &str| key(text).map(|KeySecret(id, secret)| (id, secret));
        let pair = |id: &str, secret: &str| Ok((id.to_owned(), secret.to_owned()));
        assert_eq!(read("AKID:se:cret"), pair("AKID", "se:cret"));
        let file = std::env::temp_dir().join(format!("eventcast-key-{}", std::process::id()));
        std::fs::write(&file, "from a file\n").unwrap();
        let named = format!("AKID:@{}", file.display());
        assert_eq!(read(&named), pair("AKID", "from a file"));
        std::fs::write(&file, "\n").unwrap();
        assert!(read(&named).unwrap_err().contains("is empty"));
        std::fs::remove_file(&file).unwrap();
        assert!(read(&named).unwrap_err().contains("reading"));
        for wrong in ["AKID", ":secret", "AKID:"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
