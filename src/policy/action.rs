//! The actions of AWS IoT, and the kinds of resources that those of the data plane are checked
//! against.
//!
//! The data plane is from the developer guide, "AWS IoT Core policy actions" and "AWS IoT Core
//! action resources"; the control plane's names are in `control`.

mod control;

use super::document::ActionPattern;

/// Any resource: the action is checked against `*`.
pub const ANY: &str = "*";

/// Each action with the kind of its resource, the text before the first slash.
pub const ACTIONS: [(&str, &str); 24] = [
    ("iot:Connect", "client"),
    ("iot:Publish", "topic"),
    ("iot:RetainPublish", "topic"),
    ("iot:Receive", "topic"),
    ("iot:Subscribe", "topicfilter"),
    ("iot:GetRetainedMessage", "topic"),
    ("iot:ListRetainedMessages", ANY),
    ("iot:DeleteConnection", "client"),
    ("iot:GetConnection", "client"),
    ("iot:ListSubscriptions", "client"),
    ("iot:SendDirectMessage", "client"),
    ("iot:GetThingShadow", "thing"),
    ("iot:UpdateThingShadow", "thing"),
    ("iot:DeleteThingShadow", "thing"),
    ("iot:ListNamedShadowsForThing", ANY),
    ("iot:DescribeJobExecution", "thing"),
    ("iot:GetPendingJobExecutions", "thing"),
    ("iot:StartNextPendingJobExecution", "thing"),
    ("iot:UpdateJobExecution", "thing"),
    ("iotjobsdata:DescribeJobExecution", "thing"),
    ("iotjobsdata:GetPendingJobExecutions", "thing"),
    ("iotjobsdata:StartNextPendingJobExecution", "thing"),
    ("iotjobsdata:UpdateJobExecution", "thing"),
    ("iot:AssumeRoleWithCertificate", "rolealias"),
];

/// The services whose actions are known here.
pub(super) const SERVICES: [&str; 2] = ["iot", "iotjobsdata"];

/// AWS services whose names begin with `iot` and whose actions are not known here (service
/// authorization reference, 2026-11-27).
pub(super) const RELATED_SERVICES: [&str; 12] = [
    "iot-device-tester",
    "iot1click",
    "iotanalytics",
    "iotdeviceadvisor",
    "iotevents",
    "iotfleethub",
    "iotfleetwise",
    "iotmanagedintegrations",
    "iotroborunner",
    "iotsitewise",
    "iottwinmaker",
    "iotwireless",
];

/// Least likeness of a name to a known one at which the known one is suggested.
const ALIKE: f64 = 0.6;

/// The kind of resource that an action is checked against, whatever the action's case; `None` for
/// actions that are not of the data plane.
pub fn kind_of(action: &str) -> Option<&'static str> {
    let same = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(action);
    ACTIONS.iter().find(same).map(|(_, kind)| *kind)
}

/// The names of the control plane's actions, all of the service `iot`.
pub(super) fn control_plane() -> impl Iterator<Item = String> {
    let names = control::CONTROL.split_ascii_whitespace();
    names.map(|name| format!("iot:{name}"))
}

/// Returns `true` where an action's service is not part of AWS IoT, so that its actions are unknown
/// here. A service that does not exist but begins like one of AWS IoT is taken for a slip.
pub(super) fn is_foreign(action: &str) -> bool {
    let Some((service, name)) = action.split_once(':') else {
        return false;
    };
    let service = service.to_ascii_lowercase();
    let slip = service.starts_with("iot") || service.starts_with("mqtt") || has_name(name);
    !SERVICES.contains(&&*service)
        && (RELATED_SERVICES.contains(&&*service) || !slip)
        && !service.contains(['*', '?'])
}

/// Returns `true` where an action with this name exists and only a message broker has such an
/// action.
fn has_name(name: &str) -> bool {
    // `sns:Publish` and `sns:Subscribe` exist, and others may.
    const SHARED: [&str; 3] = ["Publish", "Subscribe", "Connect"];
    let shared = SHARED
        .iter()
        .any(|shared| shared.eq_ignore_ascii_case(name));
    let same = |(known, _): &(&str, &str)| {
        known
            .split_once(':')
            .is_some_and(|(_, known)| known.eq_ignore_ascii_case(name))
    };
    !shared && ACTIONS.iter().any(same)
}

/// Returns `true` where a pattern means an action of AWS IoT, or of a service whose actions are not
/// known here.
pub(super) fn is_known(action: &ActionPattern) -> bool {
    is_foreign(&action.text)
        || ACTIONS.iter().any(|(known, _)| action.matches(known))
        || control_plane().any(|known| action.matches(&known))
}

/// The known action that another text may have meant: of the data plane first, then of the control
/// plane.
pub(super) fn nearest(action: &str) -> Option<String> {
    let name = action
        .rsplit(':')
        .next()
        .unwrap_or(action)
        .to_ascii_lowercase();
    let likeness = |known: &str| {
        let known = known
            .rsplit(':')
            .next()
            .unwrap_or(known)
            .to_ascii_lowercase();
        let spelled = strsim::normalized_damerau_levenshtein(&name, &known);
        // The service alone may be wrong.
        if known == name { 2.0 } else { spelled }
    };
    let best = |names: &mut dyn Iterator<Item = String>| {
        names
            .map(|known| (likeness(&known), known))
            .filter(|(likeness, _)| *likeness >= ALIKE)
            .fold(None, |best: Option<(f64, String)>, next| match best {
                Some(best) if best.0 >= next.0 => Some(best),
                _ => Some(next),
            })
    };
    let data = best(&mut ACTIONS.iter().map(|(known, _)| (*known).to_owned()));
    let control = best(&mut control_plane());
    match (data, control) {
        (Some(data), Some(control)) if control.0 > data.0 => Some(control.1),
        (Some(data), _) => Some(data.1),
        (None, control) => control.map(|(_, known)| known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_have_a_nearest_action() {
        for (slip, expected) in [
            ("iot:Subcribe", "iot:Subscribe"),
            ("iot:Recieve", "iot:Receive"),
            ("iot:RetainedPublish", "iot:RetainPublish"),
            ("iotdata:Publish", "iot:Publish"),
            ("iot:DescribeEndpoints", "iot:DescribeEndpoint"),
            ("iot:Conect", "iot:Connect"),
        ] {
            assert_eq!(nearest(slip).as_deref(), Some(expected), "{slip}");
        }
        assert_eq!(nearest("iot:Zzzzzz"), None);
    }

    #[test]
    fn services() {
        for foreign in [
            "sqs:SendMessage",
            "sns:Publish",
            "iotsitewise:Get*",
            "execute-api:Invoke",
        ] {
            assert!(is_foreign(foreign), "{foreign}");
        }
        for ours in [
            "iot:Publish",
            "iotdata:Publish",
            "mqtt:Connect",
            "iot-data:X",
            "sns:Receive",
        ] {
            assert!(!is_foreign(ours), "{ours}");
        }
    }

    #[test]
    fn names_of_the_control_plane_are_none_of_the_data_plane() {
        let names: Vec<String> = control_plane().collect();
        assert!(names.len() > 270 && names.iter().any(|name| name == "iot:DescribeEndpoint"));
        assert!(names.iter().all(|name| kind_of(name).is_none()));
    }
}
