//! Names of a JavaScript or TypeScript file: the declarations, and the origin behind an expression.

use std::collections::HashMap;
use std::ops::Range;

use tree_sitter::Node;

use super::origin::{CodeOrigin, OriginRoot};
use super::source::{SourceTree, above, named, walk};

/// The longest chain of names that is followed.
const MAX_STEPS: usize = 12;

/// Declared meaning of a name.
#[derive(Clone)]
enum Bound<'t> {
    /// An import.
    Import(CodeOrigin),
    /// A value, and the members of it that the name refers to.
    Value(Node<'t>, Vec<String>),
    /// A function.
    Function(Node<'t>),
    /// A parameter, a class, an enumeration.
    Other,
}

struct Binding<'t> {
    scope: Range<usize>,
    bound: Bound<'t>,
}

/// All names of a file.
pub(crate) struct Bindings<'t> {
    source: &'t SourceTree<'t>,
    names: HashMap<&'t str, Vec<Binding<'t>>>,
}

/// Nodes that begin a scope.
fn is_scope(kind: &str) -> bool {
    is_function(kind)
        || matches!(
            kind,
            "program"
                | "statement_block"
                | "class_body"
                | "catch_clause"
                | "for_statement"
                | "for_in_statement"
                | "switch_body"
                | "internal_module"
                | "module"
        )
}

/// Nodes that are functions.
pub(crate) fn is_function(kind: &str) -> bool {
    matches!(
        kind,
        "arrow_function"
            | "function_declaration"
            | "function_expression"
            | "function"
            | "method_definition"
            | "generator_function"
            | "generator_function_declaration"
    )
}

impl<'t> Bindings<'t> {
    /// Reads the names of a file.
    pub(crate) fn collect(source: &'t SourceTree<'t>) -> Self {
        let mut bindings = Self {
            source,
            names: HashMap::new(),
        };
        walk(source.root(), |node, _| bindings.declare(node));
        bindings
    }

    fn declare(&mut self, node: Node<'t>) {
        match node.kind() {
            "import_statement" => self.import(node),
            "variable_declarator" => {
                if let (Some(name), value) = (field(node, "name"), field(node, "value")) {
                    let scope = declared_scope(node);
                    self.pattern(name, value, &mut Vec::new(), &scope);
                }
            }
            "assignment_expression" => {
                let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else {
                    return;
                };
                match left.kind() {
                    "identifier" => self.assign(left, right),
                    "member_expression" => {
                        let whole = 0..self.source.text.len();
                        let name = self.source.text(left);
                        if name.starts_with("this.") || name.starts_with("module.exports") {
                            self.add(name, whole, Bound::Value(right, Vec::new()));
                        }
                    }
                    _ => {}
                }
            }
            "public_field_definition" | "field_definition" => {
                let name = field(node, "name").or_else(|| field(node, "property"));
                if let (Some(name), Some(value)) = (name, field(node, "value")) {
                    let bound = match is_function(value.kind()) {
                        true => Bound::Function(value),
                        false => Bound::Value(value, Vec::new()),
                    };
                    self.member_of_this(self.source.text(name), bound);
                }
            }
            "method_definition" => {
                if let Some(name) = field(node, "name") {
                    self.member_of_this(self.source.text(name), Bound::Function(node));
                }
                self.parameters(node);
            }
            kind if is_function(kind) => {
                if let (Some(name), true) = (field(node, "name"), kind.ends_with("declaration")) {
                    let text = self.source.text(name);
                    self.add(text, scope_of(node), Bound::Function(node));
                }
                self.parameters(node);
            }
            "class_declaration" | "enum_declaration" | "abstract_class_declaration" => {
                if let Some(name) = field(node, "name") {
                    let text = self.source.text(name);
                    self.add(text, scope_of(node), Bound::Other);
                }
            }
            "catch_clause" => {
                if let Some(parameter) = field(node, "parameter") {
                    self.pattern(parameter, None, &mut Vec::new(), &node.byte_range());
                }
            }
            "for_in_statement" => {
                if let Some(left) = field(node, "left") {
                    self.pattern(left, None, &mut Vec::new(), &node.byte_range());
                }
            }
            _ => {}
        }
    }

    /// A member of `this`: found by its name alone, and by no identifier.
    fn member_of_this(&mut self, name: &'t str, bound: Bound<'t>) {
        self.add(name, usize::MAX - 1..usize::MAX, bound);
    }

    fn parameters(&mut self, function: Node<'t>) {
        let scope = function.byte_range();
        if let Some(parameter) = field(function, "parameter") {
            self.pattern(parameter, None, &mut Vec::new(), &scope);
        }
        let Some(parameters) = field(function, "parameters") else {
            return;
        };
        for parameter in named(parameters) {
            let pattern = field(parameter, "pattern").unwrap_or(parameter);
            let value = field(parameter, "value").or_else(|| field(parameter, "right"));
            let pattern = field(pattern, "left").unwrap_or(pattern);
            self.pattern(pattern, value, &mut Vec::new(), &scope);
        }
    }

    /// An assignment to a declared name without a value: `let S; S = window.WebSocket`.
    fn assign(&mut self, left: Node<'t>, right: Node<'t>) {
        let name = self.source.text(left);
        let at = left.start_byte();
        let declared = self.names.get(name).and_then(|all| nearest(all, at));
        let scope = declared.map_or(0..self.source.text.len(), |one| one.scope.clone());
        let is_open = declared.is_none_or(|one| matches!(one.bound, Bound::Other));
        if is_open {
            self.add(name, scope, Bound::Value(right, Vec::new()));
        }
    }

    fn import(&mut self, node: Node<'t>) {
        let whole = 0..self.source.text.len();
        for clause in named(node) {
            if clause.kind() == "import_require_clause" {
                let parts = named(clause);
                let literal = field(clause, "source").and_then(|one| self.source.literal(one));
                if let (Some(name), Some(from)) = (parts.first(), literal) {
                    let text = self.source.text(*name);
                    self.add(
                        text,
                        whole.clone(),
                        Bound::Import(CodeOrigin::imported(from)),
                    );
                }
            }
            if clause.kind() != "import_clause" {
                continue;
            }
            let Some(from) = field(node, "source").and_then(|one| self.source.literal(one)) else {
                continue;
            };
            for (local, member) in imported_names(self.source, clause) {
                let origin = CodeOrigin::imported(from);
                let origin = match member {
                    Some(member) => origin.member(member),
                    None => origin,
                };
                self.add(local, whole.clone(), Bound::Import(origin));
            }
        }
    }

    fn pattern(
        &mut self,
        pattern: Node<'t>,
        value: Option<Node<'t>>,
        path: &mut Vec<String>,
        scope: &Range<usize>,
    ) {
        match pattern.kind() {
            "identifier" | "shorthand_property_identifier_pattern" => {
                let name = self.source.text(pattern);
                if pattern.kind() == "shorthand_property_identifier_pattern" {
                    path.push(name.to_owned());
                }
                let bound = match value {
                    Some(value) if path.is_empty() && is_function(value.kind()) => {
                        Bound::Function(value)
                    }
                    Some(value) => Bound::Value(value, path.clone()),
                    None => Bound::Other,
                };
                if pattern.kind() == "shorthand_property_identifier_pattern" {
                    path.pop();
                }
                self.add(name, scope.clone(), bound);
            }
            "object_assignment_pattern" | "assignment_pattern" => {
                if let Some(left) = field(pattern, "left") {
                    self.pattern(left, value, path, scope);
                }
            }
            "pair_pattern" => {
                if let (Some(key), Some(inner)) = (field(pattern, "key"), field(pattern, "value")) {
                    path.push(self.source.text(key).trim_matches(['"', '\'']).to_owned());
                    self.pattern(inner, value, path, scope);
                    path.pop();
                }
            }
            "object_pattern" => {
                for part in named(pattern) {
                    self.pattern(part, value, path, scope);
                }
            }
            "array_pattern" | "rest_pattern" => {
                for part in named(pattern) {
                    self.pattern(part, None, &mut Vec::new(), scope);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, name: &'t str, scope: Range<usize>, bound: Bound<'t>) {
        self.names
            .entry(name)
            .or_default()
            .push(Binding { scope, bound });
    }

    fn lookup(&self, name: &str, at: usize) -> Option<&Bound<'t>> {
        let found = nearest(self.names.get(name)?, at)?;
        Some(&found.bound)
    }

    /// The origin of an expression; `None` where it is a thing of the file itself.
    pub(crate) fn origin(&self, node: Node<'t>) -> Option<CodeOrigin> {
        self.step(node, 0)
    }

    fn step(&self, node: Node<'t>, steps: usize) -> Option<CodeOrigin> {
        if steps > MAX_STEPS {
            return None;
        }
        let next = |node| self.step(node, steps + 1);
        match node.kind() {
            "identifier" | "type_identifier" | "shorthand_property_identifier" => {
                let name = self.source.text(node);
                match self.lookup(name, node.start_byte()) {
                    None => Some(CodeOrigin::global(name)),
                    Some(Bound::Import(origin)) => Some(origin.clone()),
                    Some(Bound::Value(value, path)) => {
                        // `const fetch = fetch || x` asks for the outer one.
                        if value.byte_range().contains(&node.start_byte()) {
                            return None;
                        }
                        let origin = next(*value)?;
                        Some(path.iter().fold(origin, |origin, name| origin.member(name)))
                    }
                    Some(Bound::Function(_) | Bound::Other) => None,
                }
            }
            "member_expression" | "subscript_expression" => {
                let name = match field(node, "property") {
                    Some(property) => self.source.text(property),
                    None => self.source.literal(field(node, "index")?)?,
                };
                let object = field(node, "object")?;
                if object.kind() == "this" {
                    return match self.names.get(self.source.text(node)) {
                        Some(all) => match &all.first()?.bound {
                            Bound::Value(value, _) => next(*value),
                            _ => None,
                        },
                        None => match self.of_this(name)? {
                            Bound::Value(value, _) => next(*value),
                            _ => None,
                        },
                    };
                }
                Some(next(object)?.member(name))
            }
            "call_expression" => {
                let function = field(node, "function")?;
                let loads = function.kind() == "import"
                    || (function.kind() == "identifier"
                        && self.source.text(function) == "require"
                        && self.lookup("require", function.start_byte()).is_none());
                if loads {
                    let first = named(field(node, "arguments")?).into_iter().next()?;
                    return Some(CodeOrigin::imported(self.source.literal(first)?));
                }
                Some(next(function)?.member("()"))
            }
            "new_expression" => Some(next(field(node, "constructor")?)?.member("new")),
            "parenthesized_expression"
            | "as_expression"
            | "satisfies_expression"
            | "non_null_expression"
            | "await_expression"
            | "instantiation_expression" => next(named(node).into_iter().next()?),
            "type_assertion" => next(named(node).into_iter().next_back()?),
            "sequence_expression" => next(named(node).into_iter().next_back()?),
            "assignment_expression" => next(field(node, "right")?),
            "ternary_expression" => best([
                field(node, "consequence").and_then(next),
                field(node, "alternative").and_then(next),
            ]),
            "binary_expression" => {
                let operator = field(node, "operator").map(|one| self.source.text(one));
                let (left, right) = (field(node, "left"), field(node, "right"));
                match operator? {
                    "||" | "??" => best([left.and_then(next), right.and_then(next)]),
                    "&&" => right.and_then(next),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn of_this(&self, name: &str) -> Option<&Bound<'t>> {
        let all = self.names.get(name)?;
        let found = all.iter().find(|one| one.scope.end == usize::MAX)?;
        Some(&found.bound)
    }

    /// The function that an expression names or is, of this file.
    pub(crate) fn function(&self, node: Node<'t>) -> Option<Node<'t>> {
        let found = match node.kind() {
            kind if is_function(kind) => return Some(node),
            "identifier" => self.lookup(self.source.text(node), node.start_byte())?,
            "member_expression" if field(node, "object")?.kind() == "this" => {
                self.of_this(self.source.text(field(node, "property")?))?
            }
            _ => return None,
        };
        match found {
            Bound::Function(function) => Some(*function),
            // `const poll = useCallback(async () => {}, [])`
            Bound::Value(value, path) if path.is_empty() && value.kind() == "call_expression" => {
                let arguments = named(field(*value, "arguments")?);
                arguments.into_iter().find(|one| is_function(one.kind()))
            }
            _ => None,
        }
    }
}

/// Prefers an origin that is imported or a member of a global object.
fn best(found: [Option<CodeOrigin>; 2]) -> Option<CodeOrigin> {
    let mut found: Vec<CodeOrigin> = found.into_iter().flatten().collect();
    let rank = |origin: &CodeOrigin| match (&origin.root, origin.sole_global()) {
        (OriginRoot::Global, Some(name)) if name.starts_with(char::is_uppercase) => 0,
        (OriginRoot::Package(_), _) => 1,
        (OriginRoot::Module(_), _) => 2,
        _ => 3,
    };
    found.sort_by_key(rank);
    found.into_iter().next()
}

fn nearest<'b, 't>(all: &'b [Binding<'t>], at: usize) -> Option<&'b Binding<'t>> {
    let around = all.iter().filter(|one| one.scope.contains(&at));
    // Of two in one scope the one with a value says more.
    around.min_by_key(|one| (one.scope.len(), matches!(one.bound, Bound::Other)))
}

/// Names that an import clause declares, with the export they stand for; `None` is all exports.
pub(crate) fn imported_names<'t>(
    source: &SourceTree<'t>,
    clause: Node<'_>,
) -> Vec<(&'t str, Option<&'t str>)> {
    let mut found = Vec::new();
    for part in named(clause) {
        match part.kind() {
            "identifier" => found.push((source.text(part), Some("default"))),
            "namespace_import" => {
                found.extend(named(part).first().map(|name| (source.text(*name), None)));
            }
            "named_imports" => {
                for specifier in named(part) {
                    let is_type = source.text(specifier).starts_with("type ");
                    let Some(name) = field(specifier, "name").filter(|_| !is_type) else {
                        continue;
                    };
                    let local = field(specifier, "alias").unwrap_or(name);
                    let member = source.text(name).trim_matches(['"', '\'']);
                    found.push((source.text(local), Some(member)));
                }
            }
            _ => {}
        }
    }
    found
}

/// The scope that a declaration belongs to.
fn scope_of(node: Node<'_>) -> Range<usize> {
    let scope = above(node).find(|one| is_scope(one.kind()));
    let scope = scope.filter(|scope| scope.kind() != "program");
    scope.map_or(0..usize::MAX - 1, |scope| scope.byte_range())
}

/// `var` belongs to the function, `let` and `const` to the block.
fn declared_scope(declarator: Node<'_>) -> Range<usize> {
    let is_var = declarator
        .parent()
        .is_some_and(|parent| parent.kind() == "variable_declaration");
    if !is_var {
        return scope_of(declarator);
    }
    let function = above(declarator).find(|one| is_function(one.kind()));
    function.map_or(0..usize::MAX - 1, |scope| scope.byte_range())
}

/// A field of a node.
pub(crate) fn field<'n>(node: Node<'n>, name: &str) -> Option<Node<'n>> {
    node.child_by_field_name(name)
}
