//! Plans by a table, and against the result that IoT Core would give.

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

fn targets(targets: &[&str]) -> BTreeSet<AttachmentTarget> {
    targets
        .iter()
        .map(|t| AttachmentTarget::parse(t).unwrap())
        .collect()
}

/// A policy whose default version has this document, with versions of these ids, the one with a star in force.
fn current(document: &str, versions: &str, targets: &[&str]) -> CurrentPolicy {
    let version = |word: &str| DeployedVersion {
        id: word.trim_end_matches('*').into(),
        created: None,
        default: word.ends_with('*'),
    };
    CurrentPolicy {
        canonical: Some(canonical(document)),
        versions: versions.split_whitespace().map(version).collect(),
        targets: targets.iter().map(|t| (*t).to_owned()).collect(),
    }
}

fn told(steps: Vec<DeployStep>) -> String {
    let word = |step: DeployStep| match step {
        DeployStep::Create => "create".into(),
        DeployStep::CreateVersion => "version".into(),
        DeployStep::DeleteVersion(id) => format!("-{id}"),
        DeployStep::Attach(target) => format!("attach:{}", &target[target.len() - 1..]),
        DeployStep::Detach(target) => format!("detach:{}", &target[target.len() - 1..]),
        DeployStep::Delete => "delete".into(),
    };
    steps.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn applied() {
    let there = |document, versions, targets: &[&str]| Some(current(document, versions, targets));
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
        let wanted = WantedDocument {
            name: name(),
            text: text(),
            targets: targets(wanted),
            only_these,
        };
        let planned = told(apply(&wanted, current.as_ref()));
        assert_eq!(planned, steps, "{wanted:?} {current:?}");
    }
    // An unreadable document is replaced.
    let unread = CurrentPolicy {
        canonical: None,
        ..current("d", "1*", &[])
    };
    let wanted = WantedDocument {
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
        let revocation = PolicyRevocation {
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
    let revocation = PolicyRevocation {
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

/// Applies a plan as IoT Core would: the obvious reference, which refuses what IoT Core refuses.
fn carry_out(
    steps: &[DeployStep],
    document: &str,
    current: Option<CurrentPolicy>,
) -> Result<Option<CurrentPolicy>, &'static str> {
    let mut policy = current;
    for step in steps {
        if let DeployStep::Create = step {
            if policy.is_some() {
                return Err("ResourceAlreadyExists");
            }
            policy = Some(self::current(document, "1*", &[]));
            continue;
        }
        let there = policy.as_mut().ok_or("ResourceNotFound")?;
        match step {
            DeployStep::CreateVersion => {
                if there.versions.len() >= VERSIONS {
                    return Err("VersionsLimitExceeded");
                }
                there.versions.iter_mut().for_each(|v| v.default = false);
                there.versions.push(DeployedVersion {
                    id: "99".into(),
                    created: None,
                    default: true,
                });
                there.canonical = Some(canonical(document));
            }
            DeployStep::DeleteVersion(id) => {
                let at = there.versions.iter().position(|v| v.id == *id);
                if there.versions.remove(at.ok_or("ResourceNotFound")?).default {
                    return Err("InvalidRequest");
                }
            }
            DeployStep::Attach(target) => {
                there.targets.insert(target.clone());
            }
            DeployStep::Detach(target) => {
                if !there.targets.remove(target) {
                    return Err("ResourceNotFound");
                }
            }
            DeployStep::Delete if there.versions.len() > 1 || !there.targets.is_empty() => {
                return Err("DeleteConflict");
            }
            DeployStep::Delete => policy = None,
            DeployStep::Create => {}
        }
    }
    Ok(policy)
}

fn some_targets() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(vec![A, B, C], 0..=3)
}

fn something() -> impl Strategy<Value = Option<CurrentPolicy>> {
    let policy = (
        prop_oneof![Just("d"), Just("e")],
        proptest::sample::subsequence(vec!["7", "8", "9", "10", "11"], 1..=5).prop_shuffle(),
        any::<proptest::sample::Index>(),
        some_targets(),
    )
        .prop_map(|(document, ids, default, targets)| {
            let default = default.index(ids.len());
            let star =
                |(at, id): (usize, &&str)| format!("{id}{}", if at == default { "*" } else { "" });
            let ids: Vec<String> = ids.iter().enumerate().map(star).collect();
            current(document, &ids.join(" "), &targets)
        });
    proptest::option::of(policy)
}

proptest! {
    #[test]
    fn a_plan_leads_to_what_is_wanted(there in something(), targets in some_targets(), only_these: bool) {
        let wanted = WantedDocument {
            name: name(),
            text: text(),
            targets: self::targets(&targets),
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
        let revocation = PolicyRevocation {
            name: name(),
            targets: named.as_deref().map(self::targets),
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
