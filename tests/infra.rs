//! The infrastructure as operators deploy it: templates that the linters of others take, and that
//! stand-ins deploy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/moto.rs"]
mod moto;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use moto::{cache, program};
use serde_json::Value;

fn infra(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("infra")
        .join(folder)
}

/// Files of a folder of `infra/` with an extension, in the order of their names.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(infra(folder)).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    found
}

/// All templates of CloudFormation: those by hand, and those that follow from the example.
fn templates() -> Vec<PathBuf> {
    let rendered = files("example", "json");
    let rendered = rendered.into_iter().filter(|path| {
        let text = fs::read_to_string(path).unwrap();
        text.contains("AWSTemplateFormatVersion")
    });
    let mut all = files("cloudformation", "yaml");
    all.extend(rendered);
    all
}

/// Exit status and standard output of a program.
fn output(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

fn cfn_lint(files: &[PathBuf]) -> (i32, String) {
    output(Command::new(program("cfn-lint")).args(files))
}

/// Schemas of CloudFormation's resources, by AWS's own linter; warnings count as well.
#[test]
fn cfn_lint_takes_the_templates() {
    let templates = templates();
    assert!(templates.len() > 10, "{templates:?}");
    assert_eq!(cfn_lint(&templates), (0, String::new()));
}

/// The linter would see a fault.
#[test]
fn cfn_lint_sees_a_fault() {
    let folder = std::env::temp_dir().join(format!("eventcast-cfn-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let wrong = folder.join("queues.yaml");
    let text = fs::read_to_string(infra("cloudformation/queues.yaml")).unwrap();
    let text = text.replace("KmsMasterKeyId:", "KmsMasterKey:");
    fs::write(&wrong, text).unwrap();
    let (status, found) = cfn_lint(&[wrong]);
    fs::remove_dir_all(&folder).unwrap();
    assert!(status != 0 && found.contains("'KmsMasterKey'"), "{found}");
}

/// Rules of security, by checkov. A finding that is right as it is has its reason in the template, and
/// no reason is left over.
#[test]
fn checkov_finds_nothing_without_a_reason() {
    let mut checkov = Command::new(cache().join("checkov/bin/checkov"));
    checkov.args(["--framework", "cloudformation", "--skip-download"]);
    checkov.args(["--output", "json", "--directory"]);
    let (_, report) = output(checkov.arg(infra("cloudformation")));
    let report: Value = serde_json::from_str(&report).unwrap();
    let results = &report["results"];
    assert_eq!(results["parsing_errors"], serde_json::json!([]));
    let named = |list: &str| -> BTreeSet<String> {
        let found = results[list].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        found
            .map(|check| text(&check["file_path"]) + " " + &text(&check["check_id"]))
            .collect()
    };
    assert_eq!(named("failed_checks"), BTreeSet::new());
    assert!(named("passed_checks").len() > 40);
    let declared: BTreeSet<String> = files("cloudformation", "yaml")
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let ids = text.lines().filter_map(|line| {
                let rest = line.trim().strip_prefix("- { id: ")?;
                let (id, comment) = rest.split_once(", comment: \"")?;
                assert!(comment.len() > 20, "{file}: {id} has no reason");
                Some(id.to_owned())
            });
            ids.map(|id| format!("/{file} {id}")).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(named("skipped_checks"), declared);
}
