//! Python, Go, Java and Rust: imports, clients of AWS by name, and event streams.

use tree_sitter::Node;

use super::bindings::field;
use super::language::CodeLanguage;
use super::modules::purpose;
use super::script::purpose_rule;
use super::source::{SourceTree, above, named, walk};
use crate::guard::finding::GuardFinding;
use crate::guard::packages::PackagePurpose;
use crate::guard::rule::GuardRule;
use crate::guard::rules;

/// Clients of boto3 by the names of their services.
const CLIENTS: [(&str, PackagePurpose); 2] = [
    ("iot-data", PackagePurpose::IotData),
    (
        "apigatewaymanagementapi",
        PackagePurpose::ConnectionManagement,
    ),
];

struct ServiceReader<'t> {
    path: &'t str,
    language: CodeLanguage,
    source: &'t SourceTree<'t>,
    findings: Vec<GuardFinding>,
}

/// Findings of a file.
pub(super) fn read(
    path: &str,
    language: CodeLanguage,
    source: &SourceTree<'_>,
) -> Vec<GuardFinding> {
    let mut reader = ServiceReader {
        path,
        language,
        source,
        findings: Vec::new(),
    };
    walk(source.root(), |node, _| match (language, node.kind()) {
        (CodeLanguage::Python, "import_statement") => reader.python_import(node),
        (CodeLanguage::Python, "import_from_statement") => reader.python_from(node),
        (CodeLanguage::Python, "call") => reader.python_call(node),
        (CodeLanguage::Go, "import_spec") => {
            let module = field(node, "path").and_then(|path| source.literal(path));
            if let Some(module) = module {
                reader.module(node, module, None);
            }
        }
        (CodeLanguage::Java, "import_declaration") => {
            let parts = named(node);
            let name = parts.iter().find(|one| one.kind() == "scoped_identifier");
            if let Some(name) = name {
                reader.module(node, source.text(*name), None);
            }
        }
        (CodeLanguage::Rust, "use_declaration") => {
            if let Some(argument) = field(node, "argument") {
                for path in used_paths(source, argument, "") {
                    if reader.module(node, &path, None) {
                        break;
                    }
                }
            }
        }
        (CodeLanguage::Rust, "scoped_identifier") => reader.rust_path(node),
        (_, "string" | "interpreted_string_literal" | "raw_string_literal" | "string_literal") => {
            reader.event_stream(node);
        }
        _ => {}
    });
    reader.findings
}

impl ServiceReader<'_> {
    fn found(&mut self, rule: &GuardRule, node: Node<'_>, message: String) {
        let statement = std::iter::once(node)
            .chain(above(node))
            .find(|one| one.kind().ends_with("statement") || one.kind().ends_with("declaration"))
            .unwrap_or(node);
        let region = self.source.head(node);
        let mut finding =
            GuardFinding::new(rule, self.path, region, self.source.text(node), message);
        finding.statement = (
            statement.start_position().row + 1,
            statement.end_position().row + 1,
        );
        self.findings.push(finding);
    }

    /// A module by its name; returns `true` where it is one of the known.
    fn module(&mut self, node: Node<'_>, module: &str, member: Option<&str>) -> bool {
        let Some(purpose) = purpose(self.language, module, member) else {
            return false;
        };
        if purpose == PackagePurpose::IotData && !self.publishes() {
            return false;
        }
        let (rule, message) = purpose_rule(purpose, module);
        self.found(rule, node, message);
        true
    }

    /// A file that reads shadows of things and publishes nothing serves devices.
    fn publishes(&self) -> bool {
        let text = self.source.text;
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        has(&["ublish", "send_direct_message", "SendDirectMessage"])
            || !has(&["thing_shadow", "ThingShadow", "retained"])
    }

    fn is_for_types(&self, node: Node<'_>) -> bool {
        above(node).any(|one| {
            one.kind() == "if_statement"
                && field(one, "condition")
                    .is_some_and(|condition| self.source.text(condition).contains("TYPE_CHECKING"))
        })
    }

    fn python_import(&mut self, node: Node<'_>) {
        if self.is_for_types(node) {
            return;
        }
        for part in named(node) {
            let name = field(part, "name").unwrap_or(part);
            if self.module(node, self.source.text(name), None) {
                return;
            }
        }
    }

    fn python_from(&mut self, node: Node<'_>) {
        let Some(module) = field(node, "module_name") else {
            return;
        };
        if module.kind() == "relative_import" || self.is_for_types(node) {
            return;
        }
        let text = self.source.text(module);
        if self.module(node, text, None) {
            return;
        }
        let mut cursor = node.walk();
        let names: Vec<Node<'_>> = node.children_by_field_name("name", &mut cursor).collect();
        for name in names {
            let name = field(name, "name").unwrap_or(name);
            if self.module(node, text, Some(self.source.text(name))) {
                return;
            }
        }
    }

    fn python_call(&mut self, node: Node<'_>) {
        let (Some(function), Some(arguments)) = (field(node, "function"), field(node, "arguments"))
        else {
            return;
        };
        let callee = self.source.text(function);
        let last = callee.rsplit('.').next().unwrap_or(callee);
        // The method of aiohttp's sessions.
        if last == "ws_connect" && callee.contains("session") {
            let message = "`ws_connect` opens a connection beside the real-time layer";
            return self.found(&rules::native_connection::RULE, node, message.to_owned());
        }
        if last == "WebSocketResponse" {
            let message = "`WebSocketResponse` serves WebSockets beside the real-time layer";
            return self.found(&rules::native_connection::RULE, node, message.to_owned());
        }
        let literals: Vec<String> = named(arguments)
            .into_iter()
            .filter_map(|one| self.python_text(field(one, "value").unwrap_or(one)))
            .collect();
        if matches!(last, "import_module" | "__import__") {
            if let Some(name) = literals.first() {
                self.module(node, name, None);
            }
            return;
        }
        let makes_client = matches!(last, "client" | "resource" | "create_client")
            || (last == "partial" && self.source.text(arguments).contains("client"));
        if !makes_client {
            return;
        }
        let client = CLIENTS
            .iter()
            .find(|(name, _)| literals.iter().any(|one| one == name));
        if let Some((name, purpose)) = client
            && (*purpose != PackagePurpose::IotData || self.publishes())
        {
            let (rule, message) = purpose_rule(*purpose, name);
            self.found(rule, node, message);
        }
    }

    /// A text, or a name that the file gives a text once.
    fn python_text(&self, node: Node<'_>) -> Option<String> {
        if node.kind() == "string" {
            return self.source.literal(node).map(str::to_owned);
        }
        if node.kind() != "identifier" {
            return None;
        }
        let name = self.source.text(node);
        let mut found = None;
        walk(self.source.root(), |one, _| {
            let is_it = one.kind() == "assignment"
                && field(one, "left").is_some_and(|left| self.source.text(left) == name);
            if is_it && let Some(right) = field(one, "right") {
                found = self.source.literal(right).map(str::to_owned);
            }
        });
        found
    }

    /// A path in an expression: `tokio_tungstenite::connect_async(url)`.
    fn rust_path(&mut self, node: Node<'_>) {
        let mut up = above(node);
        let is_inner = up
            .next()
            .is_some_and(|one| one.kind().starts_with("scoped_"));
        if !is_inner && !up.any(|one| one.kind() == "use_declaration") {
            let text = self.source.text(node);
            self.module(node, text, None);
        }
    }

    /// `media_type="text/event-stream"`, `Header().Set("Content-Type", "text/event-stream")`.
    fn event_stream(&mut self, node: Node<'_>) {
        let literal = self.source.literal(node);
        let is_stream = literal.is_some_and(|text| {
            text.split([';', ','])
                .any(|part| part.trim() == "text/event-stream")
        });
        if !is_stream {
            return;
        }
        const COMPARING: [&str; 9] = [
            "start", "prefix", "contain", "equal", "match", "compare", "index", "ends", "find",
        ];
        for one in above(node) {
            match one.kind() {
                "keyword_argument" | "pair" | "keyed_element" => break,
                "call" | "call_expression" | "method_invocation" | "macro_invocation" => {
                    let name = field(one, "function").or_else(|| field(one, "name"));
                    let name = name.map(|name| self.source.text(name).to_ascii_lowercase());
                    if name.is_some_and(|name| COMPARING.iter().any(|word| name.contains(word))) {
                        return;
                    }
                    break;
                }
                "argument_list" | "arguments" | "literal_element" => {}
                _ => return,
            }
        }
        let message = "an event stream beside the real-time layer";
        self.found(&rules::stream_reader::RULE, node, message.to_owned());
    }
}

/// Paths of a `use`, the lists in it spelled out.
fn used_paths(source: &SourceTree<'_>, node: Node<'_>, before: &str) -> Vec<String> {
    let under = |name: &str| match before {
        "" => name.to_owned(),
        before => format!("{before}::{name}"),
    };
    match node.kind() {
        "scoped_use_list" => {
            let path = field(node, "path").map_or("", |path| source.text(path));
            let list = field(node, "list").map(named).unwrap_or_default();
            let inner = list.into_iter();
            inner
                .flat_map(|one| used_paths(source, one, &under(path)))
                .collect()
        }
        "use_list" => {
            let inner = named(node).into_iter();
            inner
                .flat_map(|one| used_paths(source, one, before))
                .collect()
        }
        "use_as_clause" => {
            let path = field(node, "path").map_or("", |path| source.text(path));
            vec![under(path)]
        }
        "use_wildcard" => {
            let text = source.text(node);
            vec![under(text.trim_end_matches("::*"))]
        }
        _ => vec![under(source.text(node))],
    }
}
