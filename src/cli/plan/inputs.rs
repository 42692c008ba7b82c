//! Inputs of a plan: configuration, load, quotas and prices.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Command, learned};
use crate::aws::service_quotas::{AppliedQuota, applied_quotas};
use crate::cli::input::{self, INPUT_BYTES};
use crate::cli::runtime::block_on;
use crate::cli::user_error::{UserError, write_error};
use crate::escape::write_line;
use crate::plan::capacity_plan::PlanBasis;
use crate::plan::data_line::DataLineFault;
use crate::plan::facts::PlatformFacts;
use crate::plan::prices::{PriceFault, PriceTable};
use crate::plan::quotas::QuotaTable;

/// The Region where neither load nor queue names one.
const USUAL_REGION: &str = "us-east-1";

/// Checked inputs.
pub(super) struct PlanInputs {
    pub(super) basis: PlanBasis,
    /// `true` where the Region is the usual one because nothing names one.
    is_region_assumed: bool,
    /// `true` where every route has the assumed load.
    is_load_assumed: bool,
}

impl PlanInputs {
    /// Remarks for a person.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.basis.remarks(today());
        if self.is_region_assumed {
            remarks.insert(
                0,
                format!(
                    "Region {USUAL_REGION} is assumed: neither the load nor bridge.queue names one"
                ),
            );
        }
        if self.is_load_assumed {
            let text = "without a load description every route is assumed to carry 10 events a day for each client, of 1 KB, to one client each: --print-load writes one to start from";
            remarks.insert(0, text.to_owned());
        }
        remarks
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// Reads all of them; `None` when something is wrong, which is reported.
pub(super) fn read(
    command: &Command,
    messages: &mut impl Write,
) -> anyhow::Result<Option<PlanInputs>> {
    let config = if command.configuration.is_absent() {
        writeln!(
            messages,
            "note: there is no configuration: routes are those of the load, settings the defaults"
        )?;
        None
    } else {
        match command.configuration.read_checked(messages)? {
            Some(config) => Some(config),
            None => return Ok(None),
        }
    };
    let over = command.over.as_deref();
    let Some(learned) = learned::values(&command.learn, over, messages)? else {
        return Ok(None);
    };
    let Some(profile) = command.load.read(config.as_ref(), &learned, messages)? else {
        return Ok(None);
    };
    let facts = config
        .as_ref()
        .map_or_else(PlatformFacts::default, PlatformFacts::of);
    let named = profile.region.clone().or_else(|| facts.region.clone());
    let region = named.clone().unwrap_or_else(|| USUAL_REGION.to_owned());
    let Some(mut quotas) = quotas(command, &region, messages)? else {
        return Ok(None);
    };
    if command.live_quotas {
        apply_live(&mut quotas, messages)?;
    }
    let Some(prices) = prices(command, &region, messages)? else {
        return Ok(None);
    };
    let is_load_assumed = command.learn.is_empty() && !command.load.describes_routes();
    Ok(Some(PlanInputs {
        basis: PlanBasis {
            profile,
            facts,
            quotas,
            prices,
            headroom: command.headroom,
        },
        is_region_assumed: named.is_none(),
        is_load_assumed,
    }))
}

fn quotas(
    command: &Command,
    region: &str,
    messages: &mut impl Write,
) -> anyhow::Result<Option<QuotaTable>> {
    let table = match &command.quotas {
        None => QuotaTable::try_of_region(region),
        Some(path) => {
            let Some((name, text)) = lines(path, messages)? else {
                return Ok(None);
            };
            QuotaTable::try_with_file(region, &name, &text)
        }
    };
    match table {
        Ok(table) => Ok(Some(table)),
        Err(faults) => {
            bad_lines(&faults, "src/plan/quotas.jsonl", messages)?;
            Ok(None)
        }
    }
}

/// Puts the account's own values in the place of defaults.
fn apply_live(quotas: &mut QuotaTable, messages: &mut impl Write) -> anyhow::Result<()> {
    let services: Vec<String> = quotas.services().into_iter().map(str::to_owned).collect();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let region = quotas.region().to_owned();
    let found = block_on(applied_quotas(&region, &services))?.map_err(|error| {
        UserError::new(
            format_args!("asking Service Quotas: {error}"),
            "the role needs servicequotas:ListServiceQuotas; without --live-quotas the defaults count",
        )
    })?;
    let applied = found.iter().filter_map(|quota| {
        let AppliedQuota {
            service_code,
            quota_code,
            quota_name,
            value,
        } = quota;
        quotas.apply(service_code, quota_code, quota_name, *value)
    });
    let names: Vec<String> = applied.map(|name| name.to_string()).collect();
    let line = match names.as_slice() {
        [] => "Service Quotas has no value of the account's own: the defaults count".to_owned(),
        names => format!("values of the account's own: {}", names.join(", ")),
    };
    write_line(messages, format_args!("note: {line}"))?;
    Ok(())
}

fn prices(
    command: &Command,
    region: &str,
    messages: &mut impl Write,
) -> anyhow::Result<Option<PriceTable>> {
    let table = match &command.prices {
        None => PriceTable::try_of_region(region),
        Some(path) => {
            let Some((name, text)) = lines(path, messages)? else {
                return Ok(None);
            };
            PriceTable::try_with_file(region, &name, &text)
        }
    };
    match table {
        Ok(table) => Ok(Some(table)),
        Err(PriceFault::Lines(faults)) => {
            bad_lines(&faults, "src/plan/prices.jsonl", messages)?;
            Ok(None)
        }
        Err(PriceFault::Region {
            region,
            missing,
            known,
        }) => {
            write_error(
                messages,
                format_args!(
                    "no price of `{missing}` is known for the Region `{region}`; prices are known for {}",
                    known.join(", ")
                ),
                "name one of these with --with region=…, or give lines of your own with --prices",
            )?;
            Ok(None)
        }
    }
}

fn lines(path: &Path, messages: &mut impl Write) -> anyhow::Result<Option<(String, String)>> {
    match input::read_text(path, INPUT_BYTES) {
        Ok(text) => Ok(Some((input::shown(path), text))),
        Err(error) => {
            write_error(
                messages,
                format_args!("reading `{}`: {error}", input::shown(path)),
                "name a file of JSON lines",
            )?;
            Ok(None)
        }
    }
}

fn bad_lines(
    faults: &[DataLineFault],
    model: &str,
    messages: &mut impl Write,
) -> anyhow::Result<()> {
    if let Some(error) = UserError::of_all(faults) {
        let help = format!("a line is a JSON object as in {model}");
        error.help(help).write(messages)?;
    }
    Ok(())
}
