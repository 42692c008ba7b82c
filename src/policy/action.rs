//! The actions of the data plane, and the kinds of resources they are checked against.
//!
//! From the developer guide, "AWS IoT Core policy actions" and "AWS IoT Core action resources". Of the control plane's actions nothing
//! is known here.

/// Any resource: the action is checked against `*`.
pub const ANY: &str = "*";

/// Each action with the kind of its resource, which is what stands before the first slash.
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

/// The kind of resource that an action is checked against, whatever the action's case; `None` for actions that are not known here.
pub fn kind_of(action: &str) -> Option<&'static str> {
    let same = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(action);
    ACTIONS.iter().find(same).map(|(_, kind)| *kind)
}
