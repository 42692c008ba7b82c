//! The infrastructure as operators deploy it: templates that the linters of others take, the
//! Terraform module, the CDK app, and the commands that keep them together with the configuration.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "infra/cdk.rs"]
mod cdk;
#[path = "infra/commands.rs"]
mod commands;
#[path = "infra/linters.rs"]
mod linters;
#[path = "infra/manual.rs"]
mod manual;
#[path = "support/moto.rs"]
mod moto;
#[path = "infra/terraform.rs"]
mod terraform;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
fn output_of(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

/// Names in the module's text behind some words, such as `var.`.
fn named(text: &str, pattern: &str) -> BTreeSet<String> {
    let pattern = regex::Regex::new(pattern).unwrap();
    pattern
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

fn eventcast(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("EVENTCAST_CONFIG", "infra/example/eventcast.yaml")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}
