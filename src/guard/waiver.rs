//! Waivers: findings that somebody answers for until a day.
//!
//! In line, a comment `rt-allow: RT010 until=2026-12-31 owner=orders reason="..."` covers the
//! statement in its line, or the next one if it is alone in its line; `rt-allow-begin: …` covers
//! the lines up to `rt-allow-end`. In the file of waivers, an entry covers a rule in a path.

use jiff::civil::Date;
use serde::Deserialize;

use super::finding::{GuardFinding, SourceRegion, Suppression};
use super::report::GuardReport;
use super::rule::GuardSeverity;
use super::rules;

/// Marks of comments.
const MARKS: [&str; 4] = ["//", "#", "/*", "<!--"];

/// The word of a waiver in a comment, and those around a block.
const WORD: &str = "rt-allow:";
const BEGIN: &str = "rt-allow-begin:";
const END: &str = "rt-allow-end";

/// The longest life of a waiver, in days, unless the settings say otherwise.
pub const LONGEST_LIFE_DAYS: i32 = 90;

/// Extent of a waiver.
#[derive(Clone, Debug, PartialEq, Eq)]
enum WaiverScope {
    /// A statement that has a line in it, or begins in it.
    Line(usize),
    /// Lines; without the last one nothing is covered.
    Block(usize, Option<usize>),
    /// A path, or everything below a folder (`src`, `src/**`).
    Path(String),
}

/// A waiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// File that has it.
    file: String,
    line: usize,
    scope: WaiverScope,
    rule: String,
    owner: String,
    reason: String,
    until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverFile {
    #[serde(default)]
    waiver: Vec<toml::Spanned<WaiverEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverEntry {
    rule: String,
    path: String,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    until: String,
}

/// Reads a file of waivers.
///
/// # Errors
/// One line that says what is wrong.
pub fn read_waivers(file: &str, text: &str) -> Result<Vec<Waiver>, String> {
    let read: WaiverFile = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.unwrap_or_default().matches('\n').count() + 1;
        format!("line {line}: {}", error.message())
    })?;
    let waivers = read.waiver.into_iter().map(|entry| {
        let before = text.get(..entry.span().start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let entry = entry.into_inner();
        Waiver {
            file: file.to_owned(),
            line,
            scope: WaiverScope::Path(entry.path),
            rule: entry.rule,
            owner: entry.owner,
            reason: entry.reason,
            until: entry.until,
        }
    });
    Ok(waivers.collect())
}

/// Waivers in the comments of a file.
pub(super) fn inline_waivers(path: &str, text: &str) -> Vec<Waiver> {
    if memchr::memmem::find(text.as_bytes(), b"rt-allow").is_none() {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let code = following(&lines, |line| {
        let line = line.trim_start();
        !line.is_empty()
            && !line.starts_with(['#', '*'])
            && !line.starts_with("//")
            && !line.starts_with("/*")
    });
    let ends = following(&lines, |line| line.contains(END));
    let mut waivers = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let (is_block, parts) = match line.split_once(BEGIN) {
            Some(parts) => (true, Some(parts)),
            None => (false, line.split_once(WORD)),
        };
        let Some((before, said)) = parts else {
            continue;
        };
        let Some(comment) = comment_start(line).filter(|at| *at < before.len()) else {
            continue;
        };
        let is_alone = before.get(..comment).unwrap_or_default().trim().is_empty();
        let next = code.get(index).copied().flatten();
        let covered = match is_alone {
            true => next.map_or(index + 1, |at| at + 1),
            false => index + 1,
        };
        let said = said
            .trim()
            .trim_end_matches("*/")
            .trim_end_matches("-->")
            .trim();
        let (rule, rest) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
        waivers.push(Waiver {
            file: path.to_owned(),
            line: index + 1,
            scope: match is_block {
                true => {
                    let end = ends.get(index).copied().flatten();
                    WaiverScope::Block(index + 1, end.map(|at| at + 1))
                }
                false => WaiverScope::Line(covered),
            },
            rule: rule.to_owned(),
            owner: value_of(rest, "owner").unwrap_or_default(),
            reason: value_of(rest, "reason").unwrap_or_default(),
            until: value_of(rest, "until").unwrap_or_default(),
        });
    }
    waivers
}

/// Returns `true` where a path is the named one or below it: `src`, `src/` and `src/**` are the
/// same.
fn is_below(named: &str, path: &str) -> bool {
    let named = named.strip_suffix("/**").unwrap_or(named);
    let named = named.strip_prefix("./").unwrap_or(named);
    let below = path.strip_prefix(named.trim_end_matches('/'));
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// The place of a comment's mark in a line, outside of string literals.
fn comment_start(line: &str) -> Option<usize> {
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in line.char_indices() {
        let rest = line.get(at..).unwrap_or_default();
        match quote {
            _ if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            Some(open) => quote = Some(open).filter(|open| *open != c),
            None if MARKS.iter().any(|mark| rest.starts_with(mark)) => return Some(at),
            None if matches!(c, '"' | '`') => quote = Some(c),
            // A single quote that nothing closes is an apostrophe or a lifetime.
            None if c == '\'' && rest.matches(c).count() > 1 => quote = Some(c),
            None => {}
        }
    }
    None
}

/// For each line the index of the first one after it that `is_meant`.
fn following(lines: &[&str], is_meant: impl Fn(&str) -> bool) -> Vec<Option<usize>> {
    let mut next = None;
    let mut found: Vec<Option<usize>> = (0..lines.len())
        .rev()
        .map(|index| {
            let after = next;
            if lines.get(index).is_some_and(|line| is_meant(line)) {
                next = Some(index);
            }
            after
        })
        .collect();
    found.reverse();
    found
}

/// The value of `key=value` or `key="value of words"`.
fn value_of(text: &str, key: &str) -> Option<String> {
    let start = format!("{key}=");
    let at = text.match_indices(&start).map(|(at, _)| at).find(|at| {
        let before = text.get(..*at).unwrap_or_default();
        before.is_empty() || before.ends_with(char::is_whitespace)
    })?;
    let value = text.get(at + start.len()..)?;
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split_whitespace().next()?,
    };
    Some(value.to_owned())
}

impl Waiver {
    /// Returns `true` where it may cover a finding in one of the paths.
    pub fn concerns(&self, paths: &[String]) -> bool {
        match &self.scope {
            WaiverScope::Line(_) | WaiverScope::Block(..) => paths.contains(&self.file),
            WaiverScope::Path(named) => paths.iter().any(|path| is_below(named, path)),
        }
    }

    fn covers(&self, finding: &GuardFinding) -> bool {
        let is_there = match &self.scope {
            WaiverScope::Line(line) => {
                let (region, first) = (finding.region, finding.statement.0);
                let lines = [first, region.start.line, region.end.line];
                finding.path == self.file && lines.contains(line)
            }
            WaiverScope::Block(first, last) => {
                let line = finding.region.start.line;
                finding.path == self.file && *first < line && last.is_some_and(|last| line < last)
            }
            WaiverScope::Path(named) => is_below(named, &finding.path),
        };
        is_there && self.rule == finding.rule
    }

    /// The fault of the waiver itself.
    fn fault(&self, today: Date, longest_days: i32) -> Option<String> {
        let rule = &self.rule;
        if super::catalogue::rule(rule).is_none() && rule.starts_with("RT") {
            return Some(format!("the waiver names `{rule}`, which is no rule"));
        }
        for (name, value) in [
            ("an owner", &self.owner),
            ("a reason", &self.reason),
            ("an end (`until`)", &self.until),
        ] {
            if value.trim().is_empty() {
                return Some(format!("the waiver of {rule} has not {name}"));
            }
        }
        if matches!(self.scope, WaiverScope::Block(_, None)) {
            return Some(format!(
                "the waiver of {rule} begins a block without `{END}`"
            ));
        }
        let Ok(until) = self.until.parse::<Date>() else {
            let until = &self.until;
            return Some(format!(
                "the waiver of {rule} ends on `{until}`, which is no day such as 2026-12-31"
            ));
        };
        if until < today {
            return Some(format!("the waiver of {rule} has expired on {until}"));
        }
        let days = today.until(until).map_or(i32::MAX, |span| span.get_days());
        (days > longest_days).then(|| {
            format!("the waiver of {rule} ends on {until}, {days} days from now; {longest_days} are the longest life")
        })
    }
}

/// Suppresses findings that waivers cover. Waivers that are incomplete, have expired or cover
/// nothing are findings; those suppress nothing.
pub fn apply_waivers(report: &mut GuardReport, waivers: &[Waiver], today: Date, longest_days: i32) {
    let mut faults = Vec::new();
    for waiver in waivers {
        let region = SourceRegion::at(waiver.line, 1);
        let matched = format!("{} {}", waiver.rule, waiver.until);
        let new = |message| {
            GuardFinding::new(
                &rules::waiver::RULE,
                &waiver.file,
                region,
                &matched,
                message,
            )
        };
        if let Some(fault) = waiver.fault(today, longest_days) {
            faults.push(new(fault));
            continue;
        }
        let mut is_used = false;
        for finding in report
            .findings
            .iter_mut()
            .filter(|finding| waiver.covers(finding))
        {
            is_used = true;
            finding
                .suppression
                .get_or_insert_with(|| Suppression::Waived {
                    owner: waiver.owner.clone(),
                    reason: waiver.reason.clone(),
                    until: waiver.until.clone(),
                    place: format!("{}:{}", waiver.file, waiver.line),
                });
        }
        if !is_used {
            let mut finding = new(format!("the waiver of {} covers nothing", waiver.rule));
            finding.severity = GuardSeverity::Warning;
            faults.push(finding);
        }
    }
    report.findings.extend(faults);
    report.finish();
}
