//! `eventcast policy test`: files of expected decisions against policies, and the line protocol.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::documents::bounded;
use super::granted::TestedRoles;
use super::{junit, lines, read_all};
use crate::cli::diagnostic::render;
use crate::cli::json::write_json;
use crate::cli::user_error::write_error;
use crate::cli::{ReportFormat, Status};
use crate::config::policy_tests::{
    PolicyCase, PolicyRole, PolicySource, PolicyTest, PolicyTests, load,
};
use crate::escape::write_line;
use crate::policy::context::Context;
use crate::policy::query_report::{Policies, QueryReport};
use crate::policy::scope::Scope;
use crate::policy::simulate::Simulation;

pub(super) const HELP: &str = "\
A file of tests is YAML:

  tests:
    - name: a customer hears its own order
      client: customer-7                # or { clientId, principal, thing, certificate, conditions }
      documents: [customer.json]        # files beside this one, or documents written out
      cases:
        - { connect: customer-7, expect: allowed }
        - { receive: order/1, expect: allowed }
        - { subscribe: \"order/+\", expect: denied }
        - { publish: order/1, expect: implicit_deny, context: { aws:SourceIp: 203.0.113.7 } }
        - { action: iot:GetRetainedMessage, resource: topic/order/1, expect: denied }
    - name: what is generated for a customer
      role: customer                    # of eventcast.yaml beside this file, or of `config: FILE`
      claims: { sub: 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11, orders: [] }
      cases:
        - { subscribe: \"order/+\", expect: denied }

Without a file, or with `-`, JSON lines are read from standard input, each {\"id\", \"policies\", \
\"action\", \"resource\", \"context\"}, and each is answered, in order, by a line {\"id\", \"decision\", \
\"statements\", \"missing\"} with a decision in the words of iot:TestAuthorization, or by \
{\"id\", \"error\"}.

Examples:
  eventcast policy test policies/*.test.yaml
  eventcast policy test policies/customer.test.yaml --format junit > results.xml
  eventcast policy test - < questions.jsonl

Exit status: 0 all is as expected (or every line was answered), 1 something is not, 2 a file, a \
policy or a line is not right.";

#[derive(Debug, Args)]
pub(in crate::cli) struct TestCommand {
    /// Files of tests; `-` for JSON lines on standard input
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// How results of files are written
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
}

/// The results of all files.
#[derive(Default, Serialize)]
pub(super) struct PolicyTestReport {
    pub(super) cases: usize,
    pub(super) failed: usize,
    /// The files that could not be run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) not_run: Vec<String>,
    pub(super) files: Vec<FileResult>,
}

/// The results of one file.
#[derive(Serialize)]
pub(super) struct FileResult {
    pub(super) file: String,
    pub(super) tests: Vec<TestResult>,
}

/// The results of one test.
#[derive(Serialize)]
pub(super) struct TestResult {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) cases: Vec<CaseResult>,
}

/// The result of one row.
#[derive(Serialize)]
pub(super) struct CaseResult {
    pub(super) line: usize,
    pub(super) expected: &'static str,
    pub(super) passed: bool,
    /// The client id that it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<Box<str>>,
    #[serde(flatten)]
    told: QueryReport,
}

impl FileResult {
    fn results(&self) -> impl Iterator<Item = &CaseResult> {
        self.tests.iter().flat_map(|test| &test.cases)
    }

    pub(super) fn cases(&self) -> usize {
        self.results().count()
    }

    pub(super) fn failed(&self) -> usize {
        self.results().filter(|case| !case.passed).count()
    }
}

impl CaseResult {
    pub(super) fn headline(&self) -> String {
        self.told.headline()
    }

    /// The question, without the answer.
    pub(super) fn question(&self) -> String {
        self.told.question()
    }

    pub(super) fn write_grounds(&self, indent: &str, out: &mut impl Write) -> io::Result<()> {
        self.told.write_grounds(indent, out)
    }
}

/// Runs the command.
pub(super) fn run(
    command: &TestCommand,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let files = command.files.as_slice();
    // Standard input is not touched when files are named: it may be a pipe that nobody closes.
    match (files, input) {
        ([], Some(mut input)) => {
            // Empty input is no test that passed: a forgotten file in CI is reported.
            if input.fill_buf()?.is_empty() {
                return nothing(messages);
            }
            lines::answer(input, out)
        }
        ([dash], Some(input)) if dash == "-" => lines::answer(input, out),
        ([], None) => nothing(messages),
        (files, _) if files.iter().any(|file| file == "-") => {
            write_error(
                messages,
                "`-` stands for JSON lines that are piped to standard input",
                "give `-` alone, and pipe something",
            )?;
            Ok(Status::CannotAnswer)
        }
        (files, _) => run_files(files, command.format, out, messages),
    }
}

fn nothing(messages: &mut impl Write) -> anyhow::Result<Status> {
    write_error(
        messages,
        "no tests",
        "name files of tests, or pipe JSON lines to standard input; see --help",
    )?;
    Ok(Status::CannotAnswer)
}

fn run_files(
    files: &[String],
    format: ReportFormat,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let mut report = PolicyTestReport::default();
    for file in files {
        match run_file(file, messages)? {
            Some(result) => {
                report.cases += result.cases();
                report.failed += result.failed();
                report.files.push(result);
            }
            None => report.not_run.push(file.clone()),
        }
    }
    match format {
        ReportFormat::Text => write_text(&report, out)?,
        ReportFormat::Json => {
            write_json(&report, out)?;
        }
        ReportFormat::Junit => junit::write(&report, out)?,
    }
    Ok(match (report.not_run.is_empty(), report.failed) {
        (false, _) => Status::CannotAnswer,
        (true, 0) => Status::Yes,
        (true, _) => Status::No,
    })
}

/// The results of one file; `None`, after a report, when something in it has a fault.
fn run_file(file: &str, messages: &mut impl Write) -> anyhow::Result<Option<FileResult>> {
    let read = File::open(file).map_err(|error| error.to_string());
    let text = match read.and_then(bounded) {
        Ok(text) => text,
        Err(error) => {
            write_line(
                messages,
                format_args!("error: reading the tests `{file}`: {error}"),
            )?;
            writeln!(messages, "help: name a YAML file of tests; see --help")?;
            return Ok(None);
        }
    };
    let tests = match load(file, &text) {
        Ok(tests) => tests,
        Err(faults) => {
            for fault in faults {
                render(&fault, &text, messages)?;
            }
            return Ok(None);
        }
    };
    let Some(roles) = TestedRoles::read(file, &tests, messages)? else {
        return Ok(None);
    };
    let mut results = Vec::new();
    let mut sound = true;
    for test in &tests.tests {
        let run = match &test.role {
            Some(role) => run_role(file, &tests, test, role, &roles, messages)?,
            None => run_documents(file, &tests, test, messages)?,
        };
        sound &= run.is_some();
        results.extend(run);
    }
    Ok(sound.then(|| FileResult {
        file: file.to_owned(),
        tests: results,
    }))
}

/// A test's policies: files beside the file of tests, and documents in it.
fn policies(
    file: &str,
    test: &PolicyTest,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Policies>> {
    let mut policies = Policies::default();
    let mut sound = true;
    for source in &test.documents {
        let (path, at) = match source {
            PolicySource::Inline(document) => {
                policies.push(file.to_owned(), String::new(), document.clone());
                continue;
            }
            PolicySource::File { path, at } => (path, at),
        };
        let path = Path::new(file).parent().unwrap_or(Path::new("")).join(path);
        let name = path.display().to_string();
        let read = File::open(&path).map_err(|error| error.to_string());
        let text = match read.and_then(bounded) {
            Ok(text) => text,
            Err(error) => {
                sound = false;
                write_line(
                    messages,
                    format_args!("error: reading the policy `{name}`: {error}"),
                )?;
                write_line(
                    messages,
                    format_args!("  --> {file}:{}:{}", at.line, at.column),
                )?;
                writeln!(
                    messages,
                    "help: files are named from the folder of the tests\n"
                )?;
                continue;
            }
        };
        sound &= read_all(&mut policies, &name, &text, messages)?;
    }
    Ok(sound.then_some(policies))
}

/// A test of documents, in the scope that the file or the documents name.
fn run_documents(
    file: &str,
    tests: &PolicyTests,
    test: &PolicyTest,
    messages: &mut impl Write,
) -> anyhow::Result<Option<TestResult>> {
    let Some(policies) = policies(file, test, messages)? else {
        return Ok(None);
    };
    let scope = scope(file, tests, test, &policies, messages)?;
    Ok(scope.map(|scope| run_test(test, &policies, &scope, Context::clone)))
}

/// A test of the documents generated for a role, in the scope that the file names or that of AWS's
/// examples.
fn run_role(
    file: &str,
    tests: &PolicyTests,
    test: &PolicyTest,
    role: &PolicyRole,
    roles: &TestedRoles,
    messages: &mut impl Write,
) -> anyhow::Result<Option<TestResult>> {
    let Some(scope) = scope(file, tests, test, &Policies::default(), messages)? else {
        return Ok(None);
    };
    let Some(granted) = roles.granted(file, role, &scope, messages)? else {
        return Ok(None);
    };
    let context = |case: &Context| granted.context(case);
    Ok(Some(run_test(test, &granted.policies, &scope, context)))
}

fn run_test(
    test: &PolicyTest,
    policies: &Policies,
    scope: &Scope,
    context: impl Fn(&Context) -> Context,
) -> TestResult {
    let result = |case: &PolicyCase| {
        let context = context(&case.context);
        let simulation = Simulation {
            documents: &policies.documents,
            scope,
            context: &context,
        };
        let answer = simulation.ask(&case.ask);
        CaseResult {
            line: case.line,
            expected: case.expected.as_str(),
            passed: case.expected.is_met_by(answer.verdict),
            client: context.client_id.clone(),
            told: QueryReport::new(&case.ask, answer, policies),
        }
    };
    TestResult {
        name: test.name.clone(),
        line: test.line,
        cases: test.cases.iter().map(result).collect(),
    }
}

/// Region and account in the ARNs of a test: those of the file, or else those of the policies.
fn scope(
    file: &str,
    tests: &PolicyTests,
    test: &PolicyTest,
    policies: &Policies,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Scope>> {
    let PolicyTests {
        partition,
        region,
        account,
        ..
    } = tests;
    let mut scope = match Scope::of(&policies.documents) {
        Ok(scope) => scope,
        Err(_) if region.is_some() && account.is_some() => Scope::default(),
        Err(error) => {
            write_line(
                messages,
                format_args!("error: test `{}`: {error}", test.name),
            )?;
            write_line(messages, format_args!("  --> {file}:{}", test.line))?;
            writeln!(
                messages,
                "help: say which is meant with `region` and `account` at the top of the file\n"
            )?;
            return Ok(None);
        }
    };
    for (part, given) in [
        (&mut scope.partition, partition),
        (&mut scope.region, region),
        (&mut scope.account, account),
    ] {
        if let Some(given) = given {
            *part = given.as_str().into();
        }
    }
    Ok(Some(scope))
}

/// One line for each test that passed, and the grounds of each case that did not.
fn write_text(report: &PolicyTestReport, out: &mut impl Write) -> io::Result<()> {
    for file in &report.files {
        for test in &file.tests {
            let failed = test.cases.iter().filter(|case| !case.passed).count();
            let (place, name) = (format!("{}:{}", file.file, test.line), &test.name);
            if failed == 0 {
                write_line(
                    out,
                    format_args!("ok    {place} {name}: {}", cases(test.cases.len())),
                )?;
                continue;
            }
            write_line(
                out,
                format_args!(
                    "FAIL  {place} {name}: {failed} of {}",
                    cases(test.cases.len())
                ),
            )?;
            for case in test.cases.iter().filter(|case| !case.passed) {
                let (line, headline, expected) = (case.line, case.headline(), case.expected);
                write_line(
                    out,
                    format_args!("  line {line}: it {headline}; expected {expected}"),
                )?;
                case.write_grounds("    ", out)?;
            }
        }
    }
    let (ran, failed) = (cases(report.cases), report.failed);
    match report.not_run.len() {
        0 => write_line(out, format_args!("{ran}, {failed} failed")),
        // The error of each file is written already, and there is nothing else to sum up.
        _ if report.files.is_empty() => Ok(()),
        // That nothing failed is no news while something did not run.
        files => write_line(
            out,
            format_args!(
                "FAIL  {files} of {} files could not be run; of the others {ran}, {failed} not as expected",
                files + report.files.len()
            ),
        ),
    }
}

fn cases(count: usize) -> String {
    match count {
        1 => "1 case".into(),
        count => format!("{count} cases"),
    }
}

#[cfg(test)]
mod tests;
