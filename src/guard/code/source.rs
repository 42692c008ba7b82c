//! A source file with its syntax tree: text of nodes, places, walks.

use std::ops::{ControlFlow, Range};

use ast_grep_core::tree_sitter::LanguageExt as _;
use ast_grep_language::SupportLang;
use tree_sitter::{Node, ParseOptions, Parser, Tree};

use crate::guard::finding::{SourcePoint, SourceRegion};

/// The deepest nesting that is looked at; deeper code is no code that people write.
const MAX_DEPTH: usize = 400;

/// Reason why there is no tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseRefusal {
    /// The time budget ended first.
    TimedOut,
    /// The grammar cannot be loaded.
    NoGrammar,
    /// The code is nested deeper than is looked at.
    TooDeep,
}

/// A file and its tree.
pub(crate) struct SourceTree<'t> {
    /// Text of the file.
    pub(crate) text: &'t str,
    /// Tree of it.
    pub(crate) tree: Tree,
}

impl<'t> SourceTree<'t> {
    /// Parses a text, as long as `is_expired` returns `false`.
    pub(crate) fn parse(
        text: &'t str,
        language: SupportLang,
        is_expired: &dyn Fn() -> bool,
    ) -> Result<Self, ParseRefusal> {
        let mut parser = Parser::new();
        parser
            .set_language(&language.get_ts_language())
            .map_err(|_| ParseRefusal::NoGrammar)?;
        let mut progress = |_: &_| match is_expired() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let options = ParseOptions::new().progress_callback(&mut progress);
        let bytes = text.as_bytes();
        let mut read = |at: usize, _| bytes.get(at..).unwrap_or_default();
        let tree = parser.parse_with_options(&mut read, None, Some(options));
        let tree = tree.ok_or(ParseRefusal::TimedOut)?;
        let tree = Self { text, tree };
        let mut is_deep = false;
        walk(tree.root(), |_, depth| is_deep |= depth > MAX_DEPTH);
        if is_deep {
            return Err(ParseRefusal::TooDeep);
        }
        Ok(tree)
    }

    /// The root.
    pub(crate) fn root(&self) -> Node<'_> {
        self.tree.root_node()
    }

    /// Text of a node.
    pub(crate) fn text(&self, node: Node<'_>) -> &'t str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// Text of a string literal without its quotes; `None` where parts of it are computed.
    pub(crate) fn literal(&self, node: Node<'_>) -> Option<&'t str> {
        let is_text = match node.kind() {
            "string" | "interpreted_string_literal" | "raw_string_literal" | "string_literal" => {
                true
            }
            "template_string" => node.named_child_count() == named_fragments(node),
            _ => false,
        };
        let text = self.text(node);
        let inner = text.trim_start_matches(['r', 'b', 'u', 'f', 'R', 'B', 'U', 'F']);
        let quote = inner
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\'' | '`'))?;
        is_text.then(|| inner.trim_matches(quote))
    }

    /// Region of a node.
    pub(crate) fn region(&self, node: Node<'_>) -> SourceRegion {
        SourceRegion {
            start: self.point(node.start_byte(), node.start_position()),
            end: self.point(node.end_byte(), node.end_position()),
        }
    }

    /// The first line of a node's region: the part that a person has to look at.
    pub(crate) fn head(&self, node: Node<'_>) -> SourceRegion {
        let mut region = self.region(node);
        if region.end.line > region.start.line {
            let rest = self.text.get(node.start_byte()..).unwrap_or_default();
            let shown = rest.lines().next().unwrap_or_default().chars().count();
            region.end = SourcePoint {
                line: region.start.line,
                column: region.start.column + shown,
            };
        }
        region
    }

    fn point(&self, byte: usize, point: tree_sitter::Point) -> SourcePoint {
        let from = byte.saturating_sub(point.column);
        let before = self.text.get(from..byte).unwrap_or_default();
        SourcePoint {
            line: point.row + 1,
            column: before.chars().count() + 1,
        }
    }

    /// The first place where the grammar gave up, if there is one.
    pub(crate) fn error(&self) -> Option<SourceRegion> {
        if !self.root().has_error() {
            return None;
        }
        let mut found = None;
        walk(self.root(), |node, _| {
            if found.is_none() && (node.is_error() || node.is_missing()) {
                found = Some(node.byte_range());
            }
        });
        let range: Range<usize> = found?;
        let node = self
            .root()
            .descendant_for_byte_range(range.start, range.end)?;
        Some(self.head(node))
    }
}

fn named_fragments(node: Node<'_>) -> usize {
    let mut cursor = node.walk();
    let named = node.named_children(&mut cursor);
    named.filter(|one| one.kind() == "string_fragment").count()
}

/// Calls `each` for a node and everything below it, parents first, with the depth.
pub(crate) fn walk<'n>(node: Node<'n>, mut each: impl FnMut(Node<'n>, usize)) {
    let mut cursor = node.walk();
    let mut depth = 0;
    loop {
        each(cursor.node(), depth);
        if cursor.goto_first_child() {
            depth += 1;
            continue;
        }
        while !cursor.goto_next_sibling() {
            if depth == 0 || !cursor.goto_parent() {
                return;
            }
            depth -= 1;
        }
        if depth == 0 {
            return;
        }
    }
}

/// Returns `true` where a node or one below it is wanted.
pub(crate) fn has<'n>(node: Node<'n>, mut is_wanted: impl FnMut(Node<'n>) -> bool) -> bool {
    let mut found = false;
    walk(node, |one, _| found = found || is_wanted(one));
    found
}

/// Nodes above a node, the nearest first.
pub(crate) fn above(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    std::iter::successors(node.parent(), |one| one.parent())
}

/// Named children.
pub(crate) fn named(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}
