//! Refusals of `policy apply`: documents that take everything away, and those that the lints find
//! faults in, also in lists; and `policy show` where there is nothing.

use serde_json::json;

use super::Plane;
use super::deploy::document;

/// A document that allows nothing.
const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:Connect","Resource":"*"}]}"#;

#[test]
fn a_document_that_allows_nothing_never_replaces_one_silently() {
    let plane = Plane::new();
    plane.report(&["apply", "--name", "p", "--policy", &document("a")]);
    let apply = ["apply", "--name", "p", "--no-lint", "--policy", NOTHING];
    let dry_run = [&apply[..], &["--dry-run"]].concat();
    for refused in [&apply[..], &dry_run] {
        let (status, _, errors) = plane.run(refused);
        assert_eq!(status, 3, "{errors}");
        let begin = "error: the new document allows nothing, and the deployed one does\nhelp: give --allow-empty";
        assert!(errors.contains(begin), "{errors}");
        assert_eq!(plane.state()["p"]["document"], document("a"));
    }
    let allowed = plane.report(&[&apply[..], &["--allow-empty"]].concat());
    assert_eq!(allowed["counts"], json!({ "updated": 1 }));
    assert_eq!(plane.state()["p"]["document"], NOTHING);
    // A policy that allowed nothing loses nothing; a new policy takes nothing away either.
    let other = NOTHING.replace("iot:Connect", "iot:Publish");
    let again = ["apply", "--name", "p", "--no-lint", "--policy", &other];
    assert_eq!(plane.report(&again)["counts"], json!({ "updated": 1 }));
    let new = ["apply", "--name", "q", "--no-lint", "--policy", NOTHING];
    assert_eq!(plane.report(&new)["counts"], json!({ "created": 1 }));
}

#[test]
fn lists_are_linted_and_kept_from_taking_everything_away() {
    let plane = Plane::new();
    plane.report(&["apply", "--name", "kept", "--policy", &document("a")]);
    plane.write("good.json", &document("b"));
    plane.write("nothing.json", NOTHING);
    // A wildcard of MQTT in a topic is a literal character to IoT Core, so that nobody can ever
    // publish there.
    let never = document("c")
        .replace("iot:Connect", "iot:Publish")
        .replace("client/c", "topic/a/+");
    plane.write("never.json", &never);
    plane.write(
        "list.csv",
        "name,policy\nkept,nothing.json\nbad,never.json\ngood,good.json\n",
    );
    let (status, _, errors) = plane.run(&["apply", "--from", "list.csv"]);
    assert_eq!(status, 3, "{errors}");
    assert!(
        errors.contains("error: list.csv:2: the new document allows nothing"),
        "{errors}"
    );
    assert!(
        errors.contains(
            "error: list.csv:3: `arn:aws:iot:us-east-1:123456789012:topic/a/+` matches nothing"
        ),
        "{errors}"
    );
    let state = plane.state();
    assert_eq!(state["kept"]["document"], document("a"));
    assert_eq!(state["good"]["document"], document("b"));
    assert_eq!(state["bad"], json!(null));
    let all = ["apply", "--from", "list.csv", "--no-lint", "--allow-empty"];
    let counts = plane.report(&all)["counts"].clone();
    assert_eq!(
        counts,
        json!({ "created": 1, "unchanged": 1, "updated": 1 })
    );
    let state = plane.state();
    assert_eq!(state["kept"]["document"], NOTHING);
    assert_eq!(state["bad"]["document"], never);
}

#[test]
fn nothing_is_shown_where_nothing_is() {
    let plane = Plane::new();
    let [_, group, _] = &plane.targets();
    let (status, out, errors) = plane.run(&["show"]);
    assert_eq!(
        (status, &*out, &*errors),
        (0, "", "there is no policy in us-east-1\n")
    );
    let (status, out, errors) = plane.run(&["show", "--target", group]);
    let expected = format!("no policy is attached to `{group}`\n");
    assert_eq!((status, &*out, &*errors), (0, "", &*expected));
    let report = plane.report(&["show"]);
    assert_eq!(
        report,
        json!({ "region": "us-east-1", "target": null, "policies": [] })
    );
}
