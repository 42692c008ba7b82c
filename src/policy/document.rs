//! Policy documents, read and compiled, with the position of every part.
//!
//! The elements are those of IAM's grammar that AWS IoT Core takes: Version, Id, and statements with Sid, Effect, Action or
//! NotAction, Resource or NotResource, and Condition. `Principal` is none of them: whom a policy concerns is said by attaching it.

use super::arn::{ArnPattern, ResourceArn};
use super::condition::PolicyCondition;
use super::context::Context;
use super::glob::{Glob, GlobToken};
use super::read::{read, too_large};
use super::variable::ContextKey;
use crate::channel::limits::POLICY_CHARACTERS;
use crate::event::pattern::tree::{TextPosition, TreeValue};

/// The most characters of a document that is read, white space not counted: ten times as many as
/// IoT Core takes, so that the lints can still say by how much a document is too long. The cost of
/// evaluation and comparison grows faster than a document does.
pub const DOCUMENT_CHARACTERS: usize = 10 * POLICY_CHARACTERS;

/// The most bytes of a document's text.
const DOCUMENT_BYTES: usize = 1 << 20;

/// A policy document.
#[derive(Clone, Debug)]
pub struct Document {
    /// Version whose rules it is read by.
    pub version: LanguageVersion,
    /// Its statements, in the order of the text.
    pub statements: Vec<Statement>,
}

/// The version of the policy language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LanguageVersion {
    /// `2008-10-17`, which is also meant when nothing is said: `${…}` is text.
    #[default]
    Of2008,
    /// `2012-10-17`: `${…}` is a variable.
    Of2012,
}

impl LanguageVersion {
    /// Both versions as they are written.
    pub const NAMES: [(&'static str, Self); 2] =
        [("2012-10-17", Self::Of2012), ("2008-10-17", Self::Of2008)];
}

/// One statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its name, if it has one.
    pub sid: Option<Box<str>>,
    /// Effect on the requests that it applies to.
    pub effect: Effect,
    /// Actions that it applies to.
    pub actions: ElementList<ActionPattern>,
    /// Resources that it applies to.
    pub resources: ElementList<ResourcePattern>,
    /// Conditions that have to hold besides.
    pub conditions: Vec<PolicyCondition>,
    /// Position at which it begins.
    pub at: TextPosition,
}

/// Effect of a statement on the requests that it applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They are allowed, unless denied elsewhere.
    Allow,
    /// They are denied, whatever any other statement says.
    Deny,
}

/// A list that says what is meant, or what is not.
#[derive(Clone, Debug)]
pub enum ElementList<T> {
    /// `Action`, `Resource`: these.
    Only(Vec<T>),
    /// `NotAction`, `NotResource`: all but these.
    AllBut(Vec<T>),
}

impl<T> ElementList<T> {
    /// The list as written.
    pub fn listed(&self) -> &[T] {
        match self {
            Self::Only(listed) | Self::AllBut(listed) => listed,
        }
    }

    /// Returns `true` where the list means something that `matches` finds in it.
    pub(super) fn means(&self, matches: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::Only(listed) => listed.iter().any(matches),
            Self::AllBut(listed) => !listed.iter().any(matches),
        }
    }
}

/// A pattern of actions, such as `iot:Publish` or `iot:*`.
#[derive(Clone, Debug)]
pub struct ActionPattern {
    /// As written.
    pub text: Box<str>,
    /// Position in the text.
    pub at: TextPosition,
    /// In lower case.
    pub(super) pattern: Glob,
}

impl ActionPattern {
    /// Returns `true` where it matches an action, whatever the case.
    pub fn matches(&self, action: &str) -> bool {
        self.matches_lower(&action.to_ascii_lowercase())
    }

    /// As [`matches`](Self::matches), for an action in lower case.
    pub(super) fn matches_lower(&self, action: &str) -> bool {
        match self.pattern.literal() {
            Some(text) => text == action,
            // Actions have no variables.
            None => self.pattern.matches(action, &Context::default()),
        }
    }
}

/// A pattern of resources, such as `arn:aws:iot:*:*:topic/order/*`.
#[derive(Clone, Debug)]
pub struct ResourcePattern {
    /// As written.
    pub text: Box<str>,
    /// Position in the text.
    pub at: TextPosition,
    pub(super) pattern: ArnPattern,
}

impl ResourcePattern {
    /// Returns `true` where it matches a resource in a request. A pattern with a variable that has
    /// no value there matches nothing.
    pub fn matches(&self, resource: &ResourceArn<'_>, context: &Context) -> bool {
        self.pattern.matches(resource, context)
    }

    /// The keys of its variables that have no value in this request.
    pub(super) fn unresolved<'r>(
        &'r self,
        context: &'r Context,
    ) -> impl Iterator<Item = &'r ContextKey> {
        self.pattern.unresolved(context)
    }

    /// Text that the part behind the fifth colon matches: `run` for each `*`, variables replaced; `None` when one has no value.
    pub(super) fn sample(&self, run: &str, context: &Context) -> Option<String> {
        self.pattern.sample(run, context)
    }

    /// The pattern behind the fifth colon, its variables replaced; `None` when one has no value.
    pub(super) fn tokens(&self, context: &Context) -> Option<Vec<GlobToken>> {
        self.pattern.tokens(context)
    }

    /// The keys of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &ContextKey> {
        self.pattern.keys()
    }

    /// The part behind the fifth colon as tokens, each variable as a run.
    pub(super) fn shape(&self) -> Vec<GlobToken> {
        self.pattern.shape()
    }

    /// The variables straight before a wildcard.
    pub(super) fn spilling(&self) -> impl Iterator<Item = &ContextKey> {
        self.pattern.spilling()
    }
}

impl Document {
    /// Reads a document from JSON text.
    ///
    /// # Errors
    /// [`DocumentError`] with everything that is wrong with it, each with its place.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        if text.len() > DOCUMENT_BYTES {
            let characters = text.chars().filter(|c| !c.is_whitespace()).count();
            if characters > DOCUMENT_CHARACTERS {
                let begin = TextPosition { line: 1, column: 1 };
                return Err(DocumentError {
                    faults: vec![too_large(characters, begin)],
                });
            }
        }
        let node = TreeValue::parse(text).map_err(|error| DocumentError {
            faults: vec![DocumentFault {
                code: "not-json",
                message: error.to_string(),
                at: error.at,
                key: String::new(),
                accepted: "a policy document as JSON".into(),
                help: "see what stands before this place: a comma, a quote or a bracket".into(),
            }],
        })?;
        Self::from_tree(&node)
    }

    /// Reads a document from a tree, such as a part of a YAML file.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_tree(node: &TreeValue) -> Result<Self, DocumentError> {
        read(node).map_err(|faults| DocumentError { faults })
    }
}

/// Everything that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", summary(.faults))]
pub struct DocumentError {
    /// At least one, in the order of the text.
    pub faults: Vec<DocumentFault>,
}

fn summary(faults: &[DocumentFault]) -> String {
    let first = faults.first().map_or_else(String::new, |fault| {
        let TextPosition { line, column } = fault.at;
        format!("{} (line {line}, column {column})", fault.message)
    });
    match faults.len() {
        0 | 1 => first,
        count => format!("{first}, and {} more", count - 1),
    }
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFault {
    /// Rule that is broken, from a closed set, such as `bad-resource`.
    pub code: &'static str,
    /// One line.
    pub message: String,
    /// Position in the text.
    pub at: TextPosition,
    /// The element's path, such as `Statement[0].Action[1]`.
    pub key: String,
    /// Accepted values.
    pub accepted: String,
    /// Advice on the fix.
    pub help: String,
}

#[cfg(test)]
mod tests;
