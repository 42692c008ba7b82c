//! Infrastructure: templates of CloudFormation, plans and sources of Terraform.
//!
//! Each reader turns a file into resources over one kind of tree, and one table of rules looks at
//! them. A value that is known only when it is deployed gives no verdict: it is reported as
//! "cannot tell", and never passes as right.

mod cloudformation;
mod hcl;
mod serverless;
mod terraform;
mod verdicts;

use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};
use crate::guard::finding::{GuardFinding, SourceRegion};
use crate::guard::report::{SkipReason, SkippedFile};

/// A resource of any kind of file.
#[derive(Clone, Debug)]
pub(super) struct InfraResource {
    /// Name within the file.
    id: String,
    /// Such as `AWS::SQS::Queue` or `aws_sqs_queue`.
    kind: String,
    /// Place of the name.
    at: TextPosition,
    /// Properties.
    properties: TreeValue,
}

/// Findings of a file, and the parts without a verdict.
#[derive(Clone, Debug, Default)]
pub(super) struct TemplateScan {
    pub(super) findings: Vec<GuardFinding>,
    pub(super) skipped: Vec<SkippedFile>,
}

/// Returns `true` where a file may be one of infrastructure.
pub(super) fn is_template(path: &str) -> bool {
    let extension = path.rsplit('.').next().unwrap_or_default();
    matches!(
        extension,
        "yaml" | "yml" | "json" | "template" | "tf" | "tofu"
    )
}

/// Scans a file. Most YAML and JSON is no infrastructure, and is passed over by its words.
pub(super) fn scan(path: &str, text: &str) -> TemplateScan {
    let mut scan = TemplateScan::default();
    let has = |word: &str| memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some();
    let is_terraform = path.ends_with(".tf") || path.ends_with(".tofu");
    let read = if is_terraform {
        hcl::read(text)
    } else if path.ends_with(".tf.json") {
        terraform::read_source(text)
    } else if has("\"resource_changes\"") || has("\"planned_values\"") {
        terraform::read_plan(text)
    } else if serverless::is_named(path) {
        serverless::read(text)
    } else if has("AWS::") && has("Resources") {
        cloudformation::read(path, text)
    } else {
        return scan;
    };
    match read {
        Ok(read) => {
            for resource in &read.resources {
                verdicts::judge(path, resource, &mut scan);
            }
            for (at, detail) in read.unknown {
                scan.cannot_tell(path, at, detail);
            }
        }
        Err(detail) => scan.skipped.push(SkippedFile {
            path: path.to_owned(),
            region: None,
            reason: SkipReason::NotParsed,
            detail,
        }),
    }
    scan
}

impl TemplateScan {
    fn cannot_tell(&mut self, path: &str, at: TextPosition, detail: String) {
        self.skipped.push(SkippedFile {
            path: path.to_owned(),
            region: Some(region(at)),
            reason: SkipReason::CannotTell,
            detail,
        });
    }
}

/// Everything that a reader has read.
#[derive(Clone, Debug, Default)]
struct InfraFile {
    resources: Vec<InfraResource>,
    /// Parts that only a deployment knows.
    unknown: Vec<(TextPosition, String)>,
}

/// Outcome of a reader; the text says what the file is not.
type ReadOutcome = Result<InfraFile, String>;

fn region(at: TextPosition) -> SourceRegion {
    SourceRegion::at(at.line, at.column)
}

fn members(node: &TreeValue) -> &[ObjectMember] {
    match &node.value {
        NodeValue::Object(members) => members,
        _ => &[],
    }
}

fn elements(node: &TreeValue) -> &[TreeValue] {
    match &node.value {
        NodeValue::Array(elements) => elements,
        _ => &[],
    }
}

fn member<'n>(node: &'n TreeValue, key: &str) -> Option<&'n TreeValue> {
    let found = members(node).iter().find(|one| &*one.key == key)?;
    Some(&found.value)
}

fn text(node: &TreeValue) -> Option<&str> {
    match &node.value {
        NodeValue::String(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// A value that only a deployment knows.
fn unknown(at: TextPosition) -> TreeValue {
    TreeValue::object_of(
        "Fn::Unknown",
        TreeValue {
            value: NodeValue::Null,
            at,
        },
        at,
    )
}

/// Returns `true` for a function that was not resolved, or text with a part that was not.
fn is_unknown(node: &TreeValue) -> bool {
    match members(node) {
        [only] => &*only.key == "Ref" || only.key.starts_with("Fn::"),
        _ => text(node).is_some_and(|text| text.contains("${")),
    }
}

/// Calls `each` for a node and everything in it, with the key that leads to it.
fn walk<'n>(node: &'n TreeValue, key: &'n str, each: &mut impl FnMut(&'n TreeValue, &'n str)) {
    each(node, key);
    for one in members(node) {
        walk(&one.value, &one.key, each);
    }
    for one in elements(node) {
        walk(one, key, each);
    }
}
