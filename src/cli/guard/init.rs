//! `eventcast guard init`: a first manifest, drafted from a repository's sources.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ignore::WalkBuilder;

use crate::cli::Status;
use crate::cli::counted::counted;
use crate::cli::input::{is_standard, read_text};
use crate::cli::new_file::write_new;
use crate::cli::user_error::write_error;
use crate::config::{Config, ConfigSource, MAX_FILE_BYTES, load};
use crate::escape::write_line;
use crate::guard::draft::draft;
use crate::guard::draft::search::SourceFindings;

/// Extensions of sources that put events or subscribe to topics.
const SOURCES: [&str; 17] = [
    "cjs", "cs", "go", "java", "js", "jsx", "kt", "mjs", "mts", "php", "py", "rb", "rs", "scala",
    "svelte", "ts", "tsx",
];

/// Folders of files that others, or a program, have written.
const FOREIGN_FOLDERS: [&str; 8] = [
    "bower_components",
    "build",
    "cdk.out",
    "dist",
    "node_modules",
    "site-packages",
    "target",
    "vendor",
];

/// The most bytes of a source that is searched: larger ones are made by programs.
const MAX_SOURCE_BYTES: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct Init {
    /// Folder of the repository
    #[arg(value_name = "PATH", default_value = ".")]
    root: PathBuf,
    /// The file to write, from the root of the repository; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "realtime.yaml")]
    out: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// The platform's configuration, from the root of the repository
    #[arg(long, value_name = "FILE", default_value = "eventcast.yaml")]
    platform: String,
    /// The feature's name; that of the folder unless it is given
    #[arg(long, value_name = "NAME")]
    feature: Option<String>,
}

pub(super) fn run(
    command: &Init,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let mut found = SourceFindings::default();
    if let Err(error) = search(&command.root, &mut found) {
        let name = command.root.display();
        write_error(
            messages,
            format_args!("reading `{name}`: {error}"),
            "name the folder of a repository",
        )?;
        return Ok(Status::CannotAnswer);
    }
    let platform = platform(command, messages)?;
    let folder = command.root.canonicalize().ok();
    let folder = folder
        .as_deref()
        .and_then(|folder| folder.file_name())
        .and_then(|name| name.to_str());
    let feature = command
        .feature
        .as_deref()
        .or(folder)
        .unwrap_or("my-feature");
    let text = draft(feature, &found, &command.platform, platform.as_ref());
    let status = write(command, &text, out, messages)?;
    if status == Status::Yes {
        write_line(
            messages,
            format_args!(
                "note: found {} and {}; {} without a literal: see the comments of the manifest",
                counted(found.events.len(), "event"),
                counted(found.channels.len(), "subscription"),
                counted(found.unknown.len(), "place"),
            ),
        )?;
    }
    Ok(status)
}

/// Searches the sources below a folder. A file that cannot be read as text is passed over: a draft
/// is no verdict.
fn search(root: &Path, found: &mut SourceFindings) -> io::Result<()> {
    std::fs::read_dir(root)?;
    let mut walk = WalkBuilder::new(root);
    walk.require_git(false)
        .parents(false)
        .git_global(false)
        .follow_links(false)
        .max_filesize(Some(MAX_SOURCE_BYTES))
        .sort_by_file_name(Ord::cmp)
        .filter_entry(|entry| {
            let name = entry.file_name().to_str();
            !name.is_some_and(|name| FOREIGN_FOLDERS.contains(&name))
        });
    for entry in walk.build().flatten() {
        let extension = entry
            .path()
            .extension()
            .and_then(|extension| extension.to_str());
        let is_source = extension.is_some_and(|extension| SOURCES.contains(&extension));
        if !is_source || !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        if let Ok(text) = std::fs::read_to_string(entry.path()) {
            found.search(&below.to_string_lossy().replace('\\', "/"), &text);
        }
    }
    Ok(())
}

/// The platform's configuration where there is one that is right; a note says what the draft lacks
/// without it.
fn platform(command: &Init, messages: &mut impl Write) -> anyhow::Result<Option<Config>> {
    let path = command.root.join(&command.platform);
    let config = read_text(&path, MAX_FILE_BYTES).map(|text| {
        load(&ConfigSource {
            file: &command.platform,
            text: &text,
            ..ConfigSource::default()
        })
        .config
    });
    let why = match config {
        Ok(Some(config)) => return Ok(Some(config)),
        Ok(None) => "is not right: eventcast routes check says why".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    write_line(
        messages,
        format_args!(
            "note: the platform's configuration `{}` {why}; channels, audiences and examples are not taken from it",
            command.platform
        ),
    )?;
    Ok(None)
}

fn write(
    command: &Init,
    text: &str,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if is_standard(&command.out) {
        out.write_all(text.as_bytes())?;
        return Ok(Status::Yes);
    }
    let path = command.root.join(&command.out);
    let notes = (
        "eventcast guard contract proves it",
        "name another file with --out, or replace it with --force",
    );
    write_new(&path, text, command.force, notes, messages)
}
