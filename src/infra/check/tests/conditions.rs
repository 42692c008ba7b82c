//! Conditions of templates, and parameters that nobody gave.

use super::alone;
use super::hostile::{RIGHT, finds, with};
use crate::infra::check::{TemplateFile, check};

/// Conditions that name each other ten times over at each of twelve levels: each is decided once.
#[test]
fn conditions_of_conditions() {
    let found = |first: &str| {
        let mut conditions = format!("IsProd: !Equals [a, {first}]");
        let mut below = "IsProd".to_owned();
        for level in 0..12 {
            let each = vec![format!("!Condition {below}"); 10].join(", ");
            below = format!("Level{level}");
            conditions = format!("{conditions}\n  {below}: !And [{each}]");
        }
        let text = with("IsProd: !Equals [!Ref Env, prod]", &conditions);
        let text = text.replace(
            "DeadLetterConfig: { Arn: !GetAtt D.Arn }",
            &format!(
                "DeadLetterConfig: !If [{below}, {{ Arn: !GetAtt D.Arn }}, !Ref AWS::NoValue]"
            ),
        );
        alone(&text).len()
    };
    assert_eq!((found("a"), found("b")), (0, 1));
}

/// Parameters and conditions: values that nobody gave are tried, and a finding names the value.
#[test]
fn conditions_that_nobody_decided() {
    let letters = "DeadLetterConfig: { Arn: !GetAtt D.Arn }";
    let of = |text: &str| {
        alone(text)
            .iter()
            .map(|one| format!("{} {}", one.code, one.message))
            .collect::<Vec<_>>()
    };
    let conditional = with(
        letters,
        "DeadLetterConfig: !If [IsProd, { Arn: !GetAtt D.Arn }, !Ref AWS::NoValue]",
    );
    let found = of(&conditional);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("target-without-dead-letters ")
            && found[0].ends_with("; so where `Env` is another value"),
        "{found:?}"
    );
    let allowed = conditional.replace(
        "Env: { Type: String }",
        "Env: { Type: String, AllowedValues: [dev, prod] }",
    );
    assert!(
        of(&allowed)[0].ends_with("; so where `Env` is `dev`"),
        "{:?}",
        of(&allowed)
    );
    // A default decides, and so does a value that the caller gives.
    finds(
        &conditional.replace(
            "Env: { Type: String }",
            "Env: { Type: String, Default: prod }",
        ),
        "",
    );
    let file = TemplateFile {
        name: "t.yaml",
        text: &conditional,
    };
    assert_eq!(check(&[file], &[("Env".into(), "prod".into())], None), []);
    // Conditions that exclude each other are not tried together.
    let two = with(
        "IsProd: !Equals [!Ref Env, prod]",
        "IsProd: !Equals [!Ref Env, prod]\n  IsTest: !Not [!Condition IsProd]",
    );
    let two = two.replace(
        "    Type: AWS::SQS::QueuePolicy\n",
        "    Type: AWS::SQS::QueuePolicy\n    Condition: IsTest\n",
    );
    let two = two.replacen("  R:\n    Type", "  R:\n    Condition: IsTest\n    Type", 1);
    finds(&two, "");
    // The policy is made in production alone.
    let policy = with(
        "    Type: AWS::SQS::QueuePolicy\n",
        "    Type: AWS::SQS::QueuePolicy\n    Condition: IsProd\n",
    );
    finds(&policy, "queue-without-policy dead-letters-without-policy");
    // A Region decides.
    let region = with(
        "IsProd: !Equals [!Ref Env, prod]",
        "IsProd: !Equals [!Ref AWS::Region, us-east-1]",
    );
    finds(
        &region.replace("maxReceiveCount: 5", "maxReceiveCount: !If [IsProd, 5, 1]"),
        "few-receives",
    );
    // So many parameters that not all combinations are tried.
    let many: String = (0..40)
        .map(|n| format!("  C{n}: !Equals [!Ref P{n}, x]\n"))
        .collect();
    finds(
        &RIGHT.replace("Conditions:\n", &format!("Conditions:\n{many}")),
        "",
    );
}
