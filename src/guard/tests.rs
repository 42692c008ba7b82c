//! Each rule's samples: text that it finds, text that it passes by, and text that a waiver covers.

mod code;
mod files;

use std::fmt::Write as _;

use jiff::civil::date;

use super::catalogue::rules;
use super::report::GuardReport;
use super::rule::{GuardRule, RuleSample};
use super::scan::{RepositoryScan, scan_file};
use super::waiver::{apply_waivers, read_waivers};

/// The report of files, with their waivers applied on a day of 2026.
fn report(files: &[(&str, &str)], waivers: &str) -> GuardReport {
    let mut repository = RepositoryScan::default();
    let scan = |path: &str, text: &str, repository: &RepositoryScan, is_linked| {
        let links = repository.links().clone();
        scan_file(path, text.as_bytes(), &links, is_linked, &|| false)
    };
    for (path, text) in files {
        let scanned = scan(path, text, &repository, false);
        repository.add(path, scanned);
    }
    for _ in 0..4 {
        for (path, text) in files.iter().filter(|one| super::code::is_script(one.0)) {
            let scanned = scan(path, text, &repository, true);
            repository.replace(path, scanned);
        }
    }
    let (mut report, mut inline) = repository.finish();
    inline.extend(read_waivers("realtime-waivers.toml", waivers).unwrap());
    apply_waivers(&mut report, &inline, date(2026, 1, 15), 90);
    report
}

fn of_sample(sample: &RuleSample) -> GuardReport {
    report(&[(sample.path, sample.text)], "")
}

fn lines(report: &GuardReport) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let at = finding.region.start;
        let state = if finding.is_open() { "" } else { " (waived)" };
        let (rule, message) = (&finding.rule, &finding.message);
        writeln!(out, "  {rule} {}:{} {message}{state}", at.line, at.column).unwrap();
    }
    for skipped in &report.skipped {
        writeln!(out, "  {:?} {}", skipped.reason, skipped.detail).unwrap();
    }
    if out.is_empty() {
        out.push_str("  nothing\n");
    }
    out
}

fn page(rule: &GuardRule) -> String {
    let mut out = String::new();
    let mut show = |title: &str, path: &str, text: &str, found: &str| {
        let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
        write!(out, "{title}, {path}\n{indented}{found}").unwrap();
    };
    for hit in rule.hits {
        let report = of_sample(hit);
        assert!(
            report.findings.iter().any(|one| one.rule == rule.id),
            "{} {}",
            rule.id,
            hit.text
        );
        assert!(
            report
                .findings
                .iter()
                .all(|one| one.rule == rule.id || rule.id == "RT090"),
            "{}",
            lines(&report)
        );
        show("hit", hit.path, hit.text, &lines(&report));
    }
    for miss in rule.near_misses {
        let report = of_sample(miss);
        assert!(
            report.open().next().is_none(),
            "{} {}\n{}",
            rule.id,
            miss.text,
            lines(&report)
        );
        show("near miss", miss.path, miss.text, &lines(&report));
    }
    if let Some(hit) = rule.hits.first().filter(|_| rule.id != "RT090") {
        let waiver = format!(
            "[[waiver]]\nrule = \"{}\"\npath = \"{}\"\nowner = \"orders\"\nreason = \"moves\"\nuntil = \"2026-03-31\"\n",
            rule.id, hit.path
        );
        let report = report(&[(hit.path, hit.text)], &waiver);
        assert!(report.open().next().is_none(), "{}", lines(&report));
        show("waived", hit.path, "(the first hit)", &lines(&report));
    }
    out
}

/// Rules over files; those over contracts have tests of their own.
#[test]
fn samples_of_rules() {
    let is_of_files = |rule: &&GuardRule| *rule.id >= *"RT010" && !rule.id.starts_with("RT1");
    for rule in rules().filter(is_of_files) {
        let page = page(rule);
        let is_shown = rule.hits.is_empty() || page.contains("waived, ");
        assert!(is_shown || rule.id == "RT090", "{}: {page}", rule.id);
    }
}

#[test]
fn rules_are_in_order_and_whole() {
    let ids: Vec<&str> = rules().map(|rule| &*rule.id).collect();
    assert!(ids.is_sorted() && ids.len() >= 16, "{ids:?}");
    for rule in rules() {
        assert!(
            rule.id.len() == 5 && rule.id.starts_with("RT"),
            "{}",
            rule.id
        );
        for text in [&rule.name, &rule.summary, &rule.reason, &rule.fix] {
            assert!(!text.is_empty(), "{}", rule.id);
        }
        assert!(!rule.summary.ends_with('.'), "{}", rule.summary);
    }
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[(&str, usize)]) {
    let report = report(&[(path, text)], "");
    let found: Vec<(&str, usize)> = report
        .findings
        .iter()
        .map(|finding| (&*finding.rule, finding.region.start.line))
        .collect();
    assert_eq!(found, expected, "{text}\n{}", lines(&report));
}

#[test]
fn waivers_and_their_faults() {
    let code = "const a = new WebSocket(u);\n";
    let good = "// rt-allow: RT010 until=2026-03-01 owner=orders reason=\"moves in spring\"\n";
    let of = |text: &str| report(&[("src/a.ts", text)], "");
    assert_eq!(of(&format!("{good}{code}")).open().count(), 0);
    assert_eq!(
        of(&format!("{}  {good}", code.trim_end())).open().count(),
        0
    );
    // A comment alone waives, and not a text that looks like one.
    let text = format!(
        "const s = \"{}\"; {code}",
        good.trim_end().replace('"', "'")
    );
    assert_eq!(of(&text).open().count(), 1);
    let url = format!("new WebSocket(\"wss://a\"); {good}");
    assert_eq!(of(&url).open().count(), 0);
    // A statement of several lines, and no other.
    let long = "const a = build(\n  1,\n  new WebSocket(u),\n);\nnew WebSocket(u);\n";
    let report_of = of(&format!("{good}{long}"));
    let open: Vec<usize> = report_of.open().map(|one| one.region.start.line).collect();
    assert_eq!(open, [6]);
    for (waiver, fault) in [
        (
            "// rt-allow: RT010 until=2026-03-01 reason=\"x\"\n",
            "an owner",
        ),
        ("// rt-allow: RT010 until=2026-03-01 owner=x\n", "a reason"),
        ("// rt-allow: RT010 owner=x reason=\"x\"\n", "an end"),
        (
            "// rt-allow: RT010 until=soon owner=x reason=\"x\"\n",
            "no day",
        ),
        (
            "// rt-allow: RT010 until=2025-12-31 owner=x reason=\"x\"\n",
            "expired",
        ),
        (
            "// rt-allow: RT010 until=2027-12-31 owner=x reason=\"x\"\n",
            "longest life",
        ),
        (
            "// rt-allow: RT999 until=2026-03-01 owner=x reason=\"x\"\n",
            "no rule",
        ),
    ] {
        let report = of(&format!("{waiver}{code}"));
        assert_eq!(report.open().count(), 2, "{waiver}{}", lines(&report));
        assert!(
            report.open().any(|one| one.message.contains(fault)),
            "{}",
            lines(&report)
        );
    }
    let begin = good.replace("rt-allow:", "rt-allow-begin:");
    let block = format!("{begin}{code}{code}// rt-allow-end\n{code}");
    let report_of = of(&block);
    let open: Vec<usize> = report_of.open().map(|one| one.region.start.line).collect();
    assert_eq!(open, [5]);
    let endless = of(&format!("{begin}{code}"));
    assert!(
        endless
            .open()
            .any(|one| one.message.contains("rt-allow-end"))
    );
    let unused = of(&format!("{good}const b = 1;\n"));
    assert!(
        unused
            .open()
            .all(|one| one.message.contains("covers nothing"))
    );
    assert_eq!(unused.open().count(), 1);
}

#[test]
fn code_that_is_not_understood_has_no_verdict() {
    let broken = report(
        &[("src/a.ts", "const a = new WebSocket(;\nlet = = 3 }}}\n")],
        "",
    );
    assert!(!broken.skipped.is_empty());
    let binary = scan_file(
        "a.ts",
        b"WebSocket \xff\xfe",
        &Default::default(),
        false,
        &|| false,
    );
    assert_eq!(binary.skipped.len(), 1);
    let late = scan_file(
        "a.ts",
        "new WebSocket(u);".repeat(20_000).as_bytes(),
        &Default::default(),
        false,
        &|| true,
    );
    assert_eq!(late.skipped.len(), 1);
    let deep = format!(
        "const WebSocket = {}1{};",
        "[".repeat(3000),
        "]".repeat(3000)
    );
    let deep = scan_file("a.ts", deep.as_bytes(), &Default::default(), false, &|| {
        false
    });
    assert_eq!(deep.skipped.len(), 1);
}
