//! The timeline: begin and end of each disturbance, in order.

use super::scenario::{Disturbance, DisturbanceKind, RecoveryScenario};

/// One point of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimelinePoint {
    pub(crate) at_ms: u32,
    /// Index of the disturbance in the scenario.
    pub(crate) disturbance: usize,
    pub(crate) edge: TimelineEdge,
}

/// The event at a point of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimelineEdge {
    /// It ends.
    End,
    /// It begins.
    Begin,
    /// The gateway's task of this number restarts.
    Task(u32),
}

/// All points, by time; an end comes before a begin of the same time.
pub(crate) fn timeline(scenario: &RecoveryScenario) -> Vec<TimelinePoint> {
    let tasks = scenario.gateway.as_ref().map_or(0, |gateway| gateway.tasks);
    let mut points = Vec::new();
    for (disturbance, one) in scenario.disturbances.iter().enumerate() {
        let mut add = |at_ms, edge| {
            points.push(TimelinePoint {
                at_ms,
                disturbance,
                edge,
            });
        };
        match &one.kind {
            DisturbanceKind::GatewayRestart { every_ms } => {
                for task in 0..tasks {
                    add(
                        one.at_ms.saturating_add(every_ms.saturating_mul(task)),
                        TimelineEdge::Task(task),
                    );
                }
            }
            kind => {
                add(one.at_ms, TimelineEdge::Begin);
                if ends(one) {
                    add(
                        one.at_ms.saturating_add(kind.lasts_ms(tasks)),
                        TimelineEdge::End,
                    );
                }
            }
        }
    }
    points.sort_by_key(|point| (point.at_ms, point.edge, point.disturbance));
    points
}

fn ends(one: &Disturbance) -> bool {
    matches!(
        one.kind,
        DisturbanceKind::Outage { .. }
            | DisturbanceKind::AuthorizerOutage { .. }
            | DisturbanceKind::Burst { .. }
    )
}
