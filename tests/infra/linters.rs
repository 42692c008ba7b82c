//! Linters of other people: schemas of resources, and rules of security.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::moto::{cache, program};
use crate::{files, infra, output_of, templates};

fn cfn_lint(files: &[PathBuf]) -> (i32, String) {
    output_of(Command::new(program("cfn-lint")).args(files))
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

/// Rules of security, by checkov. A finding that is right as it is has its reason in the template,
/// and no reason is left over.
#[test]
fn checkov_finds_nothing_without_a_reason() {
    let mut checkov = Command::new(cache().join("checkov/bin/checkov"));
    checkov.args(["--framework", "cloudformation", "--skip-download"]);
    checkov.args(["--output", "json", "--directory"]);
    let (_, report) = output_of(checkov.arg(infra("cloudformation")));
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
