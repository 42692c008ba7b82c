//! A document's text, checked for reasons for which IoT Core would refuse it. It is sent as it is
//! written.

use std::sync::Arc;

use super::canonical::canonical;
use crate::channel::limits::POLICY_CHARACTERS;
use crate::policy::document::{Document, DocumentError};

/// The text of a document that IoT Core takes, as far as that can be known here. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    written: Arc<str>,
    canonical: Arc<str>,
}

/// Reason why a text cannot be deployed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitText {
    /// It is no policy document.
    #[error("{0}")]
    NotADocument(DocumentError),
    /// It is too long.
    #[error(
        "the document has {characters} characters without white space; IoT Core takes {POLICY_CHARACTERS}"
    )]
    TooLong {
        /// Number of its characters.
        characters: usize,
    },
}

impl PolicyText {
    /// Checks a text.
    ///
    /// # Errors
    /// [`UnfitText`] when it is no document, or too long.
    pub fn parse(text: &str) -> Result<Self, UnfitText> {
        Document::parse(text).map_err(UnfitText::NotADocument)?;
        let characters = text.chars().filter(|c| !c.is_whitespace()).count();
        if characters > POLICY_CHARACTERS {
            return Err(UnfitText::TooLong { characters });
        }
        let written = text.trim();
        Ok(Self {
            written: written.into(),
            // A document is JSON; two texts that are not would count as different.
            canonical: canonical(written).unwrap_or_else(|| written.into()).into(),
        })
    }

    /// The text to send.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The form by which two texts are compared.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(resource_characters: usize) -> String {
        let name = "x".repeat(resource_characters);
        format!(
            "\n{{\"Version\": \"2012-10-17\", \"Statement\": [{{\"Effect\": \"Allow\",\t\"Action\": \"iot:Connect\", \"Resource\": \"arn:aws:iot:eu-west-1:123456789012:client/{name}\"}}]}}\n"
        )
    }

    #[test]
    fn white_space_does_not_count() {
        let rest = document(0).chars().filter(|c| !c.is_whitespace()).count();
        let text = document(POLICY_CHARACTERS - rest);
        assert!(text.len() > POLICY_CHARACTERS);
        let parsed = PolicyText::parse(&text).unwrap();
        assert_eq!(parsed.as_str(), text.trim());
        let error = PolicyText::parse(&document(POLICY_CHARACTERS - rest + 1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the document has 2049 characters without white space; IoT Core takes 2048"
        );
    }

    #[test]
    fn what_is_no_document() {
        for text in ["", "{not json", "[]", r#"{"Version":"2012-10-17"}"#] {
            let error = PolicyText::parse(text).unwrap_err();
            assert!(matches!(error, UnfitText::NotADocument(_)), "{text}");
        }
    }
}
