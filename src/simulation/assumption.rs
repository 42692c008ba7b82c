//! The assumptions of the model, named in every report: where AWS states nothing, and where the
//! model is simpler than the world.

use super::scenario::{QuotaCounting, RecoveryScenario, RefusedChannel};

/// The assumptions of a scenario, a sentence or two each.
pub fn assumptions(scenario: &RecoveryScenario) -> Vec<String> {
    let clients = &scenario.clients;
    let mut all = vec![
        match scenario.limits.counting {
            QuotaCounting::Bucket => "A quota is a token bucket that holds one second of its rate. AWS does not say how it counts.",
            QuotaCounting::Window => "A quota is counted by the second, which begins with the first thing counted in it, as eventcast dev does.",
        }
        .to_owned(),
        "A CONNECT above the quota is answered at once with CONNACK 0x97, a filter above it with SUBACK 0x97. AWS lists the codes and does not say when they are sent.".to_owned(),
        format!(
            "A client waits as browser/eventcast.js does: {:?} jitter of a delay that doubles from {} ms to {} ms, and at least {} ms between two attempts. Each attempt takes three and a half round trips of {} ms until its CONNECT arrives.",
            clients.jitter,
            clients.backoff_first_ms,
            clients.backoff_longest_ms,
            clients.connect_interval_ms,
            clients.round_trip_ms
        ),
        "A client is live once it hears all its channels: from CONNACK on where the broker has kept its session, otherwise from the last SUBACK. It subscribes again in both cases.".to_owned(),
        match clients.refused_channel {
            RefusedChannel::Stays => "A channel that SUBACK refuses for a quota stays refused until the client connects again, as in browser/eventcast.js.",
            RefusedChannel::Retried => "A channel that SUBACK refuses for a quota is asked for again, with the delays of connecting. browser/eventcast.js does not do that.",
        }
        .to_owned(),
        "The broker knows at once that a client has gone, and a session's life begins then. In a silent outage IoT Core notices after one and a half keep-alives.".to_owned(),
        "Connections that end by age, by a token's end or by their user are not part of a run.".to_owned(),
    ];
    if let Some(authorizer) = &scenario.authorizer {
        let order = match authorizer.before_quota {
            true => "before the CONNECT quota is asked",
            false => "after the CONNECT quota was asked",
        };
        all.push(format!(
            "The authorizer is called {order}. Its environments start at {} in ten seconds and stay; a call that finds none is refused. IoT Core gives a call up after {} ms.",
            authorizer.scaling, authorizer.timeout_ms
        ));
    }
    if scenario.bridge.is_some() {
        all.extend(
            [
                "Each client hears an equal part of all messages, evenly spread over its channels, at a phase of its own.",
                "The quota of stored messages is shared evenly among the clients that are away. A session stores a bounded number, which AWS does not publish.",
                "Above the outbound quota messages of QoS 1 come later, those of QoS 0 are lost.",
                "An event that a killed task had published and not deleted is published twice; clients drop the second by its id.",
                "Tasks scale as infra/cloudformation/scaling.yaml says: on waiting events for each task, on the age of the oldest, never below the first number of tasks.",
            ]
            .map(str::to_owned),
        );
    }
    if scenario.gateway.is_some() {
        all.push("A client that polls has a connection of the gateway to the broker, which counts as its own. It does not change to a WebSocket meanwhile.".to_owned());
    }
    all
}
