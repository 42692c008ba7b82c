//! All templates together: references from one resource to another, also by name.

use super::template::{Resource, Template, each, elements, is_true, member, members, text};
use crate::event::pattern::tree::Node;

/// The templates.
pub(super) struct Templates<'t>(pub(super) &'t [Template]);

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
    /// Whether it is a FIFO queue; `None` where that is not known.
    pub(super) fn is_fifo(&self) -> Option<bool> {
        match self {
            Self::Here(queue) => Some(is_fifo(queue)),
            Self::Elsewhere { name } => Some(name.ends_with(".fifo")),
            Self::Unknown => None,
        }
    }
}

/// Whether a queue is FIFO: by its attribute, or by its name.
pub(super) fn is_fifo(queue: &Resource) -> bool {
    is_true(&queue.properties, "FifoQueue") || queue_name(queue).ends_with(".fifo")
}

/// The name of a queue; its logical id where it has none of its own.
pub(super) fn queue_name(queue: &Resource) -> String {
    let name = member(&queue.properties, "QueueName").and_then(text);
    name.unwrap_or_else(|| queue.id.clone())
}

impl<'t> Templates<'t> {
    /// All resources of a kind.
    pub(super) fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &'t Resource> {
        let all = self.0.iter().flat_map(|template| &template.resources);
        all.filter(move |resource| resource.kind == kind)
    }

    /// The resource that `Ref` or `Fn::GetAtt` names, in the same file.
    pub(super) fn referred(&self, from: &Resource, node: &Node) -> Option<&'t Resource> {
        let [only] = members(node)? else {
            return None;
        };
        let id = match &*only.key {
            "Ref" => text(&only.value)?,
            "Fn::GetAtt" => text(elements(&only.value)?.first()?)?,
            _ => return None,
        };
        let mut all = self.0.iter().flat_map(|template| &template.resources);
        all.find(|resource| resource.id == id && resource.file == from.file)
    }

    /// The queue that a property names by reference, ARN or URL.
    pub(super) fn queue(&self, from: &Resource, node: &Node) -> QueueReference<'t> {
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
        if *service != "sqs" || name.contains("${") {
            return QueueReference::Unknown;
        }
        let mut queues = self.of_kind("AWS::SQS::Queue");
        match queues.find(|queue| queue_name(queue) == **name) {
            Some(queue) => QueueReference::Here(queue),
            None => QueueReference::Elsewhere {
                name: (*name).to_owned(),
            },
        }
    }

    /// Statements of all policies of a queue; `None` where it has no policy in the templates.
    pub(super) fn policy_of(&self, queue: &Resource) -> Option<Vec<&'t Node>> {
        let name = queue_name(queue);
        let policies: Vec<&Resource> = self
            .of_kind("AWS::SQS::QueuePolicy")
            .filter(|policy| {
                let queues = member(&policy.properties, "Queues")
                    .map(each)
                    .unwrap_or_default();
                queues.iter().any(|one| match self.referred(policy, one) {
                    Some(found) => found.id == queue.id && found.file == queue.file,
                    None => text(one).is_some_and(|url| url.ends_with(&format!("/{name}"))),
                })
            })
            .collect();
        if policies.is_empty() {
            return None;
        }
        let statements = policies.iter().flat_map(|policy| {
            let document = member(&policy.properties, "PolicyDocument");
            let statements = document.and_then(|document| member(document, "Statement"));
            statements.map(each).unwrap_or_default()
        });
        Some(statements.collect())
    }
}
