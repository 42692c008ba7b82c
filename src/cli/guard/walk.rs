//! Files of a repository in scope of the guard.
//!
//! The walk obeys `.gitignore`, follows no link, and leaves out what nobody of the repository has
//! written: vendored and generated folders. It reports what is in scope and cannot be read.

use std::fs::File;
use std::io;
use std::path::Path;

use ignore::WalkBuilder;

use crate::cli::input::bounded;
use crate::guard::report::{SkipReason, SkippedFile};
use crate::guard::scan::is_in_scope;

/// The most bytes that are read of one file: several times the largest source file that people
/// write, and the size of large lock files.
const MAX_FILE_BYTES: usize = 8 << 20;

/// Folders of what others have written, or a program.
const FOREIGN_FOLDERS: [&str; 14] = [
    ".git",
    ".hg",
    ".svn",
    ".next",
    ".nuxt",
    ".terraform",
    ".tox",
    ".venv",
    "__pycache__",
    "bower_components",
    "node_modules",
    "site-packages",
    "target",
    "vendor",
];

/// A file in scope.
pub(super) struct SourceFile {
    /// Path below the root, with `/`.
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
}

/// Reads each file in scope below a folder, in the order of names.
pub(super) fn walk(
    root: &Path,
    skipped: &mut Vec<SkippedFile>,
    mut each: impl FnMut(SourceFile),
) -> io::Result<()> {
    std::fs::read_dir(root)?;
    let mut walk = WalkBuilder::new(root);
    walk.hidden(false)
        .require_git(false)
        .parents(false)
        .git_global(false)
        .follow_links(false)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(|entry| {
            let name = entry.file_name().to_str();
            !name.is_some_and(|name| FOREIGN_FOLDERS.contains(&name))
        });
    for entry in walk.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                skipped.push(skip(String::new(), SkipReason::Unreadable, &error));
                continue;
            }
        };
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let path = below.to_string_lossy().replace('\\', "/");
        if !entry.file_type().is_some_and(|kind| kind.is_file()) || !is_in_scope(&path) {
            continue;
        }
        match File::open(entry.path()).and_then(|file| bounded(file, MAX_FILE_BYTES)) {
            Ok(bytes) => each(SourceFile { path, bytes }),
            Err(error) => skipped.push(skip(path, SkipReason::Unreadable, &error)),
        }
    }
    Ok(())
}

fn skip(path: String, reason: SkipReason, detail: &impl ToString) -> SkippedFile {
    SkippedFile {
        path,
        region: None,
        reason,
        detail: detail.to_string(),
    }
}
