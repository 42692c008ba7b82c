//! Each rule on documents that break it, and on their neighbours that do not.

use super::*;

const ARN: &str = "arn:aws:iot:us-east-1:123456789012:";

/// A statement in short: `allow iot:Subscribe topicfilter/a topicfilter/b`. Actions and resources may be lists with commas, and a condition
/// may follow after `if`.
fn statement(short: &str) -> String {
    let (short, condition) = match short.split_once(" if ") {
        Some((short, condition)) => (short, format!(",\"Condition\":{condition}")),
        None => (short, String::new()),
    };
    let mut words = short.split_whitespace();
    let effect = match words.next() {
        Some("allow") => "Allow",
        Some("deny") => "Deny",
        other => panic!("{other:?}"),
    };
    let list = |texts: Vec<String>| serde_json::to_string(&texts).unwrap();
    let actions = list(
        words
            .next()
            .unwrap()
            .split(',')
            .map(str::to_owned)
            .collect(),
    );
    let (element, resources): (_, Vec<&str>) = match words.clone().next() {
        Some("not") => ("NotResource", words.skip(1).collect()),
        _ => ("Resource", words.collect()),
    };
    let arn = |name: &&str| match name.starts_with("arn:") || *name == "*" {
        true => (*name).to_owned(),
        false => format!("{ARN}{name}"),
    };
    let resources = list(resources.iter().map(arn).collect());
    format!("{{\"Effect\":\"{effect}\",\"Action\":{actions},\"{element}\":{resources}{condition}}}")
}

fn document(statements: &[&str]) -> String {
    let statements: Vec<String> = statements.iter().map(|short| statement(short)).collect();
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[\n{}\n]}}",
        statements.join(",\n")
    )
}

fn linted(text: &str, principal: Option<ClientPrincipal>) -> Vec<LintFinding> {
    let document = Document::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let source = LintSource {
        text,
        document: &document,
    };
    lint(&[source], principal)
}

fn told(findings: &[LintFinding]) -> Vec<String> {
    let line = |finding: &LintFinding| {
        let TextPosition { line, column } = finding.at;
        format!("{line}:{column} {}: {}", finding.rule.code, finding.message)
    };
    findings.iter().map(line).collect()
}

/// Renders the findings in statements, with the statements, for a snapshot.
fn shown(cases: &[&[&str]]) -> String {
    let show = |statements: &&[&str]| {
        let found = told(&linted(&document(statements), None));
        format!("{}\n  {}\n", statements.join("\n"), found.join("\n  "))
    };
    cases.iter().map(show).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn clean(statements: &[&str]) {
    assert_eq!(
        told(&linted(&document(statements), None)),
        [""; 0],
        "{statements:?}"
    );
}

#[test]
fn broad_access() {
    insta::assert_snapshot!(shown(&[
        &["allow iot:Publish *"],
        &["allow iot:* *"],
        &["allow iot:Publish,iot:RetainPublish topic/*"],
        &[
            "allow iot:Subscribe topicfilter/#",
            "allow iot:Receive topic/a"
        ],
        &[
            "allow iot:Subscribe topicfilter/+/alerts",
            "allow iot:Receive topic/a/alerts"
        ],
        &["allow iot:Publish topic/$aws/things/*/shadow/update"],
        &["allow iot:UpdateThingShadow thing/*"],
        &["allow iot:Publish not topic/a"],
        &["allow iot:Publish arn:aws:iot:us-east-1:123456789012:*"],
        &["allow iotjobsdata:* thing/*"],
    ]));
    clean(&["allow iot:Publish topic/a/*"]);
    clean(&["allow iot:Publish topic/$aws/things/${iot:Connection.Thing.ThingName}/shadow/*"]);
    clean(&["allow iot:UpdateThingShadow thing/a"]);
    clean(&["deny iot:Publish topic/*"]);
    clean(&["allow iot:ListRetainedMessages *"]);
    clean(&["allow iot:DescribeEndpoint *"]);
}

#[test]
fn connecting() {
    insta::assert_snapshot!(shown(&[
        &["allow iot:Connect *"],
        &["allow iot:Connect client/*"],
        &["allow iot:Connect not client/admin"],
        &["allow iot:Connect client/${iot:ClientId}"],
        &[
            "allow iot:Connect client/${IOT:clientid}* if {\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}"
        ],
        &[
            "allow iot:Connect client/*",
            "allow iot:Subscribe topicfilter/my/${iot:ClientId}/topic topicfilter/my/x${iot:ClientId}",
            "allow iot:Receive topic/my/*",
        ],
    ]));
    clean(&["allow iot:Connect client/a client/a-*"]);
    clean(&["allow iot:Connect client/${iot:Connection.Thing.ThingName}"]);
    clean(&[
        "allow iot:Connect client/${iot:ClientId} if {\"Bool\":{\"iot:Connection.Thing.IsAttached\":\"true\"}}",
    ]);
    clean(&["allow iot:Connect * if {\"StringLike\":{\"iot:ClientId\":\"a-*\"}}"]);
    clean(&["deny iot:Connect client/*"]);
    clean(&[
        "allow iot:Connect client/a",
        "allow iot:Subscribe topicfilter/my/${iot:ClientId}/topic",
        "allow iot:Receive topic/my/*",
    ]);
}

#[test]
fn deliveries() {
    insta::assert_snapshot!(shown(&[
        &["allow iot:Subscribe topicfilter/a"],
        &[
            "allow iot:Subscribe topicfilter/a/* topicfilter/b/#",
            "allow iot:Receive topic/b/*"
        ],
        &[
            "allow iot:Subscribe topicfilter/a",
            "allow iot:Receive arn:aws:iot:eu-west-1:123456789012:topic/a"
        ],
        &["allow iot:Subscribe topicfilter/$share/g/a/+"],
        &["allow iot:Receive topic/*"],
        &["allow iot:Receive *"],
    ]));
    clean(&[
        "allow iot:Subscribe topicfilter/a/+/b",
        "allow iot:Receive topic/a/*/b",
    ]);
    clean(&[
        "allow iot:Subscribe topicfilter/a/*",
        "allow iot:Receive topic/a/b",
    ]);
    clean(&[
        "allow iot:Subscribe topicfilter/a/#",
        "allow iot:Receive topic/a/b",
    ]);
    clean(&[
        "allow iot:Subscribe topicfilter/$share/g/a/+",
        "allow iot:Receive topic/a/*",
    ]);
    clean(&[
        "allow iot:Subscribe topicfilter/a",
        "allow iot:Receive not topic/b",
    ]);
    clean(&[
        "allow iot:Subscribe topicfilter/a/${iot:Connection.Thing.ThingName}/b",
        "allow iot:Receive topic/a/${iot:Connection.Thing.ThingName}/*",
    ]);
}

#[test]
fn denies() {
    let receive = "allow iot:Receive topic/building/*";
    let subscribe = "allow iot:Subscribe topicfilter/building/*";
    insta::assert_snapshot!(shown(&[
        &[
            subscribe,
            receive,
            "deny iot:Subscribe topicfilter/building/control_room/#"
        ],
        &["deny iot:Publish topic/a/+/b"],
        &[
            subscribe,
            receive,
            "deny iot:Subscribe topicfilter/building/control_room/*"
        ],
        &[
            "allow iot:Subscribe topicfilter/building/+",
            receive,
            "deny iot:Subscribe topicfilter/building/x"
        ],
        &["deny iot:Subscribe topicfilter/building/x"],
    ]));
    let deny_receive = "deny iot:Receive topic/building/control_room/*";
    clean(&[
        subscribe,
        receive,
        "deny iot:Subscribe topicfilter/building/control_room/*",
        deny_receive,
    ]);
    clean(&["deny iot:Publish topic/a"]);
    clean(&["deny iot:Subscribe *"]);
}

#[test]
fn resources() {
    insta::assert_snapshot!(shown(&[
        &["allow iot:Subscribe topic/a"],
        &["allow iot:Subscribe,iot:Connect topic/a client/a"],
        &["allow iot:Receive topicfilter/a"],
        &["allow iot:Publish,iot:Receive topic/a topicfilter/a"],
        &["allow iot:Connect topic/a"],
        &["deny iot:Publish client/a"],
        &["allow iot:Publish,iot:Connect topic/a"],
        &["allow iot:Publish topic//a"],
        &["allow iot:Publish arn:aws:iot:us-east-1::topic/a"],
        &["allow iot:Publish arn:aws:iot:::topic/a"],
    ]));
    clean(&["allow iot:Subscribe,iot:Receive topicfilter/a topic/a"]);
    clean(&["allow iot:Publish arn:aws:iot:*:*:topic/a"]);
    clean(&["allow sqs:SendMessage arn:aws:sqs:us-east-1:123456789012:q"]);
    clean(&["allow s3:GetObject arn:aws:s3:::b/topic/a"]);
    clean(&["allow iot:Publish topic/a//b"]);
}

#[test]
fn what_matches_nothing() {
    insta::assert_snapshot!(shown(&[
        &[
            "allow iot:Subscribe topicfilter/camera/+",
            "allow iot:Publish,iot:Receive topic/camera/+"
        ],
        &["allow iot:RetainPublish,iot:Publish topic/acme/#"],
        &["allow iot:Publish topic/a+b"],
        &["allow iot:Connect client/+"],
        &["deny iot:Receive topic/a#b"],
        &["allow iot:GetRetainedMessage not topic/a/#"],
        &["allow iot:Publish topic/1/2/3/4/5/6/7/8/9"],
        &[
            "allow iot:Subscribe topicfilter/a+/b",
            "allow iot:Receive topic/*/b"
        ],
        &["allow iot:Connect client/$me"],
        &["allow iot:Publish arn:aws:iot:iot:us-east-1:123456789012:topic/a"],
        &["allow iot:Publish arn:aws:iot:123456789012:us-east-1:topic/a"],
        &["allow iot:Publish arn:aws:iot:us-east-1:123456789012:topic:a"],
        &["allow iot:Publish arn:aws:iotdata:us-east-1:123456789012:topic/a"],
    ]));
    // As the developer guide has them.
    clean(&["allow iot:Publish topic/foo/*"]);
    clean(&[
        "allow iot:Subscribe topicfilter/a/+/b topicfilter/a/#",
        "allow iot:Receive topic/a/*",
    ]);
    clean(&["allow iot:Publish topic/$aws/things/${iot:Connection.Thing.ThingName}/shadow/update"]);
    clean(&["allow iot:Connect client/${iot:Connection.Thing.ThingName}"]);
    clean(&["allow iot:Publish topic/$aws/rules/r/1/2/3/4/5/6/7/8"]);
}

#[test]
fn actions() {
    insta::assert_snapshot!(shown(&[
        &["allow iot:Subcribe,iot:Recieve topicfilter/a topic/a"],
        &["allow iotdata:Publish topic/a"],
        &["allow iot:Pubish* topic/a"],
        &["allow mqtt:Connect client/a"],
        &["allow iot:publish,iot:PUBLISHED topic/a"],
    ]));
    clean(&["allow iot:publish topic/a"]);
    clean(&["allow iot:DescribeEndpoint,iot:CreateThing *"]);
    clean(&["allow iot:Pub* topic/a"]);
    clean(&["allow sqs:SendMessage,iotsitewise:GetAsset *"]);
}

#[test]
fn placeholders() {
    insta::assert_snapshot!(shown(&[
        &["allow iot:Publish topic/${!iot:ClientId}/a"],
        &["allow iot:Publish topic/{{thing}}/a"],
        &["allow iot:Publish topic/<thing-name>/a"],
        &["allow iot:Connect arn:aws:iot:%REGION%:%ACCOUNT%:client/a"],
        &[
            "allow iot:Publish topic/a if {\"StringEquals\":{\"iot:ClientId\":\"$${iot:ClientId}\"}}"
        ],
    ]));
    clean(&["allow iot:Publish topic/a%2Fb/c"]);
}

#[test]
fn conditions() {
    let with = |condition: &str| format!("allow iot:Publish topic/a if {condition}");
    let found = [
        r#"{"StringEquals":{"iot:ClientId":[]}}"#,
        r#"{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":["PersistentConnection"]}}"#,
        r#"{"StringEquals":{"aws:SourceIp":"10.0.0.0/8"}}"#,
        r#"{"StringEquals":{"iot:ClientId":"a"},"StringLike":{"iot:ClientId":"b*"}}"#,
        r#"{"Bool":{"iot:Connection.Thing.IsAttached":"true"},"Null":{"iot:Connection.Thing.IsAttached":"true"}}"#,
    ]
    .map(with);
    let cases: Vec<[&str; 1]> = found.iter().map(|short| [&**short]).collect();
    let cases: Vec<&[&str]> = cases.iter().map(|case| &case[..]).collect();
    insta::assert_snapshot!(shown(&cases));
    for held in [
        r#"{"ForAllValues:StringEquals":{"iot:ConnectAttributes":["PersistentConnect","LastWill"]}}"#,
        r#"{"ForAllValues:StringEquals":{"iot:ConnectAttributes":[]}}"#,
        r#"{"StringEquals":{"iot:ClientId":["a","b"]},"StringLike":{"iot:ClientId":"b*"}}"#,
        r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"NotIpAddress":{"aws:SourceIp":"10.1.0.0/16"}}"#,
    ] {
        clean(&[&with(held)]);
    }
}

#[test]
fn statements_that_decide_nothing() {
    insta::assert_snapshot!(shown(&[
        &[],
        &["allow iot:Publish arn:aws:s3:::b/topic/a"],
        &["deny iot:Connect arn:aws:sqs:us-east-1:123456789012:q"],
        &["allow iot:Publish not *"],
        &["allow iot:Publish topic/a/b", "deny iot:* *"],
        &["allow iot:Publish topic/a/b", "deny iot:Publish topic/a/*"],
        &["allow iot:RetainPublish topic/a"],
        &[
            "allow iot:Subscribe topicfilter/b",
            "allow iot:Receive topic/b topic/c"
        ],
    ]));
    clean(&[
        "allow iot:Publish topic/a/b",
        "deny iot:Publish topic/a/c/*",
    ]);
    clean(&[
        "allow iot:RetainPublish topic/a/*",
        "allow iot:Publish topic/a/1",
    ]);
    let allows =
        |short: &[&str]| impossible::allows_anything(&[Document::parse(&document(short)).unwrap()]);
    assert!(allows(&["allow iot:Publish topic/a"]));
    for none in [
        &[][..],
        &["deny iot:Publish topic/a"],
        &["allow iot:Publish client/a"],
    ] {
        assert!(!allows(none), "{none:?}");
    }
}

#[test]
fn variables_before_wildcards() {
    insta::assert_snapshot!(shown(&[
        &["allow iot:Publish topic/$aws/things/${iot:Connection.Thing.ThingName}*"],
        &["allow iot:Publish topic/a/${iot:ClientId}?"],
        &["allow iot:Connect client/${iot:Connection.Thing.ThingName}*"],
        &[
            "allow iot:Publish topic/a if {\"StringLike\":{\"iot:DomainName\":\"${iot:ClientId}*\"}}"
        ],
        &["allow iot:Publish topic/${ClientId}/a"],
        &["allow iot:Publish topic/${iot:Connection.Thing.thingname}/a"],
        &["allow iot:Publish topic/${IoT::ClientId}/${iot:Certificate.Subject.CommonNam}"],
    ]));
    clean(&["allow iot:Connect client/${iot:Connection.Thing.ThingName}-*"]);
    clean(&["allow iot:Publish topic/a${*}*"]);
    clean(&["allow iot:Publish topic/${iot:Certificate.Subject.CommonName.1}/a"]);
}

#[test]
fn variables() {
    let of = |principal| {
        let text = document(&[
            "allow iot:Publish topic/a/${iot:ClientId}",
            "allow iot:Publish topic/b/${iot:Connection.Thing.ThingName}",
            "allow iot:Publish topic/c/${iot:Certificate.Subject.CommonName}",
            "allow iot:Publish topic/d/${cognito-identity.amazonaws.com:sub}",
            "allow iot:Publish topic/e if {\"StringEquals\":{\"iot:CertificateId\":\"${aws:userid}\"}}",
        ]);
        told(&linted(&text, principal)).join("\n")
    };
    assert_eq!(of(None), "");
    let all = ClientPrincipal::NAMES
        .map(|(name, principal)| format!("{name}\n{}\n", of(Some(principal))));
    insta::assert_snapshot!(all.join("\n"));
    insta::assert_snapshot!(shown(&[
        &["allow iot:Publish topic/${iot:ClientID}/${iot:ClientName}"],
        &["allow iot:Publish topic/a/${iot:Connection.Thing.Name}"],
        &["allow iot:Publish topic/a if {\"StringEquals\":{\"iot:LastWill\":\"x\"}}"],
    ]));
    clean(&["allow iot:Publish topic/a/${iot:Connection.Thing.Attributes[site]}/${*}"]);
    let old = document(&["allow iot:Publish topic/${iot:ClientId}"]).replace("2012", "2008");
    insta::assert_snapshot!(told(&linted(&old, None)).join("\n"), @"2:56 variable-in-old-version: `arn:aws:iot:us-east-1:123456789012:topic/${iot:ClientId}` has a variable, and the document is of the old version");
}

#[test]
fn sizes() {
    let resources: Vec<String> = (0..25).map(|n| format!("topic/{n:036}")).collect();
    let short = format!("allow iot:Publish {}", resources.join(" "));
    let text = document(&[&short]);
    insta::assert_snapshot!(told(&linted(&text, None)).join("\n"), @"1:1 too-large: the document has 2095 characters, 47 too many");
    assert_eq!(told(&linted(&text, Some(ClientPrincipal::Iam))), [""; 0]);
    let padded =
        document(&["allow iot:Publish topic/a"]).replace(',', &format!(",{}", " ".repeat(2_000)));
    assert_eq!(told(&linted(&padded, None)), [""; 0]);
}

/// Two documents that concern the same clients are looked at together.
#[test]
fn documents_are_taken_together() {
    let texts = [
        document(&["allow iot:Subscribe topicfilter/a"]),
        document(&["allow iot:Receive topic/a"]),
    ];
    let documents = texts.each_ref().map(|text| Document::parse(text).unwrap());
    let sources: Vec<LintSource<'_>> = texts
        .iter()
        .zip(&documents)
        .map(|(text, document)| LintSource { text, document })
        .collect();
    assert_eq!(lint(&sources, None), []);
    assert_eq!(lint(&sources[..1], None).len(), 1);
}

#[test]
fn rules_are_complete() {
    let codes: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    let mut unique = codes.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), codes.len());
    for rule in RULES {
        for text in [rule.reason, rule.fix] {
            assert!(
                !text.is_empty() && !text.ends_with('.') && !text.contains('\n'),
                "{text}"
            );
        }
    }
}

/// The page of the manual: a section for each rule, in order, whose first example is found and whose second is clean.
#[test]
fn the_manual_explains_every_rule() {
    let manual = include_str!("../../../docs/lints.md");
    let sections: Vec<&str> = manual.split("\n## `").skip(1).collect();
    let titles = sections
        .iter()
        .map(|section| section.split('`').next().unwrap());
    assert!(titles.eq(RULES.iter().map(|rule| rule.code)));
    for (rule, section) in RULES.iter().zip(sections) {
        let level = match rule.level {
            FindingLevel::Error => "\n\nError",
            FindingLevel::Warning => "\n\nWarning",
        };
        assert!(section.contains(level), "{}", rule.code);
        let principal = section
            .contains("With `--principal custom-authorizer`:")
            .then_some(ClientPrincipal::CustomAuthorizer);
        let examples = section.split("```json\n").skip(1);
        let examples: Vec<String> = examples
            .map(|example| {
                let example = example.split("```").next().unwrap();
                match example.starts_with('[') {
                    true => format!("{{\"Version\":\"2012-10-17\",\"Statement\":{example}}}"),
                    false => example.to_owned(),
                }
            })
            .collect();
        match examples.as_slice() {
            [] => assert_eq!(rule.code, "too-large"),
            [found, clean] => {
                let codes: Vec<&str> = linted(found, principal)
                    .iter()
                    .map(|finding| finding.rule.code)
                    .collect();
                assert!(codes.contains(&rule.code), "{}: {codes:?}", rule.code);
                assert_eq!(told(&linted(clean, principal)), [""; 0], "{}", rule.code);
            }
            other => panic!("{}: {} examples", rule.code, other.len()),
        }
    }
}
