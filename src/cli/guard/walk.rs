//! Files of a repository in scope of the guard.
//!
//! The walk obeys `.gitignore`, follows no link, and leaves out files that nobody of the repository
//! has written: vendored and generated folders. It reports files in scope that cannot be read.
//! Files are scanned on all cores; the result does not depend on their order.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ignore::WalkBuilder;
use tokio::time::Instant;

use crate::cli::input::bounded;
use crate::guard::code::{RepositoryLinks, TeamRules, is_script};
use crate::guard::report::{SkipReason, SkippedFile};
use crate::guard::scan::{FileScan, RepositoryScan, left_out, scan_file};
use crate::guard::scope::{LeftOut, is_read, left_out_by_path};

/// The most bytes that are read of one file: several times the largest source file that people
/// write, and the size of large lock files.
const MAX_FILE_BYTES: usize = 8 << 20;

/// The most rounds in which files that import from each other are read again.
const MAX_ROUNDS: usize = 8;

/// The most files that are scanned at once: each holds its text and its tree.
const MAX_THREADS: usize = 8;

/// Folders of files that others, or a program, have written.
const FOREIGN_FOLDERS: [&str; 20] = [
    ".aws-sam",
    ".git",
    ".hg",
    ".next",
    ".nuxt",
    ".output",
    ".pnp",
    ".serverless",
    ".svn",
    ".terraform",
    ".tox",
    ".venv",
    ".yarn",
    "__pycache__",
    "bower_components",
    "node_modules",
    "site-packages",
    "third_party",
    "vendor",
    "venv",
];

/// The reach of a walk.
pub(super) struct WalkSettings<'s> {
    pub(super) root: &'s Path,
    /// Paths below the root; all where there is none.
    pub(super) only: Option<&'s [String]>,
    /// Rules of the team's own.
    pub(super) team: Option<&'s TeamRules>,
    /// Tests are in scope too.
    pub(super) with_tests: bool,
    /// Time for parsing one file.
    pub(super) file_budget: Duration,
}

/// Scans each file in scope below a folder.
pub(super) fn scan(settings: &WalkSettings<'_>) -> io::Result<RepositoryScan> {
    std::fs::read_dir(settings.root)?;
    let mut repository = RepositoryScan::default();
    let paths = paths(settings, &mut repository);
    let mut has_exports = false;
    for (path, outcome) in read_all(settings, &paths, &RepositoryLinks::default(), None) {
        match outcome {
            WalkOutcome::Scanned(scan) => has_exports |= repository.add(&path, *scan),
            WalkOutcome::LeftOut(kind) => repository.leave_out(kind),
            WalkOutcome::Skipped(skipped) => repository.skip(skipped),
            WalkOutcome::NotAsked => {}
        }
    }
    // Other files may use a file's exports under names of their own.
    let scripts: Vec<(String, PathBuf)> =
        paths.into_iter().filter(|one| is_script(&one.0)).collect();
    for _ in 0..MAX_ROUNDS {
        if !has_exports {
            break;
        }
        has_exports = false;
        let links = repository.links().clone();
        let words: Vec<String> = links.names().map(|name| format!("/{name}")).collect();
        for (path, outcome) in read_all(settings, &scripts, &links, Some(&words)) {
            if let WalkOutcome::Scanned(scan) = outcome {
                has_exports |= repository.replace(&path, *scan);
            }
        }
    }
    Ok(repository)
}

enum WalkOutcome {
    Scanned(Box<FileScan>),
    LeftOut(LeftOut),
    Skipped(SkippedFile),
    /// The file has none of the words that are asked for.
    NotAsked,
}

/// Reads and scans files on all cores; with `words` those that have one of them.
fn read_all(
    settings: &WalkSettings<'_>,
    paths: &[(String, PathBuf)],
    links: &RepositoryLinks,
    words: Option<&[String]>,
) -> Vec<(String, WalkOutcome)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::with_capacity(paths.len()));
    let work = || {
        let mut own = Vec::new();
        while let Some((path, file)) = paths.get(next.fetch_add(1, Relaxed)) {
            own.push((path.clone(), read_one(settings, path, file, links, words)));
        }
        if let Ok(mut found) = found.lock() {
            found.append(&mut own);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(MAX_THREADS) {
            scope.spawn(work);
        }
        work();
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn read_one(
    settings: &WalkSettings<'_>,
    path: &str,
    file: &Path,
    links: &RepositoryLinks,
    words: Option<&[String]>,
) -> WalkOutcome {
    let bytes = match File::open(file).and_then(|file| bounded(file, MAX_FILE_BYTES)) {
        Ok(bytes) => bytes,
        Err(error) => {
            let is_large = file
                .metadata()
                .is_ok_and(|meta| meta.len() > MAX_FILE_BYTES as u64);
            let reason = if is_large {
                SkipReason::TooLarge
            } else {
                SkipReason::Unreadable
            };
            return WalkOutcome::Skipped(skip(path, reason, &error));
        }
    };
    if let Some(kind) = left_out(path, &bytes) {
        return WalkOutcome::LeftOut(kind);
    }
    if let Some(words) = words {
        let has = |word: &String| memchr::memmem::find(&bytes, word.as_bytes()).is_some();
        if !words.iter().any(has) {
            return WalkOutcome::NotAsked;
        }
    }
    let end = Instant::now() + settings.file_budget;
    let is_expired = || Instant::now() >= end;
    let mut scan = scan_file(path, &bytes, links, words.is_some(), &is_expired);
    if let (Some(team), Ok(text)) = (settings.team, std::str::from_utf8(&bytes)) {
        scan.findings.extend(team.scan(path, text));
    }
    WalkOutcome::Scanned(Box::new(scan))
}

/// Paths in scope, in the order of names.
fn paths(settings: &WalkSettings<'_>, repository: &mut RepositoryScan) -> Vec<(String, PathBuf)> {
    let mut walk = WalkBuilder::new(settings.root);
    walk.hidden(false)
        .require_git(false)
        .parents(false)
        .git_global(false)
        .follow_links(false)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(|entry| {
            let name = entry.file_name().to_str().unwrap_or_default();
            // Bundles of code that CDK has made beside its templates.
            let is_asset = name.starts_with("asset.");
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            !(is_folder && entry.depth() > 0 && (is_asset || FOREIGN_FOLDERS.contains(&name)))
        });
    let mut paths = Vec::new();
    for entry in walk.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                repository.skip(skip("", SkipReason::Unreadable, &error));
                continue;
            }
        };
        let below = entry
            .path()
            .strip_prefix(settings.root)
            .unwrap_or(entry.path());
        let Some(path) = below.to_str().map(|path| path.replace('\\', "/")) else {
            let name = below.to_string_lossy();
            if is_read(&name) {
                repository.skip(skip(
                    &name,
                    SkipReason::Unreadable,
                    &"its name is not UTF-8",
                ));
            }
            continue;
        };
        let is_asked = settings.only.is_none_or(|only| only.contains(&path));
        let kind = entry.file_type();
        // A link may lead to a folder, whose name says nothing of its files.
        let leads_away = kind.is_some_and(|kind| kind.is_symlink())
            && std::fs::metadata(entry.path()).is_ok_and(|target| target.is_dir());
        if !(is_read(&path) || leads_away) || !is_asked {
            continue;
        }
        if kind.is_some_and(|kind| kind.is_symlink()) {
            // A link within the repository leads to a file that is walked by itself.
            let root = settings.root.canonicalize().unwrap_or_default();
            let is_inside = entry
                .path()
                .canonicalize()
                .is_ok_and(|target| target.starts_with(root));
            if !is_inside {
                repository.skip(skip(&path, SkipReason::LinkOut, &""));
            }
            continue;
        }
        if !kind.is_some_and(|kind| kind.is_file()) {
            continue;
        }
        match left_out_by_path(&path) {
            Some(LeftOut::Test) if settings.with_tests => {}
            Some(kind) => {
                repository.leave_out(kind);
                continue;
            }
            None => {}
        }
        paths.push((path, entry.into_path()));
    }
    paths
}

fn skip(path: &str, reason: SkipReason, detail: &(impl ToString + ?Sized)) -> SkippedFile {
    SkippedFile {
        path: path.to_owned(),
        region: None,
        reason,
        detail: detail.to_string(),
    }
}
