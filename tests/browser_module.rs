//! The browser module (`browser/`): pages in a real browser before a running `eventcast dev`, also
//! through real proxies; its parts before a scripted gateway and broker in Node.js; its size, its
//! types, and its package.

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
#[path = "support/proxies.rs"]
mod proxies;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use dev::Dev;
use proxies::{Kind, Proxy, Setting, Upstreams};

/// Largest size of the module as a server compresses it.
const MAX_BYTES: usize = 12 * 1024;

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

/// The driver of a page in Chromium, for a scenario of `tests/browser/module.cjs`.
fn page(dev: &Dev, scenario: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(root().join("tests/browser/module.cjs"))
        .arg(modules())
        .arg(dev.told().to_string())
        .arg(scenario);
    command
}

/// A page goes through a scenario before a platform; fails with the steps that it missed.
#[track_caller]
fn browse_with(arguments: &[&str], scenario: &str) {
    let dev = Dev::assembled(&[&["--broker", "general"], arguments].concat());
    let output = done(&mut page(&dev, scenario));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("done\n"), "{said}");
}

#[track_caller]
fn browse(scenario: &str) {
    browse_with(&[], scenario);
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
fn a_tab_that_crashes_hands_its_connection_over() {
    browse("crashedTab");
}

#[test]
fn tabs_that_poll_hand_their_session_over() {
    browse("pollingTabs");
}

#[test]
fn a_frozen_tab_loses_the_connection_to_one_that_is_shown() {
    browse("frozen");
}

#[test]
fn it_polls_while_the_websocket_port_is_cut_and_goes_back() {
    browse("fallback");
}

#[test]
fn examples_work_as_printed() {
    let file = root().join("policies/eventcast.yaml");
    browse_with(&["--config", file.to_str().unwrap()], "examples");
}

/// Every proxy with both of its configurations: WebSockets that are not let through, polls and
/// connections that are cut after five idle seconds.
#[test]
fn it_works_through_real_proxies() {
    let dev = Dev::assembled(&["--broker", "general"]);
    let mut driver = page(&dev, "proxied")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap());
    let mut servers = String::new();
    lines.read_line(&mut servers).unwrap();
    let servers: serde_json::Value = serde_json::from_str(&servers).unwrap();
    let port = |name: &str| u16::try_from(servers[name].as_u64().unwrap()).unwrap();
    let upstreams = Upstreams {
        http: port("http"),
        websocket: port("websocket"),
    };
    let settings = [Setting::Default, Setting::Best];
    let all: Vec<(String, Proxy)> = Kind::ALL
        .into_iter()
        .flat_map(|kind| settings.map(|setting| (kind, setting)))
        .map(|(kind, setting)| {
            let proxy = Proxy::start(kind, setting, upstreams, Duration::from_secs(5));
            (format!("{kind:?}, {setting:?}"), proxy)
        })
        .collect();
    let named: Vec<_> = all
        .iter()
        .map(|(name, proxy)| serde_json::json!({ "name": name, "url": proxy.url() }))
        .collect();
    let mut input = driver.stdin.take().unwrap();
    writeln!(input, "{}", serde_json::Value::Array(named)).unwrap();
    let mut said = String::new();
    lines.read_to_string(&mut said).unwrap();
    println!("{said}");
    assert!(driver.wait().unwrap().success(), "{said}");
    assert!(said.ends_with("done\n"), "{said}");
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
            .arg(root().join("tests/browser/module.test.mjs"))
            .arg(root().join("tests/browser/gateway.test.mjs"))
            .arg(root().join("tests/browser/tabs.test.mjs")),
    );
}

#[test]
fn it_is_small() {
    let mut gzip = Command::new("gzip")
        .args(["-9", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let module = std::fs::read(root().join("browser/eventcast.js")).unwrap();
    gzip.stdin.take().unwrap().write_all(&module).unwrap();
    let size = gzip.wait_with_output().unwrap().stdout.len();
    assert!(
        (1000..=MAX_BYTES).contains(&size),
        "{size} bytes; at most {MAX_BYTES}"
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
