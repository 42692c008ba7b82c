//! RT110 to RT117: changes of the contract that harm subscribers.

use super::{
    audience_narrowed, channel_removed, conflation_added, event_removed, expiry_shortened,
    payload_broken, qos_lowered, retain_removed,
};
use crate::event::pattern::tree::TextPosition;
use crate::guard::contract::ContractRun;
use crate::guard::contract::changes::{HarmKind, harms};
use crate::guard::contract::routed::PlatformRoutes;
use crate::guard::contract::served::ServedContract;
use crate::guard::rule::GuardRule;

/// The rule of a kind of harm.
pub fn rule_of(kind: HarmKind) -> &'static GuardRule {
    match kind {
        HarmKind::ChannelRemoved => &channel_removed::RULE,
        HarmKind::AudienceNarrowed => &audience_narrowed::RULE,
        HarmKind::PayloadChanged => &payload_broken::RULE,
        HarmKind::QosLowered => &qos_lowered::RULE,
        HarmKind::ExpiryShortened => &expiry_shortened::RULE,
        HarmKind::ConflationAdded => &conflation_added::RULE,
        HarmKind::EventRemoved => &event_removed::RULE,
        HarmKind::RetainRemoved => &retain_removed::RULE,
    }
}

pub(in crate::guard::contract) fn check(run: &mut ContractRun<'_>) {
    let Some(base) = run.input.base else {
        return;
    };
    // Without the platform of then, the present one takes its place: changes of the manifest are
    // still found.
    let routes = base.platform.map(PlatformRoutes::new);
    let before =
        ServedContract::of_manifest(base.manifest, Some(routes.as_ref().unwrap_or(&run.routes)));
    let after = ServedContract::of_manifest(run.input.manifest, Some(&run.routes));
    for harm in harms(&before, &after) {
        let at = harm.at.unwrap_or(TextPosition { line: 1, column: 1 });
        run.find(rule_of(harm.kind), at, &harm.message, harm.message.clone());
    }
}
