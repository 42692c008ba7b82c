//! All rules, in the order of their ids.

use super::rule::GuardRule;
use super::{contract, rules};

/// Rules of the guard.
static RULES: [&GuardRule; 16] = [
    &rules::native_connection::RULE,
    &rules::polling_loop::RULE,
    &rules::realtime_library::RULE,
    &rules::stream_reader::RULE,
    &rules::realtime_service::RULE,
    &rules::connection_management::RULE,
    &rules::direct_publish::RULE,
    &rules::mqtt_client::RULE,
    &rules::websocket_api::RULE,
    &rules::event_api::RULE,
    &rules::response_stream::RULE,
    &rules::broker_target::RULE,
    &rules::broker_resource::RULE,
    &rules::realtime_dependency::RULE,
    &rules::waiver::RULE,
    &rules::baseline::RULE,
];

/// All rules.
pub fn rules() -> impl Iterator<Item = &'static GuardRule> {
    RULES.iter().chain(&contract::rules::RULES).copied()
}

/// The rule of an id, in either case.
pub fn rule(id: &str) -> Option<&'static GuardRule> {
    rules().find(|rule| rule.id.eq_ignore_ascii_case(id))
}
