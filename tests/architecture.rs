//! The direction of imports, the names of types and the words of comments, and the paths that the
//! documents name.
//!
//! The design's map is the architecture: a module may use the modules below it. These tests read
//! every `crate::` path of the sources to check that.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules that each module may use. The core is pure, so nothing outside it appears on its
/// right-hand sides.
const MAY_USE: [(&str, &[&str]); 28] = [
    (
        "cli",
        &[
            "authorizer",
            "bridge",
            "conformance",
            "dev",
            "gateway",
            "guard",
            "access",
            "aws",
            "mqtt",
            "port",
            "infra",
            "plan",
            "simulation",
            "config",
            "policy",
            "route",
            "event",
            "channel",
            "broker",
            "escape",
            "pace",
            "telemetry",
            "shutdown",
            "log_limit",
            "version",
        ],
    ),
    ("simulation", &["config", "escape"]),
    ("conformance", &[]),
    (
        "guard",
        &[
            "plan", "infra", "config", "policy", "route", "event", "channel", "broker", "escape",
        ],
    ),
    (
        "infra",
        &["plan", "config", "policy", "route", "event", "channel"],
    ),
    ("plan", &["config", "route", "channel", "escape"]),
    (
        "bridge",
        &[
            "port",
            "pace",
            "route",
            "event",
            "channel",
            "telemetry",
            "shutdown",
            "log_limit",
        ],
    ),
    ("authorizer", &["access", "port", "policy", "channel"]),
    (
        "dev",
        &[
            "escape",
            "telemetry",
            "access",
            "mqtt",
            "port",
            "plan",
            "config",
            "policy",
            "route",
            "event",
            "channel",
            "broker",
            "http_server",
            "log_limit",
            "wire",
        ],
    ),
    (
        "gateway",
        &[
            "mqtt",
            "policy",
            "channel",
            "broker",
            "escape",
            "wire",
            "telemetry",
            "http_server",
            "shutdown",
            "log_limit",
        ],
    ),
    ("wire", &[]),
    (
        "telemetry",
        &["shutdown", "http_server", "log_limit", "version"],
    ),
    ("version", &[]),
    ("shutdown", &[]),
    ("http_server", &["log_limit"]),
    ("log_limit", &[]),
    ("access", &["port", "policy"]),
    (
        "aws",
        &[
            "port",
            "route",
            "policy",
            "event",
            "channel",
            "pace",
            "log_limit",
        ],
    ),
    (
        "mqtt",
        &[
            "port",
            "route",
            "event",
            "channel",
            "broker",
            "pace",
            "telemetry",
            "log_limit",
        ],
    ),
    ("port", &["policy", "route", "event", "channel"]),
    ("config", &["policy", "route", "event", "channel", "broker"]),
    ("escape", &[]),
    ("policy", &["event", "channel", "escape"]),
    ("route", &["event", "channel"]),
    ("event", &[]),
    ("channel", &[]),
    ("broker", &[]),
    ("pace", &["channel"]),
];

/// Things that the core must not touch: the runtime, sockets, the environment, clocks, foreign
/// clients.
const CORE: [&str; 10] = [
    "guard",
    "infra",
    "plan",
    "simulation",
    "config",
    "policy",
    "route",
    "event",
    "channel",
    "broker",
];
const IMPURE: [&str; 10] = [
    "tokio::",
    "std::net::Tcp",
    "std::net::Udp",
    "std::env",
    "std::fs",
    "Instant::now",
    "SystemTime::now",
    "aws_sdk",
    "aws_config",
    "rumqttc",
];

/// Those of them that are foreign clients.
const CLIENTS: [&str; 3] = ["aws_sdk", "aws_config", "rumqttc"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

/// All sources with their path below `src`.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut paths = Vec::new();
    files(&src, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().display().to_string();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The module a file belongs to: its first folder, or its own name.
fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// The modules that a source names after `crate::`, nested lists included.
fn used(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let list = rest.strip_prefix('{').map_or_else(
            || vec![rest],
            |list| list.split('}').next().unwrap().split(',').collect(),
        );
        for path in list {
            let name: String = path
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !name.is_empty() {
                found.insert(name);
            }
        }
    }
    found
}

/// The faults of one file's imports.
fn breaches(file: &str, text: &str) -> Vec<String> {
    let module = module(file);
    if matches!(module, "main" | "lib" | "bin") {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{file}: module `{module}` is not on the map")];
    };
    let mut wrong: Vec<String> = used(text)
        .into_iter()
        .filter(|used| used != module && !allowed.contains(&used.as_str()))
        .map(|used| format!("{file}: `{module}` must not use `{used}`"))
        .collect();
    if CORE.contains(&module) {
        // The guard names clients, since it looks for them.
        let named = |word: &str| module == "guard" && CLIENTS.contains(&word);
        let impure = IMPURE.iter();
        let impure = impure.filter(|word| text.contains(**word) && !named(word));
        wrong.extend(impure.map(|word| format!("{file}: the core is pure, but here is `{word}`")));
    }
    wrong
}

#[test]
fn imports_point_down() {
    let wrong: Vec<String> = sources()
        .iter()
        .flat_map(|(file, text)| breaches(file, text))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_breach_is_seen() {
    for (file, text) in [
        ("event/x.rs", "use crate::route::table::RouteTable;"),
        ("channel/x.rs", "use crate::{event::scan, channel::topic};"),
        ("route/x.rs", "let x = crate::config::load();"),
        ("port.rs", "use crate::cli::main;"),
        ("event/x.rs", "use tokio::sync::mpsc;"),
        ("common/x.rs", ""),
    ] {
        assert_eq!(breaches(file, text).len(), 1, "{file}: {text}");
    }
    assert!(
        breaches(
            "route/x.rs",
            "use crate::event::scan::scan; // crate::route"
        )
        .is_empty()
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(file, _)| file)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// Type names that several modules may define: each subcommand has its `Command`.
const SHARED_NAMES: [&str; 1] = ["Command"];

/// Words that comments do without; docs/glossary.md has the field's terms.
const UNWANTED_WORDS: [&str; 4] = ["told", "whoever", "whomever", "thereof"];

/// Words at the beginning of a comment that hide its subject.
const QUESTION_WORDS: [&str; 9] = [
    "What", "Who", "Whose", "Whether", "How", "Where", "When", "Which", "Why",
];

/// Returns the names of types that a source defines at the top of a module.
fn defined_types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        let public = line.strip_prefix("pub").map_or(line, |rest| {
            let rest = rest.strip_prefix('(').map_or(rest, |scope| {
                scope.split_once(')').map_or(rest, |(_, rest)| rest)
            });
            rest.trim_start()
        });
        let (keyword, rest) = public.split_once(' ')?;
        let is_type = matches!(keyword, "struct" | "enum" | "trait" | "union");
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        is_type.then(|| &rest[..end.unwrap_or(rest.len())])
    })
}

#[test]
fn no_three_types_share_a_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in sources() {
        for name in defined_types(&text) {
            places
                .entry(name.to_owned())
                .or_default()
                .push(file.clone());
        }
    }
    assert!(places.len() > 1_000, "{} types", places.len());
    places.retain(|name, files| files.len() > 2 && !SHARED_NAMES.contains(&name.as_str()));
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn comments_name_their_subject_in_plain_words() {
    let (mut wrong, mut paragraphs, mut questions) = (Vec::new(), 0, 0);
    for (file, text) in sources() {
        for (index, line) in text.lines().enumerate() {
            let Some(comment) = line.trim_start().strip_prefix("//") else {
                continue;
            };
            let comment = comment.trim_start_matches(['/', '!']).trim_start();
            let first = comment.split(' ').next().unwrap_or_default();
            paragraphs += usize::from(first.starts_with(char::is_uppercase));
            questions += usize::from(QUESTION_WORDS.contains(&first));
            // Code in backticks keeps its names.
            let prose: String = comment.split('`').step_by(2).collect();
            let words = prose.split(|c: char| !c.is_alphanumeric() && c != '_');
            let unwanted = words.filter(|word| UNWANTED_WORDS.contains(word));
            wrong.extend(unwanted.map(|word| format!("{file}:{}: `{word}`", index + 1)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Help texts of the command line may open so.
    assert!(paragraphs > 5_000, "{paragraphs} paragraphs");
    assert!(
        questions * 100 < paragraphs * 3,
        "{questions} of {paragraphs}"
    );
}

/// Words in backticks and targets of links that look like paths of this repository.
fn named_paths(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let quoted = line.split('`').skip(1).step_by(2);
        let linked = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let is_path = |word: &&str| {
            let first = word.split('/').next().unwrap_or_default();
            let known = matches!(
                first,
                "src" | "tests" | "bench" | "policies" | "infra" | ".ci" | "fuzz"
            ) && word.contains('/');
            let file = [".md", ".toml", ".rs"]
                .iter()
                .any(|ending| word.ends_with(ending));
            (known || file) && !word.contains([' ', '*', ':'])
        };
        if !fenced {
            found.extend(quoted.chain(linked).filter(is_path).map(str::to_owned));
        }
    }
    found
}

/// Text that a person reads is escaped line by line (`src/cli/user_error.rs`, `src/escape.rs`): a
/// text that holds two lines would let what it quotes begin a third.
#[test]
fn no_message_joins_its_lines() {
    for (file, text) in sources() {
        if file.starts_with("cli/") && file != "cli/inspect/trace.rs" {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            assert!(
                file.ends_with("tests.rs") || !code.contains("\\nhelp:"),
                "{file} writes `help:` behind a line feed of its own"
            );
        }
    }
}

#[test]
fn documents_name_paths_that_exist() {
    let manual = fs::read_dir(root().join("docs")).unwrap();
    let manual = manual.map(|entry| entry.unwrap().path().display().to_string());
    let mut named = 0;
    for document in ["README.md".into(), "ARCHITECTURE.md".into()]
        .into_iter()
        .chain(manual)
    {
        let document = root().join(&document);
        let text = fs::read_to_string(&document).unwrap();
        let paths = named_paths(&text);
        named += paths.len();
        for path in paths {
            // Links are relative to their document, other names to the repository.
            let is_there = root().join(&path).exists() || document.with_file_name(&path).exists();
            assert!(is_there, "{} names `{path}`", document.display());
        }
    }
    assert!(named > 50, "only {named} paths are named");
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(
        architecture.lines().count() < 150,
        "ARCHITECTURE.md is long"
    );
}

/// The control plane's client is nearly half of a release build, and of no use to the daemon.
#[test]
fn the_daemon_alone_has_no_control_plane() {
    let crates = |features: &[&str]| {
        let tree = std::process::Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "--prefix", "none"])
            .args(["--edges", "normal", "--format", "{lib}"])
            .args(features)
            .current_dir(root())
            .output()
            .unwrap();
        let text = String::from_utf8(tree.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert!(crates(&[]).contains("aws_sdk_iot"));
    let daemon = crates(&["--no-default-features"]);
    assert!(daemon.contains("aws_sdk_sqs") && !daemon.contains("aws_sdk_iot"));
}

#[test]
fn named_paths_are_found() {
    let text = "see `src/event/` and [x](tests/run), not `a/b` or `order/{id}`\n```\n`src/none`\n```\n`README.md`";
    let found: Vec<String> = named_paths(text).into_iter().collect();
    assert_eq!(found, ["README.md", "src/event/", "tests/run"]);
}
