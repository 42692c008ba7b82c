//! The manual: runbooks, and commands that are the program's.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::{eventcast, files, infra, templates};

/// Text of the sections of the manual by their headings, without the text before the first one.
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
    for name in crate::named(&text, r"(?m)^ {6}([a-z-]+) = \{") {
        named.push((module.clone(), name));
    }
    for name in crate::named(&text, r#"(?m)^  runbooks = \{ \w+ = "([a-z-]+)""#) {
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
