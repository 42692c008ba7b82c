//! Examples as they are printed, and the files that they name.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::dev::Dev;
use super::moto;

pub(crate) const USER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
pub(crate) const OTHER: &str = "0c0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

/// Programs whose lines are commands.
const PROGRAMS: [&str; 6] = [
    "eventcast ",
    "aws ",
    "curl ",
    "cargo ",
    "mosquitto_",
    "openssl ",
];

/// A block of code of a page.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
    /// The line at which it begins.
    pub(crate) line: usize,
}

/// A command with the assignments that stand before it.
pub(crate) struct Example {
    pub(crate) place: String,
    pub(crate) before: String,
    pub(crate) command: String,
}

/// Fenced blocks, and those that are indented by four blanks.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut fenced, mut indented) = (false, false);
    for (at, line) in page.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fenced = !fenced;
            indented = false;
            if fenced {
                found.push(Block {
                    language: language.trim().to_owned(),
                    text: String::new(),
                    line: at + 1,
                });
            }
            continue;
        }
        let code = if fenced {
            Some(line)
        } else {
            line.strip_prefix("    ")
        };
        let Some(code) = code else {
            indented = false;
            continue;
        };
        if !fenced && !indented {
            indented = true;
            found.push(Block {
                language: String::new(),
                text: String::new(),
                line: at + 1,
            });
        }
        let block = found.last_mut().unwrap();
        block.text += code;
        block.text += "\n";
    }
    found
}

/// Commands of a block of a page; none in blocks of another language.
pub(crate) fn commands_of_block(page: &str, block: &Block) -> Vec<Example> {
    if !matches!(&*block.language, "" | "sh" | "bash" | "console") {
        return Vec::new();
    }
    commands(&format!("{page}:{}", block.line), block.text.lines())
}

/// Commands of a help text: lines that are indented by two blanks.
pub(crate) fn commands_of_help(name: &str, help: &str) -> Vec<Example> {
    let examples = help.lines().filter_map(|line| line.strip_prefix("  "));
    commands(&format!("{name} --help"), examples)
}

fn commands<'l>(place: &str, lines: impl Iterator<Item = &'l str>) -> Vec<Example> {
    let mut found = Vec::new();
    let mut before = String::new();
    let mut joined = String::new();
    for line in lines {
        // A continuation in the next line is indented there.
        joined += if joined.is_empty() {
            line.trim_start_matches("$ ")
        } else {
            line.trim_start()
        };
        if joined.ends_with('\\') {
            joined.pop();
            continue;
        }
        if joined.ends_with('|') {
            joined.push(' ');
            continue;
        }
        let line = std::mem::take(&mut joined);
        let command = without_words(&line).trim_end_matches([' ', '&']);
        if is_assignment(command) {
            // Addresses are those of the platform that the test has started.
            if !command.contains("AWS_") {
                before += command;
                before += "\n";
            }
        } else if PROGRAMS.iter().any(|program| command.starts_with(program)) {
            found.push(Example {
                place: place.to_owned(),
                before: before.clone(),
                command: command.to_owned(),
            });
        }
    }
    found
}

/// A line without the words beside it: those behind a `#`, or behind a gap.
fn without_words(line: &str) -> &str {
    let end = [" # ", "   "].iter().filter_map(|gap| line.find(gap)).min();
    line[..end.unwrap_or(line.len())].trim_end()
}

fn is_assignment(line: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line);
    line.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    }) && !line.contains(" eventcast ")
}

/// The help of every command, by the command.
pub(crate) fn help_of_all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(&path)
            .arg("--help")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let below = help
            .split_once("\nCommands:\n")
            .map_or("", |(_, rest)| rest);
        for line in below.lines().take_while(|line| !line.is_empty()) {
            let name = line
                .strip_prefix("  ")
                .filter(|line| !line.starts_with(' '));
            let name = name.and_then(|line| line.split(' ').next());
            if let Some(name) = name.filter(|name| *name != "help") {
                open.push([&path[..], &[name.to_owned()]].concat());
            }
        }
        found.push((
            format!("eventcast {}", path.join(" "))
                .trim_end()
                .to_owned(),
            help,
        ));
    }
    found.sort();
    found
}

/// The program itself and the tools that `tests/install` installs, before all others.
pub(crate) fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_eventcast")).parent().unwrap();
    let tools = moto::cache().join("venv").join("bin");
    let others = std::env::var("PATH").unwrap();
    format!("{}:{}:{others}", program.display(), tools.display())
}

/// Posts to a platform, and returns its answer.
pub(crate) fn post(dev: &Dev, path: &str, headers: &str, body: &str) -> Value {
    let headers = format!("host: localhost\r\n{headers}");
    let answer = dev.request(&format!("POST {path}"), &headers, body);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

/// Standard input with this text.
pub(crate) fn piped(text: &str) -> Stdio {
    let file = std::env::temp_dir().join(format!("eventcast-piped-{}", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let open = std::fs::File::open(&file).unwrap();
    // An open file stays until it was read.
    std::fs::remove_file(&file).unwrap();
    Stdio::from(open)
}

/// A configuration of a page, completed with the parts that it leaves out, so that it can be
/// checked.
pub(crate) fn completed(text: &str) -> String {
    let has = |section: &str| text.lines().any(|line| line.starts_with(section));
    let mut whole = text.to_owned();
    if !has("routes:") {
        whole += "\nroutes:\n  - name: any\n    match: { source: [shop] }\n    to: [any]\n";
    }
    if !has("channels:") {
        whole +=
            "\nchannels:\n  user: { id: uuid }\n  order: { id: uuid }\n  tenant: { id: uuid }\n";
    }
    whole
}

/// An event of this moment that README's route and the shop's take; an older one would have
/// expired.
pub(crate) fn event() -> Value {
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())
        .unwrap()
        .to_string();
    let detail = json!({ "orderId": USER, "tenantId": OTHER, "customerId": OTHER, "watchers": [{ "userId": USER }] });
    json!({ "version": "0", "id": "3c04ef9b-15e4-44a6-a916-2352603f2c86", "source": "shop.orders",
        "detail-type": "OrderPlaced", "account": "123456789012", "time": now,
        "region": "eu-central-1", "resources": [], "detail": detail })
}

/// A folder with the files that examples name; removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The contract of a feature on README's configuration.
const MANIFEST: &str = "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - { channel: \"order:{orderId}\", audience: [customer] }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderPlaced
    to: [\"order:{orderId}\"]
    examples: [{ detail: { orderId: 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11, watchers: [] } }]
";

/// Makes the configuration and the manifest a revision of git, which examples call `origin/main`.
fn commit(folder: &Path) {
    let author = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "commit.gpgsign=false",
    ];
    for arguments in [
        &["init", "-q"][..],
        &["add", "eventcast.yaml", "realtime.yaml"],
        &[&author[..], &["commit", "-q", "-m", "base"]].concat(),
        &["update-ref", "refs/remotes/origin/main", "HEAD"],
    ] {
        let status = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(arguments)
            .status();
        assert!(status.unwrap().success(), "{arguments:?}");
    }
}

/// Writes the files. README's configuration is `eventcast.yaml`.
pub(crate) fn fixtures(shop: &Dev) -> Folder {
    let folder = std::env::temp_dir().join(format!("eventcast-examples-{}", std::process::id()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(folder.join(".local/share/bash-completion/completions")).unwrap();
    let copied = Command::new("cp")
        .args([
            "-r",
            root.join("policies").to_str().unwrap(),
            root.join("infra").to_str().unwrap(),
            folder.to_str().unwrap(),
        ])
        .status()
        .unwrap();
    assert!(copied.success());
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let configuration = blocks(&readme)
        .into_iter()
        .find(|block| block.language == "yaml")
        .unwrap();
    write("shop.yaml", &configuration.text);
    let keys = "authorizer:\n  keys: [jwks.json]\n";
    write("eventcast.yaml", &format!("{}{keys}", configuration.text));
    let event = event();
    for name in ["event.json", "rule-event.json"] {
        write(name, &event.to_string());
    }
    let template = root.join("infra/cloudformation/queues.yaml");
    write("template.yaml", &std::fs::read_to_string(template).unwrap());
    write("other.json", r#"{"Resources":{}}"#);
    write(
        "load.yaml",
        "clients: 1M\nconnected: 2h\nroutes:\n  order-updates: { events: 50/d per client }\n",
    );
    write(
        "metrics.txt",
        "eventcast_published_total{route=\"order-updates\"} 86400\neventcast_unrouted_total 5\n",
    );
    let scenario = root.join("src/cli/simulate/outage.yaml");
    write("outage.yaml", &std::fs::read_to_string(scenario).unwrap());
    write("rule.json", r#"{"source":["shop.orders"]}"#);
    write(
        "cases.jsonl",
        &format!(
            "{}\n",
            json!({ "pattern": { "source": ["shop.orders"] }, "event": event })
        ),
    );
    // For README's customer and for the built-in shop's.
    let claims = json!({ "sub": USER, "orders": [] });
    for name in [
        "claims.json",
        "token.json",
        "t.json",
        "customer-claims.json",
    ] {
        write(name, &claims.to_string());
    }
    let statement = |resource: &str| json!({ "Effect": "Allow", "Action": "iot:Connect", "Resource": format!("arn:aws:iot:us-east-1:000000000000:client/{resource}") });
    for name in [
        "customer", "courier", "driver", "device", "base", "a", "b", "before", "after", "golden",
        "lamp", "policy",
    ] {
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement(name)] });
        write(&format!("{name}.json"), &policy.to_string());
    }
    write("client.json", &json!({ "clientId": "c" }).to_string());
    let question = json!({ "id": 1, "policies": [{ "Version": "2012-10-17", "Statement": [statement("c")] }],
        "action": "iot:Connect", "resource": "arn:aws:iot:us-east-1:000000000000:client/c", "context": { "clientId": "c" } });
    write("questions.jsonl", &format!("{question}\n"));
    write("devices.csv", "name,policy\nlamp-1,lamp.json\n");
    write("left.csv", "name\nlamp-1\n");
    let body = json!({ "role": "customer", "claims": claims }).to_string();
    let minted = post(shop, "/_dev/tokens", "", &body);
    write("token", minted["token"].as_str().unwrap());
    write(
        "connect.json",
        &json!({ "token": minted["token"] }).to_string(),
    );
    let device = rcgen::generate_simple_self_signed(vec!["courier".to_owned()]).unwrap();
    write("courier.pem", &device.cert.pem());
    let key = rcgen::KeyPair::generate().unwrap();
    write("issuer.key", &key.serialize_pem());
    write("jwks.json", &key.public_key_pem());
    write("realtime.yaml", MANIFEST);
    commit(&folder);
    Folder(folder)
}
