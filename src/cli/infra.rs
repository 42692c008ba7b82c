//! `eventcast infra`: templates made from the configuration, and a check of templates for faults
//! that lose events silently.

mod check;
mod render;

use std::io::Write;

use clap::Subcommand;

use self::check::InfraCheckCommand;
use self::render::Render;
use super::Status;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
infra/README.md takes an account from nothing to a running platform, and has a runbook for each alarm.

Examples:
  eventcast infra render --out infra/rendered
  eventcast infra render --check infra/rendered
  eventcast infra check infra/rendered/rule.json infra/cloudformation/queues.yaml

`eventcast infra COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Make the templates that follow from the configuration
    #[command(after_help = "\
Files: rule.json (the rule, whose pattern is that of all routes together), subscriber.json (the same for EventBridge v2), \
roles.json (the bridge's role, and two of operators), alarms.json (by route), parameters-*.txt (for the templates in \
infra/cloudformation), eventcast.auto.tfvars.json (for the module in infra/terraform). The same configuration makes the same \
bytes. With --check nothing is written: it is for CI, where template and configuration must not drift apart. With a load \
(--load, --clients, --with, as in eventcast plan) the bounds of the bridge's tasks are those of its plan.

Examples:
  eventcast infra render rule.json
  eventcast infra render --out infra/rendered
  eventcast infra render --check infra/rendered
  eventcast infra render parameters-scaling.txt --clients 1M
  eventcast infra render --format json

Exit status: 0 made, or the same as in the folder of --check, 1 not the same, 2 the configuration is not right, 3 a file cannot \
be written.")]
    Render(Render),
    /// Look for what loses events silently in templates
    #[command(after_help = "\
Files are templates of CloudFormation, YAML or JSON, and are looked at together: the rule in one, its queue in another. \
Parameters have their defaults unless --parameter sets them. Where there is a configuration, times, Regions, queues and routes \
are compared with it. docs/infra.md lists the checks.

Examples:
  eventcast infra check infra/cloudformation/*.yaml infra/example/rule.json
  eventcast infra check template.yaml --parameter Fifo=true
  eventcast infra check --format json - < template.yaml

Exit status: 0 nothing found, 1 findings (warnings too), 2 a file or the configuration cannot be read.")]
    Check(InfraCheckCommand),
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Render(command) => render::run(command, out, messages),
        Command::Check(command) => check::run(command, out, messages),
    }
}
