//! Languages by the names of files.

use ast_grep_language::SupportLang;

/// A language that the guard reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeLanguage {
    /// JavaScript, with JSX.
    JavaScript,
    /// TypeScript.
    TypeScript,
    /// TypeScript with JSX.
    Tsx,
    /// Python.
    Python,
    /// Go.
    Go,
    /// Java.
    Java,
    /// Rust.
    Rust,
}

impl CodeLanguage {
    /// The language of a path. Parsed as TSX, an old-style type assertion swallows the rest of a
    /// file, and so `.ts` and `.tsx` are two.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        Some(match extension {
            "js" | "jsx" | "mjs" | "cjs" => Self::JavaScript,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            "py" => Self::Python,
            "go" => Self::Go,
            "java" => Self::Java,
            "rs" => Self::Rust,
            _ => return None,
        })
    }

    /// The grammar.
    pub(crate) fn grammar(self) -> SupportLang {
        match self {
            Self::JavaScript => SupportLang::JavaScript,
            Self::TypeScript => SupportLang::TypeScript,
            Self::Tsx => SupportLang::Tsx,
            Self::Python => SupportLang::Python,
            Self::Go => SupportLang::Go,
            Self::Java => SupportLang::Java,
            Self::Rust => SupportLang::Rust,
        }
    }

    /// Returns `true` for JavaScript and its supersets.
    pub(crate) fn is_script(self) -> bool {
        matches!(self, Self::JavaScript | Self::TypeScript | Self::Tsx)
    }
}
