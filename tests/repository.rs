//! The repository's parts beside the program: recipes, workflows, forms, verbs, manual pages and
//! the site. Linters and parsers that others wrote read them; each is shown to find a fault.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails should say where"
)]

#[path = "support/checks.rs"]
mod checks;
#[path = "support/links.rs"]
mod links;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use checks::{finds, folder, passes, program};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn zizmor(path: &Path) -> Command {
    let mut command = program("checks/bin/zizmor");
    command
        .args(["--offline", "--persona", "pedantic"])
        .arg(path);
    command
}

fn schema(name: &str, path: &Path) -> Command {
    let mut command = program("checks/bin/check-jsonschema");
    command
        .args(["--builtin-schema", &format!("vendor.{name}")])
        .arg(path);
    command
}

const WORKFLOWS: [&str; 2] = ["ci.yml", "release.yml"];

#[test]
fn workflows_are_sound() {
    passes(&mut zizmor(&root().join(".github")));
    passes(&mut zizmor(&root().join("action.yml")));
    passes(&mut schema("github-actions", &root().join("action.yml")));
    let workflows = root().join(".github/workflows");
    let found: BTreeSet<String> = fs::read_dir(&workflows)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, WORKFLOWS.map(str::to_owned).into());
    for name in WORKFLOWS {
        passes(&mut schema("github-workflows", &workflows.join(name)));
    }
    passes(&mut schema(
        "dependabot",
        &root().join(".github/dependabot.yml"),
    ));
    for name in ["fault.yml", "wish.yml"] {
        let form = root().join(".github/ISSUE_TEMPLATE").join(name);
        passes(&mut schema("github-issue-forms", &form));
    }
    let config = root().join(".github/ISSUE_TEMPLATE/config.yml");
    passes(&mut schema("github-issue-config", &config));
}

/// Each fault is put into a copy of a workflow that has none.
#[test]
fn faults_of_workflows_are_found() {
    let good = text(".github/workflows/ci.yml");
    let (_, pinned) = good.split_once("actions/checkout@").unwrap();
    let pinned = pinned.split('\n').next().unwrap();
    for (name, from, to, finding) in [
        ("unpinned", pinned, "v7", "unpinned-uses"),
        (
            "credentials",
            "persist-credentials: false",
            "fetch-depth: 1",
            "artipacked",
        ),
        (
            "permissions",
            "permissions: {}",
            "permissions: write-all",
            "excessive-permissions",
        ),
        (
            "injection",
            "cargo fmt --check",
            "echo ${{ github.head_ref }}",
            "template-injection",
        ),
        (
            "trigger",
            "  pull_request:\n",
            "  pull_request_target:\n",
            "dangerous-triggers",
        ),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{name}");
        let file = folder(name).join("ci.yml");
        fs::write(&file, bad).unwrap();
        finds(&mut zizmor(&file), finding);
    }
    let file = folder("shape").join("ci.yml");
    fs::write(&file, good.replace("    steps:\n", "    stages:\n")).unwrap();
    finds(&mut schema("github-workflows", &file), "stages");
}

#[test]
fn the_recipe_of_images_is_sound() {
    let hadolint = || program("checks/bin/hadolint");
    passes(hadolint().arg("image/Dockerfile"));
    let good = text("image/Dockerfile");
    for (from, to, finding) in [
        ("FROM scratch AS dev", "FROM debian AS dev", "DL3006"),
        (
            "COPY --chmod=0444 LICENSE",
            "ADD --chmod=0444 LICENSE",
            "DL3020",
        ),
        ("CMD [\"bridge\"]", "CMD bridge", "DL3025"),
    ] {
        let file = folder("recipe").join("Dockerfile");
        fs::write(&file, good.replace(from, to)).unwrap();
        finds(hadolint().arg(&file), finding);
    }
    for script in ["image/build", "image/archive"] {
        passes(Command::new("bash").arg("-n").arg(root().join(script)));
    }
}

#[test]
fn compose_files_have_their_shape() {
    passes(&mut schema(
        "compose-spec",
        &root().join("image/compose.yaml"),
    ));
    let file = folder("compose").join("compose.yaml");
    let bad = text("image/compose.yaml").replace("stop_grace_period", "stop_grace_time");
    fs::write(&file, bad).unwrap();
    finds(&mut schema("compose-spec", &file), "stop_grace_time");
}

#[test]
fn verbs_are_formatted_and_listed() {
    let just = || program("checks/bin/just");
    passes(just().args(["--unstable", "--fmt", "--check"]));
    let listed = passes(just().arg("--list"));
    for (verb, _) in text("CONTRIBUTING.md")
        .split("`just ")
        .skip(1)
        .filter_map(|rest| rest.split_once('`'))
        .filter(|(verb, _)| !verb.starts_with('-'))
    {
        assert!(
            listed.contains(&format!("\n    {verb} ")),
            "{verb}: {listed}"
        );
    }
}

/// As many pages as commands, and mandoc has nothing against any of them.
#[test]
fn manual_pages_are_sound() {
    let pages = folder("man1");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
    let told = passes(command.arg("man").arg("--directory").arg(&pages));
    let files: Vec<_> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        told.contains(&format!("{} manual pages", files.len())),
        "{told}"
    );
    assert!(files.len() > 25, "{told}");
    let mut mandoc = Command::new("mandoc");
    passes(mandoc.args(["-T", "lint", "-W", "error"]).args(&files));
    for (command, line) in [
        ("eventcast", "eventcast dev --demo"),
        (
            "eventcast-man",
            "eventcast man policy lint > eventcast-policy-lint.1",
        ),
        ("eventcast-policy-lint", "--severity"),
    ] {
        let page = pages.join(format!("{command}.1"));
        let shown = passes(Command::new("mandoc").args(["-T", "ascii"]).arg(page));
        let plain: String = plain(&shown);
        assert!(plain.contains(line), "{command}: {plain}");
    }
}

/// Without the overstrikes by which terminals of old print bold and underlined text.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        if character == '\u{8}' {
            plain.pop();
        } else {
            plain.push(character);
        }
    }
    plain
}

#[test]
fn the_site_is_built_and_its_links_lead_somewhere() {
    let site = folder("site");
    let mdbook = || program("cargo/bin/mdbook");
    passes(mdbook().args(["build", "--dest-dir"]).arg(&site));
    let (broken, followed) = links::broken(&site);
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 400, "{followed}");
    // Each page of the manual is in the table of contents, or nobody finds it.
    let contents = text("docs/SUMMARY.md");
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && name != "SUMMARY.md" {
            assert!(contents.contains(&format!("({name})")), "{name}");
        }
    }
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let site = folder("broken");
    fs::create_dir(site.join("deep")).unwrap();
    fs::write(
        site.join("good.html"),
        "<h1 id=\"top\">x</h1><a href=\"deep/b.html#x\">x</a>",
    )
    .unwrap();
    fs::write(
        site.join("deep/b.html"),
        "<p id=\"x\"><a href=\"../good.html#top\">x</a>",
    )
    .unwrap();
    assert_eq!(links::broken(&site), (Vec::new(), 2));
    for link in [
        "gone.html",
        "deep/gone.html",
        "good.html#gone",
        "#gone",
        "../good.html",
        "/good.html",
        "http://plain.example/",
        "https://nowhere/",
        "deep/b.html#top",
    ] {
        let page = format!("<a class=\"x\" href=\"{link}\">x</a>");
        fs::write(site.join("bad.html"), page).unwrap();
        assert_eq!(links::broken(&site).0, [format!("bad.html: {link}")]);
    }
}

/// Documents outside the site link to files of the repository.
#[test]
fn documents_link_to_files_that_exist() {
    let mut count = 0;
    for document in [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "image/README.md",
    ] {
        let folder = root().join(document);
        let folder = folder.parent().unwrap();
        for link in text(document)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .filter(|link| !link.starts_with("https://"))
        {
            count += 1;
            let path = link.split('#').next().unwrap();
            assert!(folder.join(path).exists(), "{document}: {link}");
        }
    }
    assert!(count > 10, "{count}");
}

/// The licences that Cargo.toml names are in files, and both are in the package.
#[test]
fn licences_are_in_the_package() {
    assert!(text("Cargo.toml").contains("license = \"MIT OR Apache-2.0\""));
    assert!(text("LICENSE-MIT").starts_with("MIT License"));
    assert!(text("LICENSE-APACHE").contains("Version 2.0, January 2004"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "package",
        "--list",
        "--allow-dirty",
        "--offline",
        "--locked",
    ]);
    let listed = passes(cargo.current_dir(root()));
    let listed: BTreeSet<&str> = listed.lines().collect();
    for wanted in [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "README.md",
        "build.rs",
        "src/main.rs",
    ] {
        assert!(listed.contains(wanted), "{wanted}: {listed:?}");
    }
    // A file that the sources include from outside their own folder, tests apart, has to be in the
    // package.
    assert!(listed.contains("policies/eventcast.yaml"));
}
