//! Plans as people and programs get them, and what is refused.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    plan: Command,
}

/// Plans for the built-in shop's configuration.
fn plan(arguments: &[&str]) -> (Status, String, String) {
    let shop = ["plan", "--config", "policies/eventcast.yaml"];
    let line = Line::try_parse_from(shop.iter().chain(arguments)).unwrap();
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let status = run(&line.plan, &mut out, &mut messages).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status, text(out), text(messages))
}

/// A file of this test, removed when dropped.
struct KeptFile(PathBuf);

impl KeptFile {
    fn new(name: &str, text: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("eventcast-plan-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn three_platforms() {
    for name in ["10k", "1m", "10m"] {
        let (status, out, _) = plan(&["--load", &format!("infra/loads/{name}.yaml")]);
        assert_eq!(status, Status::Yes);
        insta::assert_snapshot!(format!("platform_{name}"), out);
    }
}

#[test]
fn the_same_plan_as_json() {
    let arguments = ["--load", "infra/loads/1m.yaml", "--format", "json"];
    let (_, out, _) = plan(&arguments);
    assert_eq!(out, plan(&arguments).1);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    let total = answer["plan"]["bill"]["total"].as_f64().unwrap();
    let lines = answer["plan"]["bill"]["lines"].as_array().unwrap();
    let sum: f64 = lines
        .iter()
        .map(|line| line["dollars"].as_f64().unwrap())
        .sum();
    assert!((total - sum).abs() < 0.01, "{total} {sum}");
    assert_eq!(answer["sweep"].as_array().unwrap().len(), 10);
    assert!(!answer["remarks"].as_array().unwrap().is_empty());
}

#[test]
fn assertions_decide_the_status() {
    let (status, out, _) = plan(&["--clients", "10k", "--assert", "cost<=5000"]);
    assert_eq!(status, Status::Yes);
    assert!(out.contains("holds: cost<=5000 ($"), "{out}");
    let both = [
        "--clients",
        "10M",
        "--assert",
        "headroom>=30%",
        "--assert",
        "tasks<=1000",
    ];
    let (status, out, _) = plan(&both);
    assert_eq!(status, Status::No);
    assert!(out.contains("FAILS: headroom>=30% (-"), "{out}");
    assert!(out.contains("holds: tasks<=1000"), "{out}");
    let arguments = ["plan", "--assert", "price<=5"];
    let refused = Line::try_parse_from(arguments).err().unwrap().to_string();
    assert!(
        refused.contains("accepted: one of headroom, cost"),
        "{refused}"
    );
}

#[test]
fn the_printed_load_is_the_same_load() {
    let arguments = ["--load", "infra/loads/1m.yaml", "--with", "peak=4"];
    let (status, printed, _) = plan(&[&arguments[..], &["--print-load"]].concat());
    assert_eq!(status, Status::Yes);
    let kept = KeptFile::new("load.yaml", &printed);
    assert_eq!(plan(&["--load", kept.path()]).1, plan(&arguments).1);
}

#[test]
fn faults_have_their_places() {
    let kept = KeptFile::new(
        "bad.yaml",
        "clients: many\nroutes:\n  order-update: { events: 5 }\n",
    );
    let (status, out, messages) = plan(&["--load", kept.path(), "--with", "peak=x"]);
    assert_eq!((status, &*out), (Status::CannotAnswer, ""));
    for part in [
        "error[bad-quantity]: `peak` is \"x\"\n  --> --with peak=x\n",
        "bad.yaml:1:10\n   | clients: many\n",
        "error[unknown-route]: the configuration has no route `order-update`\n",
        "help: did you mean `order-updates`?\n",
        "`routes.order-update.events` is 5\n",
    ] {
        assert!(messages.contains(part), "{part}\n{messages}");
    }
    let (status, _, messages) = plan(&["--with", "region=sa-east-1"]);
    assert_eq!(status, Status::CannotAnswer);
    let known = "no price of `iot-connection-minute` is known for the Region `sa-east-1`; prices are known for ap-northeast-1, eu-central-1";
    assert!(messages.contains(known), "{messages}");
    let (status, _, messages) = plan(&["--load", "/nowhere.yaml"]);
    assert_eq!(status, Status::CannotAnswer);
    assert!(
        messages.contains("help: eventcast plan --print-load"),
        "{messages}"
    );
}

#[test]
fn lines_of_ones_own() {
    let quota = r#"{"name":"connections","service":"iotcore","title":"Maximum concurrent client connections per account","value":4000000,"unit":"connections","adjustable":true,"regions":["us-east-1"],"read":"2020-01-01","standing":"stated","source":"https://example.com/granted"}"#;
    let kept = KeptFile::new("quotas.jsonl", quota);
    let arguments = ["--load", "infra/loads/1m.yaml", "--quotas", kept.path()];
    let (status, out, messages) = plan(&arguments);
    assert_eq!(status, Status::Yes);
    assert!(out.contains("4,000,000"), "{out}");
    let remark = "note: the quota `connections` was read on 2020-01-01, over 180 days ago: look it up at https://example.com/granted\n";
    assert!(messages.contains(remark), "{messages}");
    let kept = KeptFile::new("prices.jsonl", "{\"name\":\"gold\"}\n");
    let (status, _, messages) = plan(&["--prices", kept.path()]);
    assert_eq!(status, Status::CannotAnswer);
    assert!(
        messages.contains("prices.jsonl:1: unknown variant `gold`"),
        "{messages}"
    );
}

#[test]
fn loads_are_learned_from_metrics() {
    let metrics = "eventcast_published_total{route=\"order-updates\"} 7200\neventcast_conflated_total{route=\"order-updates\"} 0\neventcast_unrouted_total 3600\n";
    let kept = KeptFile::new("metrics.txt", metrics);
    let learned = ["--learn", kept.path(), "--over", "1h", "--clients", "5k"];
    let (status, out, messages) = plan(&[&learned[..], &["--print-load"]].concat());
    assert_eq!(status, Status::Yes, "{messages}");
    for part in [
        "clients: 5000 ",
        "unrouted: 1/s ",
        "    events: 2/s\n    topics: 1\n",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let refused = |arguments: &[&str]| {
        let (status, _, messages) = plan(arguments);
        assert_eq!(status, Status::CannotAnswer);
        messages
    };
    assert!(refused(&["--learn", kept.path()]).contains("needs --over"));
    assert!(refused(&["--learn", kept.path(), "--over", "soon"]).contains("--over is `soon`"));
    assert!(refused(&["--learn", "/nowhere", "--over", "1h"]).contains("reading metrics"));
    let none = KeptFile::new("none.txt", "go_threads 7\n");
    assert!(refused(&["--learn", none.path(), "--over", "1h"]).contains("no metrics of a bridge"));
    let far = refused(&["--learn", "http://user:S3CRET@metrics.example.com/metrics"]);
    assert!(
        far.contains("is not on this machine") && !far.contains("S3CRET"),
        "{far}"
    );
}

#[test]
fn pictures_are_the_same_again() {
    let folder = std::env::temp_dir().join(format!("eventcast-pictures-{}", std::process::id()));
    let shown = folder.to_str().unwrap().to_owned();
    let draw = || {
        let (status, ..) = plan(&["--load", "infra/loads/1m.yaml", "--svg", &shown]);
        assert_eq!(status, Status::Yes);
        ["cost.svg", "headroom.svg"].map(|name| fs::read_to_string(folder.join(name)).unwrap())
    };
    let pictures = draw();
    assert_eq!(pictures, draw());
    let _ = fs::remove_dir_all(&folder);
    let [cost, headroom] = pictures;
    assert!(cost.contains("Cost of a month against clients") && cost.ends_with("</svg>\n"));
    assert!(headroom.contains(">the quota</text>"));
    // Every number in a picture is one.
    for picture in [cost, headroom] {
        assert!(
            !picture.contains("NaN") && !picture.contains("inf"),
            "{picture}"
        );
    }
}
