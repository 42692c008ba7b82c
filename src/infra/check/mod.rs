//! What loses events silently: found in templates of CloudFormation, before they are deployed.
//!
//! AWS accepts every fault that is looked for here, and the stack is green: an event then
//! disappears, or comes late, without an error anywhere. Each check has a code; `docs/infra.md`
//! lists them.
//!
//! Parameters have their defaults, or the values that the caller gives. What cannot be resolved
//! (imports, resources of other files that were not given) is passed over without a finding.

mod findings;
mod queues;
mod rules;
mod services;
mod subscribers;
mod template;
mod templates;

use crate::config::Config;
use crate::config::fault::Fault;

use findings::Findings;
use template::Template;
use templates::Templates;

/// A file to look at.
#[derive(Clone, Copy, Debug)]
pub struct TemplateFile<'f> {
    /// Its name, for messages.
    pub name: &'f str,
    /// Its text: YAML or JSON.
    pub text: &'f str,
}

/// Looks at templates together: a rule in one file, its queue in another.
///
/// `parameters` win over the templates' defaults. The configuration adds what depends on it: times,
/// routes, Regions.
pub fn check(
    files: &[TemplateFile<'_>],
    parameters: &[(String, String)],
    config: Option<&Config>,
) -> Vec<Fault> {
    let mut read = Vec::new();
    let mut findings = Findings::default();
    for file in files {
        match Template::parse(file, parameters) {
            Ok(template) => read.push(template),
            Err(fault) => findings.0.push(*fault),
        }
    }
    let templates = Templates(&read);
    rules::check(&templates, config, &mut findings);
    subscribers::check(&templates, config, &mut findings);
    queues::check(&templates, config, &mut findings);
    services::check(&templates, config, &mut findings);
    findings.in_order()
}

#[cfg(test)]
mod tests;
