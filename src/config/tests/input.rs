//! Leftovers of other tools and hasty edits in the file: placeholders that nothing fills in, text
//! without quotation marks, text that is no YAML.

use super::{loaded, told};
use crate::config::fault::Severity;

const ROUTE: &str = "routes: [{ name: r, match: { source: [s] }, to: [a] }]\n";

#[test]
fn placeholders_that_were_left_behind() {
    for (section, key, written) in [
        (
            "bridge: { queue: 'https://sqs.${AWS_REGION}.amazonaws.com/123456789012/q' }",
            "bridge.queue",
            "${AWS_REGION}",
        ),
        (
            "bridge: { dead_letter_queue: 'https://sqs.eu-west-1.amazonaws.com/<account>/q' }",
            "bridge.dead_letter_queue",
            "<account>",
        ),
        (
            "bridge: { client_id: '{{ .Values.clientId }}' }",
            "bridge.client_id",
            "{{ .Values.clientId }}",
        ),
        (
            "bridge: { tls: { ca: '$(CA_FILE)' } }",
            "bridge.tls.ca",
            "$(CA_FILE)",
        ),
        (
            "authorizer: { issuer: 'https://#{host}/' }",
            "authorizer.issuer",
            "#{host}",
        ),
        (
            "authorizer: { keys: [a.pem, '<%= key %>'] }",
            "authorizer.keys[1]",
            "<%= key %>",
        ),
        (
            "bridge: { embedded_metrics: '%(namespace)s' }",
            "bridge.embedded_metrics",
            "%(namespace)s",
        ),
        (
            "bridge: { queue: 'https://sqs.{region}.amazonaws.com/1/q' }",
            "bridge.queue",
            "{region}",
        ),
    ] {
        let loaded = loaded(&format!("{ROUTE}{section}\n"), &[], &[]);
        let told = told(&loaded.faults);
        let fault = loaded
            .faults
            .iter()
            .find(|fault| fault.code == "leftover-placeholder");
        let fault = fault.unwrap_or_else(|| panic!("{section}: {told}"));
        assert_eq!((fault.severity, &*fault.key), (Severity::Warning, key));
        assert!(fault.message.contains(written), "{told}");
    }
    let named = loaded(
        &format!("{ROUTE}environment: prod\n"),
        &[("EVENTCAST_BRIDGE_QUEUE", "https://${HOST}/1/q")],
        &[],
    );
    let told_of = told(&named.faults);
    assert!(
        told_of.contains("`bridge.queue` has `${HOST}`"),
        "{told_of}"
    );
    for right in [
        "bridge: { queue: 'https://sqs.eu-west-1.amazonaws.com/123456789012/q$1' }",
        "bridge: { queue: 'http://[::1]:4566/000000000000/q' }",
        "authorizer: { issuer: 'https://id.example/{}' }",
        "x-note: '${WHATEVER}'",
        "channels: { order: { id: { pattern: '[a-z]{1,5}' } } }",
    ] {
        let loaded = loaded(&format!("{ROUTE}{right}\n"), &[], &[]);
        assert_eq!(told(&loaded.faults), "", "{right}");
    }
}

#[test]
fn text_with_braces_and_without_quotation_marks() {
    let file =
        |to: &str| format!("routes:\n  - name: r\n    match: {{ source: [s] }}\n    to: {to}\n");
    let advice = "put text that has braces between quotation marks, such as \"order:{detail.id}\"";
    for to in [
        "[order:{detail.id}]",
        "[{detail.topic}]",
        "[order: {detail.id}]",
        "{detail.topic}",
        "[a, order:{detail.id}]",
        "\n      - order: {detail.id}",
        "[order:{detail.id}/x]",
        "[{detail.a}/{detail.b}]",
        "{detail.a}/b",
    ] {
        let loaded = loaded(&file(to), &[], &[]);
        assert!(loaded.config.is_none(), "{to}");
        let helps = loaded
            .faults
            .iter()
            .filter_map(|fault| fault.help.as_deref());
        assert!(
            helps.into_iter().any(|help| help == advice),
            "{to}: {}",
            told(&loaded.faults)
        );
    }
    for other in ["[[a]]", "[{ a: 1, b: 2 }]", "[17]", "{ a: 1 }", "'{'"] {
        let told = told(&loaded(&file(other), &[], &[]).faults);
        assert!(!told.contains(advice), "{other}: {told}");
    }
}

#[test]
fn text_that_cannot_be_read_is_no_finding() {
    for unreadable in ["a: [", "a: b: c", "{", "a: 1\n---\nb: 2\n", "\"open"] {
        let loaded = loaded(unreadable, &[], &[]);
        assert!(
            loaded.is_unreadable(),
            "{unreadable}: {}",
            told(&loaded.faults)
        );
    }
    for read in ["", "routes: []", "nonsense", "a: 1", ROUTE] {
        assert!(!loaded(read, &[], &[]).is_unreadable(), "{read}");
    }
}
