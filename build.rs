//! Names the commit that a release build is made of, for `eventcast --version`.
//!
//! The commit is, in this order: the variable `EVENTCAST_COMMIT` (a container build has no `.git`), what Cargo wrote into a
//! package (`.cargo_vcs_info.json`), or what Git says of this folder. A tarball has none of them and builds all the same.
//! Debug builds name no commit, so that a commit does not compile everything anew.

#![allow(
    clippy::print_stdout,
    reason = "Cargo reads what a build script prints"
)]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=EVENTCAST_COMMIT");
    let given = env::var("EVENTCAST_COMMIT").ok();
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let found = given.or_else(|| release.then(|| packaged().or_else(checked_out)).flatten());
    if let Some(commit) = found.as_deref().and_then(short) {
        println!("cargo:rustc-env=EVENTCAST_BUILD_COMMIT={commit}");
    }
}

/// Twelve hexadecimal digits, which name a commit in any repository of this size.
fn short(commit: &str) -> Option<&str> {
    let commit = commit.trim();
    let is_commit = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| commit.get(..12).unwrap_or(commit))
}

/// The commit that `cargo package` noted: `{"git": {"sha1": "…"}}`.
fn packaged() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

/// The commit that is checked out here; none when a repository further up merely contains this folder.
fn checked_out() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = env::current_dir().ok()?.canonicalize().ok()?;
    if Path::new(&top).canonicalize().ok()? != here {
        return None;
    }
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    Some(String::from_utf8(text).ok()?.trim().to_owned())
}
