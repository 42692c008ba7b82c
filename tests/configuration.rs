//! The configuration as a person meets it: the program's answers about files, variables and flags.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const GOOD: &str = "routes:\n  - { name: orders, match: { source: [shop.orders] }, to: ['orders/{detail.orderId}'] }\n";

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "eventcast-configuration-{}-{name}",
            std::process::id()
        ));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// The program in this folder, without variables of the tests' own environment.
    fn eventcast(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command
            .args(arguments)
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .env_remove("EVENTCAST_CONFIG")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE");
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The exit status, standard output and standard error.
fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().unwrap_or(-1);
    (status, text(&output.stdout), text(&output.stderr))
}

fn run(mut command: Command) -> (i32, String, String) {
    told(command.output().unwrap())
}

fn with_input(mut command: Command, input: &str) -> (i32, String, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    told(child.wait_with_output().unwrap())
}

#[test]
fn a_file_by_any_way() {
    let folder = Folder::new("ways");
    folder.write("shop.yaml", GOOD);
    let clean = |name: &str| {
        (
            0,
            format!("{name}: 1 route, nothing found\n"),
            String::new(),
        )
    };
    for arguments in [
        &["routes", "check", "shop.yaml"][..],
        &["routes", "check", "--config", "shop.yaml"],
        &["routes", "check", "--config=shop.yaml", "--color", "always"],
    ] {
        assert_eq!(run(folder.eventcast(arguments)), clean("shop.yaml"));
    }
    let mut by_variable = folder.eventcast(&["routes", "check"]);
    by_variable.env("EVENTCAST_CONFIG", "shop.yaml");
    assert_eq!(run(by_variable), clean("shop.yaml"));
    for arguments in [
        &["routes", "check", "-"][..],
        &["routes", "check", "--config", "-"],
    ] {
        let found = with_input(folder.eventcast(arguments), GOOD);
        assert_eq!(found, clean("standard input"));
    }
    let quiet = run(folder.eventcast(&["routes", "check", "shop.yaml", "--quiet"]));
    assert_eq!(quiet, Default::default());
    let twice = run(folder.eventcast(&["routes", "check", "a.yaml", "--config", "b.yaml"]));
    assert_eq!(twice.0, 2);
    assert!(twice.2.contains("help: name one file"), "{}", twice.2);
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new("unreadable");
    let check = |file: &str, expected: &str| {
        let (status, out, errors) = run(folder.eventcast(&["routes", "check", file]));
        assert_eq!((status, &*out), (2, ""), "{file}");
        assert!(errors.contains(expected), "{file}: {errors}");
    };
    check("nothing.yaml", "help: name the file with --config");
    check("/dev/zero", "more than 8388608 bytes");
    fs::write(folder.0.join("latin.yaml"), b"a: 1\nb: \xe9\n").unwrap();
    check("latin.yaml", "it is not UTF-8 (line 2)");
    check(".", "Is a directory");
    let (status, _, errors) = run(folder.eventcast(&["routes", "check"]));
    assert_eq!(status, 2);
    assert!(
        errors.contains("help: eventcast init writes one"),
        "{errors}"
    );
}

#[test]
fn variables_that_are_set_to_nothing() {
    let folder = Folder::new("nothing");
    let queue = "bridge: { queue: 'http://127.0.0.1:9/1/q', broker: 'mqtt://127.0.0.1:9' }\n";
    folder.write("eventcast.yaml", &format!("{GOOD}{queue}"));
    folder.write(
        "profile",
        "[profile empty]\nregion = eu-central-1\nendpoint_url =\n",
    );
    let doctor = |variables: &[(&str, &str)]| {
        let mut command = folder.eventcast(&["doctor"]);
        command
            .env_clear()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "example")
            .envs(variables.iter().copied());
        run(command)
    };
    let usual = doctor(&[]);
    assert_eq!(usual.0, 1, "{usual:?}");
    let profile = folder.0.join("profile");
    let profile = [
        ("AWS_CONFIG_FILE", profile.to_str().unwrap()),
        ("AWS_PROFILE", "empty"),
    ];
    let names = [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_SQS",
        "AWS_ENDPOINT_URL_STS",
        "AWS_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SESSION_TOKEN",
        "AWS_MAX_ATTEMPTS",
        "AWS_USE_FIPS_ENDPOINT",
        "EVENTCAST_CONFIG",
        "EVENTCAST_ENVIRONMENT",
        "EVENTCAST_BRIDGE_QUEUE",
        "EVENTCAST_LOG",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "HTTPS_PROXY",
        "http_proxy",
        "NO_PROXY",
        "NO_COLOR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];
    // Each waits for a broker that is not there, so they run side by side.
    std::thread::scope(|scope| {
        let doctor = &doctor;
        let runs = names.map(|name| (name, scope.spawn(move || doctor(&[(name, "")]))));
        // In a profile nothing is nothing, too.
        let by_profile = scope.spawn(move || doctor(&profile));
        for (name, run) in runs {
            assert_eq!(run.join().unwrap(), usual, "{name}");
        }
        assert_eq!(by_profile.join().unwrap(), usual);
    });
}

#[test]
fn variables_that_are_not_text() {
    let folder = Folder::new("bytes");
    folder.write("eventcast.yaml", GOOD);
    let odd = OsStr::from_bytes(b"\xff\xfe");
    let check = |name: &OsStr, value: &OsStr| {
        let mut command = folder.eventcast(&["routes", "check"]);
        command.env(name, value);
        run(command)
    };
    for name in ["SHOP", "AWS_PROFILE", "OTEL_SERVICE_NAME", "NO_COLOR"] {
        assert_eq!(check(OsStr::new(name), odd).0, 0, "{name}");
    }
    assert_eq!(check(OsStr::from_bytes(b"SHOP\xff"), OsStr::new("1")).0, 0);
    let names: [(&[u8], &str); 3] = [
        (b"EVENTCAST_ENVIRONMENT", "the value"),
        (b"EVENTCAST_LOG", "the value"),
        (b"EVENTCAST_X\xff", "the name"),
    ];
    for (name, part) in names {
        let (status, _, errors) = check(OsStr::from_bytes(name), odd);
        assert_eq!(status, 2, "{errors}");
        assert!(
            errors.starts_with(&format!("error: {part} of the")),
            "{errors}"
        );
        assert!(errors.contains("is not UTF-8\nhelp: "), "{errors}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let folder = Folder::new("secrets");
    let hidden = |name: &str, bridge: &str, variables: &[(&str, &str)]| {
        folder.write("eventcast.yaml", &format!("{GOOD}bridge:\n{bridge}"));
        for format in ["text", "json"] {
            let mut command = folder.eventcast(&["routes", "check", "--format", format]);
            command.envs(variables.iter().copied());
            let (status, out, errors) = run(command);
            assert_ne!(status, 0, "{name}: {out}{errors}");
            assert!(
                !format!("{out}{errors}").contains("S3CRET"),
                "{name}: {out}{errors}"
            );
        }
        for command in ["bridge", "doctor"] {
            let mut command = folder.eventcast(&[command]);
            command.envs(variables.iter().copied());
            let (_, out, errors) = run(command);
            assert!(
                !format!("{out}{errors}").contains("S3CRET"),
                "{name}: {out}{errors}"
            );
        }
    };
    let broker = |url: &'static str| [("EVENTCAST_BRIDGE_BROKER", url)];
    hidden("user", "  qos: 1\n", &broker("mqtts://user:S3CRET@h:1"));
    hidden("query", "  qos: 1\n", &broker("wss://h/mqtt?token=S3CRET"));
    hidden("no scheme", "  qos: 1\n", &broker("user:S3CRET@h:1"));
    hidden("broker", "  broker: wss://u:S3CRET@h/mqtt\n", &[]);
    hidden("queue", "  queue: https://user:S3CRET@h/1/q\n", &[]);
    hidden(
        "a line",
        "  authorizer: { name: p, token: S3CRET, sig: x }\n",
        &[],
    );
    hidden("a key", "  authorizer: { tokn: S3CRET }\n", &[]);
    hidden("a list", "  authorizer: { token: [S3CRET] }\n", &[]);
    hidden(
        "below",
        "  authorizer:\n    token: |\n      S3CRET\n     x\n",
        &[],
    );
    hidden("no YAML", "  authorizer: { token: S3CRET, \n", &[]);
    hidden("quotes", "  authorizer:\n    token: \"S3CRET\n", &[]);
    hidden(
        "an alias",
        "  x-t: &t S3CRET\n  authorizer: { token: *t, x: *t }\n  t: *t\n",
        &[],
    );
    let mut flag =
        folder.eventcast(&["routes", "check", "--set", "bridge.authorizer.token:S3CRET"]);
    flag.env("EVENTCAST_BRIDGE_AUTHORIZER_TOKN", "S3CRET");
    let (_, out, errors) = run(flag);
    assert!(
        !format!("{out}{errors}").contains("S3CRET"),
        "{out}{errors}"
    );
}

#[test]
fn colours() {
    let folder = Folder::new("colours");
    folder.write("eventcast.yaml", &GOOD.replace("orders/{", "orders/${"));
    let check = |arguments: &[&str], variables: &[(&str, &str)], expected: bool| {
        let arguments = [&["routes", "check"], arguments].concat();
        let mut command = folder.eventcast(&arguments);
        command.envs(variables.iter().copied());
        let (status, out, _) = run(command);
        assert_eq!(status, 1);
        assert_eq!(out.contains("\u{1b}["), expected, "{arguments:?}: {out}");
    };
    check(&[], &[], false);
    check(&["--color", "always"], &[], true);
    check(&["--color=always"], &[("NO_COLOR", "1")], true);
    check(&[], &[("CLICOLOR_FORCE", "1")], true);
    check(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false);
    check(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")], true);
    check(&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false);
    check(&["--color", "always", "--format", "json"], &[], false);
}

/// The page has every key. With `EVENTCAST_WRITE_MANUAL` set its table is written anew.
#[test]
fn the_manual_has_every_key() {
    const HEAD: &str = "| key | accepts | default | |\n| --- | --- | --- | --- |\n";
    let cell = |text: &str| text.replace('|', "\\|");
    let mut rows = String::new();
    for key in eventcast::config::effective::keys() {
        let name = if key.required {
            format!("**`{}`**", key.path)
        } else {
            format!("`{}`", key.path)
        };
        let default = key
            .default
            .map_or(String::new(), |default| format!("`{default}`"));
        let accepts = if key.accepts.starts_with("a mapping with") {
            "a mapping".to_owned()
        } else {
            cell(&key.accepts)
        };
        rows += &format!("| {name} | {accepts} | {default} | {} |\n", cell(key.about));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let page = fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(HEAD).unwrap();
    let (_, after) = rest.split_once("\nTimes are").unwrap();
    let wanted = format!("{before}{HEAD}{rows}\nTimes are{after}");
    if std::env::var_os("EVENTCAST_WRITE_MANUAL").is_some() {
        fs::write(path, &wanted).unwrap();
    }
    assert!(
        page == wanted,
        "docs/configuration.md differs from the description; run this test with EVENTCAST_WRITE_MANUAL=1"
    );
}

#[test]
fn the_schema_has_defaults_and_examples_that_are_accepted() {
    let folder = Folder::new("schema");
    let (status, out, _) = run(folder.eventcast(&["config", "schema"]));
    assert_eq!(status, 0);
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    let bridge = &schema["properties"]["bridge"]["properties"];
    assert_eq!(bridge["wait"]["default"], "20s");
    assert_eq!(bridge["wait"]["examples"], serde_json::json!(["20s"]));
    assert_eq!(bridge["in_flight"]["default"], 1_000);
    let route = &schema["properties"]["routes"]["items"];
    assert_eq!(route["properties"]["retain"]["default"], false);
    assert!(route["patternProperties"]["^x-"].is_object());
    // Examples of times, put in, bring no fault.
    let text = ["wait", "hold", "publish_timeout", "drain"].map(|key| {
        let example = bridge[key]["examples"][0].as_str().unwrap();
        format!("  {key}: {example}\n")
    });
    folder.write(
        "eventcast.yaml",
        &format!("{GOOD}bridge:\n{}", text.concat()),
    );
    let (status, out, _) = run(folder.eventcast(&["routes", "check"]));
    assert_eq!(status, 0, "{out}");
}

#[test]
fn a_file_to_start_from() {
    let folder = Folder::new("init");
    let (status, out, errors) = run(folder.eventcast(&["init"]));
    assert_eq!((status, &*out), (0, ""), "{errors}");
    assert!(
        errors.starts_with("note: eventcast.yaml is written"),
        "{errors}"
    );
    let (status, out, errors) = run(folder.eventcast(&["routes", "check"]));
    assert_eq!(status, 0, "{out}{errors}");
    let written = fs::read_to_string(folder.0.join("eventcast.yaml")).unwrap();
    let (status, out, _) = run(folder.eventcast(&["init", "-"]));
    assert_eq!((status, out), (0, written.clone()));
    folder.write("eventcast.yaml", "mine\n");
    let (status, _, errors) = run(folder.eventcast(&["init"]));
    assert_eq!(status, 2);
    assert!(errors.contains("is there already\nhelp: "), "{errors}");
    let read = || fs::read_to_string(folder.0.join("eventcast.yaml")).unwrap();
    assert_eq!(read(), "mine\n");
    let (status, _, errors) = run(folder.eventcast(&["init", "--force", "--quiet"]));
    assert_eq!((status, &*errors), (0, ""));
    assert_eq!(read(), written);
    let (status, _, errors) = run(folder.eventcast(&["init", "no/such/folder.yaml"]));
    assert_eq!(status, 3, "{errors}");
}

#[test]
fn values_in_effect() {
    let folder = Folder::new("show");
    let bridge = "bridge: { queue: 'https://h/1/q', authorizer: { token: S3CRET } }\n";
    folder.write("eventcast.yaml", &format!("{GOOD}{bridge}"));
    let mut show = folder.eventcast(&["config", "show", "--set", "bridge.drain=5s"]);
    show.env("EVENTCAST_BRIDGE_WAIT", "1s");
    let (status, out, errors) = run(show);
    assert_eq!(status, 0, "{errors}");
    assert!(!out.contains("S3CRET"), "{out}");
    let has = |key: &str, value: &str, origin: &str| {
        let line = out
            .lines()
            .find(|line| line.split_whitespace().next() == Some(key));
        let line = line.unwrap_or_else(|| panic!("{key}: {out}"));
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        assert_eq!(words.join(" "), format!("{value} {origin}"), "{line}");
    };
    has("bridge.queue", "https://h/1/q", "eventcast.yaml:3");
    has("bridge.wait", "1s", "EVENTCAST_BRIDGE_WAIT");
    has("bridge.drain", "5s", "--set bridge.drain");
    has("bridge.hold", "10m", "default");
    has("bridge.authorizer.token", "…", "eventcast.yaml:3");
    has(
        "routes.orders.to",
        "[\"orders/{detail.orderId}\"]",
        "eventcast.yaml:2",
    );
    let (status, out, _) = run(folder.eventcast(&["config", "show", "--format", "json"]));
    assert_eq!(status, 0);
    let values: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    let queue = values
        .iter()
        .find(|value| value["key"] == "bridge.queue")
        .unwrap();
    assert_eq!(
        queue["origin"],
        serde_json::json!({"file": {"file": "eventcast.yaml", "line": 3}})
    );
    folder.write("eventcast.yaml", "routes: []\n");
    let (status, out, errors) = run(folder.eventcast(&["config", "show"]));
    assert_eq!((status, &*out), (2, ""));
    assert!(errors.contains("error[empty-list]"), "{errors}");
}

#[test]
fn the_version_names_the_build() {
    let folder = Folder::new("version");
    let (status, out, _) = run(folder.eventcast(&["--version"]));
    assert_eq!(status, 0);
    let (first, features) = out.split_once('\n').unwrap();
    assert!(
        first.starts_with(concat!("eventcast ", env!("CARGO_PKG_VERSION"))),
        "{out}"
    );
    assert!(features.starts_with("features: "), "{out}");
    assert_eq!(features.contains("otlp"), cfg!(feature = "otlp"), "{out}");
    let (_, short, _) = run(folder.eventcast(&["-V"]));
    assert_eq!(short.trim_end(), first);
}

/// Commands that read standard input themselves do not stop where the configuration comes from it.
#[test]
fn a_configuration_from_standard_input_where_another_may_be() {
    let folder = Folder::new("both");
    folder.write(
        "event.json",
        r#"{"id":"1","source":"shop.orders","detail-type":"t","detail":{"orderId":"7"}}"#,
    );
    let explain = [
        "routes",
        "explain",
        "--config",
        "-",
        "--event",
        "event.json",
    ];
    let (status, out, errors) = with_input(folder.eventcast(&explain), GOOD);
    assert_eq!(status, 0, "{errors}");
    assert!(out.contains("orders/7"), "{out}");
    let generate = ["policy", "generate", "--config", "-", "--role", "none"];
    let (status, _, errors) = with_input(folder.eventcast(&generate), GOOD);
    assert_eq!(status, 2, "{errors}");
}

#[test]
fn a_pattern_from_standard_input() {
    let folder = Folder::new("pattern");
    folder.write("event.json", r#"{"source":"shop.orders"}"#);
    let test = |pattern: &str, event: &str, input: &str| {
        let arguments = ["pattern", "test", "--pattern", pattern, "--event", event];
        with_input(folder.eventcast(&arguments), input)
    };
    let pattern = r#"{"source":["shop.orders"]}"#;
    assert_eq!(test("-", "event.json", pattern).0, 0);
    assert_eq!(test(pattern, "-", r#"{"source":"other"}"#).0, 1);
    let (status, _, errors) = test("-", "-", pattern);
    assert_eq!(status, 2);
    assert!(errors.contains("was read already"), "{errors}");
}
