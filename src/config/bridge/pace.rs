//! The section `bridge.pace`: limits of the sending rate.

use super::{PaceLimits, share};
use crate::channel::limits::{
    BYTES_PER_SECOND_PER_CONNECTION, PUBLISHES_PER_SECOND_PER_CONNECTION,
    UNACKNOWLEDGED_PER_CONNECTION,
};
use crate::config::check::Faults;
use crate::config::section::number;
use crate::config::{member, text};
use crate::event::pattern::tree::TreeValue;

/// The fewest bytes a second that a connection can be paced to. A message above the rate is sent
/// whole, and the connection then waits for as long as it would have taken.
const LEAST_BYTES: usize = 1_024;

/// Keys of `bridge.pace` that share out the value of `account`.
const SHARES_OF_ACCOUNT: [&str; 2] = ["tasks", "count_tasks"];

pub(super) fn read(node: &TreeValue, faults: &mut Faults<'_>) -> PaceLimits {
    for key in SHARES_OF_ACCOUNT {
        // `account: 0` says that there is no limit to share.
        if let (Some(member), None) = (member(node, key), member(node, "account")) {
            let key = format!("bridge.pace.{key}");
            let message = format!("`{key}` does nothing without `bridge.pace.account`");
            faults.error("does-not-fit", &key, member.at, message).help = Some(
                "add `account`, what all tasks together may publish in a second (IoT Core's quota is 20000, in small Regions 2000), or leave it out"
                    .into(),
            );
        }
    }
    let bytes = number(node, "bytes", 0);
    if (1..LEAST_BYTES).contains(&bytes) {
        let at = member(node, "bytes").unwrap_or(node).at;
        let key = "bridge.pace.bytes";
        let message = format!(
            "`{key}` is {bytes}: one large message would close a connection for minutes or longer"
        );
        faults.error("out-of-range", key, at, message).accepted =
            Some(format!("0 for no limit, or {LEAST_BYTES} and more"));
    }
    let limit = |key, default: u32| {
        let limit = number(node, key, default as usize);
        u32::try_from(limit).ok().filter(|limit| *limit > 0)
    };
    let tasks = u32::try_from(number(node, "tasks", 1)).unwrap_or(1).max(1);
    let unacknowledged = number(node, "unacknowledged", UNACKNOWLEDGED_PER_CONNECTION.into());
    PaceLimits {
        publishes: limit("publishes", PUBLISHES_PER_SECOND_PER_CONNECTION),
        bytes: limit("bytes", BYTES_PER_SECOND_PER_CONNECTION),
        unacknowledged: u16::try_from(unacknowledged).unwrap_or(u16::MAX),
        account: limit("account", 0),
        task: limit("account", 0).map(|account| share(account, tasks)),
        counts_tasks: text(node, "count_tasks").as_deref() == Some("ecs"),
        tasks,
    }
}
