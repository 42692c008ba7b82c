//! RT106: a declared load that the quotas of IoT Core do not carry.

use super::PLATFORM;
use std::collections::BTreeSet;

use crate::channel::limits::{
    BYTES_PER_SECOND_PER_CONNECTION, INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT,
    OUTBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT, PUBLISHES_PER_SECOND_PER_CONNECTION,
    RETAINED_PER_SECOND_PER_TOPIC, SUBSCRIPTIONS_PER_CONNECTION,
};
use crate::guard::contract::ContractRun;
use crate::guard::manifest::{AudienceExtent, DeclaredChannel};
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT106",
    "exceeded-quota",
    GuardSeverity::Error,
    "the declared peak does not fit the quotas of AWS IoT Core",
    "What exceeds a quota is discarded or delayed by IoT Core, and no sender is told. The sums are those of the manifest: messages a second, times subscribers, against the account's and the connection's quotas.",
    "lower the peak (`conflate` for states, fewer channels a client), or have the quota raised and say so in `platform.quotas`",
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{orderId}\"
    audience: { customer: own, support: all }
    scale: { peak_per_second: 3000, subscribers: 10 }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderPlaced
    to: [\"order:{orderId}\"]
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
",
        ),
        PLATFORM,
    ],
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{orderId}\"
    audience: { customer: own, support: all }
    scale: { peak_per_second: 2000, subscribers: 10 }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderPlaced
    to: [\"order:{orderId}\"]
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
",
        ),
        PLATFORM,
    ],
);

pub(in crate::guard::contract) fn check(run: &mut ContractRun<'_>) {
    let manifest = run.input.manifest;
    let quotas = manifest.platform.quotas;
    let (mut inbound, mut outbound) = (0_u64, 0_u64);
    let mut heaviest: Option<(u64, &DeclaredChannel)> = None;
    for channel in &manifest.channels {
        let scale = &channel.scale;
        let peak = scale
            .peak_per_second
            .or(scale.channel_peak_per_second)
            .unwrap_or_default();
        let fan_out = peak.saturating_mul(scale.subscribers.unwrap_or(1));
        inbound = inbound.saturating_add(peak);
        outbound = outbound.saturating_add(fan_out);
        if fan_out > 0 && heaviest.is_none_or(|(most, _)| fan_out > most) {
            heaviest = Some((fan_out, channel));
        }
        one_channel(run, channel);
    }
    let Some((_, channel)) = heaviest else {
        return;
    };
    for (sum, quota, default, what) in [
        (
            inbound,
            quotas.inbound_per_second,
            INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT,
            "messages a second are published at peak; an account takes",
        ),
        (
            outbound,
            quotas.outbound_per_second,
            OUTBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT,
            "messages a second are delivered at peak (messages times subscribers); an account delivers",
        ),
    ] {
        let quota = quota.unwrap_or(default.into());
        if sum > quota {
            let message = format!("{sum} {what} {quota}");
            run.find(&RULE, channel.at, what, message);
        }
    }
    per_client(run);
}

/// The limits of one topic: it takes one connection of the bridge.
fn one_channel(run: &mut ContractRun<'_>, channel: &DeclaredChannel) {
    let Some(peak) = channel.scale.channel_peak_per_second else {
        return;
    };
    let manifest = run.input.manifest;
    let (address, shape) = (&channel.address, channel.address.shape());
    let limit = u64::from(PUBLISHES_PER_SECOND_PER_CONNECTION);
    if peak > limit {
        let message = format!(
            "{peak} messages a second on one channel `{address}`; one connection carries {limit}"
        );
        run.find(&RULE, channel.at, &format!("{shape} rate"), message).help = Some(
            "spread the messages over more channels, or let the route leave out intermediate ones: conflate: true".into(),
        );
    }
    let index = manifest
        .channels
        .iter()
        .position(|known| std::ptr::eq(known, channel));
    let events = manifest
        .events
        .iter()
        .filter(|event| index.is_some_and(|index| event.to.contains(&index)));
    let served: Vec<_> = events
        .filter_map(|event| run.routes.delivery(&event.examples, address))
        .collect();
    let bytes = served
        .iter()
        .map(|served| served.size_bytes)
        .max()
        .unwrap_or_default();
    let rate = peak.saturating_mul(u64::try_from(bytes).unwrap_or(u64::MAX));
    let limit = u64::from(BYTES_PER_SECOND_PER_CONNECTION);
    if rate > limit {
        let message = format!(
            "{peak} messages a second of {bytes} bytes on one channel `{address}` are {rate} bytes; one connection carries {limit}"
        );
        run.find(&RULE, channel.at, &format!("{shape} bytes"), message);
    }
    let limit = u64::from(RETAINED_PER_SECOND_PER_TOPIC);
    if peak > limit && served.iter().any(|served| served.retain) {
        let message = format!(
            "{peak} retained messages a second on one channel `{address}`; one topic takes {limit}"
        );
        run.find(&RULE, channel.at, &format!("{shape} retained"), message);
    }
}

/// The limits of one client: its filters, and the messages that they bring.
fn per_client(run: &mut ContractRun<'_>) {
    let manifest = run.input.manifest;
    let roles: BTreeSet<&str> = manifest
        .channels
        .iter()
        .flat_map(|channel| channel.audience.iter().map(|member| member.role.as_str()))
        .collect();
    let quota = manifest.platform.quotas.subscriptions_per_connection;
    let quota = quota.unwrap_or(u64::try_from(SUBSCRIPTIONS_PER_CONNECTION).unwrap_or(u64::MAX));
    let limit = u64::from(PUBLISHES_PER_SECOND_PER_CONNECTION);
    for role in roles {
        let (mut filters, mut rate, mut at) = (0_u64, 0_u64, None);
        for channel in &manifest.channels {
            let Some(member) = channel.audience.iter().find(|member| member.role == role) else {
                continue;
            };
            // One filter with a wildcard covers every channel.
            let own = match member.extent {
                AudienceExtent::All => 1,
                _ => channel.scale.channels_per_client.unwrap_or(1),
            };
            filters = filters.saturating_add(own);
            let each = channel.scale.channel_peak_per_second.unwrap_or_default();
            rate = rate.saturating_add(each.saturating_mul(own));
            at = at.or(Some(channel.at));
        }
        let Some(at) = at else { continue };
        if filters > quota {
            let message = format!(
                "a client of role `{role}` follows {filters} channels; a connection has {quota} subscriptions"
            );
            run.find(&RULE, at, &format!("{role} subscriptions"), message).help = Some(
                "grant one channel in place of many, such as one for each tenant, or have the quota raised".into(),
            );
        }
        if rate > limit {
            let message = format!(
                "a client of role `{role}` gets {rate} messages a second at peak; one connection carries {limit}"
            );
            run.find(&RULE, at, &format!("{role} rate"), message);
        }
    }
}
