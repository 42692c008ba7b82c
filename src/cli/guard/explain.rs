//! `eventcast guard explain`: the page of a rule, or the list of all.

use std::io::Write;

use clap::Args;

use crate::cli::Status;
use crate::cli::user_error::write_error;
use crate::guard::catalogue::{rule, rules};

#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// Id of a rule, such as RT010; all rules are listed where it is missing
    #[arg(value_name = "RULE")]
    rule: Option<String>,
}

pub(super) fn run(
    command: &Explain,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(id) = &command.rule else {
        for rule in rules() {
            let (id, severity) = (&rule.id, rule.severity.name());
            writeln!(out, "{id}  {severity:<7}  {}: {}", rule.name, rule.summary)?;
        }
        return Ok(Status::Yes);
    };
    let Some(rule) = rule(id) else {
        let known: Vec<&str> = rules().map(|rule| &*rule.id).collect();
        write_error(
            messages,
            format_args!("there is no rule `{id}`"),
            format_args!("accepted: {}", known.join(", ")),
        )?;
        return Ok(Status::CannotAnswer);
    };
    writeln!(out, "{} {} ({})", rule.id, rule.name, rule.severity.name())?;
    writeln!(
        out,
        "\n{}\n\nReason: {}\n\nFix: {}",
        rule.summary, rule.reason, rule.fix
    )?;
    for (title, samples) in [("Found", rule.hits), ("Not found", rule.near_misses)] {
        for sample in samples {
            writeln!(out, "\n{title}, {}:\n", sample.path)?;
            for line in sample.text.lines() {
                writeln!(out, "    {line}")?;
            }
        }
    }
    Ok(Status::Yes)
}
