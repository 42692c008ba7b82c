//! Files as they were at a revision of git, and those that differ from one.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// The most bytes of one file.
const MAX_BYTES: usize = 8 << 20;

/// Reason why a revision has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RevisionError {
    /// There is no program `git`.
    #[error("git cannot be started: {0}")]
    NoGit(#[from] io::Error),
    /// There is no such revision, or no repository.
    #[error("`{0}` is no revision of a git repository here")]
    Unknown(String),
    /// The file is no text, or too large.
    #[error("`{0}` at that revision is no text of at most 8 MiB")]
    NoText(String),
}

/// Reads a file as it was at a revision; `None` where it was not there. `path` is relative to
/// `folder`.
///
/// The content is the one that git keeps: no filter or program that the repository configures is
/// run.
pub(super) fn file_at(
    folder: &Path,
    revision: &str,
    path: &str,
) -> Result<Option<String>, RevisionError> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let commit = commit_of(folder, revision)?;
    // Without a prefix a path is one from the top of the repository (gitrevisions(7)).
    let object = format!("{commit}:./{path}");
    let Some(bytes) = git(folder, &["cat-file", "blob", &object])? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= MAX_BYTES);
    text.map(Some)
        .ok_or_else(|| RevisionError::NoText(path.to_owned()))
}

/// Paths below `folder` that differ from the last common commit with a revision; untracked ones
/// too.
pub(super) fn changed_since(folder: &Path, revision: &str) -> Result<Vec<String>, RevisionError> {
    let commit = commit_of(folder, revision)?;
    let ask = |arguments: &[&str]| {
        let output = git(folder, arguments)?;
        let output = output.ok_or_else(|| RevisionError::Unknown(revision.to_owned()))?;
        Ok::<_, RevisionError>(String::from_utf8_lossy(&output).into_owned())
    };
    let base = ask(&["merge-base", &commit, "HEAD"])?;
    let name_only = ["diff", "--no-ext-diff", "--name-only", "--relative", "-z"];
    let tracked = ask(&[&name_only[..], &[base.trim(), "--"]].concat())?;
    let others = ask(&["ls-files", "--others", "--exclude-standard", "-z"])?;
    let all = tracked.split('\0').chain(others.split('\0'));
    Ok(all
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The commit that a revision names.
fn commit_of(folder: &Path, revision: &str) -> Result<String, RevisionError> {
    let unknown = || RevisionError::Unknown(revision.to_owned());
    // A revision never begins with a hyphen (git-check-ref-format(1)); an option would.
    if revision.is_empty() || revision.starts_with('-') || revision.contains(':') {
        return Err(unknown());
    }
    let commit = format!("{revision}^{{commit}}");
    let commit = git(
        folder,
        &[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ],
    )?;
    let commit = commit.ok_or_else(unknown)?;
    Ok(String::from_utf8_lossy(&commit).trim().to_owned())
}

/// The output of git; `None` where it failed.
fn git(folder: &Path, arguments: &[&str]) -> Result<Option<Vec<u8>>, io::Error> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "core.fsmonitor=false"])
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .stdin(Stdio::null())
        .output()?;
    Ok(output.status.success().then_some(output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        let name = format!(
            "eventcast-revision-{}-{:x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        folder
    }

    #[test]
    fn files_of_revisions() {
        let folder = folder();
        std::fs::write(folder.join("sub/a.txt"), "one").unwrap();
        std::fs::write(folder.join("bytes"), [0xff, 0xfe]).unwrap();
        assert!(matches!(
            file_at(&folder, "HEAD", "x"),
            Err(RevisionError::Unknown(_))
        ));
        let run = |arguments: &[&str]| {
            assert!(git(&folder, arguments).unwrap().is_some(), "{arguments:?}")
        };
        run(&["init", "-q"]);
        run(&["add", "-A"]);
        let author = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "commit.gpgsign=false",
        ];
        run(&[&author[..], &["commit", "-q", "-m", "one"]].concat());
        std::fs::write(folder.join("sub/a.txt"), "two").unwrap();
        assert_eq!(
            file_at(&folder, "HEAD", "sub/a.txt").unwrap().as_deref(),
            Some("one")
        );
        assert_eq!(
            file_at(&folder.join("sub"), "HEAD", "a.txt")
                .unwrap()
                .as_deref(),
            Some("one")
        );
        assert_eq!(file_at(&folder, "HEAD", "b.txt").unwrap(), None);
        assert!(matches!(
            file_at(&folder, "HEAD", "bytes"),
            Err(RevisionError::NoText(_))
        ));
        for revision in ["nowhere", "--help", "", "HEAD:sub"] {
            let error = file_at(&folder, revision, "sub/a.txt");
            assert!(
                matches!(error, Err(RevisionError::Unknown(_))),
                "{revision}"
            );
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
