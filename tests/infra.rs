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
fn output_of(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

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

/// HashiCorp's formatter and parser of HCL: whether files have the form of `terraform fmt`.
fn form(files: &[PathBuf]) -> (i32, String) {
    let installed = cache().join("terraform/node_modules");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terraform/form.cjs");
    let mut node = Command::new("node");
    output_of(node.arg(script).args(files).env("NODE_PATH", installed))
}

#[test]
fn the_module_has_the_form_of_hcl() {
    let module = files("terraform", "tf");
    assert!(module.len() > 6, "{module:?}");
    assert_eq!(form(&module), (0, String::new()));
    // The formatter would see a fault, and so would the parser.
    let folder = std::env::temp_dir().join(format!("eventcast-hcl-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let wrong = folder.join("rule.tf");
    let text = fs::read_to_string(infra("terraform/rule.tf")).unwrap();
    fs::write(&wrong, text.replacen(" = ", "  =  ", 1)).unwrap();
    let (status, found) = form(std::slice::from_ref(&wrong));
    assert!(status == 1 && found.contains("rule.tf:"), "{found}");
    fs::write(&wrong, "resource \"a\" \"b\" { x = }\n").unwrap();
    let (status, found) = form(&[wrong]);
    fs::remove_dir_all(&folder).unwrap();
    assert!(
        status == 2 && found.contains("Invalid expression"),
        "{found}"
    );
}

/// Validation by terraform itself stops at the provider, which no test can fetch, and finds nothing
/// before. No registry of Debian, Python or npm has terraform: where it is not installed, the form
/// is still checked above, and the names that are used below.
#[test]
fn terraform_reads_the_module() {
    if Command::new("terraform").arg("version").output().is_err() {
        eprintln!("terraform is not installed: the module is not validated by it");
        return;
    }
    let terraform = |arguments: &[&str]| {
        let mut command = Command::new("terraform");
        let output = command
            .args(arguments)
            .current_dir(infra("terraform"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        text(output.stdout) + &text(output.stderr)
    };
    let unformatted = terraform(&["fmt", "-check", "-diff"]);
    assert!(!unformatted.contains(".tf\n"), "{unformatted}");
    let found = terraform(&["validate", "-no-color"]);
    let errors: Vec<&str> = found
        .lines()
        .filter(|line| line.contains("Error: "))
        .collect();
    let is_provider = |line: &&str| line.contains("Missing required provider");
    assert!(
        errors.iter().all(is_provider) && !errors.is_empty(),
        "{found}"
    );
}

/// Names in the module's text behind some words, such as `var.`.
fn named(text: &str, pattern: &str) -> BTreeSet<String> {
    let pattern = regex::Regex::new(pattern).unwrap();
    pattern
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

/// What a provider would check, as far as names go: variables and resources that are used are
/// there, nothing is left over, and the rendered values are variables.
#[test]
fn terraform_names_what_is_there() {
    let text: String = files("terraform", "tf")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let variables = named(&text, r#"(?m)^variable "(\w+)""#);
    assert_eq!(named(&text, r"\bvar\.(\w+)"), variables);
    let declared = named(&text, r#"(?m)^(?:resource|data) "(\w+" "\w+)""#);
    let used = named(&text, r"\b(?:data\.)?(aws_\w+\.\w+)(?:\[|\.)");
    for one in used {
        let one = one.replace('.', "\" \"");
        assert!(declared.contains(&one), "{one} is used and not declared");
    }
    let rendered = fs::read_to_string(infra("example/eventcast.auto.tfvars.json")).unwrap();
    let rendered: Value = serde_json::from_str(&rendered).unwrap();
    for name in rendered.as_object().unwrap().keys() {
        assert!(variables.contains(name), "no variable {name}");
    }
}

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

/// `infra render`: to a folder, compared with it, and one file.
#[test]
fn rendered_files_are_written_and_compared() {
    let folder = std::env::temp_dir().join(format!("eventcast-render-{}", std::process::id()));
    let path = folder.display().to_string();
    let (status, written, errors) = eventcast(&["infra", "render", "--out", &path]);
    assert_eq!((status, written.lines().count()), (0, 9), "{errors}");
    let (status, out, _) = eventcast(&["infra", "render", "--check", &path]);
    assert_eq!((status, out.as_str()), (0, ""));
    assert_eq!(
        eventcast(&["infra", "render", "--check", "infra/example"]).0,
        0
    );

    // Drift: another pattern, and a file that is missing.
    let rule = folder.join("rule.json");
    let text = fs::read_to_string(&rule).unwrap();
    fs::write(&rule, text.replace("shop.orders", "shop.*")).unwrap();
    fs::remove_file(folder.join("roles.json")).unwrap();
    let (status, out, errors) = eventcast(&["infra", "render", "--check", &path]);
    assert_eq!(status, 1);
    assert!(out.contains("roles.json: it is missing"), "{out}");
    assert!(
        out.contains("`\"shop.*\"` is there, and the configuration makes `\"shop.orders\"`"),
        "{out}"
    );
    assert!(
        errors.contains("help: `eventcast infra render --out "),
        "{errors}"
    );
    let (status, out, _) = eventcast(&["infra", "render", "--check", &path, "--format", "json"]);
    let drifts: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (status, drifts["drifts"].as_array().unwrap().len()),
        (1, 2),
        "{out}"
    );
    fs::remove_dir_all(&folder).unwrap();

    let (status, out, _) = eventcast(&["infra", "render", "rule.json"]);
    assert_eq!((status, out), (0, text));
    let (status, _, errors) = eventcast(&["infra", "render", "rules.json"]);
    assert!(
        status == 2 && errors.contains("help: files are alarms.json"),
        "{errors}"
    );
    let (status, out, _) = eventcast(&["infra", "render", "--format", "json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, all.as_object().unwrap().len()), (0, 9));
    let (status, _, errors) = eventcast(&["infra", "render", "--set", "envelope=raw"]);
    assert!(status == 2 && errors.contains("help: "), "{errors}");
}

/// A task without files has the configuration's text in a variable, which wins over the file of an
/// image, and not over one of the command line.
#[test]
fn the_text_of_a_variable_is_a_configuration() {
    let text = fs::read_to_string(infra("example/eventcast.yaml")).unwrap();
    let routes = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command.args(["routes", "check"]).args(arguments);
        command
            .current_dir(std::env::temp_dir())
            .env_remove("EVENTCAST_CONFIG");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout) + &text(output.stderr),
        )
    };
    let of_task = [("EVENTCAST_CONFIG_TEXT", text.as_str())];
    let (status, told) = routes(&of_task, &[]);
    assert!(status == Some(0) && told.contains("1 route"), "{told}");
    let image = [of_task[0], ("EVENTCAST_CONFIG", "/etc/eventcast/none.yaml")];
    assert_eq!(routes(&image, &[]).0, Some(0));
    let (status, told) = routes(&of_task, &["--config", "/nonexistent.yaml"]);
    assert!(
        status == Some(2) && told.contains("/nonexistent.yaml"),
        "{told}"
    );
    // Faults name the variable in place of a file.
    let (status, told) = routes(&[("EVENTCAST_CONFIG_TEXT", "routes: 7\n")], &[]);
    assert!(
        status != Some(0) && told.contains("EVENTCAST_CONFIG_TEXT:1:9"),
        "{told}"
    );
}

/// The policies in the template are those that `policy generate` prints, which other tests hold to
/// what each command calls.
#[test]
fn rendered_roles_are_the_generated_policies() {
    let (_, roles, _) = eventcast(&["infra", "render", "roles.json"]);
    let roles: Value = serde_json::from_str(&roles).unwrap();
    for (part, name) in [
        ("bridge", "Bridge"),
        ("doctor", "Doctor"),
        ("dlq", "DeadLetters"),
        ("dlq-read", "DeadLettersRead"),
    ] {
        let (status, policy, errors) = eventcast(&["policy", "generate", "--for", part]);
        assert_eq!(status, 0, "{errors}");
        let policy: Value = serde_json::from_str(&policy).unwrap();
        let rendered =
            &roles["Resources"][format!("{name}Policy0")]["Properties"]["PolicyDocument"];
        assert_eq!(&policy, rendered, "{part}");
    }
}

/// `infra check` on the command line: all templates of the repository are clean, a wrong one is
/// not.
#[test]
fn templates_are_checked() {
    let all = templates();
    let mut arguments = vec!["infra", "check"];
    arguments.extend(all.iter().map(|path| path.to_str().unwrap()));
    let (status, out, errors) = eventcast(&arguments);
    assert_eq!(status, 0, "{out}{errors}");
    assert!(out.contains("0 errors, 0 warnings"), "{out}");

    let folder = std::env::temp_dir().join(format!("eventcast-check-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let wrong = folder.join("rule.yaml");
    let text = "Resources:\n  R:\n    Type: AWS::Events::Rule\n    Properties:\n      Targets:\n        - Id: '1'\n          Arn: arn:aws:sqs:us-east-1:123456789012:eventcast-events.fifo\n";
    fs::write(&wrong, text).unwrap();
    let file = wrong.to_str().unwrap();
    let (status, out, _) = eventcast(&["infra", "check", "--without-config", file]);
    assert_eq!(status, 1);
    for part in [
        "error[fifo-without-group]",
        "error[target-without-dead-letters]",
        "rule.yaml:7:16",
        "help: add SqsParameters: { MessageGroupId: eventcast }",
        "1 file, 2 errors, 0 warnings",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (status, out, _) = eventcast(&["infra", "check", "--format", "json", file]);
    let found: Value = serde_json::from_str(&out).unwrap();
    let codes: Vec<&Value> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["code"])
        .collect();
    assert_eq!(status, 1);
    assert!(codes.contains(&&Value::from("another-queue")), "{codes:?}");
    fs::remove_dir_all(&folder).unwrap();
    let (status, _, errors) = eventcast(&["infra", "check", "/nonexistent.yaml"]);
    assert!(
        status == 2 && errors.contains("/nonexistent.yaml") && errors.contains("help: "),
        "{errors}"
    );
    let (status, out, _) = eventcast(&["infra", "check", "README.md"]);
    assert!(status == 2 && out.contains("not-a-template"), "{out}");
}

/// Text of the sections of the manual by their headings, without what is before the first one.
fn sections(text: &str, marks: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix(marks), sections.last_mut()) {
            (Some(heading), _) => sections.push((heading.to_owned(), String::new())),
            (None, Some((_, section))) => *section += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    sections
}

/// Runbooks that the descriptions of alarms name.
fn runbooks_of_alarms() -> Vec<(PathBuf, String)> {
    let mut all = templates();
    all.extend(files("terraform", "tf"));
    let pattern = regex::Regex::new(r"Runbook: infra/README\.md, ([a-z -]+)").unwrap();
    let mut named = Vec::new();
    // The module's alarms of one metric each have the names of their runbooks.
    let module = infra("terraform/alarms.tf");
    let text = fs::read_to_string(&module).unwrap();
    for name in self::named(&text, r"(?m)^ {6}([a-z-]+) = \{") {
        named.push((module.clone(), name));
    }
    for name in self::named(&text, r#"(?m)^  runbooks = \{ \w+ = "([a-z-]+)""#) {
        named.push((module.clone(), name));
    }
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        for found in pattern.captures_iter(&text) {
            named.push((path.clone(), found[1].trim().to_owned()));
        }
        // Alarms that call a person, against those that add tasks.
        let alarms = text.matches("AWS::CloudWatch::Alarm").count();
        let quiet = text.matches("it is no page for a person").count();
        let calls = named.iter().filter(|(of, _)| *of == path).count();
        if path.extension().is_some_and(|extension| extension != "tf") {
            assert_eq!(alarms, calls + quiet, "{}", path.display());
        }
    }
    named
}

/// Each alarm names a runbook, each runbook says what happened and has numbered steps or a command,
/// and none is left over but the one without an alarm.
#[test]
fn each_alarm_has_its_runbook() {
    let manual = fs::read_to_string(infra("README.md")).unwrap();
    let chapters = sections(&manual, "## ");
    let of = |heading: &str| {
        let found = chapters.iter().find(|(found, _)| found == heading);
        &found.unwrap_or_else(|| panic!("no section {heading}")).1
    };
    let runbooks = sections(of("Runbooks"), "### ");
    let named = runbooks_of_alarms();
    assert!(named.len() >= 20, "{named:?}");
    for (path, name) in &named {
        assert!(
            runbooks.iter().any(|(heading, _)| heading == name),
            "{}: there is no runbook `{name}`",
            path.display()
        );
    }
    for (heading, text) in &runbooks {
        let is_named = named.iter().any(|(_, name)| name == heading);
        assert!(is_named || heading == "one client", "{heading}");
        assert!(
            text.trim().starts_with('*'),
            "{heading} says not what happened"
        );
        assert!(
            text.contains('`') || text.contains("]("),
            "{heading} has no step"
        );
    }
    for chapter in [
        "First deployment",
        "Upgrades and changes",
        "Replay",
        "Maintenance mode",
        "Key rotation",
        "Raising a quota",
        "Several Regions",
    ] {
        assert!(of(chapter).contains('`'), "{chapter}");
    }
}

/// Commands of the manual, and each with the flags that it has there, are commands of the program.
#[test]
fn commands_of_the_manual_are_the_programs() {
    let manual = fs::read_to_string(infra("README.md")).unwrap();
    let pattern =
        regex::Regex::new(r"\beventcast ((?:[a-z]+ ?)+)((?:[^`|\n]*?))(?:[`|\n]|$)").unwrap();
    let flags = regex::Regex::new(r"(?:^|\s)(--[a-z-]+)").unwrap();
    let mut tried = BTreeSet::new();
    for found in pattern.captures_iter(&manual) {
        let words: Vec<&str> = found[1].split_whitespace().collect();
        // Prose may go on behind the command's own words.
        let known = (1..=words.len().min(3)).rev().find_map(|count| {
            let mut arguments: Vec<&str> = words[..count].to_vec();
            arguments.push("--help");
            let (status, help, _) = eventcast(&arguments);
            (status == 0).then_some((words[..count].join(" "), help))
        });
        let Some((command, help)) = known else {
            assert!(!found[0].starts_with("eventcast dlq"), "{}", &found[0]);
            continue;
        };
        for flag in flags.captures_iter(&found[2]) {
            assert!(help.contains(&flag[1]), "{command} has no {}", &flag[1]);
        }
        tried.insert(command);
    }
    for command in [
        "dlq list",
        "dlq purge",
        "dlq replay",
        "doctor",
        "infra check",
        "infra render",
        "inspect client",
        "routes explain",
    ] {
        assert!(tried.contains(command), "{command}: {tried:?}");
    }
}
