//! `eventcast plan`: a platform's use of its quotas, its cost, and the duration of its recovery.

mod inputs;
mod learned;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::configuration::Configuration;
use super::json::write_json;
use super::load::LoadArguments;
use super::{OutputFormat, Status};
use crate::escape::write_line;
use crate::plan::assertion::{AssertionOutcome, PlanAssertion};
use crate::plan::capacity_plan::CapacityPlan;
use crate::plan::pictures::pictures;
use crate::plan::report::{write_assertions, write_plan};
use crate::plan::sweep::{SweepPoint, sweep};

const HELP: &str = "\
The load is a YAML file, every key of which has a default:

  clients: 1M                     # that come in a day
  connected: 2h                   # of a day
  reconnects: 6                   # a day
  channels: 3                     # filters of a client
  polling: 3 %                    # clients of the gateway
  recover_within: 15m
  routes:                         # those of the configuration
    order-updates: { events: 50/d per client, payload: 900 }

--print-load writes the whole of it, with the values in effect. docs/capacity.md describes each key, \
and where figures come from. Nothing is asked of AWS but with --live-quotas.

Examples:
  eventcast plan --clients 1M
  eventcast plan --clients 1M --print-load > load.yaml
  eventcast plan --load load.yaml --with routes.order-updates.events=20/s
  eventcast plan --load load.yaml --svg pictures
  eventcast plan --clients 10k --assert 'headroom>=30%' --assert 'cost<=5000'
  eventcast plan --clients 1M --format json

Exit status: 0 planned and every --assert holds, 1 an --assert does not hold, 2 the load, the \
configuration or an argument is not right, 3 a picture cannot be written.";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Command {
    #[command(flatten)]
    load: LoadArguments,
    /// Learn the load: from metrics of a bridge, a file that /metrics was saved to (with --over) or
    /// a URL on this machine, which is asked twice; or from a running `eventcast dev`, by its
    /// address without a path (repeatable: one for each task)
    #[arg(long, value_name = "FILE|URL")]
    learn: Vec<String>,
    /// Time in which the counters of a file of --learn grew; between two questions to a URL
    /// (default 10s)
    #[arg(long, value_name = "TIME", requires = "learn")]
    over: Option<String>,
    /// Head-room that requests of increases are to leave
    #[arg(long, value_name = "PERCENT", default_value = "30%", value_parser = percent)]
    headroom: f64,
    /// Assert something of the plan, such as `headroom>=30%`, `cost<=5000`, `recovery<=10m`
    /// (repeatable)
    #[arg(long = "assert", value_name = "ASSERTION")]
    assertions: Vec<PlanAssertion>,
    /// Write pictures of cost and head-room against clients into this folder
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,
    /// Lines of quotas above the built-in ones: JSON lines as in src/plan/quotas.jsonl
    #[arg(long, value_name = "FILE")]
    quotas: Option<PathBuf>,
    /// Ask Service Quotas for the account's own values, with the credentials that every SDK finds
    /// (servicequotas:ListServiceQuotas)
    #[arg(long)]
    live_quotas: bool,
    /// Lines of prices above the built-in ones: JSON lines as in src/plan/prices.jsonl
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Print the load with the values in effect, and plan nothing
    #[arg(long, conflicts_with_all = ["svg", "assertions", "format"])]
    print_load: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    configuration: Configuration,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let value: Option<f64> = number.parse().ok();
    let value = value.map(|value| value / 100.0);
    value
        .filter(|value| (0.0..=0.95).contains(value))
        .ok_or_else(|| "accepted: 0% to 95%, such as 30%".to_owned())
}

/// Answer as JSON.
#[derive(Serialize)]
struct PlanAnswer<'p> {
    plan: &'p CapacityPlan,
    /// The same load with other numbers of clients.
    sweep: Vec<SweepPoint>,
    assertions: &'p [AssertionOutcome],
    remarks: &'p [String],
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(inputs) = inputs::read(command, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    if command.print_load {
        out.write_all(inputs.basis.profile.to_yaml().as_bytes())?;
        return Ok(Status::Yes);
    }
    let plan = inputs.basis.plan();
    let asserted = command.assertions.iter();
    let assertions: Vec<AssertionOutcome> = asserted.map(|each| each.check(&plan)).collect();
    if let Some(folder) = &command.svg {
        fs::create_dir_all(folder).with_context(|| format!("making `{}`", folder.display()))?;
        for picture in pictures(&inputs.basis) {
            let path = folder.join(picture.name);
            fs::write(&path, picture.svg)
                .with_context(|| format!("writing `{}`", path.display()))?;
            write_line(messages, format_args!("wrote {}", path.display()))?;
        }
    }
    let remarks = inputs.remarks();
    if command.format == OutputFormat::Json {
        let answer = PlanAnswer {
            plan: &plan,
            sweep: sweep(&inputs.basis),
            assertions: &assertions,
            remarks: &remarks,
        };
        write_json(&answer, out)?;
    } else {
        write_plan(&plan, &inputs.basis.profile, out)?;
        write_assertions(&assertions, out)?;
        for remark in &remarks {
            write_line(messages, format_args!("note: {remark}"))?;
        }
    }
    Ok(if assertions.iter().all(|outcome| outcome.holds) {
        Status::Yes
    } else {
        Status::No
    })
}

#[cfg(test)]
mod tests;
