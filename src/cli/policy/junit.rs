//! Results of policy tests as JUnit XML, which CI systems show.

use std::collections::HashSet;
use std::io::{self, Write};

use super::test::{PolicyTestReport, TestResult};
use crate::cli::xml::escaped;

/// Writes all results: a suite for each file, a case for each row.
pub(super) fn write(report: &PolicyTestReport, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<testsuites name="eventcast policy test" tests="{}" failures="{}" errors="{}">"#,
        report.cases,
        report.failed,
        report.not_run.len()
    )?;
    let mut names = HashSet::new();
    for file in &report.not_run {
        let file = escaped(file);
        writeln!(
            out,
            r#"  <testsuite name="{file}" tests="1" failures="0" errors="1">"#
        )?;
        writeln!(
            out,
            r#"    <testcase classname="{file}" name="the file can be run" file="{file}"><error message="the file could not be run"/></testcase>"#
        )?;
        writeln!(out, "  </testsuite>")?;
    }
    for file in &report.files {
        writeln!(
            out,
            r#"  <testsuite name="{}" tests="{}" failures="{}">"#,
            escaped(&file.file),
            file.cases(),
            file.failed()
        )?;
        for test in &file.tests {
            write_cases(&file.file, test, &mut names, out)?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

/// Writes the cases of one test. Readers of JUnit identify a case by its class and its name, so
/// that no two have the same.
fn write_cases(
    file: &str,
    test: &TestResult,
    names: &mut HashSet<(String, String)>,
    out: &mut impl Write,
) -> io::Result<()> {
    for case in &test.cases {
        let mut name = case.question();
        if let Some(client) = &case.client {
            name += &format!(" as `{client}`");
        }
        if !names.insert((test.name.clone(), name.clone())) {
            name += &format!(" ({file}:{})", case.line);
            names.insert((test.name.clone(), name.clone()));
        }
        write!(
            out,
            r#"    <testcase classname="{}" name="{}" file="{}" line="{}""#,
            escaped(&test.name),
            escaped(name),
            escaped(file),
            case.line
        )?;
        if case.passed {
            writeln!(out, "/>")?;
            continue;
        }
        let mut grounds = Vec::new();
        case.write_grounds("", &mut grounds)?;
        let message = format!("{}; expected {}", case.headline(), case.expected);
        writeln!(out, ">")?;
        writeln!(
            out,
            r#"      <failure message="{}">{}</failure>"#,
            escaped(message),
            escaped(String::from_utf8_lossy(&grounds))
        )?;
        writeln!(out, "    </testcase>")?;
    }
    Ok(())
}
