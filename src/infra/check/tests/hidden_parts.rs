//! Parts of templates that are out of sight are listed, each with its place.

use crate::infra::check::TemplateFile;
use crate::infra::check::hidden::cannot_tell;

fn told(files: &[(&str, &str)]) -> String {
    let files: Vec<TemplateFile<'_>> = files
        .iter()
        .map(|(name, text)| TemplateFile { name, text })
        .collect();
    let line = |part: &crate::infra::check::hidden::HiddenPart| {
        format!("{}: {}\n  help: {}\n", part.place, part.message, part.help)
    };
    cannot_tell(&files).iter().map(line).collect()
}

const NESTED: &str = "\
Resources:
  Queues:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: https://s3.amazonaws.com/code/queues.yaml }
  More:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: !Sub 'https://s3.amazonaws.com/${Bucket}/more.yaml' }
  Set:
    Type: AWS::CloudFormation::StackSet
    Properties: { TemplateURL: https://s3.amazonaws.com/code/set.yaml }
  App:
    Type: AWS::Serverless::Application
    Properties: { Location: ./app.yaml }
  Module:
    Type: Shop::Events::Queue::MODULE
";

#[test]
fn nested_stacks() {
    insta::assert_snapshot!(told(&[("root.yaml", NESTED)]));
    let other = "Resources: { Q: { Type: AWS::SQS::Queue } }\n";
    let given = ["infra/queues.yaml", "more.yaml", "set.yaml", "app.yaml"];
    let mut files = vec![("root.yaml", NESTED)];
    files.extend(given.map(|name| (name, other)));
    let rest = told(&files);
    // A text with a variable ends with the name all the same; a module is never a file.
    assert_eq!(rest.lines().count(), 2, "{rest}");
    assert!(rest.contains("`Module` is a module"), "{rest}");
}

#[test]
fn loops_and_macros() {
    let template = "\
Transform: [AWS::LanguageExtensions, 'Shop::Defaults', { Name: AWS::Include, Parameters: {} }]
Resources:
  Fn::ForEach::Queues:
    - Name
    - [orders, users]
    - ${Name}Queue: { Type: AWS::SQS::Queue }
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      Fn::ForEach::Names:
        - Property
        - [TopicName]
        - ${Property}: shop
      Tags:
        - Fn::Transform: { Name: AWS::Include, Parameters: { Location: s3://code/tags.yaml } }
";
    insta::assert_snapshot!(told(&[("loops.yaml", template)]));
    let json = r#"{"Transform": "AWS::Serverless-2016-10-31", "Resources": {
        "Fn::Transform": {"Name": "AWS::Include"}, "Q": {"Type": "AWS::SQS::Queue"}}}"#;
    let told = told(&[("t.json", json)]);
    assert!(told.starts_with("t.json:2:26: `Fn::Transform`"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
}

/// A whole template, and text that is no template at all, hide nothing.
#[test]
fn nothing_is_hidden() {
    for text in [
        "Resources: { Q: { Type: AWS::SQS::Queue } }",
        "Resources: { C: { Type: Custom::Thing, Properties: { ServiceToken: x } } }",
        "Resources: []",
        "- 1",
        "",
    ] {
        assert_eq!(told(&[("t.yaml", text)]), "");
    }
    let own = super::TEMPLATES;
    assert_eq!(told(&own), "");
}
