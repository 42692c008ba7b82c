//! The plan: from what is there to what is wanted, in the fewest steps that are safe in their order.
//!
//! Permissions are widened before they are narrowed: a new version comes before attachments, attachments before detachments. The
//! default version is never deleted but with its policy.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::target::{PolicyName, Target};
use super::text::PolicyText;

/// The most versions of a policy that IoT Core keeps (AWS General Reference, "AWS IoT Core endpoints and quotas").
pub const VERSIONS: usize = 5;

/// A policy that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: PolicyName,
    /// Its document.
    pub text: PolicyText,
    /// What it is to be attached to.
    pub targets: BTreeSet<Target>,
    /// Whether it is to be detached from everything else.
    pub only_these: bool,
}

/// A version of a policy that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// IoT Core's id: a number, counted up.
    pub id: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it is in force.
    pub default: bool,
}

/// A policy that is there, as far as the plan depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// The canonical form of the default version's document; `None` when it cannot be read.
    pub canonical: Option<String>,
    /// All versions. May be left out while the document is the wanted one and the policy stays.
    pub versions: Vec<Version>,
    /// What it is attached to; what is not asked for may be left out.
    pub targets: BTreeSet<String>,
}

/// One call that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the policy, with its first version.
    Create,
    /// Make a version of the wanted document, and the default at once.
    CreateVersion,
    /// Delete a version that is not the default.
    DeleteVersion(String),
    /// Attach the policy to a target.
    Attach(String),
    /// Detach the policy from a target.
    Detach(String),
    /// Delete the policy with its last version.
    Delete,
}

/// What takes a policy, there or not, to what is wanted; empty when it is that already.
pub fn apply(wanted: &Wanted, current: Option<&Current>) -> Vec<Step> {
    let none = Current::default();
    let mut steps = Vec::new();
    match current {
        None => steps.push(Step::Create),
        Some(current) if current.canonical.as_deref() != Some(wanted.text.canonical()) => {
            steps.extend(room(&current.versions).map(Step::DeleteVersion));
            steps.push(Step::CreateVersion);
        }
        Some(_) => {}
    }
    let attached = &current.unwrap_or(&none).targets;
    let wanted_targets: BTreeSet<&str> = wanted.targets.iter().map(Target::as_str).collect();
    let missing = wanted_targets.iter().filter(|t| !attached.contains(**t));
    steps.extend(missing.map(|target| Step::Attach((*target).to_owned())));
    if wanted.only_these {
        let others = attached
            .iter()
            .filter(|t| !wanted_targets.contains(t.as_str()));
        steps.extend(others.cloned().map(Step::Detach));
    }
    steps
}

/// The oldest versions that must go so that there is room for one more.
fn room(versions: &[Version]) -> impl Iterator<Item = String> {
    let surplus = (versions.len() + 1).saturating_sub(VERSIONS);
    let mut old: Vec<&Version> = versions.iter().filter(|version| !version.default).collect();
    // Ids are numbers that only grow; a date may be missing, and two versions may be of one second.
    old.sort_by_key(|version| {
        (
            version.id.parse::<u64>().unwrap_or(u64::MAX),
            version.created,
        )
    });
    old.into_iter()
        .take(surplus)
        .map(|version| version.id.clone())
        .collect::<Vec<_>>()
        .into_iter()
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The policy.
    pub name: PolicyName,
    /// What it is detached from; `None` for everything.
    pub targets: Option<BTreeSet<Target>>,
    /// Whether the policy itself goes, with all its versions.
    pub delete: bool,
}

/// Why a policy cannot be deleted: it would stay attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy `{name}` would stay attached to {others} other targets, such as `{example}`")]
pub struct StaysAttached {
    name: PolicyName,
    others: usize,
    example: String,
}

/// What takes back what a policy permits; empty when it is not there or not attached.
///
/// # Errors
/// When the policy is to be deleted but has targets from which it is not to be detached.
pub fn revoke(
    revocation: &Revocation,
    current: Option<&Current>,
) -> Result<Vec<Step>, StaysAttached> {
    let Some(current) = current else {
        return Ok(Vec::new());
    };
    let wanted = |target: &&String| {
        let named = revocation.targets.as_ref();
        named.is_none_or(|named| named.iter().any(|known| known.as_str() == *target))
    };
    let (detached, others): (Vec<_>, Vec<_>) = current.targets.iter().partition(wanted);
    let mut steps: Vec<Step> = detached.into_iter().cloned().map(Step::Detach).collect();
    if revocation.delete {
        if let Some(example) = others.first() {
            return Err(StaysAttached {
                name: revocation.name.clone(),
                others: others.len(),
                example: (*example).clone(),
            });
        }
        let old = current.versions.iter().filter(|version| !version.default);
        steps.extend(old.map(|version| Step::DeleteVersion(version.id.clone())));
        steps.push(Step::Delete);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "arn:aws:iot:eu-west-1:123456789012:thinggroup/a";
    const B: &str = "arn:aws:iot:eu-west-1:123456789012:thinggroup/b";
    const C: &str = "eu-west-1:5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

    fn name() -> PolicyName {
        PolicyName::parse("p").unwrap()
    }

    const TEXT: &str = r#"{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

    /// The wanted document, which is `d` for short.
    fn text() -> PolicyText {
        PolicyText::parse(TEXT).unwrap()
    }

    fn canonical(document: &str) -> String {
        match document {
            "d" => text().canonical().to_owned(),
            other => other.to_owned(),
        }
    }

    fn targets(targets: &[&str]) -> BTreeSet<Target> {
        targets.iter().map(|t| Target::parse(t).unwrap()).collect()
    }

    /// A policy whose default version has this document, with versions of these ids, the one with a star in force.
    fn current(document: &str, versions: &str, targets: &[&str]) -> Current {
        let version = |word: &str| Version {
            id: word.trim_end_matches('*').into(),
            created: None,
            default: word.ends_with('*'),
        };
        Current {
            canonical: Some(canonical(document)),
            versions: versions.split_whitespace().map(version).collect(),
            targets: targets.iter().map(|t| (*t).to_owned()).collect(),
        }
    }

    fn told(steps: Vec<Step>) -> String {
        let word = |step: Step| match step {
            Step::Create => "create".into(),
            Step::CreateVersion => "version".into(),
            Step::DeleteVersion(id) => format!("-{id}"),
            Step::Attach(target) => format!("attach:{}", &target[target.len() - 1..]),
            Step::Detach(target) => format!("detach:{}", &target[target.len() - 1..]),
            Step::Delete => "delete".into(),
        };
        steps.into_iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn applied() {
        let there =
            |document, versions, targets: &[&str]| Some(current(document, versions, targets));
        for (wanted, only_these, current, steps) in [
            // Not there.
            (&[][..], false, None, "create"),
            (&[A, B], false, None, "create attach:a attach:b"),
            (&[A], true, None, "create attach:a"),
            // As wanted.
            (&[], false, there("d", "1*", &[]), ""),
            (&[A], false, there("d", "1*", &[A]), ""),
            (&[A], false, there("d", "1*", &[A, B]), ""),
            (&[A], true, there("d", "1*", &[A]), ""),
            // The versions are not looked at while the document is the wanted one.
            (&[A], false, there("d", "", &[A]), ""),
            // Targets.
            (&[A, C], false, there("d", "1*", &[A]), "attach:1"),
            (&[B], true, there("d", "1*", &[A, B]), "detach:a"),
            (&[C], true, there("d", "1*", &[A]), "attach:1 detach:a"),
            (&[], true, there("d", "1*", &[A, B]), "detach:a detach:b"),
            // Another document.
            (&[], false, there("e", "1*", &[]), "version"),
            (&[], false, there("e", "1 2 3 4*", &[]), "version"),
            (&[], false, there("e", "1 2 3 4 5*", &[]), "-1 version"),
            (&[], false, there("e", "1* 2 3 4 5", &[]), "-2 version"),
            // By number, not by text, and in whatever order they come.
            (&[], false, there("e", "12 11 10* 9 13", &[]), "-9 version"),
            // More than IoT Core keeps today.
            (&[], false, there("e", "1 2 3* 4 5 6", &[]), "-1 -2 version"),
            (
                &[B],
                true,
                there("e", "1*", &[A]),
                "version attach:b detach:a",
            ),
        ] {
            let wanted = Wanted {
                name: name(),
                text: text(),
                targets: targets(wanted),
                only_these,
            };
            let planned = told(apply(&wanted, current.as_ref()));
            assert_eq!(planned, steps, "{wanted:?} {current:?}");
        }
        // What cannot be read is replaced.
        let unread = Current {
            canonical: None,
            ..current("d", "1*", &[])
        };
        let wanted = Wanted {
            name: name(),
            text: text(),
            targets: BTreeSet::new(),
            only_these: false,
        };
        assert_eq!(told(apply(&wanted, Some(&unread))), "version");
    }

    #[test]
    fn revoked() {
        for (named, delete, current, steps) in [
            (None, false, None, ""),
            (None, true, None, ""),
            (None, false, Some(current("d", "", &[])), ""),
            (
                None,
                false,
                Some(current("d", "", &[A, B])),
                "detach:a detach:b",
            ),
            (
                Some(&[B][..]),
                false,
                Some(current("d", "", &[A, B])),
                "detach:b",
            ),
            (Some(&[C]), false, Some(current("d", "", &[A, B])), ""),
            (
                None,
                true,
                Some(current("d", "1 2* 3", &[A])),
                "detach:a -1 -3 delete",
            ),
            (
                Some(&[A]),
                true,
                Some(current("d", "1*", &[A])),
                "detach:a delete",
            ),
            (Some(&[A]), true, Some(current("d", "1*", &[])), "delete"),
        ] {
            let revocation = Revocation {
                name: name(),
                targets: named.map(targets),
                delete,
            };
            let planned = told(revoke(&revocation, current.as_ref()).unwrap());
            assert_eq!(planned, steps, "{revocation:?} {current:?}");
        }
    }

    #[test]
    fn a_policy_that_stays_attached_is_not_deleted() {
        let revocation = Revocation {
            name: name(),
            targets: Some(targets(&[A])),
            delete: true,
        };
        let error = revoke(&revocation, Some(&current("d", "1*", &[A, B, C]))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("policy `p` would stay attached to 2 other targets, such as `{B}`")
        );
    }

    /// What IoT Core would make of a plan: the obvious reference, which refuses what IoT Core refuses.
    fn carry_out(
        steps: &[Step],
        document: &str,
        current: Option<Current>,
    ) -> Result<Option<Current>, &'static str> {
        let mut policy = current;
        for step in steps {
            if let Step::Create = step {
                if policy.is_some() {
                    return Err("ResourceAlreadyExists");
                }
                policy = Some(super::tests::current(document, "1*", &[]));
                continue;
            }
            let there = policy.as_mut().ok_or("ResourceNotFound")?;
            match step {
                Step::CreateVersion => {
                    if there.versions.len() >= VERSIONS {
                        return Err("VersionsLimitExceeded");
                    }
                    there.versions.iter_mut().for_each(|v| v.default = false);
                    there.versions.push(Version {
                        id: "99".into(),
                        created: None,
                        default: true,
                    });
                    there.canonical = Some(canonical(document));
                }
                Step::DeleteVersion(id) => {
                    let at = there.versions.iter().position(|v| v.id == *id);
                    if there.versions.remove(at.ok_or("ResourceNotFound")?).default {
                        return Err("InvalidRequest");
                    }
                }
                Step::Attach(target) => {
                    there.targets.insert(target.clone());
                }
                Step::Detach(target) => {
                    if !there.targets.remove(target) {
                        return Err("ResourceNotFound");
                    }
                }
                Step::Delete if there.versions.len() > 1 || !there.targets.is_empty() => {
                    return Err("DeleteConflict");
                }
                Step::Delete => policy = None,
                Step::Create => {}
            }
        }
        Ok(policy)
    }

    fn some_targets() -> impl Strategy<Value = Vec<&'static str>> {
        proptest::sample::subsequence(vec![A, B, C], 0..=3)
    }

    fn something() -> impl Strategy<Value = Option<Current>> {
        let policy = (
            prop_oneof![Just("d"), Just("e")],
            proptest::sample::subsequence(vec!["7", "8", "9", "10", "11"], 1..=5).prop_shuffle(),
            any::<proptest::sample::Index>(),
            some_targets(),
        )
            .prop_map(|(document, ids, default, targets)| {
                let default = default.index(ids.len());
                let star = |(at, id): (usize, &&str)| {
                    format!("{id}{}", if at == default { "*" } else { "" })
                };
                let ids: Vec<String> = ids.iter().enumerate().map(star).collect();
                current(document, &ids.join(" "), &targets)
            });
        proptest::option::of(policy)
    }

    proptest! {
        #[test]
        fn a_plan_leads_to_what_is_wanted(there in something(), targets in some_targets(), only_these: bool) {
            let wanted = Wanted {
                name: name(),
                text: text(),
                targets: super::tests::targets(&targets),
                only_these,
            };
            let steps = apply(&wanted, there.as_ref());
            let after = carry_out(&steps, "d", there.clone()).unwrap().unwrap();
            prop_assert_eq!(&after.canonical, &Some(canonical("d")));
            let before = there.as_ref().map(|there| there.targets.clone()).unwrap_or_default();
            let mut expected: BTreeSet<String> = targets.iter().map(|t| (*t).to_owned()).collect();
            if !only_these {
                expected.extend(before);
            }
            prop_assert_eq!(&after.targets, &expected);
            prop_assert_eq!(apply(&wanted, Some(&after)), []);
        }

        #[test]
        fn a_revocation_leaves_nothing_of_it(there in something(), named in proptest::option::of(some_targets()), delete: bool) {
            let revocation = Revocation {
                name: name(),
                targets: named.as_deref().map(super::tests::targets),
                delete,
            };
            let Ok(steps) = revoke(&revocation, there.as_ref()) else {
                let named = named.unwrap();
                let targets = there.unwrap().targets;
                prop_assert!(delete && targets.iter().any(|target| !named.contains(&target.as_str())));
                return Ok(());
            };
            let after = carry_out(&steps, "d", there).unwrap();
            if delete {
                prop_assert_eq!(&after, &None);
            }
            let targets = after.as_ref().map(|after| after.targets.clone()).unwrap_or_default();
            prop_assert!(!targets.iter().any(|target| named.as_ref().is_none_or(|named| named.contains(&target.as_str()))));
            prop_assert_eq!(revoke(&revocation, after.as_ref()), Ok(Vec::new()));
        }
    }
}
