//! The CDK app.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::moto::{cache, program};
use crate::{infra, output_of};

/// The CDK's own synthesis of the example app, whose templates AWS's linter takes.
#[test]
fn the_cdk_app_synthesizes() {
    let installed = cache().join("cdk/node_modules");
    let out = std::env::temp_dir().join(format!("eventcast-cdk-{}", std::process::id()));
    let mut cdk = Command::new(installed.join(".bin/cdk"));
    let output = cdk
        .args(["synth", "--no-version-check", "--no-notices", "--quiet"])
        .arg("--output")
        .arg(&out)
        .args(["--context", "bus=shop"])
        .current_dir(infra("cdk"))
        .env("NODE_PATH", &installed)
        .output()
        .expect("the CDK can be started; ./tests/run installs it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let templates: Vec<PathBuf> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".template.json"))
        .collect();
    assert_eq!(templates.len(), 7, "{templates:?}");
    let rule = fs::read_to_string(out.join("eventcast-rule.template.json")).unwrap();
    assert!(
        rule.contains("OrderPlaced") && rule.contains("\"shop\""),
        "{rule}"
    );
    let scaling = fs::read_to_string(out.join("eventcast-scaling.template.json")).unwrap();
    assert!(scaling.contains("IF(FILL(running, 0) < 1"), "{scaling}");
    // Parameters became values, which the linter remarks on.
    let mut lint = Command::new(program("cfn-lint"));
    let (status, found) = output_of(lint.args(["--ignore-checks", "W", "--"]).args(&templates));
    fs::remove_dir_all(&out).unwrap();
    assert_eq!((status, found), (0, String::new()));
}
