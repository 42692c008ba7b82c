//! Linters and parsers that others wrote, as `tests/install` installs them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program of the cache: a path in it such as `checks/bin/zizmor`.
pub(crate) fn program(path: &str) -> Command {
    let cache = env::var_os("EVENTCAST_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        let user = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let user = user.unwrap_or_else(|| Path::new(&env::var_os("HOME").unwrap()).join(".cache"));
        user.join("eventcast")
    });
    let program = cache.join(path);
    assert!(
        program.exists(),
        "{} is missing: run tests/install",
        program.display()
    );
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Everything that a program wrote.
pub(crate) fn written(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(bytes).unwrap()
}

/// Runs a program that has to end well. Returns its output.
#[track_caller]
pub(crate) fn passes(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = written(&output);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// Runs a program that has to find something. Returns its output.
#[track_caller]
pub(crate) fn finds(command: &mut Command, text: &str) -> String {
    let output = command.output().unwrap();
    let found = written(&output);
    assert!(!output.status.success(), "{command:?}: {found}");
    assert!(found.contains(text), "{command:?}: {found}");
    found
}

/// An empty folder for one test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
