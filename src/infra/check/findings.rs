//! Collected findings, each with file, line, fault and cure.

use super::template::Resource;
use super::worlds::ParameterValues;
use crate::config::fault::{Fault, Severity, ValuePlace};
use crate::event::pattern::tree::TreeValue;

/// Findings so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Fault>);

impl Findings {
    /// Events are lost, refused or never arrive.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        resource: &Resource,
        at: &TreeValue,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(
            Severity::Error,
            code,
            resource,
            at,
            message.into(),
            help.into(),
        );
    }

    /// Events are late, or lost when something else goes wrong.
    pub(super) fn warning(
        &mut self,
        code: &'static str,
        resource: &Resource,
        at: &TreeValue,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(
            Severity::Warning,
            code,
            resource,
            at,
            message.into(),
            help.into(),
        );
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        resource: &Resource,
        at: &TreeValue,
        message: String,
        help: String,
    ) {
        self.0.push(Fault {
            severity,
            code,
            message,
            place: ValuePlace::file(&resource.file, at.at),
            key: format!("Resources.{}", resource.id),
            accepted: None,
            help: Some(help),
        });
    }

    /// Adds the findings of each world, once each; those of some worlds alone say of which.
    pub(super) fn gather(&mut self, worlds: &[ParameterValues<'_>], found: Vec<Self>) {
        let mut known: Vec<(Fault, usize, usize)> = Vec::new();
        for (at, findings) in found.into_iter().enumerate() {
            let mut in_this: Vec<Fault> = Vec::new();
            for fault in findings.0 {
                if !in_this.contains(&fault) {
                    in_this.push(fault);
                }
            }
            for fault in in_this {
                match known.iter_mut().find(|(other, ..)| *other == fault) {
                    Some((.., count)) => *count += 1,
                    None => known.push((fault, at, 1)),
                }
            }
        }
        for (mut fault, first, count) in known {
            if let Some(world) = worlds.get(first).filter(|_| count < worlds.len()) {
                let value = |(name, value): &(&str, Option<&str>)| match value {
                    Some(value) => format!("`{name}` is `{value}`"),
                    None => format!("`{name}` is another value"),
                };
                let values: Vec<String> = world.iter().map(value).collect();
                fault.message = format!("{}; so where {}", fault.message, values.join(", "));
            }
            self.0.push(fault);
        }
    }

    /// The findings by file and line.
    pub(super) fn in_order(mut self) -> Vec<Fault> {
        self.0.sort_by_key(|fault| match &fault.place {
            ValuePlace::File { file, line, column } => (file.clone(), *line, *column, fault.code),
            ValuePlace::Override { name } => (name.clone(), 0, 0, fault.code),
        });
        self.0.dedup();
        self.0
    }
}
