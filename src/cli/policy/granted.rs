//! Policy tests of roles: the documents that are generated for a role and claims.

use std::io::Write;
use std::path::Path;

use crate::cli::diagnostic::render;
use crate::cli::input;
use crate::cli::user_error::write_error;
use crate::config::policy_tests::{PolicyRole, PolicyTests};
use crate::config::{Config, ConfigSource, MAX_FILE_BYTES, load};
use crate::escape::write_line;
use crate::policy::context::Context;
use crate::policy::document::Document;
use crate::policy::generate::{DocumentForm, generate};
use crate::policy::grant::Grants;
use crate::policy::query_report::Policies;
use crate::policy::scope::Scope;

/// The configuration that a file of tests is about, if it has tests of roles.
pub(super) struct TestedRoles {
    config: Option<Config>,
}

/// The policies and the client id of a client with a role.
pub(super) struct GrantedRole {
    pub(super) policies: Policies,
    /// The client id where a test names none.
    principal: String,
}

impl GrantedRole {
    /// The context of a case, with the principal for the client id if it has none.
    pub(super) fn context(&self, case: &Context) -> Context {
        let mut context = case.clone();
        context.client_id = context
            .client_id
            .or_else(|| Some(self.principal.as_str().into()));
        context
    }
}

impl TestedRoles {
    /// Reads the configuration if any test needs it. Returns `None`, after a report, when it has a
    /// fault. The environment has no effect: tests are about the file.
    pub(super) fn read(
        file: &str,
        tests: &PolicyTests,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<Self>> {
        if tests.tests.iter().all(|test| test.role.is_none()) {
            return Ok(Some(Self { config: None }));
        }
        let name = tests.config.as_deref().unwrap_or("eventcast.yaml");
        let path = Path::new(file).parent().unwrap_or(Path::new("")).join(name);
        let name = path.display().to_string();
        let text = match input::read_text(&path, MAX_FILE_BYTES) {
            Ok(text) => text,
            Err(error) => {
                write_error(
                    messages,
                    format_args!("reading the configuration `{name}`: {error}"),
                    "tests of roles are about eventcast.yaml beside them, or about what `config` at the top of their file names",
                )?;
                return Ok(None);
            }
        };
        let loaded = load(&ConfigSource {
            file: &name,
            text: &text,
            ..ConfigSource::default()
        });
        if loaded.config.is_none() {
            for fault in &loaded.faults {
                render(fault, &text, messages)?;
            }
            return Ok(None);
        }
        Ok(Some(Self {
            config: loaded.config,
        }))
    }

    /// The documents for one test, as a custom authorizer would answer. `None`, after a report,
    /// when there are none.
    pub(super) fn granted(
        &self,
        file: &str,
        wanted: &PolicyRole,
        scope: &Scope,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<GrantedRole>> {
        let place = format!("  --> {file}:{}:{}", wanted.at.line, wanted.at.column);
        let roles = self.config.iter().flat_map(|config| &config.roles);
        let Some(role) = roles.clone().find(|role| *role.name == *wanted.name) else {
            let known: Vec<&str> = roles.map(|role| &*role.name).collect();
            write_line(
                messages,
                format_args!("error: there is no role `{}`", wanted.name),
            )?;
            write_line(messages, format_args!("{place}"))?;
            write_line(
                messages,
                format_args!("help: roles are {}", known.join(", ")),
            )?;
            writeln!(messages)?;
            return Ok(None);
        };
        let environment = self
            .config
            .as_ref()
            .and_then(|config| config.environment.as_deref());
        let grants = match Grants::of(role, &wanted.claims, environment) {
            Ok(grants) => grants,
            Err(errors) => {
                for error in errors {
                    write_line(messages, format_args!("error: {error}"))?;
                    write_line(messages, format_args!("{place}"))?;
                }
                writeln!(messages, "help: give the claims that the role names\n")?;
                return Ok(None);
            }
        };
        let generated = match generate(&grants, scope, DocumentForm::Authorizer, None) {
            Ok(generated) => generated,
            Err(error) => {
                write_line(messages, format_args!("error: {error}"))?;
                write_line(messages, format_args!("{place}"))?;
                writeln!(messages, "help: grant less\n")?;
                return Ok(None);
            }
        };
        let mut policies = Policies::default();
        for (index, draft) in generated.documents.iter().enumerate() {
            let text = draft.pretty();
            let document = Document::parse(&text)?;
            policies.push(format!("{}#{}", wanted.name, index + 1), text, document);
        }
        Ok(Some(GrantedRole {
            policies,
            principal: grants.principal.to_string(),
        }))
    }
}
