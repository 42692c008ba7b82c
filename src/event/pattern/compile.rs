//! From a pattern's tree to alternatives: fields are flattened to dotted paths, `$or` is multiplied out.
//!
//! A field that is named twice keeps its last meaning, per full path; objects under a repeated key merge.

use std::cmp::Ordering;

use super::operator::{FieldTest, RESERVED};
use super::tree::{NodeValue, ObjectMember, TreeValue};
use super::{MAX_ALTERNATIVES, MAX_FIELDS, MAX_FIELDS_OF_ALTERNATIVES, MAX_VALUES, PatternError};

const OR: &str = "$or";

/// One alternative: each field's path and its test (an index into the pattern's leaves), in the
/// order of paths.
///
/// The order decides which elements of an array `exists: false` looks at: those that fields before it have chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct CompiledAlternative {
    pub(super) fields: Vec<(Box<str>, usize)>,
}

impl CompiledAlternative {
    fn put(&mut self, path: &str, leaf: usize) {
        match self.fields.iter_mut().find(|(known, _)| &**known == path) {
            Some((_, known)) => *known = leaf,
            None => self.fields.push((path.into(), leaf)),
        }
    }
}

/// Flattens a pattern.
pub(super) fn compile(
    root: &TreeValue,
) -> Result<(Vec<FieldTest>, Vec<CompiledAlternative>), PatternError> {
    let NodeValue::Object(members) = &root.value else {
        return Err(fault(root, "", "Filter is not an object"));
    };
    let mut compiler = PatternCompiler {
        leaves: Vec::new(),
        values: 0,
    };
    let mut rules = vec![CompiledAlternative::default()];
    compiler.object(root, members, "", false, &mut rules)?;
    for rule in &mut rules {
        rule.fields.sort_by(|(a, _), (b, _)| by_code_units(a, b));
    }
    Ok((compiler.leaves, rules))
}

/// EventBridge sorts paths by UTF-16 code units, as Java does.
fn by_code_units(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

pub(super) fn fault(node: &TreeValue, path: &str, reason: impl Into<String>) -> PatternError {
    PatternError {
        reason: reason.into(),
        path: path.to_owned(),
        at: node.at,
        help: None,
    }
}

struct PatternCompiler {
    leaves: Vec<FieldTest>,
    /// The values and operators of all leaves.
    values: usize,
}

impl PatternCompiler {
    fn object(
        &mut self,
        node: &TreeValue,
        members: &[ObjectMember],
        path: &str,
        inside_or: bool,
        rules: &mut Vec<CompiledAlternative>,
    ) -> Result<(), PatternError> {
        if members.is_empty() {
            return Err(PatternError {
                help: Some("name a field, or leave the object out".into()),
                ..fault(node, path, "Empty objects are not allowed")
            });
        }
        for member in members {
            self.member(member, path, inside_or, rules)?;
        }
        Ok(())
    }

    fn member(
        &mut self,
        member: &ObjectMember,
        path: &str,
        inside_or: bool,
        rules: &mut Vec<CompiledAlternative>,
    ) -> Result<(), PatternError> {
        let key = &*member.key;
        if key == OR {
            return self.or(&member.value, path, rules);
        }
        if inside_or && RESERVED.contains(&key) {
            let reason =
                format!("{key} is Ruler reserved fieldName which cannot be used inside {OR}.");
            return Err(PatternError {
                at: member.key_at,
                help: Some(
                    "each branch of `$or` is an object that names fields: {\"field\": [..]}".into(),
                ),
                ..fault(&member.value, path, reason)
            });
        }
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        match &member.value.value {
            NodeValue::Object(members) => {
                self.object(&member.value, members, &path, inside_or, rules)
            }
            NodeValue::Array(values) => {
                let leaf = FieldTest::parse(&member.value, values, &path)?;
                self.values += leaf.size();
                self.leaves.push(leaf);
                self.check_size(&member.value, rules)?;
                let leaf = self.leaves.len() - 1;
                rules.iter_mut().for_each(|rule| rule.put(&path, leaf));
                Ok(())
            }
            _ => Err(PatternError {
                help: Some(format!("write [{}]", member.value.to_json())),
                ..fault(
                    &member.value,
                    &path,
                    format!("\"{key}\" must be an object or an array"),
                )
            }),
        }
    }

    /// Refuses a pattern far beyond the size that EventBridge takes.
    fn check_size(
        &self,
        node: &TreeValue,
        rules: &[CompiledAlternative],
    ) -> Result<(), PatternError> {
        let of_alternatives: usize = rules.iter().map(|rule| rule.fields.len()).sum();
        let (most, what) = if self.leaves.len() > MAX_FIELDS {
            (MAX_FIELDS, "fields")
        } else if self.values > MAX_VALUES {
            (MAX_VALUES, "values")
        } else if of_alternatives > MAX_FIELDS_OF_ALTERNATIVES {
            (MAX_FIELDS_OF_ALTERNATIVES, "fields in its combinations")
        } else {
            return Ok(());
        };
        Err(PatternError {
            help: Some(
                "EventBridge takes patterns of 4,096 characters; split the pattern over several routes".into(),
            ),
            ..fault(node, "", format!("the pattern has more than {most} {what}"))
        })
    }

    fn or(
        &mut self,
        node: &TreeValue,
        path: &str,
        rules: &mut Vec<CompiledAlternative>,
    ) -> Result<(), PatternError> {
        let NodeValue::Array(branches) = &node.value else {
            return Err(fault(
                node,
                path,
                format!("It must be an Array followed with {OR}."),
            ));
        };
        let before = std::mem::take(rules);
        for branch in branches {
            let NodeValue::Object(members) = &branch.value else {
                return Err(fault(
                    branch,
                    path,
                    format!("Only JSON object is allowed in array of {OR} relationship."),
                ));
            };
            let mut branched = before.clone();
            self.object(branch, members, path, true, &mut branched)?;
            rules.append(&mut branched);
            if rules.len() > MAX_ALTERNATIVES {
                return Err(PatternError {
                    help: Some("split the pattern over several routes".into()),
                    ..fault(
                        node,
                        path,
                        format!("{OR} multiplies to more than {MAX_ALTERNATIVES} combinations"),
                    )
                });
            }
        }
        if branches.len() < 2 {
            return Err(fault(
                node,
                path,
                format!("There must have at least 2 Objects in {OR} relationship."),
            ));
        }
        Ok(())
    }
}
