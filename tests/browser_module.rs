//! The browser module (`browser/`): pages in a real browser before a running `eventcast dev`, its parts before a scripted gateway and
//! broker in Node.js, its size, its types, and its package.

#![cfg(feature = "dev")]
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails should say where; real processes run on the real clock"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/moto.rs"]
mod moto;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dev::Dev;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn modules() -> PathBuf {
    moto::cache().join("browser").join("node_modules")
}

/// The output of a command that succeeded.
#[track_caller]
fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    output
}

/// A page in Chromium goes through a scenario of `tests/browser/module.cjs`; fails with what it missed.
#[track_caller]
fn browse(scenario: &str) {
    let dev = Dev::assembled(&["--broker", "general"]);
    let output = done(
        Command::new("node")
            .arg(root().join("tests/browser/module.cjs"))
            .arg(modules())
            .arg(dev.told().to_string())
            .arg(scenario),
    );
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("done\n"), "{said}");
}

#[test]
fn a_page_lives_on_its_websocket() {
    browse("websocket");
}

#[test]
fn a_cut_is_mended_by_the_same_session() {
    browse("cuts");
}

#[test]
fn a_mute_connection_is_given_up() {
    browse("mute");
}

#[test]
fn a_refused_token_is_not_tried_for_ever() {
    browse("refused");
}

#[test]
fn messages_wait_for_the_snapshot() {
    browse("snapshot");
}

#[test]
fn tabs_share_a_connection_and_hand_it_over() {
    browse("tabs");
}

#[test]
fn ten_thousand_events_are_seen_once_each_through_cuts() {
    browse("flood");
}

#[test]
fn its_parts_do_what_a_scripted_gateway_and_broker_ask() {
    done(
        Command::new("node")
            .arg("--test")
            .arg(root().join("tests/browser/module.test.mjs")),
    );
}

#[test]
fn its_types_fit_the_module_and_an_application() {
    let output = done(
        Command::new("node")
            .arg(moto::cache().join("types/node_modules/typescript/bin/tsc"))
            .arg("--project")
            .arg(root().join("tests/browser/types")),
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn it_can_be_packed() {
    let output = done(
        Command::new("npm")
            .args(["pack", "--dry-run", "--json", "--offline"])
            .current_dir(root().join("browser")),
    );
    let packs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let files: Vec<&str> = packs[0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "README.md",
            "eventcast.d.ts",
            "eventcast.js",
            "package.json"
        ]
    );
    assert_eq!(packs[0]["name"], "eventcast");
    assert_eq!(packs[0]["version"], env!("CARGO_PKG_VERSION"));
}
