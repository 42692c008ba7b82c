//! All templates together: references from one resource to another, also by name.

use super::look::{
    FoundValue, each, elements, flag, is_open, look, member, members, path, sole_reference, text,
};
use super::template::{ResolvedTemplate, Resource};
use crate::event::pattern::tree::TreeValue;

/// Imports of imports that are followed.
const MAX_IMPORTS: usize = 8;

/// The templates.
pub(super) struct Templates<'t>(pub(super) &'t [ResolvedTemplate]);

/// A queue that a property names.
pub(super) enum QueueReference<'t> {
    /// A queue of the templates.
    Here(&'t Resource),
    /// A queue by its ARN, of none of the templates.
    Elsewhere {
        /// Its name.
        name: String,
    },
    /// Not known.
    Unknown,
}

impl QueueReference<'_> {
    /// Returns `true` for a FIFO queue; `None` where that is not known.
    pub(super) fn is_fifo(&self) -> Option<bool> {
        match self {
            Self::Here(queue) => is_fifo(queue),
            Self::Elsewhere { name } => Some(name.ends_with(".fifo")),
            Self::Unknown => None,
        }
    }
}

/// Statements of the policies of a queue.
pub(super) enum QueuePolicies<'t> {
    /// The templates have none.
    None,
    /// Not known: a policy or a statement cannot be resolved, or a connector of SAM makes it.
    Unknown,
    /// All of them.
    Statements(Vec<&'t TreeValue>),
}

/// Returns `true` where a queue is FIFO: by its attribute, or by its name; `None` where that is not
/// known.
pub(super) fn is_fifo(queue: &Resource) -> Option<bool> {
    let by_name = match look(&queue.properties, &["QueueName"]) {
        FoundValue::Value(name) => text(name).map(|name| name.ends_with(".fifo")),
        FoundValue::Missing => Some(false),
        FoundValue::Unknown => None,
    };
    match (flag(&queue.properties, "FifoQueue"), by_name) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// The name of a queue; its logical id where it has none of its own.
pub(super) fn queue_name(queue: &Resource) -> String {
    let name = member(&queue.properties, "QueueName").and_then(text);
    name.unwrap_or_else(|| queue.id.clone())
}

impl<'t> Templates<'t> {
    fn all(&self) -> impl Iterator<Item = &'t Resource> {
        self.0.iter().flat_map(|template| &template.resources)
    }

    /// All resources of a kind.
    pub(super) fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &'t Resource> {
        self.all().filter(move |resource| resource.kind == kind)
    }

    /// A resource of a file by its logical id.
    pub(super) fn named(&self, file: &str, id: &str) -> Option<&'t Resource> {
        self.all()
            .find(|resource| resource.id == id && resource.file == file)
    }

    /// The resource that `Ref` or `Fn::GetAtt` names in the same file, or `Fn::ImportValue` in
    /// another one.
    pub(super) fn referred(&self, from: &Resource, node: &TreeValue) -> Option<&'t Resource> {
        self.referred_in(&from.file, node, 0)
    }

    fn referred_in(&self, file: &str, node: &TreeValue, depth: usize) -> Option<&'t Resource> {
        let [only] = members(node)? else {
            return None;
        };
        if depth > MAX_IMPORTS {
            return None;
        }
        match &*only.key {
            "Ref" => self.named(file, &text(&only.value)?),
            "Fn::GetAtt" => self.named(file, &text(elements(&only.value)?.first()?)?),
            "Fn::ImportValue" => {
                let name = text(&only.value)?;
                self.0.iter().find_map(|template| {
                    let found = template.exports.iter().find(|(export, _)| *export == name);
                    self.referred_in(&template.file, &found?.1, depth + 1)
                })
            }
            _ => None,
        }
    }

    /// The queue that a property names by reference or ARN.
    pub(super) fn queue(&self, from: &Resource, node: &TreeValue) -> QueueReference<'t> {
        if let Some(resource) = self.referred(from, node) {
            return match &*resource.kind {
                "AWS::SQS::Queue" => QueueReference::Here(resource),
                _ => QueueReference::Unknown,
            };
        }
        let Some(written) = text(node) else {
            return QueueReference::Unknown;
        };
        // The colons of pseudo parameters separate nothing.
        let written = written.replace("AWS::", "AWS.");
        let parts: Vec<&str> = written.split(':').collect();
        let [_, _, service, _, _, name] = parts.as_slice() else {
            return QueueReference::Unknown;
        };
        if *service != "sqs" {
            return QueueReference::Unknown;
        }
        let name = name.replace("AWS.", "AWS::");
        if let Some((id, Some("QueueName"))) = sole_reference(&name)
            && let Some(queue) = self.named(&from.file, id)
        {
            return QueueReference::Here(queue);
        }
        let mut queues = self.of_kind("AWS::SQS::Queue");
        match queues.find(|queue| queue_name(queue) == name) {
            Some(queue) => QueueReference::Here(queue),
            None if name.contains("${") => QueueReference::Unknown,
            None => QueueReference::Elsewhere { name },
        }
    }

    /// Statements of all policies of a queue.
    pub(super) fn policies_of(&self, queue: &Resource) -> QueuePolicies<'t> {
        let mut statements = Vec::new();
        let (mut is_found, mut is_unknown) = (false, false);
        let policies = self
            .of_kind("AWS::SQS::QueuePolicy")
            .map(|policy| (policy, "Queues"));
        let inline = self
            .of_kind("AWS::SQS::QueueInlinePolicy")
            .map(|policy| (policy, "Queue"));
        for (policy, key) in policies.chain(inline) {
            let queues = member(&policy.properties, key).map(each);
            let queues = queues.unwrap_or_default();
            let named = queues.iter().map(|one| self.is_queue(policy, one, queue));
            let named: Vec<Option<bool>> = named.collect();
            if !named.contains(&Some(true)) {
                is_unknown |= named.contains(&None);
                continue;
            }
            is_found = true;
            match look(&policy.properties, &["PolicyDocument", "Statement"]) {
                FoundValue::Value(list) => statements.extend(each(list)),
                FoundValue::Unknown => is_unknown = true,
                FoundValue::Missing => {}
            }
        }
        is_unknown |= statements.iter().any(|statement| is_open(statement));
        is_unknown |= self
            .all()
            .any(|resource| resource.file == queue.file && resource.connected.contains(&queue.id));
        match (is_unknown, is_found) {
            (true, _) => QueuePolicies::Unknown,
            (false, false) => QueuePolicies::None,
            (false, true) => QueuePolicies::Statements(statements),
        }
    }

    /// Returns `true` where a URL or a reference of a policy is that of a queue; `None` where it is
    /// not known.
    fn is_queue(&self, policy: &Resource, node: &TreeValue, queue: &Resource) -> Option<bool> {
        if let Some(found) = self.referred(policy, node) {
            return Some(std::ptr::eq(found, queue));
        }
        let url = text(node)?;
        let last = url.rsplit('/').next().unwrap_or_default();
        if let Some((id, attribute)) = sole_reference(last)
            && let Some(found) = self.named(&policy.file, id)
        {
            let is_name = attribute.is_none_or(|attribute| attribute == "QueueName");
            return Some(is_name && std::ptr::eq(found, queue));
        }
        if last == queue_name(queue) {
            return Some(true);
        }
        (!last.contains("${")).then_some(false)
    }

    /// The key that a property names by reference, ARN or alias.
    pub(super) fn key(&self, from: &Resource, node: &TreeValue) -> Option<&'t Resource> {
        let of_alias = |alias: &'t Resource| {
            let target = member(&alias.properties, "TargetKeyId")?;
            self.referred(alias, target)
                .or_else(|| self.named_in_text(alias, target))
        };
        let found = self
            .referred(from, node)
            .or_else(|| self.named_in_text(from, node))
            .or_else(|| {
                let written = text(node)?;
                self.of_kind("AWS::KMS::Alias").find(|alias| {
                    let name = member(&alias.properties, "AliasName").and_then(text);
                    name.is_some_and(|name| {
                        written == name || written.ends_with(&format!(":{name}"))
                    })
                })
            })?;
        let key = match &*found.kind {
            "AWS::KMS::Alias" => of_alias(found)?,
            _ => found,
        };
        matches!(&*key.kind, "AWS::KMS::Key" | "AWS::KMS::ReplicaKey").then_some(key)
    }

    /// The resource of an ARN's last part, such as `key/${Key}`.
    fn named_in_text(&self, from: &Resource, node: &TreeValue) -> Option<&'t Resource> {
        let written = text(node)?;
        let (_, last) = written.rsplit_once('/')?;
        let (id, _) = sole_reference(last)?;
        self.named(&from.file, id)
    }

    /// The statements of a key's policy; `None` where they are not known.
    pub(super) fn key_statements(key: &'t Resource) -> Option<&'t [TreeValue]> {
        match look(&key.properties, &["KeyPolicy", "Statement"]) {
            FoundValue::Unknown => None,
            FoundValue::Missing => Some(&[]),
            FoundValue::Value(list) => {
                let statements = each(list);
                (!statements.iter().any(is_open)).then_some(statements)
            }
        }
    }

    /// Returns `true` where a property's path leads to text that is one of `words`; `None` where it
    /// is not known.
    pub(super) fn is_word(node: &TreeValue, keys: &[&str], words: &[&str]) -> Option<bool> {
        match look(node, keys) {
            FoundValue::Missing => Some(false),
            FoundValue::Unknown => None,
            FoundValue::Value(_) => {
                let text = path(node, keys).and_then(text)?;
                (!text.contains("${")).then(|| words.contains(&&*text))
            }
        }
    }
}
