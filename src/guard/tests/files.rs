//! Templates, manifests and lock files.

use super::{check, lines, report};

#[test]
fn templates_that_hide() {
    let head = "AWSTemplateFormatVersion: '2010-09-09'\n";
    let api = |protocol: &str, more: &str| {
        format!(
            "{head}{more}Resources:\n  Api:\n    Type: AWS::ApiGatewayV2::Api\n    Properties:\n      ProtocolType: {protocol}\n"
        )
    };
    let parameter = "Parameters:\n  P:\n    Type: String\n    Default: WEBSOCKET\n";
    check("t.yaml", &api("!Ref P", parameter), &[("RT020", 10)]);
    check("t.yaml", &api("{Ref: P}", parameter), &[("RT020", 10)]);
    check(
        "t.yaml",
        &api("!Join ['', [WEB, SOCKET]]", ""),
        &[("RT020", 6)],
    );
    let open = report(
        &[(
            "t.yaml",
            &api("!Ref P", "Parameters:\n  P:\n    Type: String\n"),
        )],
        "",
    );
    assert!(
        open.findings.is_empty() && open.skipped.len() == 1,
        "{}",
        lines(&open)
    );
    let loops = format!(
        "{head}Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Apis:\n    - Kind\n    - [HTTP, WEBSOCKET]\n    - Api${{Kind}}:\n        Type: AWS::ApiGatewayV2::Api\n        Properties:\n          ProtocolType: !Ref Kind\n"
    );
    let report_of = report(&[("t.yaml", &loops)], "");
    assert_eq!(report_of.findings.len(), 1, "{}", lines(&report_of));
    assert!(report_of.skipped.is_empty(), "{}", lines(&report_of));
    let macros = report(
        &[(
            "t.yaml",
            &format!("{head}Transform: [Mine]\nResources:\n  A:\n    Type: AWS::SQS::Queue\n"),
        )],
        "",
    );
    assert_eq!(macros.skipped.len(), 1, "{}", lines(&macros));
}

#[test]
fn loops_in_loops() {
    let head = "AWSTemplateFormatVersion: '2010-09-09'\nTransform: AWS::LanguageExtensions\n";
    let named = format!(
        "{head}Resources:\n  Fn::ForEach::Outer:\n    - I\n    - [a, b]\n    - Fn::ForEach::Inner:\n        - J\n        - [c, d]\n        - X${{I}}${{J}}:\n            Type: AWS::AppSync::Api\n"
    );
    let named = report(&[("t.yaml", &named)], "");
    for name in ["`Xac`", "`Xad`", "`Xbc`", "`Xbd`"] {
        assert!(lines(&named).contains(name), "{name}\n{}", lines(&named));
    }
    assert_eq!(
        (named.findings.len(), named.skipped.len()),
        (4, 0),
        "{}",
        lines(&named)
    );
    // 12 values in three loops are 1,884 copies, in four loops 22,620.
    let values: Vec<String> = (0..12).map(|at| format!("v{at}")).collect();
    let values = values.join(", ");
    let mut body = "{'Q${A}${B}${C}${D}': {Type: 'AWS::SQS::Queue'}}".to_owned();
    let mut skipped = Vec::new();
    for name in ["D", "C", "B", "A"] {
        body = format!("{{'Fn::ForEach::{name}': [{name}, [{values}], {body}]}}");
        let text = format!("{head}Resources: {body}\n");
        let looped = report(&[("t.yaml", &text)], "");
        assert!(looped.findings.is_empty(), "{}", lines(&looped));
        skipped.push(lines(&looped));
    }
    assert!(
        skipped[..3].iter().all(|lines| lines == "  nothing\n"),
        "{skipped:?}"
    );
    assert_eq!(
        skipped[3],
        "  CannotTell `Fn::ForEach::A`: the template's loops make more than 2000 copies\n"
    );
}

#[test]
fn terraform_in_its_forms() {
    let plan = r#"{"format_version":"1.2","planned_values":{},"resource_changes":[
{"address":"aws_apigatewayv2_api.a","mode":"managed","type":"aws_apigatewayv2_api","change":{"actions":["create"],"after":{"protocol_type":"WEBSOCKET"},"after_unknown":{}}},
{"address":"aws_apigatewayv2_api.b","mode":"managed","type":"aws_apigatewayv2_api","change":{"actions":["delete"],"after":null,"after_unknown":{}}},
{"address":"aws_lambda_function_url.c","mode":"managed","type":"aws_lambda_function_url","change":{"actions":["create"],"after":{},"after_unknown":{"invoke_mode":true}}}]}"#;
    let of_plan = report(&[("plan.json", plan)], "");
    assert_eq!(
        (of_plan.findings.len(), of_plan.skipped.len()),
        (1, 1),
        "{}",
        lines(&of_plan)
    );
    check(
        "a.tf",
        "variable \"p\" {\n  default = \"WEBSOCKET\"\n}\nresource \"aws_apigatewayv2_api\" \"a\" {\n  protocol_type = var.p\n}\n",
        &[("RT020", 5)],
    );
    check(
        "a.tf",
        "module \"api\" {\n  source        = \"terraform-aws-modules/apigateway-v2/aws\"\n  protocol_type = \"WEBSOCKET\"\n}\n",
        &[("RT020", 3)],
    );
    check(
        "a.tf.json",
        "{\"resource\": {\"aws_iot_topic_rule\": {\"a\": {\"sql\": \"SELECT 1\"}}}}",
        &[("RT024", 1)],
    );
    let open = report(
        &[(
            "a.tf",
            "resource \"aws_apigatewayv2_api\" \"a\" {\n  protocol_type = var.p\n}\n",
        )],
        "",
    );
    assert_eq!(
        (open.findings.len(), open.skipped.len()),
        (0, 1),
        "{}",
        lines(&open)
    );
    check(
        "a.tf",
        "resource \"aws_sfn_state_machine\" \"a\" {\n  definition = <<-EOT\n    {\"Resource\": \"arn:aws:states:::aws-sdk:iotdataplane:publish\"}\n  EOT\n}\n",
        &[("RT023", 2)],
    );
}

#[test]
fn manifests_and_locks() {
    check(
        "package.json",
        r#"{"dependencies": {"a": "npm:socket.io-client@4"}}"#,
        &[("RT030", 1)],
    );
    check(
        "package-lock.json",
        r#"{"packages": {"": {"dependencies": {"ws": "8"}}, "node_modules/x": {"dependencies": {"ws": "8"}}}}"#,
        &[("RT030", 1)],
    );
    check(
        "pnpm-lock.yaml",
        "lockfileVersion: '9.0'\nimporters:\n  apps/web:\n    dependencies:\n      mqtt:\n        specifier: ^5\n        version: 5.1.0\npackages:\n  ws@8: {}\n",
        &[("RT030", 5)],
    );
    check(
        "yarn.lock",
        "\"web@workspace:.\":\n  version: 0\n  dependencies:\n    ws: \"npm:^8\"\n\n\"ws@npm:^8\":\n  version: 8\n",
        &[("RT030", 4)],
    );
    check(
        "Cargo.toml",
        "[dependencies]\nsocket = { package = \"tokio-tungstenite\", version = \"1\" }\n[dev-dependencies]\nrumqttc = \"1\"\n",
        &[("RT030", 2)],
    );
    check(
        "requirements.txt",
        "# real time\nflask==3\nFlask_SocketIO>=5 ; python_version > '3'\n",
        &[("RT030", 3)],
    );
    check(
        "pyproject.toml",
        "[project]\ndependencies = [\n  \"paho-mqtt>=2\",\n]\n[project.optional-dependencies]\ndev = [\"websockets\"]\n",
        &[("RT030", 3)],
    );
    check(
        "uv.lock",
        "[[package]]\nname = \"a\"\nsource = { virtual = \".\" }\ndependencies = [\n  { name = \"websockets\" },\n]\n[[package]]\nname = \"b\"\nsource = { registry = \"x\" }\ndependencies = [{ name = \"wsproto\" }]\n",
        &[("RT030", 5)],
    );
    check(
        "go.mod",
        "module a\n\nrequire (\n\tgithub.com/gorilla/websocket v1.5.3\n\tgithub.com/coder/websocket v1.8.0 // indirect\n)\n",
        &[("RT030", 4)],
    );
    check(
        "pom.xml",
        "<project>\n<!-- <dependency> -->\n<dependency><groupId>org.java-websocket</groupId><artifactId>Java-WebSocket</artifactId></dependency>\n</project>\n",
        &[("RT030", 3)],
    );
    check(
        "build.gradle.kts",
        "dependencies {\n    implementation(\"io.socket:socket.io-client:2.1.1\")\n    testImplementation(\"io.ably:ably-java:1\")\n}\n",
        &[("RT030", 2)],
    );
    let both = report(
        &[
            ("package.json", r#"{"dependencies": {"ws": "8"}}"#),
            (
                "package-lock.json",
                r#"{"packages": {"": {"dependencies": {"ws": "8"}}}}"#,
            ),
        ],
        "",
    );
    assert_eq!(both.findings.len(), 1, "{}", lines(&both));
}
