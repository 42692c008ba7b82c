//! Tests of the rendered files: the same bytes as in `infra/example`, and patterns that lose
//! nothing.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::pattern::{MAX_PATTERN_CHARACTERS, PatternExtent};
use super::*;
use crate::config::valid;
use crate::event::pattern::Pattern;
use crate::event::pattern::explain::PatternExplainer;
use crate::event::pattern::tree::TreeValue;
use crate::event::scan::scan;
use crate::infra::example::EXAMPLE;

fn file(rendered: &Rendered, name: &str) -> Value {
    let file = rendered.files.iter().find(|file| file.name == name);
    serde_json::from_str(&file.unwrap().text).unwrap()
}

/// One configuration makes one text; `tests/infra.rs` compares it with the files of the example.
#[test]
fn the_same_again() {
    let rendered = render(&valid(EXAMPLE)).unwrap();
    assert_eq!(rendered.files.len(), 9);
    assert_eq!(rendered, render(&valid(EXAMPLE)).unwrap());
}

#[test]
fn a_fifo_queue_has_a_group_everywhere() {
    let text = EXAMPLE
        .replace("/eventcast-events\n", "/eventcast-events.fifo\n")
        .replace("/eventcast-events-dlq", "/eventcast-events-dlq.fifo");
    let rendered = render(&valid(&text)).unwrap();
    let group = json!({ "Ref": "MessageGroupId" });
    let target = "/Resources/Rule/Properties/Targets/0";
    let rule = file(&rendered, "rule.json");
    let sqs = rule.pointer(&format!("{target}/SqsParameters/MessageGroupId"));
    assert_eq!(sqs, Some(&group));
    let arn = rule.pointer(&format!("{target}/Arn/Fn::Sub")).unwrap();
    assert!(
        arn.as_str().unwrap().ends_with(":eventcast-events.fifo"),
        "{arn}"
    );
    let letters = rule.pointer(&format!("{target}/DeadLetterConfig/Arn/Fn::Sub"));
    assert!(
        letters
            .unwrap()
            .as_str()
            .unwrap()
            .ends_with(":${UndeliveredQueueName}")
    );
    let subscriber = file(&rendered, "subscriber.json");
    let properties = &subscriber["Resources"]["Subscriber"]["Properties"];
    assert_eq!(properties["Type"], "FIFO");
    assert_eq!(
        properties["InvokeConfiguration"]["SqsParameters"]["MessageGroupId"],
        group
    );
    let of = |name, key| parameter(&rendered, name, key);
    assert_eq!(of("parameters-queues.txt", "QueueName"), "eventcast-events");
    assert_eq!(of("parameters-queues.txt", "Fifo"), "true");
    let scaling = of("parameters-scaling.txt", "QueueName");
    assert_eq!(scaling, "eventcast-events.fifo");
}

/// The value of a parameter in a file.
fn parameter(rendered: &Rendered, name: &str, key: &str) -> String {
    let file = rendered.files.iter().find(|file| file.name == name);
    let mut lines = file.unwrap().text.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap().to_owned()
}

/// The example without its share of the quota.
fn unpaced() -> String {
    let lines = EXAMPLE.lines().filter(|line| !line.contains("pace:"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn times_and_tasks_follow_the_bridge() {
    let parameters = |bridge: &str, name: &str, key: &str| {
        let rendered = render(&valid(&format!("{}{bridge}", unpaced()))).unwrap();
        parameter(&rendered, name, key)
    };
    let stop = |drain: &str| {
        parameters(
            &format!("  drain: {drain}\n"),
            "parameters-service.txt",
            "StopTimeout",
        )
    };
    assert_eq!(
        [stop("25s"), stop("5s"), stop("1m"), stop("105s")],
        ["40", "30", "75", "120"]
    );
    let too_long = valid(&format!("{}  drain: 2m\n", unpaced()));
    assert!(matches!(render(&too_long), Err(RenderError::Drain(120))));
    let tasks = |bridge: &str| parameters(bridge, "parameters-scaling.txt", "MaxTasks");
    assert_eq!(tasks(""), "2");
    assert_eq!(tasks("  connections: { max: 32 }\n"), "6");
    assert_eq!(tasks("  connections: { max: 2 }\n"), "100");
    assert_eq!(tasks("  pace: { account: 2000, tasks: 3 }\n"), "3");
    assert_eq!(tasks("  publish: https\n"), "2");
    let quota = |bridge: &str| parameters(bridge, "parameters-observability.txt", "InboundQuota");
    assert_eq!(quota(""), "20000");
    assert_eq!(quota("  pace: { account: 2000, tasks: 4 }\n"), "2000");
}

/// With a plan its bounds are rendered, unless the configuration fixes the number of tasks.
#[test]
fn tasks_of_a_plan() {
    use crate::plan::fleet::{TaskBound, TaskCount};
    let planned = TaskCount {
        mean: 3.0,
        peak: 7.0,
        least: 3.0,
        most: 14.0,
        load: 6.5,
        bound: TaskBound::Connections,
    };
    let of = |pace: &str| {
        let config = valid(&format!("{}{pace}", unpaced()));
        let rendered = render_for(&config, Some(&planned)).unwrap();
        let scaling = rendered.files.iter();
        let mut scaling = scaling.filter(|file| file.name == "parameters-scaling.txt");
        let text = scaling.next().unwrap().text.clone();
        let bounds = text.split_once('\n').unwrap().1.replace('\n', " ");
        let variables = file(&rendered, "eventcast.auto.tfvars.json");
        let bounds = format!(
            "{bounds}{} {}",
            variables["min_tasks"], variables["max_tasks"]
        );
        (bounds, rendered.notes.join("\n"))
    };
    let (bounds, notes) = of("");
    assert_eq!(bounds, "MinTasks=3 MaxTasks=14 3 14");
    assert!(!notes.contains("MaxTasks"), "{notes}");
    let (bounds, notes) = of("  pace: { account: 2000, tasks: 4 }\n");
    assert_eq!(bounds, "MinTasks=3 MaxTasks=4 3 4");
    assert!(
        notes.contains("takes 7 tasks at its peak, and bridge.pace.tasks is 4"),
        "{notes}"
    );
    let (bounds, _) = of("  pace: { account: 2000, count_tasks: ecs }\n");
    assert_eq!(bounds, "MinTasks=3 MaxTasks=14 3 14");
}

/// The right to list tasks is rendered exactly where tasks are counted, for one cluster.
#[test]
fn tasks_are_listed_where_they_are_counted() {
    let of = |pace: &str| {
        let rendered = render(&valid(&format!("{}{pace}", unpaced()))).unwrap();
        let roles = file(&rendered, "roles.json");
        (roles, file(&rendered, "eventcast.auto.tfvars.json"))
    };
    for pace in ["", "  pace: { account: 2000, tasks: 3 }\n"] {
        let (roles, variables) = of(pace);
        assert!(!roles.to_string().contains("ecs:"), "{roles}");
        assert_eq!(roles.pointer("/Parameters/ClusterName"), None);
        assert_eq!(variables["count_tasks"], false);
    }
    let (roles, variables) = of("  pace: { account: 2000, count_tasks: ecs }\n");
    assert_eq!(roles.to_string().matches("ecs:ListTasks").count(), 1);
    let policy = &roles["Resources"]["BridgeTasks"]["Properties"];
    assert_eq!(policy["RoleName"], json!({ "Ref": "BridgeRole" }));
    assert_eq!(
        policy["PolicyDocument"]["Statement"],
        json!([{
            "Effect": "Allow",
            "Action": "ecs:ListTasks",
            "Resource": "*",
            "Condition": { "ArnEquals": { "ecs:cluster": { "Fn::Sub":
                "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:cluster/${ClusterName}" } } },
        }])
    );
    assert_eq!(roles["Parameters"]["ClusterName"]["Default"], "eventcast");
    assert_eq!(variables["count_tasks"], true);
}

#[test]
fn what_makes_no_infrastructure() {
    let refused = |from: &str, to: &str| {
        let error = render(&valid(&EXAMPLE.replace(from, to))).unwrap_err();
        format!("{error}; help: {}", error.help())
    };
    insta::assert_snapshot!(
        [
            refused("channels:", "envelope: raw\nchannels:"),
            refused("channels:", "envelope: sns\nchannels:"),
            refused(
                "https://sqs.us-east-1.amazonaws.com/123456789012/eventcast-events\n",
                "http://localhost:4566/queue/events\n"
            ),
            refused("sqs.us-east-1.amazonaws.com", "localhost:4566"),
        ]
        .join("\n")
    );
}

/// Names of alarms differ, whatever characters distinguish the routes.
#[test]
fn alarms_of_routes_with_like_names() {
    let route =
        |name: &str| format!("  - {{ name: \"{name}\", match: {{ source: [s] }}, to: [a] }}\n");
    let names = ["a-b", "a_b", "a b", "AB"];
    let routes: String = names.into_iter().map(route).collect();
    let text = format!(
        "routes:\n{routes}{}",
        EXAMPLE
            .split_once("bridge:")
            .map(|(_, rest)| format!("bridge:{rest}"))
            .unwrap()
    );
    let alarms = file(&render(&valid(&text)).unwrap(), "alarms.json");
    let resources = alarms["Resources"].as_object().unwrap();
    let ids: Vec<&str> = resources
        .keys()
        .map(String::as_str)
        .filter(|id| id.ends_with("Throttled"))
        .collect();
    assert_eq!(
        ids,
        [
            "RouteABN2Throttled",
            "RouteABN3Throttled",
            "RouteABN4Throttled",
            "RouteABThrottled"
        ]
    );
}

/// The roles in the template are those of `policy generate`.
#[test]
fn named_roles() {
    let roles = file(&render(&valid(EXAMPLE)).unwrap(), "roles.json");
    let names: Vec<&Value> = ["Bridge", "Doctor", "DeadLetters", "DeadLettersRead"]
        .iter()
        .map(|name| &roles["Resources"][format!("{name}Role")]["Properties"]["RoleName"]["Fn::Sub"])
        .collect();
    assert_eq!(
        names,
        [
            "${Name}-bridge",
            "${Name}-doctor",
            "${Name}-dlq",
            "${Name}-dlq-read"
        ]
    );
    let text = roles["Resources"]["DeadLettersReadPolicy0"].to_string();
    assert!(
        !text.contains("sqs:DeleteMessage") && !text.contains("sqs:SendMessage"),
        "{text}"
    );
}

fn nodes(patterns: &[&str]) -> Vec<TreeValue> {
    patterns
        .iter()
        .map(|text| TreeValue::parse(text).unwrap())
        .collect()
}

#[track_caller]
fn check(patterns: &[&str], extent: PatternExtent, expected: &str) {
    let nodes = nodes(patterns);
    let pattern = RulePattern::of(&nodes.iter().collect::<Vec<_>>());
    assert_eq!(
        (pattern.extent, pattern.tree.to_json().as_str()),
        (extent, expected)
    );
}

#[test]
fn patterns_of_several_routes() {
    let exact = PatternExtent::Exact;
    check(&[r#"{"source":["a"]}"#], exact, r#"{"source":["a"]}"#);
    // One field differs: its alternatives are joined, in depth as well.
    check(
        &[
            r#"{"source":["a"],"detail-type":["x"]}"#,
            r#"{"detail-type":["y","x"],"source":["a"]}"#,
        ],
        exact,
        r#"{"source":["a"],"detail-type":["x","y"]}"#,
    );
    check(
        &[
            r#"{"detail":{"s":[1],"t":[2]}}"#,
            r#"{"detail":{"s":[1],"t":[{"exists":false}]}}"#,
        ],
        exact,
        r#"{"detail":{"s":[1],"t":[2,{"exists":false}]}}"#,
    );
    // Two fields differ, or one is missing.
    check(
        &[
            r#"{"source":["a"],"detail-type":["x"]}"#,
            r#"{"source":["b"],"detail-type":["y"]}"#,
            r#"{"source":["a"]}"#,
        ],
        exact,
        r#"{"$or":[{"source":["a"],"detail-type":["x"]},{"source":["b"],"detail-type":["y"]},{"source":["a"]}]}"#,
    );
    // A merged pattern merges again.
    check(
        &[
            r#"{"source":["a"],"detail-type":["x"]}"#,
            r#"{"source":["b"],"detail-type":["x","y"]}"#,
            r#"{"source":["a"],"detail-type":["y"]}"#,
        ],
        exact,
        r#"{"source":["b","a"],"detail-type":["x","y"]}"#,
    );
    check(
        &[],
        PatternExtent::Everything,
        r#"{"source":[{"prefix":""}]}"#,
    );
}

#[test]
fn patterns_that_do_not_fit_become_wider() {
    let many = |field: &str| -> Vec<String> {
        (0..80)
            .map(|n| {
                format!(r#"{{"source":["shop.{}"],{field}}}"#, n % 7).replace('#', &n.to_string())
            })
            .collect()
    };
    let extent = |patterns: &[String]| {
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let nodes = nodes(&texts);
        let pattern = RulePattern::of(&nodes.iter().collect::<Vec<_>>());
        assert!(pattern.tree.to_json().len() <= MAX_PATTERN_CHARACTERS);
        (pattern.extent, pattern.note().is_some())
    };
    // Without a detail type `source` is all that is left.
    let wide = many(r##""detail":{"field-#":["value-#"]}"##);
    assert_eq!(extent(&wide), (PatternExtent::SourceAndType, true));
    let typed = many(r##""detail-type":["Placed"],"detail":{"field-#":["value-#"]}"##);
    assert_eq!(extent(&typed), (PatternExtent::SourceAndType, true));
    let typed = many(
        r##""detail-type":["a-long-name-of-a-detail-type-#"],"detail":{"field-#":["value-#"]}"##,
    );
    assert_eq!(extent(&typed), (PatternExtent::Source, true));
    let mut open = many(r##""detail":{"field-#":["value-#"]}"##);
    open.push(r#"{"detail":{"x":["y"]}}"#.into());
    assert_eq!(extent(&open), (PatternExtent::Everything, true));
}

fn matches(pattern: &TreeValue, event: &Value) -> bool {
    let pattern = Pattern::from_tree(pattern).unwrap();
    let explainer = PatternExplainer::new(&pattern);
    let scanned = scan(&Bytes::from(event.to_string()), explainer.fields()).unwrap();
    explainer.explain(&scanned).unwrap().matches
}

fn some_pattern() -> impl Strategy<Value = String> {
    let tests = || {
        let all = vec![
            r#""a""#,
            r#""b""#,
            r#"{"prefix":"b"}"#,
            r#"{"anything-but":"a"}"#,
            r#"{"exists":false}"#,
        ];
        subsequence(all, 1..4).prop_map(|tests| format!("[{}]", tests.join(",")))
    };
    (
        proptest::option::of(tests()),
        proptest::option::of(tests()),
        tests(),
        proptest::option::of(tests()),
    )
        .prop_map(|(source, kind, one, other)| {
            let mut members = Vec::new();
            members.extend(source.map(|tests| format!(r#""source":{tests}"#)));
            members.extend(kind.map(|tests| format!(r#""detail-type":{tests}"#)));
            let other =
                other.map_or_else(String::new, |tests| format!(r#","list":{{"y":{tests}}}"#));
            members.push(format!(r#""detail":{{"x":{one}{other}}}"#));
            format!("{{{}}}", members.join(","))
        })
}

fn some_event() -> impl Strategy<Value = Value> {
    let word = || select(vec!["a", "b", "bb", "c"]);
    let element = proptest::option::of(word()).prop_map(|y| match y {
        Some(y) => json!({ "y": y }),
        None => json!({ "z": 1 }),
    });
    (
        word(),
        word(),
        proptest::option::of(word()),
        proptest::collection::vec(element, 0..3),
    )
        .prop_map(|(source, kind, x, list)| {
            let mut detail = json!({ "list": list });
            if let Some(x) = x {
                detail["x"] = x.into();
            }
            json!({ "source": source, "detail-type": kind, "detail": detail })
        })
}

proptest! {
    /// The rule takes exactly what a route takes; the filters of a version-2 bus take no less.
    #[test]
    fn nothing_is_lost(patterns in proptest::collection::vec(some_pattern(), 1..6), event in some_event()) {
        let nodes: Vec<TreeValue> = patterns.iter().map(|text| TreeValue::parse(text).unwrap()).collect();
        let all: Vec<&TreeValue> = nodes.iter().collect();
        let taken = nodes.iter().any(|pattern| matches(pattern, &event));
        let rule = RulePattern::of(&all);
        prop_assert_eq!(rule.extent, PatternExtent::Exact);
        prop_assert_eq!(matches(&rule.tree, &event), taken, "{}", rule.tree.to_json());

        let names = Names {
            queue: "q".into(),
            dead_letter_queue: "d".into(),
            is_fifo: false,
            scope: Scope::default(),
        };
        let (subscriber, _) = rule::subscriber(&all, &names).unwrap();
        let filters = subscriber.pointer("/Resources/Subscriber/Properties/FilterConfiguration/Filters");
        let passed = filters.and_then(Value::as_array).into_iter().flatten().all(|filter| {
            let part = match filter["Scope"].as_str().unwrap() {
                "DATA" => event["detail"].clone(),
                _ => json!({ "aws:Source": event["source"], "aws:DetailType": event["detail-type"] }),
            };
            matches(&TreeValue::parse(filter["Pattern"].as_str().unwrap()).unwrap(), &part)
        });
        prop_assert!(passed || !taken, "{}", subscriber);
    }
}
