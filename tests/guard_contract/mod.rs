//! Contracts: a sample feature, faults planted in it, and the verdicts of others' tools on
//! documents made of its platform.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::moto::cache;

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/guard_contract")
        .join(path)
}

/// A copy of the sample feature in a git repository of its own.
struct FeatureCopy {
    folder: PathBuf,
}

impl FeatureCopy {
    fn new() -> Self {
        let name = format!(
            "eventcast-feature-{}-{:x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        for file in ["realtime.yaml", "eventcast.yaml", "src/put.ts"] {
            fs::copy(data("shop").join(file), folder.join(file)).unwrap();
        }
        let copy = Self { folder };
        for arguments in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &[
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.com",
                "-c",
                "commit.gpgsign=false",
                "commit",
                "-q",
                "-m",
                "base",
            ],
        ] {
            let status = Command::new("git")
                .arg("-C")
                .arg(&copy.folder)
                .args(arguments)
                .status();
            assert!(status.unwrap().success(), "{arguments:?}");
        }
        copy
    }

    fn edit(&self, file: &str, old: &str, new: &str) {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        fs::write(path, text.replace(old, new)).unwrap();
    }

    /// Exit status, standard output and standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(arguments)
            .current_dir(&self.folder)
            .env_remove("EVENTCAST_CONFIG")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// The exit status, and the rules with findings.
    fn found(&self, arguments: &[&str]) -> (i32, BTreeSet<String>) {
        let (status, out, err) =
            self.run(&[&["guard", "contract", "--format", "json"], arguments].concat());
        let report: Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        let findings = report["findings"].as_array().unwrap();
        let rules = findings
            .iter()
            .map(|finding| finding["rule"].as_str().unwrap().to_owned());
        (status, rules.collect())
    }
}

impl Drop for FeatureCopy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_sound_contract_has_no_findings() {
    let copy = FeatureCopy::new();
    assert_eq!(copy.found(&["--against", "main"]), (0, BTreeSet::new()));
}

/// One fault of each rule; each is found, and nothing else.
#[test]
fn planted_faults_are_found() {
    const REALTIME: &str = "realtime.yaml";
    const PLATFORM: &str = "eventcast.yaml";
    let cases: [(&str, &str, &str, &[&str]); 17] = [
        (
            REALTIME,
            "feature: order-tracking",
            "feature: [order-tracking]",
            &["RT101"],
        ),
        (
            PLATFORM,
            "[OrderPlaced, OrderShipped]",
            "[OrderPlaced]",
            &["RT102"],
        ),
        (
            PLATFORM,
            "      detail: { draft: [{ exists: false }] }\n",
            "",
            &["RT103"],
        ),
        (
            PLATFORM,
            "\"order:{claims.orders[*]}\"",
            "\"order/{claims.orders[*]}/x\"",
            &["RT104"],
        ),
        (
            PLATFORM,
            "\"order:*\"",
            "\"order:*\", \"tenant/#\"",
            &["RT105"],
        ),
        (
            PLATFORM,
            "{claims.tenant}/alerts/+",
            "+/alerts/+",
            &["RT105"],
        ),
        (
            REALTIME,
            "subscribers: 4,",
            "subscribers: 4000,",
            &["RT106"],
        ),
        (
            REALTIME,
            "channels_per_client: 20",
            "channels_per_client: 60",
            &["RT106"],
        ),
        (PLATFORM, "expires: 10m", "expires: 9m", &["RT107", "RT114"]),
        (
            PLATFORM,
            "expires: 10m",
            "expires: 10m\n    qos: 0",
            &["RT107", "RT113"],
        ),
        (
            PLATFORM,
            "expires: 10m",
            "expires: 10m\n    conflate: true",
            &["RT107", "RT115"],
        ),
        (
            PLATFORM,
            "environment: prod",
            "environment: live",
            &["RT110"],
        ),
        (
            REALTIME,
            "{ customer: own, support: all }",
            "{ support: all }",
            &["RT105", "RT111"],
        ),
        (
            REALTIME,
            "[orderId, customerId, total]",
            "[orderId, customerId]",
            &["RT112"],
        ),
        (
            REALTIME,
            "cents: { type: integer }",
            "cents: { type: [integer, string] }",
            &["RT112"],
        ),
        // A description, a longer expiry and a new member harm nobody.
        (
            REALTIME,
            "        lines: { type: array",
            "        note: { type: string }\n        lines: { description: what, type: array",
            &[],
        ),
        (PLATFORM, "expires: 1h", "expires: 2h", &[]),
    ];
    for (file, old, new, wanted) in cases {
        let copy = FeatureCopy::new();
        copy.edit(file, old, new);
        let status = i32::from(!wanted.is_empty());
        let found = copy.found(&["--against", "main"]);
        assert_eq!(
            found,
            (
                status,
                wanted.iter().map(|rule| (*rule).to_owned()).collect()
            ),
            "{old} -> {new}"
        );
    }
}

#[test]
fn a_rule_that_cannot_run_is_no_pass() {
    let refused = |file: &str, old: &str, new: &str, arguments: &[&str], wanted: &str| {
        let copy = FeatureCopy::new();
        copy.edit(file, old, new);
        let (status, _, err) = copy.run(&[&["guard", "contract"], arguments].concat());
        assert_eq!(status, 2, "{err}");
        assert!(err.contains(wanted), "{err}");
    };
    let manifest = "realtime.yaml";
    refused(
        manifest,
        "config: eventcast.yaml",
        "config: platform.yaml",
        &[],
        "reading the platform's configuration `platform.yaml` (realtime.yaml:3:",
    );
    let pin = format!("config: eventcast.yaml, sha256: {}", "a".repeat(64));
    refused(
        manifest,
        "config: eventcast.yaml",
        &pin,
        &[],
        "and the manifest pins aaaa",
    );
    refused(
        "eventcast.yaml",
        "expires: 10m",
        "expires: soon",
        &[],
        "`routes[0].expires`",
    );
    refused(
        manifest,
        "feature: order",
        "feature: order",
        &["--against", "nowhere"],
        "`nowhere` is no revision",
    );
    refused(
        manifest,
        "feature: order",
        "feature: order",
        &["--manifest", "none.yaml"],
        "reading the manifest `none.yaml`",
    );
}

/// A file anywhere is the platform where its digest says so.
#[test]
fn a_pinned_platform_may_be_elsewhere() {
    let (copy, other) = (FeatureCopy::new(), FeatureCopy::new());
    let path = other.folder.join("eventcast.yaml");
    let digest = Command::new("sha256sum")
        .arg(&path)
        .output()
        .unwrap()
        .stdout;
    let digest = String::from_utf8(digest).unwrap()[..64].to_owned();
    let pinned = format!("config: {}, sha256: {digest}", path.display());
    copy.edit("realtime.yaml", "config: eventcast.yaml", &pinned);
    fs::remove_file(copy.folder.join("eventcast.yaml")).unwrap();
    assert_eq!(copy.found(&[]), (0, BTreeSet::new()));
}

#[test]
fn a_first_manifest_and_the_review() {
    let copy = FeatureCopy::new();
    let (status, draft, err) =
        copy.run(&["guard", "init", "--feature", "order-tracking", "--out", "-"]);
    assert_eq!(status, 0, "{err}");
    insta::assert_snapshot!(draft);
    assert!(
        err.contains("found 1 event and 0 subscriptions; 1 place without a literal"),
        "{err}"
    );
    let (status, _, err) = copy.run(&["guard", "init"]);
    assert!(status == 2 && err.contains("is there already"), "{err}");
    // The platform's own audiences and examples: nothing is left to correct.
    let (status, _, err) = copy.run(&["guard", "init", "--out", "first.yaml"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(
        copy.found(&["--manifest", "first.yaml"]),
        (0, BTreeSet::new())
    );
    let (status, page, err) = copy.run(&["guard", "review"]);
    assert_eq!(status, 0, "{err}");
    insta::assert_snapshot!(page);
}

/// The official parser on a document from standard input.
fn parsed(document: &str) -> (bool, String) {
    let mut parser = Command::new("node")
        .arg(data("asyncapi/check.cjs"))
        .arg(cache().join("asyncapi"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser
        .stdin
        .take()
        .unwrap()
        .write_all(document.as_bytes())
        .unwrap();
    let output = parser.wait_with_output().unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn the_official_parser_takes_the_asyncapi_document() {
    let copy = FeatureCopy::new();
    let arguments = [
        "routes",
        "asyncapi",
        "--manifest",
        "realtime.yaml",
        "--endpoint",
        "abc-ats.iot.eu-central-1.amazonaws.com",
    ];
    let (status, document, err) = copy.run(&arguments);
    assert_eq!(status, 0, "{err}");
    let (taken, said) = parsed(&document);
    assert!(taken, "{said}");
    insta::assert_snapshot!(said);
    // The parser would see a fault.
    let (taken, said) =
        parsed(&document.replace("\"bindingVersion\": \"0.2.0\"", "\"bindingVersion\": \"7\""));
    assert!(!taken, "{said}");
    // And the document is a manifest that the platform keeps. A made-up event has not all that a
    // schema requires.
    let (_, document, _) = copy.run(&["routes", "asyncapi"]);
    fs::write(copy.folder.join("asyncapi.json"), document).unwrap();
    assert_eq!(
        copy.found(&["--manifest", "asyncapi.json"]),
        (0, BTreeSet::new())
    );
}

#[test]
fn the_compiler_takes_the_types() {
    let copy = FeatureCopy::new();
    let (status, types, err) = copy.run(&["routes", "types", "--manifest", "realtime.yaml"]);
    assert_eq!(status, 0, "{err}");
    fs::write(copy.folder.join("channels.ts"), types).unwrap();
    let application = fs::read_to_string(data("types.ts")).unwrap();
    let compiled = |application: &str| {
        let path = copy.folder.join("application.ts");
        fs::write(&path, application).unwrap();
        let output = Command::new("node")
            .arg(cache().join("types/node_modules/typescript/bin/tsc"))
            .args([
                "--noEmit",
                "--strict",
                "--exactOptionalPropertyTypes",
                "--target",
                "es2022",
                "--module",
                "es2022",
                "--moduleResolution",
                "bundler",
            ])
            .arg(path)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (taken, said) = compiled(&application);
    assert!(taken, "{said}");
    for (right, wrong) in [
        ("total.cents", "total.euros"),
        ("OrderPlaced\"", "OrderLost\""),
        ("prod/order/1", "order/1"),
    ] {
        let (taken, _) = compiled(&application.replace(right, wrong));
        assert!(!taken, "{wrong}");
    }
}

#[test]
fn changes_of_a_platform_against_a_revision() {
    let copy = FeatureCopy::new();
    let against = |format: &str| {
        copy.run(&[
            "routes",
            "asyncapi",
            "--against",
            "main",
            "--format",
            format,
        ])
    };
    assert_eq!(against("text").0, 0);
    copy.edit(
        "eventcast.yaml",
        "\"order:*\"",
        "\"order:{claims.cases[*]}\"",
    );
    copy.edit(
        "eventcast.yaml",
        "detail-type: [OrderDelayed]",
        "detail-type: [OrderLate]",
    );
    let (status, out, err) = against("text");
    assert_eq!(status, 1, "{err}");
    insta::assert_snapshot!(out);
    let (_, out, _) = against("json");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 2, "{out}");
    let (status, _, err) = copy.run(&["routes", "types", "--against", "--upload-pack=x"]);
    assert_eq!(status, 2, "{err}");
}

/// The manifest that the manual shows, on the sample's platform.
#[test]
fn the_manual_shows_a_right_manifest() {
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guard.md")).unwrap();
    let block = manual
        .split("```yaml\n")
        .find(|block| block.starts_with("feature:"))
        .unwrap();
    let manifest = block.split("```").next().unwrap();
    let copy = FeatureCopy::new();
    fs::create_dir(copy.folder.join("platform")).unwrap();
    fs::rename(
        copy.folder.join("eventcast.yaml"),
        copy.folder.join("platform/eventcast.yaml"),
    )
    .unwrap();
    fs::write(copy.folder.join("realtime.yaml"), manifest).unwrap();
    assert_eq!(
        copy.found(&[]),
        (1, BTreeSet::from(["RT102".to_owned()])),
        "the route needs a customerId"
    );
    copy.edit(
        "platform/eventcast.yaml",
        ", \"user:{detail.customerId}\"",
        "",
    );
    assert_eq!(copy.found(&[]), (0, BTreeSet::new()));
}

/// `guard check` has the contract with everything else, and waivers cover its findings.
#[test]
fn the_check_of_a_repository_has_its_contract() {
    let copy = FeatureCopy::new();
    assert_eq!(copy.run(&["guard", "check"]).0, 0);
    copy.edit("eventcast.yaml", "expires: 1h", "expires: 1m");
    let (status, out, err) = copy.run(&["guard", "check"]);
    assert!(status == 1 && out.contains("RT107"), "{out}{err}");
    let waiver = "[[waiver]]\nrule = \"RT107\"\npath = \"realtime.yaml\"\nowner = \"orders\"\nreason = \"the platform follows\"\nuntil = ";
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 30);
    let waiver = format!("{waiver}\"{}\"\n", &until.to_string()[..10]);
    fs::write(copy.folder.join("realtime-waivers.toml"), waiver).unwrap();
    let (status, out, err) = copy.run(&["guard", "check"]);
    assert_eq!(status, 0, "{out}{err}");
    fs::remove_file(copy.folder.join("eventcast.yaml")).unwrap();
    let (status, _, err) = copy.run(&["guard", "check"]);
    assert!(
        status == 2 && err.contains("reading the platform's configuration"),
        "{err}"
    );
}
