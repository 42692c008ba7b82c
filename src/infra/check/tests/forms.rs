//! Templates in other forms: functions, JSON, those that the CDK and SAM make, services, and
//! nonsense.

use super::alone;
use super::hostile::{RIGHT, change, codes, finds, with};
use crate::infra::check::{TemplateFile, check};

/// Mappings, lists and parts of text.
#[test]
fn functions() {
    let maps = with(
        "Conditions:\n",
        "Mappings: { M: { dev: { Receives: 1 }, prod: { Receives: 5 } } }\nConditions:\n",
    );
    let maps = maps.replace(
        "maxReceiveCount: 5",
        "maxReceiveCount: !FindInMap [M, !Ref Env, Receives]",
    );
    finds(
        &maps.replace(
            "Env: { Type: String }",
            "Env: { Type: String, Default: dev }",
        ),
        "few-receives",
    );
    finds(
        &maps.replace(
            "Env: { Type: String }",
            "Env: { Type: String, Default: prod }",
        ),
        "",
    );
    for one in [
        "!Select [1, [5, 1]]",
        "!Select ['1', !Split [',', '5,1']]",
        "!Select [0, !Split ['-', !Join ['-', ['1', '5']]]]",
    ] {
        change(
            "maxReceiveCount: 5",
            &format!("maxReceiveCount: {one}"),
            "few-receives",
        );
    }
    change(
        "maxReceiveCount: 5",
        "maxReceiveCount: !Select [7, [1]]",
        "",
    );
}

/// JSON: indented with tabs, with a mark of byte order, and with text that JSON alone has.
#[test]
fn json_templates() {
    let json = "\u{feff}{\n\t\"Resources\": {\n\t\t\"R\": { \"Type\": \"AWS::Events::Rule\", \"Properties\": {\n\t\t\t\"Description\": \"\\ud83d\\ude00 \\/\",\n\t\t\t\"State\": \"DISABLED\",\n\t\t\t\"Targets\": [{ \"Id\": \"1\", \"Arn\": \"arn:aws:sqs:eu-west-1:123456789012:q\" }] } }\n\t}\n}\n";
    let faults = alone(json);
    let at: Vec<String> = faults
        .iter()
        .map(|one| format!("{} {}", one.code, one.place))
        .collect();
    assert_eq!(
        at,
        [
            "rule-disabled t.yaml:5:13",
            "target-without-dead-letters t.yaml:6:16"
        ]
    );
    let crlf = RIGHT
        .replace("maxReceiveCount: 5", "maxReceiveCount: 1")
        .replace('\n', "\r\n");
    finds(&crlf, "few-receives");
    assert_eq!(codes("{\"Resources\": {\"Q\": }"), "not-a-template");
}

/// As the CDK synthesizes it: references by Fn::GetAtt and Fn::Join, exports for other stacks, and
/// its own metadata.
#[test]
fn templates_of_the_cdk() {
    let queues = r#"{"Resources":{
      "Events63C1F4C1":{"Type":"AWS::SQS::Queue","Properties":{"KmsMasterKeyId":{"Fn::GetAtt":["Key961B73FD","Arn"]},
        "RedrivePolicy":{"deadLetterTargetArn":{"Fn::GetAtt":["Letters1","Arn"]},"maxReceiveCount":5}},"UpdateReplacePolicy":"Delete","DeletionPolicy":"Delete","Metadata":{"aws:cdk:path":"S/Events/Resource"}},
      "Letters1":{"Type":"AWS::SQS::Queue","Properties":{"MessageRetentionPeriod":1209600}},
      "Key961B73FD":{"Type":"AWS::KMS::Key","Properties":{"KeyPolicy":{"Statement":[
        {"Action":"kms:*","Effect":"Allow","Principal":{"AWS":{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},":iam::1:root"]]}},"Resource":"*"},
        {"Action":["kms:Decrypt","kms:Encrypt","kms:GenerateDataKey*","kms:ReEncrypt*"],"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Resource":"*"}],"Version":"2012-10-17"}}},
      "EventsPolicy":{"Type":"AWS::SQS::QueuePolicy","Properties":{"PolicyDocument":{"Statement":[{"Action":["sqs:SendMessage","sqs:GetQueueAttributes","sqs:GetQueueUrl"],"Condition":{"ArnEquals":{"aws:SourceArn":{"Fn::ImportValue":"Rules:ExportsOutputFnGetAttRule4C995B7FArn"}}},"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Resource":{"Fn::GetAtt":["Events63C1F4C1","Arn"]}}],"Version":"2012-10-17"},"Queues":[{"Ref":"Events63C1F4C1"}]}},
      "CDKMetadata":{"Type":"AWS::CDK::Metadata","Properties":{"Analytics":"v2:x"},"Condition":"CDKMetadataAvailable"}},
     "Conditions":{"CDKMetadataAvailable":{"Fn::Or":[{"Fn::Or":[{"Fn::Equals":[{"Ref":"AWS::Region"},"af-south-1"]},{"Fn::Equals":[{"Ref":"AWS::Region"},"eu-west-1"]}]},{"Fn::Equals":[{"Ref":"AWS::Region"},"us-east-1"]}]}},
     "Parameters":{"BootstrapVersion":{"Type":"AWS::SSM::Parameter::Value<String>","Default":"/cdk-bootstrap/hnb659fds/version"}},
     "Rules":{"CheckBootstrapVersion":{"Assertions":[{"Assert":{"Fn::Not":[{"Fn::Contains":[["1","2"],{"Ref":"BootstrapVersion"}]}]},"AssertDescription":"x"}]}},
     "Outputs":{"ExportsOutputFnGetAttEventsArn":{"Value":{"Fn::GetAtt":["Events63C1F4C1","Arn"]},"Export":{"Name":"Queues:ExportsOutputFnGetAttEvents63C1F4C1Arn"}}}}"#;
    let rules = r#"{"Resources":{"Rule4C995B7F":{"Type":"AWS::Events::Rule","Properties":{"EventPattern":{"source":["shop"]},"State":"ENABLED","Targets":[
      {"Arn":{"Fn::ImportValue":"Queues:ExportsOutputFnGetAttEvents63C1F4C1Arn"},"Id":"Target0"}]}}},
      "Outputs":{"E":{"Value":{"Fn::GetAtt":["Rule4C995B7F","Arn"]},"Export":{"Name":"Rules:ExportsOutputFnGetAttRule4C995B7FArn"}}}}"#;
    let of = |queues: &str, rules: &str| {
        let files = [
            TemplateFile {
                name: "Queues.template.json",
                text: queues,
            },
            TemplateFile {
                name: "Rules.template.json",
                text: rules,
            },
        ];
        let faults = check(&files, &[], None);
        faults
            .iter()
            .map(|one| one.code)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of(queues, rules), "target-without-dead-letters");
    assert_eq!(
        of(&queues.replace("kms:GenerateDataKey*", "kms:Verify"), rules),
        "key-without-grant target-without-dead-letters"
    );
    assert_eq!(
        of(
            &queues.replace(
                "\"Queues\":[{\"Ref\":\"Events63C1F4C1\"}]",
                "\"Queues\":[{\"Ref\":\"Letters1\"}]"
            ),
            rules
        ),
        "queue-without-policy target-without-dead-letters"
    );
    // Alone, each is silent on resources in the other.
    assert_eq!(codes(queues), "");
    assert_eq!(codes(rules), "");
}

/// SAM: connectors make the policies, and its own types are passed over.
#[test]
fn templates_of_sam() {
    let policy = RIGHT.find("  P:\n").unwrap();
    let bare = format!(
        "Transform: AWS::Serverless-2016-10-31\nGlobals: {{ Function: {{ Timeout: 3 }} }}\n{}",
        &RIGHT[1..policy]
    );
    finds(&bare, "queue-without-policy dead-letters-without-policy");
    let connector = |id: &str| {
        format!(
            "  C{id}: {{ Type: 'AWS::Serverless::Connector', Properties: {{ Source: {{ Id: R }}, Destination: {{ Id: {id} }}, Permissions: [Write] }} }}\n"
        )
    };
    finds(
        &format!("{bare}{}", connector("Q")),
        "dead-letters-without-policy",
    );
    finds(&format!("{bare}{}{}", connector("Q"), connector("D")), "");
    let embedded = bare.replacen("  R:\n", "  R:\n    Connectors: { C: { Properties: { Destination: [{ Id: Q }, { Id: D }], Permissions: [Write] } } }\n", 1);
    finds(&embedded, "");
    let function = "  F: { Type: 'AWS::Serverless::Function', Properties: { Events: { E: { Type: EventBridgeRule, Properties: { Pattern: { source: [shop] } } } } } }\n";
    finds(&format!("{RIGHT}{function}"), "");
}

/// Tasks and load balancers in other words, and those of other programs.
#[test]
fn services() {
    let task = |container: &str| {
        format!(
            "Resources:\n  T: {{ Type: 'AWS::ECS::TaskDefinition', Properties: {{ ContainerDefinitions: [{container}] }} }}\n"
        )
    };
    for container in [
        "{ Command: [bridge], StopTimeout: 150 }",
        "{ EntryPoint: [/eventcast, bridge], StopTimeout: '150' }",
        "{ Command: [sh, -c, 'exec eventcast bridge --wait'], StopTimeout: 150 }",
        "{ Image: 'a.b/eventcast:1', StopTimeout: 150 }",
        "{ Image: 'eventcast@sha256:0', StopTimeout: !If [Nowhere, 1, 2], Command: [bridge] }, { Command: bridge, StopTimeout: 121 }",
    ] {
        finds(&task(container), "stop-timeout");
    }
    for other in [
        "{ Image: nginx, StopTimeout: 150 }",
        "{ Command: [bridge], StopTimeout: !Ref S }",
        "{ Image: 'a/eventcast-dev', StopTimeout: 150 }",
    ] {
        finds(&task(other), "");
    }
    let balancer = |more: &str| {
        format!(
            "  B: {{ Type: 'AWS::ElasticLoadBalancingV2::LoadBalancer', Properties: {{ Name: b{more} }} }}\n"
        )
    };
    let gateway = task("{ Name: gateway, Command: [gateway], StopTimeout: 70 }");
    // Without a setting it is 60 seconds, which is enough.
    finds(&format!("{gateway}{}", balancer("")), "");
    let idle = |value: &str| {
        let attribute = "{ Key: idle_timeout.timeout_seconds, Value:";
        balancer(&format!(
            ", LoadBalancerAttributes: [{attribute} {value} }}]"
        ))
    };
    finds(&format!("{gateway}{}", idle("'50'")), "idle-timeout");
    finds(&format!("{gateway}{}", idle("59")), "idle-timeout");
    finds(&format!("{}{}", task("{ Image: nginx }"), idle("30")), "");
    finds(&format!("{gateway}{}", balancer(", Type: network")), "");
    finds(
        &format!(
            "{gateway}{}",
            balancer(
                ", LoadBalancerAttributes: [{ Key: idle_timeout.timeout_seconds, Value: !Ref T }]"
            )
        ),
        "",
    );
    finds(&format!("{}{}", task("{ Image: nginx }"), balancer("")), "");
    let group = |id: &str, more: &str| {
        format!(
            "  {id}: {{ Type: 'AWS::ElasticLoadBalancingV2::TargetGroup', Properties: {{ Port: 80{more} }} }}\n"
        )
    };
    finds(&format!("{gateway}{}", group("G", "")), "deregistration");
    // The target group of another service has its own delay.
    let service = "  S: { Type: 'AWS::ECS::Service', Properties: { LoadBalancers: [{ ContainerName: gateway, TargetGroupArn: !Ref G }] } }\n";
    let short =
        ", TargetGroupAttributes: [{ Key: deregistration_delay.timeout_seconds, Value: 60 }]";
    finds(
        &format!("{gateway}{service}{}{}", group("G", short), group("H", "")),
        "",
    );
}

/// Metric math: guards in other words, and text that only looks like one.
#[test]
fn metric_math() {
    let policy = |expression: &str| {
        format!(
            "Resources:\n  P: {{ Type: 'AWS::ApplicationAutoScaling::ScalingPolicy', Properties: {{ TargetTrackingScalingPolicyConfiguration: {{ CustomizedMetricSpecification: {{ Metrics: [{{ Id: m1, MetricStat: {{ Metric: {{ MetricName: ApproximateNumberOfMessagesVisible }} }} }}, {{ Id: m2, MetricStat: {{ Metric: {{ MetricName: RunningTaskCount }} }} }}, {{ Id: e, Expression: '{expression}' }}] }} }} }} }}\n"
        )
    };
    for wrong in [
        "m1 / m2",
        "m1/(m2)",
        "IF(m1 > 0, m1 / m2, 0)",
        "m1 / FILL(m2, 1)",
        "100 * m1 / FILL( m2, 0)",
    ] {
        finds(&policy(wrong), "scaling-without-guard");
    }
    for right in [
        "IF(m2 < 1, m1, m1 / m2)",
        "IF(FILL(m2, 0) >= 1, m1 / m2, m1)",
        "m1 / MAX([FILL(m2, 0), 1])",
        "m1 / m20",
        "if(m2, m1/m2, m1)",
    ] {
        finds(&policy(right), "");
    }
    let alarm = policy("m1 / m2")
        .replace(
            "AWS::ApplicationAutoScaling::ScalingPolicy",
            "AWS::CloudWatch::Alarm",
        )
        .replace(
            "TargetTrackingScalingPolicyConfiguration: { CustomizedMetricSpecification: { Metrics",
            "Metrics",
        )
        .replace("}] } } } }", "}] } }");
    finds(&alarm, "scaling-without-guard");
    let cluster = |settings: &str| {
        format!(
            "{}  C: {{ Type: 'AWS::ECS::Cluster'{settings} }}\n",
            policy("IF(m2 < 1, m1, m1 / m2)")
        )
    };
    finds(&cluster(""), "no-container-insights");
    finds(
        &cluster(
            ", Properties: { ClusterSettings: [{ Name: containerInsights, Value: enhanced }] }",
        ),
        "",
    );
    finds(
        &cluster(", Properties: { ClusterSettings: [{ Name: containerInsights, Value: !Ref I }] }"),
        "",
    );
}

/// Nonsense of every kind is no reason to fail.
#[test]
fn nonsense() {
    for text in [
        "Resources: { R: 1 }",
        "Resources: { R: [] }",
        "Resources: { R: { Type: [a], Properties: x } }",
        "Resources: { R: { Type: 'AWS::Events::Rule', Properties: { Targets: x } } }",
        "Resources: { R: { Type: 'AWS::Events::Rule', Properties: { Targets: [[[{}]]] } } }",
        "Resources: { 'Fn::ForEach::Q': [N, [a, b], { 'Q${N}': { Type: 'AWS::SQS::Queue' } }] }",
        "Resources: { Q: { Type: 'AWS::SQS::Queue', Properties: { RedrivePolicy: '{{', VisibilityTimeout: -1 } } }",
        "Resources: { Q: { Type: 'AWS::SQS::Queue', Properties: { RedrivePolicy: [1] } }, P: { Type: 'AWS::SQS::QueuePolicy', Properties: { Queues: !Ref Q, PolicyDocument: '[' } } }",
        "Conditions: { A: !Equals [a], B: !Or [], C: !Equals [!Ref X, [y]] }\nResources: { Q: { Type: 'AWS::SQS::Queue', Condition: A } }",
        "Outputs: { O: { Value: !Ref Q, Export: { Name: x } }, P: { Value: !ImportValue x, Export: { Name: y } } }\nResources: { Q: { Type: 'AWS::SQS::Queue' } }",
        "Resources: { Q: { Type: 'AWS::SQS::Queue', Properties: !Sub ['${', {}] } }",
        "Resources: { Q: { Type: 'AWS::SQS::Queue', Properties: { QueueName: !Select [x, !Split [a, b, c]] } } }",
    ] {
        alone(text);
    }
    // Exports that import each other end.
    let loop_ = "Resources: { R: { Type: 'AWS::Events::Rule', Properties: { Targets: [{ Id: a, Arn: !ImportValue a }] } } }\nOutputs: { A: { Value: !ImportValue b, Export: { Name: a } }, B: { Value: !ImportValue a, Export: { Name: b } } }\n";
    finds(loop_, "");
}
