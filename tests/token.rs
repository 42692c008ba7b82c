//! Tokens between `eventcast token` and PyJWT, in both directions, and the commands' reports on
//! them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/moto.rs"]
mod moto;
#[path = "support/shop.rs"]
mod shop;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use shop::{CUSTOMER, ORDER, configuration};

const ROLES: &str = r#"
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["user:{claims.sub}", "order:{claims.orders[*]}"]
  courier:
    bind: user:{claims.sub}
    subscribe: ["order:*"]
    publish: ["position/{claims.sub}"]
authorizer:
  issuer: shop
  audience: realtime
"#;

/// A folder with a configuration, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("eventcast-token-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("eventcast.yaml"), configuration(ROLES)).unwrap();
        Self(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command.arg("token").args(arguments).current_dir(&self.0);
        command
    }

    fn token(&self, arguments: &[&str], input: &str) -> Output {
        output(&mut self.command(arguments), input)
    }

    fn jwts(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = moto::python("jwts.py");
        let (action, rest) = arguments.split_first().unwrap();
        command.arg(action).arg(&self.0).args(rest);
        output(&mut command, input)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Output {
    status: Option<i32>,
    out: String,
    messages: String,
}

fn output(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output {
        status: output.status.code(),
        out: text(output.stdout),
        messages: text(output.stderr),
    }
}

/// Some claims, valid for an hour.
fn claims(changes: &Value) -> Value {
    let hour = jiff::Timestamp::now().as_second() + 3_600;
    let mut claims = json!({
        "sub": CUSTOMER, "iss": "shop", "aud": "realtime", "exp": hour, "role": "customer", "orders": [ORDER],
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    claims
}

const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

#[test]
fn what_py_jwt_signs_is_believed() {
    let folder = Folder::new();
    assert_eq!(folder.jwts(&["keys"], "").status, Some(0));
    for algorithm in ALGORITHMS {
        let signed = folder.jwts(&["sign", algorithm], &claims(&json!({})).to_string());
        let token = signed.out.trim();
        let pem = format!("{algorithm}.pem");
        // By its own key, by the issuer's set, and by nobody else's key.
        for key in [pem.as_str(), "jwks.json"] {
            let told = folder.token(&["verify", "--key", key, "--format", "json", token], "");
            assert_eq!(told.status, Some(0), "{told:?}");
            let told: Value = serde_json::from_str(&told.out).unwrap();
            assert_eq!(told["algorithm"], algorithm);
            assert_eq!(told["grants"]["principal"], CUSTOMER);
            let order = format!("order/{ORDER}");
            assert_eq!(told["grants"]["subscribe"][0], order);
            assert_eq!(told["answer"]["isAuthenticated"], true);
        }
        for other in ALGORITHMS.into_iter().filter(|other| *other != algorithm) {
            let told = folder.token(&["verify", "--key", &format!("{other}.pem"), token], "");
            assert_eq!(told.status, Some(1), "{told:?}");
        }
        let (head, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
        let told = folder.token(&["verify", "--key", &pem, &forged], "");
        assert_eq!(told.status, Some(1), "{told:?}");
    }
    // Access tokens name their type (RFC 9068).
    let signed = folder.jwts(
        &["sign", "ES256", "at+jwt"],
        &claims(&json!({})).to_string(),
    );
    let verify = ["verify", "--key", "jwks.json", signed.out.trim()];
    let told = folder.token(&verify, "");
    assert_eq!(told.status, Some(0), "{told:?}");
    let line = "type at+jwt: an access token (RFC 9068)\n";
    assert!(told.out.contains(line), "{told:?}");
    let told = folder.token(&[&verify[..], &["--format", "json"]].concat(), "");
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told["type"], "at+jwt");
    // A token signed with a key that is not taken from the set does not verify.
    let signed = folder.jwts(&["sign", "ES384"], &claims(&json!({})).to_string());
    let told = folder.token(&["verify", "--key", "jwks.json", signed.out.trim()], "");
    assert_eq!(told.status, Some(1));
    assert!(told.out.contains("but the keys here are for"), "{told:?}");
    let told = folder.token(&["verify", "--key", "ES384.pem", signed.out.trim()], "");
    assert_eq!(told.status, Some(2));
    assert!(
        told.messages.contains("no RSA, P-256 or Ed25519 key"),
        "{told:?}"
    );
}

#[test]
fn py_jwt_believes_what_is_minted() {
    let folder = Folder::new();
    folder.jwts(&["keys"], "");
    for (algorithm, key) in [
        ("RS256", "RS256.key"),
        ("RS256", "RS256.pkcs1.key"),
        ("ES256", "ES256.key"),
        ("EdDSA", "EdDSA.key"),
    ] {
        let orders = format!("orders={ORDER},{CUSTOMER}");
        let arguments = [
            "mint", "--key", key, "--key-id", algorithm, "--role", "customer", "--sub", CUSTOMER,
            "--claim", &orders,
        ];
        let minted = folder.token(&arguments, "");
        assert_eq!((minted.status, minted.messages.as_str()), (Some(0), ""));
        let read = folder.jwts(&["check", algorithm], &minted.out);
        assert_eq!(read.status, Some(0), "{read:?}");
        let read: Value = serde_json::from_str(&read.out).unwrap();
        assert_eq!(read["sub"], CUSTOMER);
        assert_eq!(read["orders"], json!([ORDER, CUSTOMER]));
        assert_eq!(read["role"], "customer");
        assert_eq!(
            read["exp"].as_i64().unwrap() - read["iat"].as_i64().unwrap(),
            3_600
        );
        let told = folder.token(&["verify", "--key", "jwks.json", "-"], &minted.out);
        assert_eq!(told.status, Some(0), "{told:?}");
    }
}

/// The text without the parts that differ from run to run.
fn steady(text: &str) -> String {
    let patterns = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"(exp|iat): \d+", "$1: SECONDS"),
        (r#""(exp|iat)": \d+"#, r#""$1": SECONDS"#),
        (r"for 3[56]\d\ds", "for an hour"),
        (
            r#""disconnectAfterInSeconds": 3[56]\d\d"#,
            r#""disconnectAfterInSeconds": AN HOUR"#,
        ),
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
    ];
    let mut text = text.to_owned();
    for (pattern, with) in patterns {
        text = regex::Regex::new(pattern)
            .unwrap()
            .replace_all(&text, with)
            .into_owned();
    }
    text
}

#[test]
fn what_a_person_sees() {
    let folder = Folder::new();
    let mint = |role: &str, rest: &[&str]| {
        let arguments = [&["mint", "--dev", "--role", role, "--sub", CUSTOMER], rest].concat();
        folder.token(&arguments, "")
    };
    let customer = mint("customer", &["--claim", &format!("orders={ORDER}")]);
    let told = folder.token(&["verify", "--dev", "-"], &customer.out);
    insta::assert_snapshot!("verified", steady(&told.out));
    let courier = mint("courier", &[]);
    let told = folder.token(&["verify", "--dev", "--format", "json", "-"], &courier.out);
    insta::assert_snapshot!("verified_as_json", steady(&told.out));
    let json = mint("courier", &["--format", "json"]);
    insta::assert_snapshot!("minted_as_json", steady(&json.out));
    let useless = mint("customer", &[]);
    insta::assert_snapshot!(
        "minted_in_vain",
        steady(&format!("{}{}", useless.messages, useless.out))
    );
    let told = folder.token(&["verify", "--dev", "-"], &useless.out);
    assert_eq!(told.status, Some(1));
    insta::assert_snapshot!("not_let_in", told.out);
}

#[test]
fn what_cannot_be_answered() {
    let folder = Folder::new();
    folder.jwts(&["keys"], "");
    let told = |arguments: &[&str]| {
        let told = folder.token(arguments, "");
        assert_eq!((told.status, told.out.as_str()), (Some(2), ""));
        told.messages
    };
    insta::assert_snapshot!(told(&["verify", "x"]), @"
    error: no keys are known that a token could be believed by
    help: set authorizer.keys or keys_url in the configuration, name a file with --key, or believe the development key with --dev
    ");
    insta::assert_snapshot!(told(&["verify", "--key", "ES256.key", "--key", "none.pem", "x"]), @"
    error: the key file `ES256.key`: a private key; tokens are checked with the public one
    error: the key file `none.pem`: No such file or directory (os error 2)
    help: name files with public keys as PEM, or key sets as JSON; file names are relative to where the command runs
    ");
    insta::assert_snapshot!(told(&["mint", "--dev", "--role", "admin"]), @"
    error: there is no role `admin`
    help: roles are customer, courier
    ");
    insta::assert_snapshot!(told(&["mint", "--key", "ES256.pem", "--role", "customer"]), @"
    error: the key file `ES256.pem`: a public key; tokens are minted with the private one
    help: give a private key as PEM (PKCS#8), or --dev for the development key
    ");
    insta::assert_snapshot!(told(&["mint", "--dev", "--role", "customer", "--claims", "[1]"]), @"
    error: reading `[1]`: No such file or directory (os error 2)
    help: give --claims '{\"sub\":\"…\"}', a file, or `-` for standard input
    ");
    insta::assert_snapshot!(told(&["mint", "--dev", "--role", "customer", "--claims", "{"]), @"
    error: the claims are no JSON object: EOF while parsing an object at line 1 column 1
    help: give --claims '{\"sub\":\"…\"}', a file, or `-` for standard input
    ");
}

/// The development key goes with the shop that `eventcast dev` serves, where there is no
/// configuration.
#[test]
fn the_built_in_shop_stands_in() {
    let folder = Folder::new();
    fs::remove_file(folder.0.join("eventcast.yaml")).unwrap();
    let mint = ["mint", "--dev", "--role", "customer", "--sub", CUSTOMER];
    let minted = folder.token(&[&mint[..], &["--claim", "orders="]].concat(), "");
    assert_eq!(minted.status, Some(0), "{minted:?}");
    assert!(minted.messages.contains("the built-in shop"), "{minted:?}");
    let told = folder.token(&["verify", "--dev", "-"], &minted.out);
    assert_eq!(told.status, Some(0), "{told:?}");
    // With a key of one's own nothing is taken for granted.
    assert_eq!(folder.token(&["verify", "-"], &minted.out).status, Some(2));
}

/// The development key is nobody's in a configuration.
#[test]
fn production_does_not_believe_the_development_key() {
    let folder = Folder::new();
    folder.jwts(&["keys"], "");
    let configuration = configuration(ROLES) + "  keys: [jwks.json, ES256.pem]\n";
    fs::write(folder.0.join("eventcast.yaml"), configuration).unwrap();
    let minted = folder.token(
        &["mint", "--dev", "--role", "courier", "--sub", CUSTOMER],
        "",
    );
    let told = folder.token(&["verify", "-"], &minted.out);
    assert_eq!(told.status, Some(1));
    assert!(told.out.contains("but the keys here are for"), "{told:?}");
    let signed = folder.jwts(&["sign", "EdDSA"], &claims(&json!({})).to_string());
    assert_eq!(folder.token(&["verify", "-"], &signed.out).status, Some(0));
}
