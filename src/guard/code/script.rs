//! JavaScript and TypeScript: constructors, imports and calls, by the things behind their names.

use tree_sitter::Node;

use super::bindings::{Bindings, field, imported_names};
use super::links::RepositoryLinks;
use super::origin::{CodeOrigin, OriginRoot};
use super::polling;
use super::source::{SourceTree, above, named, walk};
use crate::guard::finding::GuardFinding;
use crate::guard::packages::{KnownPackage, PackageEcosystem, PackagePurpose, is_below, packages};
use crate::guard::rule::GuardRule;
use crate::guard::rules;

/// Constructors of browsers and runtimes that open a connection.
const CONSTRUCTORS: [&str; 6] = [
    "WebSocket",
    "MozWebSocket",
    "WebSocketStream",
    "EventSource",
    "WebTransport",
    "WebSocketPair",
];

/// Constructors of SST's configuration that make a real-time service.
const SERVICES: [&str; 4] = [
    "sst.aws.Realtime",
    "sst.aws.ApiGatewayWebSocket",
    "sst.aws.AppSync",
    "sst.cloudflare.WebSocket",
];

/// One file while it is read.
pub(super) struct ScriptReader<'t> {
    pub(super) path: &'t str,
    pub(super) source: &'t SourceTree<'t>,
    pub(super) bindings: Bindings<'t>,
    links: &'t RepositoryLinks,
    pub(super) findings: Vec<GuardFinding>,
}

/// Findings and exports of a file.
pub(super) fn read(
    path: &str,
    source: &SourceTree<'_>,
    links: &RepositoryLinks,
) -> (Vec<GuardFinding>, Vec<(String, CodeOrigin)>) {
    let mut reader = ScriptReader {
        path,
        source,
        bindings: Bindings::collect(source),
        links,
        findings: Vec::new(),
    };
    let mut exports = Vec::new();
    let mut calls = Vec::new();
    walk(source.root(), |node, _| match node.kind() {
        "import_statement" => reader.import(node),
        "export_statement" => reader.export(node, &mut exports),
        "new_expression" => reader.construct(node, field(node, "constructor")),
        "class_heritage" => {
            let parts = named(node);
            let first = parts.first().copied();
            let base = first.and_then(|one| field(one, "value")).or(first);
            let is_base = base.is_some_and(|one| one.kind() != "implements_clause");
            if is_base {
                reader.construct(node, base);
            }
        }
        "call_expression" => calls.push(node),
        "pair" => {
            reader.accepts_stream(node);
            reader.hands_on(node, field(node, "value"));
            polling::option(&mut reader, node);
        }
        "for_in_statement" => {
            reader.stream_loop(node);
            polling::timer_loop(&mut reader, node);
        }
        "while_statement" | "do_statement" | "for_statement" => {
            polling::endless_loop(&mut reader, node);
        }
        "assignment_expression" => reader.assigned_export(node, &mut exports),
        _ => {}
    });
    for call in calls {
        reader.call(call);
        polling::call(&mut reader, call);
    }
    (reader.findings, exports)
}

impl<'t> ScriptReader<'t> {
    /// Adds a finding at a node.
    pub(super) fn found(&mut self, rule: &GuardRule, node: Node<'_>, message: String) {
        let region = self.source.head(node);
        let text = self.source.text(node);
        let mut finding = GuardFinding::new(rule, self.path, region, text, message);
        finding.statement = self.statement(node);
        self.findings.push(finding);
    }

    /// Lines of the statement around a node, which a waiver above it covers.
    fn statement(&self, node: Node<'_>) -> (usize, usize) {
        let is_statement = |one: &Node<'_>| {
            let kind = one.kind();
            kind.ends_with("statement") || kind.ends_with("declaration")
        };
        let found = std::iter::once(node).chain(above(node)).find(is_statement);
        let found = found.unwrap_or(node);
        (found.start_position().row + 1, found.end_position().row + 1)
    }

    /// The origin of an expression, over the other files of the repository.
    pub(super) fn origin(&self, node: Node<'t>) -> Option<CodeOrigin> {
        let origin = self.bindings.origin(node)?;
        Some(self.links.follow(self.path, origin))
    }

    fn construct(&mut self, node: Node<'t>, constructor: Option<Node<'t>>) {
        let Some(origin) = constructor.and_then(|one| self.origin(one)) else {
            return;
        };
        if let Some(name) = origin
            .sole_global()
            .filter(|name| CONSTRUCTORS.contains(name))
        {
            let message = format!("`{name}` opens a connection beside the real-time layer");
            return self.found(&rules::native_connection::RULE, node, message);
        }
        let dotted = origin.dotted();
        if origin.root == OriginRoot::Global && SERVICES.contains(&&*dotted) {
            let message = format!("`{dotted}` makes a real-time service of its own");
            return self.found(&rules::realtime_service::RULE, node, message);
        }
        self.member(node, &origin);
    }

    /// A constructor that is given to other code, which calls it: `{ WebSocketPolyfill: WebSocket
    /// }`.
    fn hands_on(&mut self, node: Node<'t>, value: Option<Node<'t>>) {
        let is_export = above(node).nth(1).is_some_and(|one| {
            let left = field(one, "left").map(|left| self.source.text(left));
            left.is_some_and(|left| left.contains("exports"))
        });
        let origin = value.and_then(|value| self.origin(value));
        let name = origin.as_ref().and_then(CodeOrigin::sole_global);
        if let Some(name) = name.filter(|name| CONSTRUCTORS.contains(name) && !is_export) {
            let message =
                format!("`{name}` is handed on to open connections beside the real-time layer");
            self.found(&rules::native_connection::RULE, node, message);
        }
    }

    /// A member of a package of which only some count, reached over all its exports.
    fn member(&mut self, node: Node<'t>, origin: &CodeOrigin) {
        let (Some(package), [first, ..]) = (origin.package(), &*origin.path) else {
            return;
        };
        // `import AWS from "aws-sdk"` has the members of all exports.
        let first = match (&**first, origin.path.get(1)) {
            ("default", Some(second)) => second,
            _ => first,
        };
        let known = packages(PackageEcosystem::Npm)
            .find(|known| known.name == package && known.members.contains(&&**first));
        if let Some(known) = known {
            self.package(node, known, first);
        }
    }

    /// A finding of a package, by its use.
    fn package(&mut self, node: Node<'_>, known: &KnownPackage, what: &str) {
        let (rule, message) = match known.purpose {
            PackagePurpose::IotData if !self.source.text.contains("ublish") => return,
            purpose => purpose_rule(purpose, what),
        };
        self.found(rule, node, message);
    }

    fn import(&mut self, node: Node<'t>) {
        if self.source.text(node).starts_with("import type ") {
            return;
        }
        let clause = named(node)
            .into_iter()
            .find(|one| one.kind() == "import_clause");
        let required = named(node)
            .into_iter()
            .find(|one| one.kind() == "import_require_clause");
        let from = field(node, "source").or_else(|| field(required?, "source"));
        let Some(from) = from.and_then(|one| self.source.literal(one)) else {
            return;
        };
        let names = clause.map(|clause| imported_names(self.source, clause));
        // `import { type A, type B } from` leaves nothing behind.
        if names.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let members: Vec<&str> = names
            .into_iter()
            .flatten()
            .filter_map(|one| one.1)
            .collect();
        self.specifier(node, from, &members);
    }

    /// An import, `require` or re-export of a name in quotes, with the members that it names.
    fn specifier(&mut self, node: Node<'t>, from: &str, members: &[&str]) {
        let origin = CodeOrigin::imported(from);
        if matches!(origin.root, OriginRoot::Module(_)) {
            for member in members {
                let linked = self.links.follow(self.path, origin.clone().member(member));
                if let Some(package) = linked.package()
                    && let Some(known) = whole_package(package)
                {
                    let name = known.name;
                    return self.package(node, known, &format!("{name}` (passed on by `{from}`)"));
                }
            }
            return;
        }
        let Some(package) = origin.package() else {
            return;
        };
        if let Some(known) = whole_package(package) {
            let is_named = !members.is_empty() && !members.contains(&"default");
            let is_publish = |member: &&&str| {
                member.contains("Publish")
                    || member.contains("SendDirectMessage")
                    || matches!(**member, "IoTDataPlane" | "IotData")
            };
            if known.purpose == PackagePurpose::IotData
                && is_named
                && !members.iter().any(|member| is_publish(&member))
            {
                return;
            }
            return self.package(node, known, known.name);
        }
        let part = packages(PackageEcosystem::Npm).find(|known| {
            known.name == package && members.iter().any(|member| known.members.contains(member))
        });
        if let Some(known) = part {
            let member = members.iter().find(|member| known.members.contains(member));
            self.package(node, known, member.copied().unwrap_or(known.name));
        }
    }

    fn export(&mut self, node: Node<'t>, exports: &mut Vec<(String, CodeOrigin)>) {
        if self.source.text(node).starts_with("export type ") {
            return;
        }
        let from = field(node, "source").and_then(|one| self.source.literal(one));
        let clause = named(node)
            .into_iter()
            .find(|one| one.kind() == "export_clause");
        if let Some(from) = from {
            let origin = CodeOrigin::imported(from);
            let mut members = Vec::new();
            match clause {
                Some(clause) => {
                    for specifier in named(clause) {
                        let Some(name) = field(specifier, "name") else {
                            continue;
                        };
                        let outside = field(specifier, "alias").unwrap_or(name);
                        let (name, outside) = (self.source.text(name), self.source.text(outside));
                        members.push(name);
                        exports.push((outside.to_owned(), origin.clone().member(name)));
                    }
                }
                None => exports.push(("*".to_owned(), origin)),
            }
            self.specifier(node, from, &members);
            return;
        }
        for specifier in clause.map(named).unwrap_or_default() {
            let Some(name) = field(specifier, "name") else {
                continue;
            };
            let outside = field(specifier, "alias").unwrap_or(name);
            if let Some(origin) = self.bindings.origin(name) {
                exports.push((self.source.text(outside).to_owned(), origin));
            }
        }
        if let Some(value) = field(node, "value")
            && let Some(origin) = self.bindings.origin(value)
        {
            exports.push(("default".to_owned(), origin));
        }
        let declaration = field(node, "declaration");
        for declarator in declaration.map(named).unwrap_or_default() {
            if declarator.kind() == "variable_declarator"
                && let (Some(name), Some(value)) =
                    (field(declarator, "name"), field(declarator, "value"))
                && let Some(origin) = self.bindings.origin(value)
            {
                exports.push((self.source.text(name).to_owned(), origin));
            }
        }
    }

    /// `module.exports = X`, `exports.name = X`, `module.exports = { name: X }`.
    fn assigned_export(&self, node: Node<'t>, exports: &mut Vec<(String, CodeOrigin)>) {
        let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else {
            return;
        };
        let left = self.source.text(left);
        let left = left.strip_prefix("module.").unwrap_or(left);
        let Some(name) = left.strip_prefix("exports") else {
            return;
        };
        let name = name.strip_prefix('.').unwrap_or("default");
        if let Some(origin) = self.bindings.origin(right) {
            exports.push((name.to_owned(), origin));
        }
        for pair in named(right) {
            let (key, value) = match pair.kind() {
                "pair" => (field(pair, "key"), field(pair, "value")),
                "shorthand_property_identifier" => (Some(pair), Some(pair)),
                _ => continue,
            };
            if let (Some(key), Some(value)) = (key, value)
                && let Some(origin) = self.bindings.origin(value)
            {
                exports.push((self.source.text(key).to_owned(), origin));
            }
        }
    }

    fn call(&mut self, node: Node<'t>) {
        let Some(function) = field(node, "function") else {
            return;
        };
        let arguments = field(node, "arguments").map(named).unwrap_or_default();
        if let Some(origin) = self.bindings.origin(node)
            && origin.path.is_empty()
            && let OriginRoot::Package(name) | OriginRoot::Module(name) = &origin.root
        {
            let members = destructured(self.source, node);
            return self.specifier(node, name, &members);
        }
        let callee = self.source.text(function);
        if !callee.ends_with(".bind") && callee != "Reflect.construct" {
            for argument in &arguments {
                self.hands_on(*argument, Some(*argument));
            }
        }
        let Some(origin) = self.origin(function) else {
            return;
        };
        match &*origin.dotted() {
            "Reflect.construct" => {
                self.construct(node, arguments.first().copied());
                return;
            }
            "Deno.upgradeWebSocket" => {
                let message =
                    "`Deno.upgradeWebSocket` serves WebSockets beside the real-time layer";
                self.found(&rules::native_connection::RULE, node, message.to_owned());
            }
            _ => {}
        }
        if field(function, "property").is_some_and(|one| self.source.text(one) == "getReader") {
            self.body_reader(node, function);
        }
        self.header_call(node, function, &arguments);
        self.member(node, &origin);
    }
}

/// Names of `const { a, b: c } = require("x")`.
fn destructured<'t>(source: &SourceTree<'t>, call: Node<'_>) -> Vec<&'t str> {
    let awaited = above(call).find(|one| one.kind() != "await_expression");
    let pattern = awaited
        .filter(|one| one.kind() == "variable_declarator")
        .and_then(|one| field(one, "name"))
        .filter(|one| one.kind() == "object_pattern");
    let names = pattern.map(named).unwrap_or_default().into_iter();
    names
        .map(|one| {
            source.text(
                field(one, "key")
                    .or_else(|| field(one, "left"))
                    .unwrap_or(one),
            )
        })
        .collect()
}

/// The package that a name in quotes belongs to, if all of it counts.
fn whole_package(specifier: &str) -> Option<&'static KnownPackage> {
    packages(PackageEcosystem::Npm)
        .find(|known| known.members.is_empty() && is_below(known.name, specifier))
}

/// The rule that speaks of packages of a purpose, and its message.
pub(super) fn purpose_rule(purpose: PackagePurpose, what: &str) -> (&'static GuardRule, String) {
    match purpose {
        PackagePurpose::Transport => (
            &rules::realtime_library::RULE,
            format!("`{what}` is a real-time library beside the platform's client"),
        ),
        PackagePurpose::StreamReader => (
            &rules::stream_reader::RULE,
            format!("`{what}` reads event streams beside the real-time layer"),
        ),
        PackagePurpose::Service => (
            &rules::realtime_service::RULE,
            format!("`{what}` is a real-time service beside the platform's layer"),
        ),
        PackagePurpose::Mqtt => (
            &rules::mqtt_client::RULE,
            format!("`{what}` is an MQTT client beside the platform's client"),
        ),
        PackagePurpose::ConnectionManagement => (
            &rules::connection_management::RULE,
            format!("`{what}` manages WebSocket connections of an API Gateway"),
        ),
        PackagePurpose::IotData => (
            &rules::direct_publish::RULE,
            format!("`{what}` publishes to AWS IoT past the event bus"),
        ),
    }
}
