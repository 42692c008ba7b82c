//! The contract of a repository: its manifest, the platform's configuration, and what both were at
//! a base revision.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::cli::diagnostic::render;
use crate::cli::input::read_text;
use crate::cli::revision::file_at;
use crate::cli::user_error::write_error;
use crate::config::fault::Fault;
use crate::config::{Config, ConfigSource, MAX_FILE_BYTES, load};
use crate::guard::contract::{
    BaseContract, ContractCheck, ContractInput, check, manifest_findings,
};
use crate::guard::manifest::{self, FeatureManifest, MAX_MANIFEST_BYTES, PlatformSource};
use crate::guard::redact::redacted_lines;

/// Names of a manifest in the root of a repository.
const USUAL: [&str; 2] = ["realtime.yaml", "realtime.yml"];

#[derive(Debug, Args)]
pub(super) struct ContractArguments {
    /// The feature's manifest: realtime.yaml, or an AsyncAPI 3 document with x-realtime; the one in
    /// the root of the repository where there is one
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Option<PathBuf>,
    /// Judge changes of the contract since this revision of git, by their harm to subscribers
    #[arg(long, value_name = "REV")]
    pub(super) against: Option<String>,
}

/// Everything that a contract is proved with, read.
pub(super) struct ContractFiles {
    pub(super) manifest: FeatureManifest,
    pub(super) platform: Config,
    base: Option<(FeatureManifest, Option<Config>)>,
}

/// The manifest of a repository as far as it could be read.
pub(super) enum FoundContract {
    /// There is none.
    Absent,
    /// There is one, and something that it needs cannot be read, which is reported: no rule could
    /// run.
    Unreadable,
    /// The manifest has faults.
    Faulty {
        /// The file's name.
        file: String,
        /// All of them.
        faults: Vec<Fault>,
        /// The text.
        text: String,
    },
    /// The files, read without a fault.
    Ready(Box<ContractFiles>),
}

impl ContractFiles {
    pub(super) fn check(&self) -> ContractCheck {
        check(ContractInput {
            manifest: &self.manifest,
            platform: &self.platform,
            base: self.base.as_ref().map(|(manifest, platform)| BaseContract {
                manifest,
                platform: platform.as_ref(),
            }),
        })
    }
}

impl FoundContract {
    /// The answer of the rules of contracts; `None` where they could not run.
    pub(super) fn check(&self) -> Option<ContractCheck> {
        match self {
            Self::Absent => Some(ContractCheck::default()),
            Self::Unreadable => None,
            Self::Faulty { file, faults, .. } => Some(ContractCheck {
                findings: manifest_findings(file, faults),
                unproved: Vec::new(),
            }),
            Self::Ready(files) => Some(files.check()),
        }
    }
}

/// Reads the contract of the repository at `root`.
pub(super) fn read_contract(
    root: &Path,
    arguments: &ContractArguments,
    messages: &mut impl Write,
) -> anyhow::Result<FoundContract> {
    let usual = || {
        USUAL
            .iter()
            .map(|name| root.join(name))
            .find(|path| path.is_file())
    };
    let Some(path) = arguments.manifest.clone().or_else(usual) else {
        if let Some(revision) = &arguments.against {
            write_error(
                messages,
                format_args!("there is no manifest to compare with `{revision}`"),
                "name it with --manifest; eventcast guard init writes one",
            )?;
            return Ok(FoundContract::Unreadable);
        }
        return Ok(FoundContract::Absent);
    };
    let file = shown_below(root, &path);
    let text = match read_text(&path, MAX_MANIFEST_BYTES) {
        Ok(text) => text,
        Err(error) => {
            write_error(
                messages,
                format_args!("reading the manifest `{}`: {error}", path.display()),
                "name it with --manifest; eventcast guard init writes one",
            )?;
            return Ok(FoundContract::Unreadable);
        }
    };
    let manifest = match manifest::read(&file, &text) {
        Ok(manifest) => manifest,
        Err(faults) => return Ok(FoundContract::Faulty { file, faults, text }),
    };
    let Some(platform) = platform(root, &manifest, messages)? else {
        return Ok(FoundContract::Unreadable);
    };
    let base = match &arguments.against {
        None => None,
        Some(revision) => match base(root, &file, revision, messages)? {
            Some(base) => base,
            None => return Ok(FoundContract::Unreadable),
        },
    };
    Ok(FoundContract::Ready(Box::new(ContractFiles {
        manifest,
        platform,
        base,
    })))
}

/// A path as findings have it: below the root where it is there.
fn shown_below(root: &Path, path: &Path) -> String {
    let inside = path.canonicalize().ok().zip(root.canonicalize().ok());
    let inside = inside.and_then(|(path, root)| path.strip_prefix(root).map(Path::to_owned).ok());
    inside.as_deref().unwrap_or(path).display().to_string()
}

/// Reads the platform's configuration. The environment does not count: a contract is about files.
fn platform(
    root: &Path,
    manifest: &FeatureManifest,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Config>> {
    let source = &manifest.platform;
    let place = format!("{}:{}:{}", manifest.file, source.at.line, source.at.column);
    let path = root.join(&source.config);
    let text = match read_text(&path, MAX_FILE_BYTES) {
        Ok(text) => text,
        Err(error) => {
            write_error(
                messages,
                format_args!(
                    "reading the platform's configuration `{}` ({place}): {error}",
                    source.config
                ),
                "`platform.config` is a path from the root of the repository; pin a copy of another repository's file by `sha256`",
            )?;
            return Ok(None);
        }
    };
    if let Some(what) = unfit(root, &path, source, &text) {
        write_error(
            messages,
            format_args!("{what} ({place})"),
            "review the file, and correct `platform` in the manifest",
        )?;
        return Ok(None);
    }
    config(&source.config, &text, messages)
}

/// Reason why a file is not the one that a manifest means.
fn unfit(root: &Path, path: &Path, source: &PlatformSource, text: &str) -> Option<String> {
    if let Some(pinned) = &source.sha256 {
        let found: String = Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        return (found != *pinned).then(|| {
            format!("the platform's configuration `{}` has the SHA-256 {found}, and the manifest pins {pinned}", source.config)
        });
    }
    // A link may lead out of the repository where the path does not.
    let inside = path.canonicalize().ok().zip(root.canonicalize().ok());
    let is_inside = inside.is_some_and(|(path, root)| path.starts_with(root));
    (!is_inside).then(|| {
        format!(
            "`{}` is a link out of the repository, and has no `sha256`",
            source.config
        )
    })
}

fn config(file: &str, text: &str, messages: &mut impl Write) -> anyhow::Result<Option<Config>> {
    let loaded = load(&ConfigSource {
        file,
        text,
        ..ConfigSource::default()
    });
    if loaded.config.is_none() {
        let shown = loaded.redacted(text);
        for fault in &loaded.faults {
            render(fault, &shown, messages)?;
        }
    }
    Ok(loaded.config)
}

/// A manifest and the configuration beside it, at a base revision.
type BaseFiles = (FeatureManifest, Option<Config>);

/// The contract at a revision; the outer `None` where it cannot be read, which is reported, the
/// inner one where there was none.
fn base(
    root: &Path,
    file: &str,
    revision: &str,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Option<BaseFiles>>> {
    if Path::new(file).is_absolute() {
        write_error(
            messages,
            format_args!(
                "the manifest `{file}` is outside the repository, and has no revisions there"
            ),
            "name the folder of its repository: eventcast guard contract FOLDER --against REV",
        )?;
        return Ok(None);
    }
    let text = match file_at(root, revision, file) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(Some(None)),
        Err(error) => {
            write_error(
                messages,
                error,
                "name a branch, tag or commit that is fetched, such as origin/main; in CI fetch it first",
            )?;
            return Ok(None);
        }
    };
    let name = format!("{revision}:{file}");
    let manifest = match manifest::read(&name, &text) {
        Ok(manifest) => manifest,
        Err(faults) => {
            let shown = redacted_lines(&text);
            for fault in &faults {
                render(fault, &shown, messages)?;
            }
            write_error(
                messages,
                format_args!(
                    "the manifest at `{revision}` cannot be read: changes since then cannot be judged"
                ),
                "leave --against out for this change, or name a revision whose manifest is right",
            )?;
            return Ok(None);
        }
    };
    // A file that is not in the repository, or was not right, had no delivery of its own.
    let path = &manifest.platform.config;
    let text = file_at(root, revision, path).ok().flatten();
    let platform = text.and_then(|text| {
        load(&ConfigSource {
            file: path,
            text: &text,
            ..ConfigSource::default()
        })
        .config
    });
    Ok(Some(Some((manifest, platform))))
}
