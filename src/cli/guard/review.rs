//! `eventcast guard review`: the architecture reviewer's page.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::contract::{ContractArguments, FoundContract, read_contract};
use crate::cli::Status;
use crate::cli::diagnostic::render;
use crate::cli::user_error::write_error;
use crate::guard::contract::routed::PlatformRoutes;
use crate::guard::redact::redacted_lines;
use crate::guard::review::review;

#[derive(Debug, Args)]
pub(in crate::cli) struct Review {
    /// Folder of the repository
    #[arg(value_name = "PATH", default_value = ".")]
    root: PathBuf,
    #[command(flatten)]
    contract: ContractArguments,
}

pub(super) fn run(
    command: &Review,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match read_contract(&command.root, &command.contract, messages)? {
        FoundContract::Ready(files) => {
            let page = review(
                &files.manifest,
                &PlatformRoutes::new(&files.platform),
                &files.check(),
            );
            out.write_all(page.as_bytes())?;
            Ok(Status::Yes)
        }
        FoundContract::Faulty { faults, text, .. } => {
            let shown = redacted_lines(&text);
            for fault in &faults {
                render(fault, &shown, messages)?;
            }
            Ok(Status::CannotAnswer)
        }
        FoundContract::Unreadable => Ok(Status::CannotAnswer),
        FoundContract::Absent => {
            let root = command.root.display();
            write_error(
                messages,
                format_args!("there is no realtime.yaml in `{root}`"),
                "name the manifest with --manifest; eventcast guard init writes one",
            )?;
            Ok(Status::CannotAnswer)
        }
    }
}
