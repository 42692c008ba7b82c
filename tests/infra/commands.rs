//! `eventcast infra render` and `eventcast infra check`, and a configuration without a file.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::{eventcast, infra, templates};

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

/// The policies in the template are those that `policy generate` prints, which other tests compare
/// with the calls of each command.
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
    let nested = folder.join("nested.yaml");
    let text = "Resources:\n  Q:\n    Type: AWS::CloudFormation::Stack\n    Properties: { TemplateURL: https://s3.amazonaws.com/code/q.yaml }\n";
    fs::write(&nested, text).unwrap();
    let file = nested.to_str().unwrap();
    let (status, out, _) = eventcast(&["infra", "check", "--without-config", file]);
    assert_eq!(status, 0, "{out}");
    assert!(
        out.starts_with("cannot tell: ") && out.contains(":3:5: `Q` is a nested stack"),
        "{out}"
    );
    assert!(
        out.ends_with("1 file, 0 errors, 0 warnings, 1 part not looked at\n"),
        "{out}"
    );
    let (_, out, _) = eventcast(&[
        "infra",
        "check",
        "--without-config",
        "--format",
        "json",
        file,
    ]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["cannot_tell"][0]["place"]["line"], 3, "{out}");
    fs::remove_dir_all(&folder).unwrap();
    let (status, _, errors) = eventcast(&["infra", "check", "/nonexistent.yaml"]);
    assert!(
        status == 2 && errors.contains("/nonexistent.yaml") && errors.contains("help: "),
        "{errors}"
    );
    let (status, out, _) = eventcast(&["infra", "check", "README.md"]);
    assert!(status == 2 && out.contains("not-a-template"), "{out}");
}
