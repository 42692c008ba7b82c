//! Documents that AWS does not take.

use super::{FindingLevel, LintContext, LintRule};
use crate::channel::limits::{POLICY_CHARACTERS, ROLE_POLICY_CHARACTERS};
use crate::event::pattern::tree::TextPosition;
use crate::policy::context::ClientPrincipal;

pub(super) static TOO_LARGE: LintRule = LintRule {
    code: "too-large",
    level: FindingLevel::Error,
    reason: "IoT Core takes documents of 2,048 characters, white space not counted",
    fix: "share what clients have in common by a wider channel, or spread it over several documents",
};

pub(super) fn check(lint: &mut LintContext<'_>) {
    let most = match lint.principal {
        Some(ClientPrincipal::Iam) => ROLE_POLICY_CHARACTERS,
        _ => POLICY_CHARACTERS,
    };
    for (document, source) in lint.sources.iter().enumerate() {
        let characters = source.text.chars().filter(|c| !c.is_whitespace()).count();
        if characters > most {
            let message = format!(
                "the document has {characters} characters, {} too many",
                characters - most
            );
            lint.add(
                &TOO_LARGE,
                document,
                TextPosition { line: 1, column: 1 },
                message,
            );
        }
    }
}
