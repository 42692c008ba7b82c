//! Faults that lose events silently: found in templates of CloudFormation, before they are
//! deployed.
//!
//! AWS accepts every fault that is looked for here, and the stack is green: an event then
//! disappears, or comes late, without an error anywhere. Each check has a code; `docs/infra.md`
//! lists them.
//!
//! Parameters have their defaults, or the values that the caller gives; where conditions ask for
//! one that has neither, its values are tried. A value that cannot be resolved (imports, resources
//! of other files that were not given) is passed over without a finding. A construct that makes
//! resources out of sight is listed ([`hidden`]).

mod findings;
pub mod hidden;
mod look;
mod queues;
mod resolve;
mod rules;
mod scaling;
mod services;
mod statements;
mod subscribers;
mod template;
mod templates;
mod worlds;

use crate::config::Config;
use crate::config::fault::Fault;
use crate::event::pattern::tree::{TextPosition, TreeValue};

use findings::Findings;
use template::{ParsedTemplate, ResolvedTemplate};
use templates::Templates;
use worlds::worlds;

/// A file to look at.
#[derive(Clone, Copy, Debug)]
pub struct TemplateFile<'f> {
    /// Its name, for messages.
    pub name: &'f str,
    /// Its text: YAML or JSON.
    pub text: &'f str,
}

/// A resource of one template, its properties resolved as far as the template alone allows.
#[derive(Clone, Debug)]
pub struct TemplateResource {
    /// Logical id.
    pub id: String,
    /// Place of the logical id.
    pub at: TextPosition,
    /// Such as `AWS::SQS::Queue`.
    pub kind: String,
    /// Properties; an unresolved value is a function still, such as `{"Ref": "Name"}`.
    pub properties: TreeValue,
}

/// Returns the resources of one template, for the checks of others.
///
/// # Errors
/// A [`Fault`] where the file is no template.
pub fn resources(file: &TemplateFile<'_>) -> Result<Vec<TemplateResource>, Box<Fault>> {
    let template = ParsedTemplate::parse(file, &[])?.resolved(&[]);
    let resources = template.resources.into_iter();
    Ok(resources
        .map(|resource| TemplateResource {
            id: resource.id,
            at: resource.at,
            kind: resource.kind,
            properties: resource.properties,
        })
        .collect())
}

/// Looks at templates together: a rule in one file, its queue in another.
///
/// `parameters` win over the templates' defaults. The configuration adds the checks that depend on
/// it: times, routes, Regions.
pub fn check(
    files: &[TemplateFile<'_>],
    parameters: &[(String, String)],
    config: Option<&Config>,
) -> Vec<Fault> {
    let mut parsed = Vec::new();
    let mut findings = Findings::default();
    for file in files {
        match ParsedTemplate::parse(file, parameters) {
            Ok(template) => parsed.push(template),
            Err(fault) => findings.0.push(*fault),
        }
    }
    let worlds = worlds(&parsed);
    let found = worlds.iter().map(|world| {
        let resolved: Vec<ResolvedTemplate> =
            parsed.iter().map(|one| one.resolved(world)).collect();
        let templates = Templates(&resolved);
        let mut findings = Findings::default();
        rules::check(&templates, config, &mut findings);
        subscribers::check(&templates, config, &mut findings);
        queues::check(&templates, config, &mut findings);
        services::check(&templates, config, &mut findings);
        scaling::check(&templates, config, &mut findings);
        findings
    });
    let found: Vec<Findings> = found.collect();
    findings.gather(&worlds, found);
    findings.in_order()
}

#[cfg(test)]
mod tests;
