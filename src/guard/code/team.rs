//! Rules of teams: ast-grep's YAML, over the languages that the guard reads.
//!
//! A file has one rule or several (ast-grep documentation, "Rule Object Reference"), or a test of
//! one: `id`, `valid` and `invalid` code (ast-grep documentation, "Test Your Rule").

use ast_grep_config::{GlobalRules, RuleConfig, SerializableRuleConfig, Severity, from_multiple};
use ast_grep_core::Node;
use ast_grep_core::tree_sitter::{LanguageExt as _, StrDoc};
use ast_grep_language::SupportLang;
use serde::Deserialize;

use super::language::CodeLanguage;
use crate::guard::finding::{GuardFinding, SourcePoint, SourceRegion};
use crate::guard::rule::{GuardRule, GuardSeverity};

/// Languages whose grammars are in this build.
const LANGUAGES: [SupportLang; 7] = [
    SupportLang::Go,
    SupportLang::Java,
    SupportLang::JavaScript,
    SupportLang::Python,
    SupportLang::Rust,
    SupportLang::Tsx,
    SupportLang::TypeScript,
];

/// Rules of a team, with their tests.
#[derive(Default)]
pub struct TeamRules {
    rules: Vec<(RuleConfig<SupportLang>, GuardRule)>,
    tests: Vec<RuleTest>,
}

/// A test of a rule.
#[derive(Deserialize)]
struct RuleTest {
    id: String,
    #[serde(default)]
    valid: Vec<String>,
    #[serde(default)]
    invalid: Vec<String>,
}

/// Outcome of one piece of code of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// Rule.
    pub id: String,
    /// First line of the code.
    pub code: String,
    /// Fault, where it is not as the test says.
    pub fault: Option<String>,
}

impl TeamRules {
    /// Reads the files of a folder: names and texts.
    ///
    /// # Errors
    /// One line for each file that is neither rules nor tests.
    pub fn read(files: &[(String, String)]) -> Result<Self, Vec<String>> {
        let mut team = Self::default();
        let mut faults = Vec::new();
        for (name, text) in files {
            let is_test = text
                .lines()
                .any(|line| line.starts_with("valid:") || line.starts_with("invalid:"));
            let read = match is_test {
                true => team.add_tests(text),
                false => team.add_rules(text),
            };
            if let Err(fault) = read {
                faults.push(format!("`{name}`: {fault}"));
            }
        }
        if faults.is_empty() {
            Ok(team)
        } else {
            Err(faults)
        }
    }

    fn add_tests(&mut self, text: &str) -> Result<(), String> {
        let tests: Vec<RuleTest> = from_multiple(text).map_err(|error| first_line(&error))?;
        self.tests.extend(tests);
        Ok(())
    }

    fn add_rules(&mut self, text: &str) -> Result<(), String> {
        let globals = GlobalRules::default();
        let read: Vec<SerializableRuleConfig<SupportLang>> =
            from_multiple(text).map_err(|error| first_line(&error))?;
        for one in read {
            if one.id.is_empty() || one.id.to_ascii_uppercase().starts_with("RT") {
                return Err(format!(
                    "the rule's id is `{}`; it needs one that does not begin with RT",
                    one.id
                ));
            }
            if !LANGUAGES.contains(&one.language) {
                let languages = "Go, Java, JavaScript, Python, Rust, Tsx, TypeScript";
                return Err(format!(
                    "rule `{}`: accepted languages: {languages}",
                    one.id
                ));
            }
            let severity = match one.severity {
                Severity::Off => continue,
                Severity::Hint | Severity::Info => GuardSeverity::Note,
                Severity::Warning => GuardSeverity::Warning,
                Severity::Error => GuardSeverity::Error,
            };
            let rule = GuardRule {
                id: one.id.clone().into(),
                name: one.id.clone().into(),
                severity,
                summary: one.message.clone().into(),
                reason: one.note.clone().unwrap_or_default().into(),
                fix: one.note.clone().unwrap_or_default().into(),
                hits: &[],
                near_misses: &[],
            };
            let config = RuleConfig::try_from(one, &globals).map_err(|error| first_line(&error))?;
            self.rules.push((config, rule));
        }
        Ok(())
    }

    /// Number of rules.
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// Returns `true` where a rule has an id.
    pub fn has(&self, id: &str) -> bool {
        self.rules.iter().any(|one| one.1.id == id)
    }

    /// Findings of all rules in a file.
    pub fn scan(&self, path: &str, text: &str) -> Vec<GuardFinding> {
        let Some(language) = CodeLanguage::of(path) else {
            return Vec::new();
        };
        let grammar = language.grammar();
        let rules: Vec<_> = self
            .rules
            .iter()
            .filter(|one| one.0.language == grammar)
            .collect();
        if rules.is_empty() {
            return Vec::new();
        }
        let Ok(document) = StrDoc::try_new(text, grammar) else {
            return Vec::new();
        };
        let root = ast_grep_core::AstGrep::doc(document);
        let mut found = Vec::new();
        for (config, rule) in rules {
            for node in root.root().find_all(&config.matcher) {
                let message = match rule.summary.is_empty() {
                    true => format!("`{}` matches", rule.id),
                    false => config.get_message(&node),
                };
                let message = message.lines().next().unwrap_or_default().to_owned();
                let mut finding =
                    GuardFinding::new(rule, path, region(&node), &node.text(), message);
                if !rule.fix.is_empty() {
                    finding.help = Some(rule.fix.lines().next().unwrap_or_default().to_owned());
                }
                found.push(finding);
            }
        }
        found
    }

    /// Runs the tests.
    pub fn test(&self) -> Vec<TestOutcome> {
        let mut outcomes = Vec::new();
        for test in &self.tests {
            let rule = self.rules.iter().find(|one| one.1.id == *test.id);
            let cases = test.valid.iter().map(|code| (code, false));
            let cases = cases.chain(test.invalid.iter().map(|code| (code, true)));
            for (code, is_invalid) in cases {
                let fault = match rule {
                    None => Some("there is no such rule".to_owned()),
                    Some((config, _)) => {
                        let root = config.language.ast_grep(code);
                        let is_found = root.root().find(&config.matcher).is_some();
                        match (is_found, is_invalid) {
                            (true, false) => Some("valid code is found".to_owned()),
                            (false, true) => Some("invalid code is not found".to_owned()),
                            _ => None,
                        }
                    }
                };
                outcomes.push(TestOutcome {
                    id: test.id.clone(),
                    code: code.lines().next().unwrap_or_default().to_owned(),
                    fault,
                });
            }
        }
        outcomes
    }
}

fn region(node: &Node<'_, StrDoc<SupportLang>>) -> SourceRegion {
    let point = |at: ast_grep_core::Position| SourcePoint {
        line: at.line() + 1,
        column: at.column(node) + 1,
    };
    SourceRegion {
        start: point(node.start_pos()),
        end: point(node.end_pos()),
    }
}

/// The first line of an error, with its causes.
fn first_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text.lines().next().unwrap_or_default().to_owned()
}
