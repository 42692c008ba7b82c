//! Configurations from end to end: text in, checked types or faults out.

mod input;
mod issuers;
mod never;
mod roles;

use super::bridge::BrokerCredentials;
use super::*;

const GOOD: &str = r#"
environment: prod
channels:
  order: { id: uuid }
  user: { id: { pattern: "[a-z0-9]+" } }
routes:
  - name: order-updates
    match:
      source: [shop.orders]
      detail-type: [OrderPlaced, OrderUpdated]
    to: ["order:{detail.orderId}", "user:{detail.watchers[*].userId}"]
    payload: detail
    expires: 5m
  - name: status
    match: '{"source":[{"prefix":"shop."}]}'
    to: ["status/{source}"]
    qos: 0
    on_invalid_topic: skip
"#;

const BAD: &str = r#"
enviroment: prod
channels:
  order: { id: guid }
routes:
  - name: a
    match: { source: shop }
    to: ["oder:{detail.orderId}", "x/{detail.y|upper}"]
    qos: 2
  - name: a
    match: { source: [shop], detail: { state: [{ prefx: x }] } }
    to: []
    payload: evnt
    expires: 5
    retain: "yes"
  - match: { source: [shop] }
    to: ["a/#"]
"#;

fn loaded(text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Loaded {
    load(&ConfigSource {
        file: "eventcast.yaml",
        text,
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    })
}

fn told(faults: &[Fault]) -> String {
    let line = |fault: &Fault| {
        let Fault {
            place,
            code,
            message,
            accepted,
            help,
            ..
        } = fault;
        let accepted = accepted
            .as_deref()
            .map_or(String::new(), |text| format!("; accepted: {text}"));
        let help = help
            .as_deref()
            .map_or(String::new(), |text| format!("; help: {text}"));
        format!("{place} {code}: {message}{accepted}{help}")
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_good_file() {
    let Loaded { config, faults, .. } = loaded(GOOD, &[], &[]);
    assert_eq!(told(&faults), "");
    let config = config.unwrap();
    assert_eq!(config.environment.as_deref(), Some("prod"));
    let [first, second] = config.routes.as_slice() else {
        panic!("two routes")
    };
    assert_eq!(
        (first.payload, first.qos),
        (PayloadShape::Detail, Qos::AtLeastOnce)
    );
    assert_eq!(first.expires, Some(Duration::from_secs(300)));
    assert_eq!(first.targets.len(), 2);
    assert_eq!(
        (second.payload, second.qos),
        (PayloadShape::Event, Qos::AtMostOnce)
    );
    assert_eq!(second.on_invalid_topic, OnInvalidTopic::Skip);
}

#[test]
fn every_fault_is_told_at_once() {
    let Loaded { config, faults, .. } = loaded(BAD, &[], &[]);
    assert!(config.is_none());
    insta::assert_snapshot!(told(&faults));
}

#[test]
fn overrides() {
    let variables = [
        ("EVENTCAST_ENVIRONMENT", "test"),
        ("EVENTCAST_ROUTES_ORDER_UPDATES_QOS", "0"),
    ];
    let config = loaded(
        GOOD,
        &variables,
        &["environment=stage", "routes.status.retain=true"],
    )
    .config
    .unwrap();
    assert_eq!(config.environment.as_deref(), Some("stage"));
    assert_eq!(config.routes[0].qos, Qos::AtMostOnce);
    assert!(config.routes[1].retain);
}

#[test]
fn bad_overrides_are_named() {
    let variables = [
        ("EVENTCAST_ENVIROMENT", "x"),
        ("EVENTCAST_ROUTES_STATUS_QOS", "7"),
        ("EVENTCAST_VECTORS", "y"),
    ];
    let Loaded { config, faults, .. } = loaded(GOOD, &variables, &["environmnt=x", "environment"]);
    assert!(config.is_none());
    insta::assert_snapshot!(told(&faults));
}

/// The build and the tests set variables of their own, which no command may take for overrides.
#[test]
fn variables_of_the_scripts_are_no_overrides() {
    let scripts = [
        include_str!("../../.ci/run"),
        include_str!("../../build.rs"),
        include_str!("../../tests/install"),
        include_str!("../../tests/run"),
        include_str!("../../tests/vectors_policy.rs"),
        include_str!("../bridge/model.rs"),
    ];
    let is_part = |character: char| character.is_ascii_uppercase() || character == '_';
    let mut names: Vec<&str> = scripts
        .iter()
        .flat_map(|script| script.split(|character| !is_part(character)))
        // A value that the build writes into the program is no variable of its environment.
        .filter(|name| name.starts_with("EVENTCAST_") && *name != "EVENTCAST_BUILD_COMMIT")
        .collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let Loaded { faults, .. } = loaded(GOOD, &[(name, "1")], &[]);
        assert_eq!(told(&faults), "", "{name}");
    }
}

#[test]
fn an_empty_file_says_what_is_missing() {
    assert!(
        told(&loaded("", &[], &[]).faults)
            .starts_with("eventcast.yaml:1:1 missing-key: the file has no `routes`")
    );
}

#[test]
fn the_schema_knows_every_key() {
    let schema = schema::schema();
    let routes = &schema["properties"]["routes"]["items"];
    assert_eq!(routes["additionalProperties"], false);
    assert_eq!(
        routes["required"],
        serde_json::json!(["name", "match", "to"])
    );
    assert_eq!(
        routes["properties"]["payload"]["enum"],
        serde_json::json!(["event", "detail", "cloudevents"])
    );
}

/// The codes and messages of the faults of a configuration with these lines in its `bridge` section and in its only route.
fn faults_of(bridge: &str, route: &str) -> Vec<String> {
    let text = format!(
        "routes:\n  - name: r\n    match: {{ source: [s] }}\n    to: [a]\n{route}bridge:\n  drain: 25s\n{bridge}"
    );
    let faults = loaded(&text, &[], &[]).faults;
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.code, fault.message))
        .collect()
}

#[test]
fn ways_to_the_broker_that_do_not_fit() {
    let check = |bridge: &str, expected: &[&str]| {
        assert_eq!(faults_of(bridge, ""), expected, "{bridge}");
    };
    check("", &[]);
    check("  broker: wss://h\n  credentials: aws\n", &[]);
    check(
        "  broker: mqtts://h\n  tls: { ca: a, certificate: b, key: c }\n",
        &[],
    );
    check(
        "  broker: mqtts://h\n  credentials: aws\n",
        &["does-not-fit: `bridge.credentials` is `aws`, and `bridge.broker` `mqtts://h`"],
    );
    check(
        "  broker: wss://h\n  credentials: authorizer\n",
        &[
            "does-not-fit: `bridge.credentials` is `authorizer`, and there is no `bridge.authorizer`",
        ],
    );
    check(
        "  credentials: none\n",
        &["does-not-fit: `bridge.credentials` is `none`, and there is no `bridge.broker`"],
    );
    check(
        "  broker: ws://h\n  tls: { ca: a }\n",
        &["does-not-fit: there is `bridge.tls`, and `bridge.broker` is `ws://h/mqtt`"],
    );
    check(
        "  broker: mqtts://h\n  tls: { key: a }\n",
        &["does-not-fit: `bridge.tls` has only one of `certificate` and `key`"],
    );
    check(
        "  broker: wss://h\n  authorizer: { name: a }\n",
        &["missing-key: bridge.authorizer has no `token`"],
    );
}

/// A key that would be read and never used is a fault, which names the key that it needs.
#[test]
fn keys_that_do_nothing_without_another() {
    let check = |bridge: &str, expected: &[&str]| {
        let expected: Vec<String> = expected
            .iter()
            .map(|message| format!("does-not-fit: {message}"))
            .collect();
        assert_eq!(faults_of(bridge, ""), expected, "{bridge}");
    };
    check(
        "  pace: { account: 2000, tasks: 3, count_tasks: ecs }\n",
        &[],
    );
    check("  pace: { account: 0, tasks: 3 }\n", &[]);
    check(
        "  pace: { count_tasks: ecs }\n",
        &["`bridge.pace.count_tasks` does nothing without `bridge.pace.account`"],
    );
    check(
        "  pace: { tasks: 3, publishes: 50 }\n",
        &["`bridge.pace.tasks` does nothing without `bridge.pace.account`"],
    );
    check(
        "  calls: 8\n  endpoint: https://h\n",
        &[
            "`bridge.calls` does nothing with `publish: mqtt`",
            "`bridge.endpoint` does nothing with `publish: mqtt`",
        ],
    );
    check(
        "  publish: auto\n  calls: 8\n  endpoint: https://h\n  broker: mqtt://h\n  client_id: a\n",
        &[],
    );
    check(
        "  publish: https\n  broker: mqtt://h\n  client_id: a\n  connections: { max: 3 }\n",
        &[
            "`bridge.broker` does nothing with `publish: https`",
            "`bridge.client_id` does nothing with `publish: https`",
            "`bridge.connections` does nothing with `publish: https`",
        ],
    );
    check(
        "  publish: https\n  pace: { account: 9, publishes: 5, bytes: 6000, unacknowledged: 7 }\n",
        &[
            "`bridge.pace.publishes` does nothing with `publish: https`",
            "`bridge.pace.bytes` does nothing with `publish: https`",
            "`bridge.pace.unacknowledged` does nothing with `publish: https`",
        ],
    );
    check(
        "  broker: mqtts://h\n  credentials: none\n  authorizer: { token: t }\n",
        &["`bridge.authorizer` does nothing with `bridge.credentials: none`"],
    );
    check(
        "  broker: wss://h\n  credentials: aws\n  authorizer: { token: t }\n",
        &["`bridge.authorizer` does nothing with `bridge.credentials: aws`"],
    );
    check(
        "  broker: mqtts://h\n  tls: { certificate: a }\n",
        &["`bridge.tls` has only one of `certificate` and `key`"],
    );
    let text = format!("{GOOD}bridge:\n  pace: {{ count_tasks: ecs }}\n");
    assert_eq!(
        faults_of("  pace: { bytes: 1023 }\n", ""),
        [
            "out-of-range: `bridge.pace.bytes` is 1023: one large message would close a connection for minutes or longer"
        ]
    );
    assert_eq!(faults_of("  pace: { bytes: 1024 }\n", ""), [""; 0]);
    assert_eq!(faults_of("  pace: { bytes: 0 }\n", ""), [""; 0]);
    let help = loaded(&text, &[], &[]).faults.remove(0).help.unwrap();
    assert!(help.starts_with("add `account`"), "{help}");
}

#[test]
fn who_the_daemon_is_to_the_broker() {
    let bridge = |lines: &str| {
        let text = format!(
            "routes:\n  - {{ name: r, match: {{ source: [s] }}, to: [a] }}\nbridge:\n{lines}"
        );
        loaded(&text, &[], &[]).config.unwrap().bridge
    };
    let iot = "abc-ats.iot.eu-central-1.amazonaws.com";
    let certificate = "  tls: { certificate: c, key: k }\n";
    let token = "  authorizer: { token: t }\n";
    let signed = bridge(&format!("  broker: wss://{iot}\n"));
    assert_eq!(signed.credentials, BrokerCredentials::Aws);
    let local = bridge("  broker: ws://127.0.0.1\n");
    assert_eq!(local.credentials, BrokerCredentials::None);
    let mutual = bridge(&format!("  broker: mqtts://{iot}:443\n{certificate}"));
    assert_eq!(mutual.credentials, BrokerCredentials::None);
    assert_eq!(mutual.tls.alpn.as_deref(), Some("x-amzn-mqtt-ca"));
    let authorized = bridge(&format!("  broker: mqtts://{iot}:443\n{token}"));
    assert!(matches!(
        authorized.credentials,
        BrokerCredentials::Authorizer(_)
    ));
    assert_eq!(authorized.tls.alpn.as_deref(), Some("mqtt"));
    assert!(!format!("{authorized:?}").contains("\"t\""));
    let usual = bridge(&format!("  broker: mqtts://{iot}\n{certificate}"));
    assert_eq!(usual.tls.alpn, None);
    let gateway = |broker: &str| {
        let text = format!(
            "routes:\n  - {{ name: r, match: {{ source: [s] }}, to: [a] }}\ngateway: {{ broker: {broker:?} }}\n"
        );
        loaded(&text, &[], &[]).config.unwrap().gateway.alpn
    };
    assert_eq!(
        gateway(&format!("mqtts://{iot}:443")).as_deref(),
        Some("mqtt")
    );
    assert_eq!(gateway(&format!("mqtts://{iot}")), None);
    assert_eq!(gateway("mqtts://localhost:443"), None);
}

#[test]
fn what_stands_in_for_oversize_events() {
    let check = |route: &str, expected: &[&str]| {
        assert_eq!(faults_of("", route), expected, "{route}");
    };
    check("    oversize: pointer\n", &[]);
    check(
        "    oversize: project\n    project: [detail.a, detail.b.c]\n",
        &[],
    );
    check(
        "    oversize: project\n",
        &["does-not-fit: `routes[0].oversize` is `project`, and there is no `project`"],
    );
    check(
        "    project: [detail.a]\n",
        &["does-not-fit: `routes[0].project` has no `oversize: project` beside it"],
    );
    check(
        "    oversize: project\n    project: [a]\n",
        &["bad-path: `a` in `routes[0].project`"],
    );
}

#[test]
fn an_authorizer_is_read() {
    let section = |lines: &str| format!("{GOOD}authorizer:\n{lines}");
    let Loaded { config, faults, .. } = loaded(
        &section(
            "  keys: [issuer.pem, jwks.json]\n  audience: realtime\n  role_claim: https://shop/role\n  leeway: 0s\n  region: eu-central-1\n  account: 123456789012\n",
        ),
        &[("EVENTCAST_AUTHORIZER_ISSUER", "shop")],
        &["authorizer.refresh=1h"],
    );
    assert_eq!(told(&faults), "");
    let read = config.unwrap().authorizer;
    let [issuer] = read.issuers.as_slice() else {
        panic!("{:?}", read.issuers)
    };
    assert_eq!(issuer.keys, ["issuer.pem", "jwks.json"]);
    assert_eq!(issuer.issuer.as_deref(), Some("shop"));
    assert_eq!(issuer.audiences, ["realtime"]);
    assert_eq!(issuer.role_claim.path.as_str(), "https://shop/role");
    assert_eq!(
        (read.leeway, read.refresh),
        (Duration::ZERO, Duration::from_secs(3_600))
    );
    assert_eq!(&*read.scope.unwrap().account, "123456789012");
    let plain = loaded(GOOD, &[], &[]).config.unwrap().authorizer;
    assert!(plain.issuers[0].has_no_keys() && plain.scope.is_none());
    let claim = plain.issuers[0].role_claim.path.as_str();
    assert_eq!((claim, &*plain.token_key), ("role", "token"));
}

#[test]
fn faults_of_an_authorizer_are_told_at_once() {
    let bad = |lines: &str| told(&loaded(&format!("{GOOD}authorizer:\n{lines}"), &[], &[]).faults);
    insta::assert_snapshot!(bad(
        "  keys: []\n  leeway: 10m\n  refresh: 60s\n  token_key: a b\n  region: Europe\n  account: 12\n  role: x\n"
    ));
    insta::assert_snapshot!(bad("  region: eu-central-1\n  account: 12\n"));
    insta::assert_snapshot!(bad("  account: 123456789012\n"));
}

#[test]
fn a_flag_takes_the_environment_out() {
    let variable = [("EVENTCAST_ENVIRONMENT", "test")];
    for (flags, expected) in [
        (&[][..], Some("test")),
        (&["environment="], None),
        (&["environment=dev", "environment="], None),
        (&["environment=", "environment=dev"], Some("dev")),
    ] {
        let Loaded { config, faults, .. } = loaded(GOOD, &variable, flags);
        assert_eq!(told(&faults), "", "{flags:?}");
        assert_eq!(
            config.unwrap().environment.as_deref(),
            expected,
            "{flags:?}"
        );
    }
    assert!(
        loaded("environment: \"\"\nroutes: []\n", &[], &[])
            .config
            .is_none()
    );
}
