//! TLS at the broker of `eventcast dev`: by files, or by an authority of one's own that is kept in
//! a folder.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use crate::cli::input::{self, INPUT_BYTES};
use crate::cli::user_error::UserError;
use crate::dev::authority::{AuthorityError, CertificateAuthority, Signed};
use crate::dev::broker::door::tls::{ListenerTls, TlsTexts};
use crate::dev::control_plane::registry::IotRegistry;

#[derive(Debug, Args)]
#[command(next_help_heading = "The broker")]
pub(super) struct Files {
    /// Listen with TLS as well, by an authority of its own: made in this folder the first time (ca.pem, ca.key), used again later.
    /// Clients are to trust ca.pem
    #[arg(long, value_name = "FOLDER", group = "secure")]
    tls: Option<PathBuf>,
    /// Listen with TLS as well, by this certificate with its chain, as PEM
    #[arg(long, value_name = "FILE", requires = "key", group = "secure")]
    certificate: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// The authority of clients' certificates, as PEM; registered certificates need none
    #[arg(long, value_name = "FILE", requires = "secure")]
    client_ca: Option<PathBuf>,
}

/// The result of reading the arguments.
#[derive(Clone)]
pub(super) enum TlsLookup {
    /// There is to be no TLS.
    Nothing,
    /// TLS, and the certificate of the authority that clients are to trust, where it is one of its
    /// own.
    Tls(ListenerTls, Option<PathBuf>),
    /// An argument or a file has a fault, which was reported.
    Wrong,
}

/// The files of an authority in its folder: its certificate, for clients, and its key.
const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";

impl Files {
    /// Reads the files that the flags name, or makes them.
    pub(super) fn read(
        &self,
        host: IpAddr,
        registry: &IotRegistry,
        messages: &mut impl Write,
    ) -> io::Result<TlsLookup> {
        let found = self.find(host, registry);
        found.or_else(|error| {
            error.write(messages)?;
            Ok(TlsLookup::Wrong)
        })
    }

    fn find(&self, host: IpAddr, registry: &IotRegistry) -> Result<TlsLookup, UserError> {
        let (signed, authority) = match (&self.tls, &self.certificate, &self.key) {
            (Some(folder), ..) => (sign(folder, host)?, Some(folder.join(CERTIFICATE))),
            (None, Some(certificate), Some(key)) => {
                let (certificate, key) = (text(certificate)?, text(key)?);
                (Signed { certificate, key }, None)
            }
            _ => return Ok(TlsLookup::Nothing),
        };
        let client_authority = self.client_ca.as_deref().map(text).transpose()?;
        let texts = TlsTexts {
            certificate: signed.certificate.as_bytes(),
            key: signed.key.as_bytes(),
            client_authority: client_authority.as_deref().map(str::as_bytes),
            client_certificate_required: false,
        };
        let registry = registry.clone();
        let tls = ListenerTls::knowing(&texts, Arc::new(move |der| registry.knows(der)));
        let tls = tls.map_err(|error| {
            UserError::new(
                format_args!("setting up TLS for the broker: {error}"),
                "--certificate and --key belong together; --tls FOLDER makes both",
            )
        })?;
        Ok(TlsLookup::Tls(tls, authority))
    }
}

fn text(file: &Path) -> Result<String, UserError> {
    input::read_text(file, INPUT_BYTES).map_err(|error| {
        let file = file.display();
        UserError::new(format_args!("reading `{file}`: {error}"), "name PEM files with --certificate, --key and --client-ca, or let --tls FOLDER make them")
    })
}

/// A certificate for this machine, by the authority in a folder, which is made where there is none.
fn sign(folder: &Path, host: IpAddr) -> Result<Signed, UserError> {
    let mut names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    if !host.is_unspecified() && !host.is_loopback() {
        names.push(host.to_string());
    }
    let signed = authority(folder)?.sign(names);
    signed.map_err(|error| UserError::plain(format_args!("making a certificate: {error}")))
}

fn authority(folder: &Path) -> Result<CertificateAuthority, UserError> {
    let now = Timestamp::now();
    let file = folder.join(KEY);
    let unusable = |error: AuthorityError| {
        let file = file.display();
        UserError::new(
            format_args!("the authority's key `{file}`: {error}"),
            format_args!(
                "delete `{CERTIFICATE}` and `{KEY}` there to have new ones, and let clients trust the new {CERTIFICATE}"
            ),
        )
    };
    match input::read(&file, INPUT_BYTES) {
        Ok(key) => CertificateAuthority::of_key(&key, now).map_err(unusable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (authority, made) = CertificateAuthority::make(now).map_err(unusable)?;
            keep(folder, &made).map_err(|error| {
                let folder = folder.display();
                UserError::new(
                    format_args!("keeping an authority in `{folder}`: {error}"),
                    "name a folder that can be written to with --tls",
                )
            })?;
            Ok(authority)
        }
        Err(error) => Err(UserError::new(
            format_args!("reading `{}`: {error}", file.display()),
            "name a folder of one's own with --tls",
        )),
    }
}

/// Writes an authority; its key last, since a folder with a key counts as an authority.
fn keep(folder: &Path, made: &Signed) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(CERTIFICATE), &made.certificate)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(folder.join(KEY))?
        .write_all(made.key.as_bytes())
}
