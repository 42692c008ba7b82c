//! The scanner on a sample feature with planted faults: all of them are found, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A copy of the sample feature, whose waiver ends in a month.
struct SampleFeature {
    folder: PathBuf,
}

impl SampleFeature {
    fn new() -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard_scan/feature");
        let name = format!(
            "eventcast-scan-{}-{:x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let folder = std::env::temp_dir().join(name);
        copy(&from, &folder);
        // Under that name git would not keep it.
        fs::rename(folder.join("vendored_modules"), folder.join("node_modules")).unwrap();
        let legacy = folder.join("src/legacy.js");
        let until = jiff::Timestamp::now()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        let until = until.checked_add(jiff::Span::new().days(30)).unwrap();
        let text = fs::read_to_string(&legacy).unwrap();
        fs::write(&legacy, text.replace("UNTIL", &until.to_string())).unwrap();
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .arg("guard")
            .args(arguments)
            .current_dir(&self.folder)
            .env_remove("EVENTCAST_CONFIG")
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
    }

    fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for SampleFeature {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Rule, path and line of the findings that count.
fn open(report: &Value) -> BTreeSet<(String, String, u64)> {
    let findings = report["findings"].as_array().unwrap().iter();
    let open = findings.filter(|one| one["suppression"].is_null());
    open.map(|one| {
        let text = |key: &str| one[key].as_str().unwrap().to_owned();
        (
            text("rule"),
            text("path"),
            one["region"]["start"]["line"].as_u64().unwrap(),
        )
    })
    .collect()
}

fn planted() -> BTreeSet<(String, String, u64)> {
    [
        ("RT010", "src/orders.ts", 4),
        ("RT011", "src/status.tsx", 9),
        ("RT011", "src/status.tsx", 11),
        ("RT012", "services/push.go", 6),
        ("RT016", "services/push.py", 4),
        ("RT020", "infra/template.yaml", 14),
        ("RT024", "infra/main.tf", 1),
        ("RT030", "package.json", 5),
    ]
    .map(|(rule, path, line)| (rule.to_owned(), path.to_owned(), line))
    .into()
}

#[test]
fn planted_faults_are_found_and_nothing_else() {
    let sample = SampleFeature::new();
    let report = sample.json(&["check"]);
    assert_eq!(open(&report), planted(), "{report:#}");
    let waived = report["findings"].as_array().unwrap().iter();
    let waived: Vec<&Value> = waived
        .filter(|one| one["suppression"]["kind"] == "waived")
        .collect();
    assert_eq!(waived.len(), 1);
    let skipped = report["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 1, "{skipped:#?}");
    assert_eq!(skipped[0]["reason"], "cannot-tell");
    // A test of code, and one of a rule.
    assert_eq!(report["left_out"]["test"], 2);
    assert_eq!(sample.run(&["check"]).status.code(), Some(1));
    assert_eq!(sample.run(&["check", "--strict"]).status.code(), Some(2));
}

#[test]
fn a_baseline_lets_new_findings_fail_alone() {
    let sample = SampleFeature::new();
    let written = sample.run(&["baseline", "write"]);
    assert_eq!(written.status.code(), Some(0), "{written:?}");
    assert_eq!(sample.run(&["check"]).status.code(), Some(0));
    // Moved lines are the same finding; a second one of its kind is a new one.
    let orders = sample.folder.join("src/orders.ts");
    let text = fs::read_to_string(&orders).unwrap();
    fs::write(&orders, format!("\n\n{text}")).unwrap();
    assert_eq!(sample.run(&["check"]).status.code(), Some(0));
    fs::write(
        &orders,
        format!("{text}export const other = new Live('wss://b.example');\n"),
    )
    .unwrap();
    let report = sample.json(&["check"]);
    assert_eq!(open(&report).len(), 1, "{report:#}");
    fs::remove_file(&orders).unwrap();
    let pruned = sample.run(&["baseline", "prune"]);
    assert!(
        String::from_utf8_lossy(&pruned.stdout).starts_with("1 removed"),
        "{pruned:?}"
    );
}

#[test]
fn changed_files_alone() {
    let sample = SampleFeature::new();
    sample.git(&["init", "-q", "-b", "main"]);
    sample.git(&["add", "-A"]);
    sample.git(&["commit", "-q", "-m", "first"]);
    fs::write(
        sample.folder.join("src/new.ts"),
        "new WebSocket('wss://a.example');\n",
    )
    .unwrap();
    let report = sample.json(&["check", "--changed-since", "main"]);
    let found: Vec<String> = open(&report).into_iter().map(|one| one.1).collect();
    assert_eq!(found, ["src/new.ts"], "{report:#}");
    let unknown = sample.run(&["check", "--changed-since", "nowhere"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("nowhere"));
}

#[test]
fn rules_of_a_team() {
    let sample = SampleFeature::new();
    let tested = sample.run(&["test", "realtime-rules"]);
    assert_eq!(tested.status.code(), Some(0), "{tested:?}");
    fs::write(sample.folder.join("src/log.ts"), "console.log('a');\n").unwrap();
    let report = sample.json(&["check", "--rules", "realtime-rules"]);
    assert!(
        open(&report).iter().any(|one| one.0 == "no-console"),
        "{report:#}"
    );
    fs::write(
        sample.folder.join("realtime-rules/bad.yml"),
        "id: x\nlanguage: Ruby\nrule: {pattern: a}\n",
    )
    .unwrap();
    assert_eq!(
        sample
            .run(&["check", "--rules", "realtime-rules"])
            .status
            .code(),
        Some(2)
    );
}

/// A text literal of a file never reaches an output.
#[test]
fn secrets_stay_in_their_files() {
    let sample = SampleFeature::new();
    let secrets = [
        "hunter2secret",
        "AKIAIOSFODNN7EXAMPLEKEY",
        "s3cr3tqueryvalue",
    ];
    let code = format!(
        "const a = new WebSocket('wss://user:{}@a.example/x?token={}'); const key = '{}';\n",
        secrets[0], secrets[2], secrets[1]
    );
    fs::write(sample.folder.join("src/secret.ts"), code).unwrap();
    for format in ["text", "json", "sarif", "github", "junit"] {
        let output = sample.run(&["check", "--format", format]);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("secret.ts"), "{format}: {said}");
        for secret in secrets {
            assert!(!said.contains(secret), "{format}: {said}");
        }
    }
}

/// A link out of the tree, a folder of nothing but noise, a file without end.
#[test]
fn hostile_trees_are_survived() {
    let sample = SampleFeature::new();
    std::os::unix::fs::symlink("/etc/hosts", sample.folder.join("src/link.ts")).unwrap();
    std::os::unix::fs::symlink("..", sample.folder.join("src/loop")).unwrap();
    fs::write(sample.folder.join("src/binary.ts"), [0xff, 0xfe, 0, b'W']).unwrap();
    fs::write(sample.folder.join("src/deep.json"), "[".repeat(100_000)).unwrap();
    fs::write(sample.folder.join("big.json"), vec![b' '; 9 << 20]).unwrap();
    let report = sample.json(&["check"]);
    assert_eq!(open(&report), planted(), "{report:#}");
    let reasons: BTreeSet<&str> = report["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        BTreeSet::from(["cannot-tell", "link-out", "not-utf8", "too-large"])
    );
}
