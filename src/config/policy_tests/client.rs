//! Client of a test, and its policies or the role that they are made for.

use super::super::check::{self, Faults, text_of};
use super::super::{member, text};
use super::keys::{CLAIMS, CLIENT, DOCUMENT};
use super::{PolicyRole, PolicySource};
use crate::event::pattern::tree::{NodeValue, TreeValue};
use crate::policy::context::Context;
use crate::policy::document::Document;

/// The role of a test, which has either that or documents.
pub(super) fn role(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> Option<PolicyRole> {
    let (role, claims) = (member(node, "role"), member(node, "claims"));
    let documents = member(node, "documents");
    let mut unfit = |key: &str, at, message: String, help: &str| {
        faults.error("does-not-fit", key, at, message).help = Some(help.to_owned());
    };
    match (documents, role, claims) {
        (None, None, _) => unfit(
            key,
            node.at,
            format!("{key} has no policies"),
            "list them in `documents`, or name a `role` of the configuration",
        ),
        (Some(documents), Some(_), _) => unfit(
            key,
            documents.at,
            format!("{key} has both `documents` and `role`"),
            "leave one of them out",
        ),
        (Some(_), None, Some(claims)) => unfit(
            &format!("{key}.claims"),
            claims.at,
            format!("`{key}.claims` stands without `role`"),
            "name the role, or leave the claims out",
        ),
        _ => {}
    }
    let value = match claims {
        None => Ok(serde_json::Value::Object(serde_json::Map::new())),
        Some(claims) => match &claims.value {
            NodeValue::Object(_) => serde_json::from_str(&claims.to_json()).map_err(|_| claims),
            _ => Err(claims),
        },
    };
    let claims = value.unwrap_or_else(|claims| {
        let key = format!("{key}.claims");
        let message = format!("`{key}` is {}", claims.to_json());
        faults
            .error("bad-claims", &key, claims.at, message)
            .accepted = Some(CLAIMS.into());
        serde_json::Value::Null
    });
    Some(PolicyRole {
        name: text(node, "role")?,
        at: role?.at,
        claims,
    })
}

/// A client id alone, or the facts that `policy` reads from JSON.
pub(super) fn client_context(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> Context {
    let message = match &node.value {
        NodeValue::String(id) if !id.is_empty() => return Context::of_client(&text_of(id)),
        NodeValue::Object(_) => match serde_json::from_str(&node.to_json()) {
            Ok(context) => return context,
            Err(error) => {
                // The place is one in JSON that nobody wrote.
                let error = error.to_string();
                let what = error
                    .rsplit_once(" at line ")
                    .map_or(&*error, |(what, _)| what);
                format!("`{key}`: {what}")
            }
        },
        _ => format!("`{key}` is {}", node.to_json()),
    };
    let fault = faults.error("bad-client", key, node.at, message);
    fault.accepted = Some(CLIENT.into());
    fault.help = Some("a client id alone is enough where policies ask for nothing else".into());
    Context::default()
}

/// A policy, or a file's name.
pub(super) fn document(
    node: &TreeValue,
    key: &str,
    faults: &mut Faults<'_>,
) -> Option<PolicySource> {
    match &node.value {
        NodeValue::String(path) if !path.is_empty() => Some(PolicySource::File {
            path: text_of(path),
            at: node.at,
        }),
        NodeValue::Object(_) => match Document::from_tree(node) {
            Ok(document) => Some(PolicySource::Inline(document)),
            Err(error) => {
                for fault in error.faults {
                    let key = check::join(key, &fault.key);
                    let told = faults.error(fault.code, &key, fault.at, fault.message);
                    told.accepted = Some(fault.accepted);
                    told.help = Some(fault.help);
                }
                None
            }
        },
        _ => {
            let message = format!("`{key}` is {}", node.to_json());
            faults.error("bad-document", key, node.at, message).accepted = Some(DOCUMENT.into());
            None
        }
    }
}
