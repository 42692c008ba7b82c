//! The architecture reviewer's page of a feature, as Markdown: its additions to the platform, and
//! its risks.

use std::fmt::Write as _;

use super::contract::ContractCheck;
use super::contract::routed::{PlatformRoutes, ServedDelivery};
use super::manifest::{
    AudienceExtent, ChannelFallback, DeclaredChannel, DeclaredEvent, FeatureManifest,
};
use crate::channel::limits::{
    INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT, OUTBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT,
    SUBSCRIPTIONS_PER_CONNECTION,
};

/// Writes the page.
pub fn review(
    manifest: &FeatureManifest,
    platform: &PlatformRoutes<'_>,
    check: &ContractCheck,
) -> String {
    let mut out = format!("# Real-time review: {}\n\n", plain(&manifest.feature));
    let owner = manifest.owner.as_deref().unwrap_or("not stated");
    let _ = write!(
        out,
        "- Owner: {}\n- Manifest: `{}`\n- Platform: `{}`{}\n\n",
        plain(owner),
        manifest.file,
        manifest.platform.config,
        match &manifest.platform.sha256 {
            Some(digest) => format!(", pinned by SHA-256 `{digest}`"),
            None => String::new(),
        }
    );
    channels(&mut out, manifest, platform);
    events(&mut out, manifest, platform);
    roles(&mut out, manifest, platform);
    quotas(&mut out, manifest);
    risks(&mut out, manifest, platform, check);
    out
}

/// Text of others in a table's cell or a line.
fn plain(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    line.replace('|', "\\|").replace('<', "&lt;")
}

fn events_of<'m>(
    manifest: &'m FeatureManifest,
    channel: &'m DeclaredChannel,
) -> impl Iterator<Item = &'m DeclaredEvent> {
    manifest.events.iter().filter(move |event| {
        manifest
            .channels_of(event)
            .any(|known| std::ptr::eq(known, channel))
    })
}

fn served(
    manifest: &FeatureManifest,
    channel: &DeclaredChannel,
    platform: &PlatformRoutes<'_>,
) -> Option<ServedDelivery> {
    events_of(manifest, channel)
        .filter_map(|event| platform.delivery(&event.examples, &channel.address))
        .reduce(ServedDelivery::weakest)
}

fn delivery(served: Option<ServedDelivery>) -> String {
    let Some(served) = served else {
        return "no route".into();
    };
    let mut parts = vec![format!("QoS {}", served.qos)];
    parts.push(match served.expires_seconds {
        Some(seconds) => format!("{seconds} s"),
        None => "no expiry".into(),
    });
    if served.conflate {
        parts.push("conflated".into());
    }
    if served.retain {
        parts.push("retained".into());
    }
    parts.join(", ")
}

fn channels(out: &mut String, manifest: &FeatureManifest, platform: &PlatformRoutes<'_>) {
    out.push_str("## Channels\n\n| channel | purpose | audience | delivery by the routes | snapshot | without WebSockets |\n| --- | --- | --- | --- | --- | --- |\n");
    for channel in &manifest.channels {
        let audience: Vec<String> = channel
            .audience
            .iter()
            .map(|member| match &member.extent {
                AudienceExtent::Own => member.role.clone(),
                AudienceExtent::All => format!("{} (all)", member.role),
                AudienceExtent::Named(names) => {
                    format!("{} (own {})", member.role, names.join(", "))
                }
            })
            .collect();
        let fallback = match channel.fallback {
            ChannelFallback::Unstated => "not stated",
            ChannelFallback::Gateway => "gateway",
            ChannelFallback::None => "none",
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {fallback} |",
            channel.address,
            plain(channel.about.as_deref().unwrap_or("")),
            plain(&audience.join(", ")),
            delivery(served(manifest, channel, platform)),
            plain(channel.snapshot.as_deref().unwrap_or("not stated")),
        );
    }
    out.push('\n');
}

fn events(out: &mut String, manifest: &FeatureManifest, platform: &PlatformRoutes<'_>) {
    out.push_str("## Events\n\n| event | source | detail type | channels | routes | schema | largest example |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for event in &manifest.events {
        let (mut routes, mut bytes) = (Vec::new(), 0);
        for example in &event.examples {
            let Ok(explanation) = platform.explain(example) else {
                continue;
            };
            for channel in manifest.channels_of(event) {
                for (route, publication) in platform.sent(&explanation, &channel.address) {
                    bytes = bytes.max(publication.size_bytes);
                    if !routes.iter().any(|known| known == route) {
                        routes.push(route.to_owned());
                    }
                }
            }
        }
        let to: Vec<String> = manifest
            .channels_of(event)
            .map(|channel| format!("`{}`", channel.address))
            .collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {bytes} bytes |",
            plain(&event.name),
            plain(&event.source),
            plain(&event.detail_type),
            to.join(", "),
            if routes.is_empty() {
                "none".into()
            } else {
                plain(&routes.join(", "))
            },
            if event.schema.is_some() { "yes" } else { "no" },
        );
    }
    out.push('\n');
}

fn roles(out: &mut String, manifest: &FeatureManifest, platform: &PlatformRoutes<'_>) {
    out.push_str("## Roles\n\n| role | client ids | subscribes to | publishes to |\n| --- | --- | --- | --- |\n");
    let is_named = |name: &str| {
        let mut members = manifest
            .channels
            .iter()
            .flat_map(|channel| &channel.audience);
        members.any(|member| member.role == name)
    };
    for role in platform
        .config
        .roles
        .iter()
        .filter(|role| is_named(&role.name))
    {
        let list = |entries: &[crate::policy::role::RoleEntry]| {
            let entries: Vec<String> = entries.iter().map(|entry| format!("`{entry}`")).collect();
            if entries.is_empty() {
                "nothing".into()
            } else {
                entries.join(", ")
            }
        };
        let _ = writeln!(
            out,
            "| {} | `{}` | {} | {} |",
            role.name,
            role.bind,
            list(&role.subscribe),
            list(&role.publish)
        );
    }
    out.push('\n');
}

/// The declared load, summed up.
fn quotas(out: &mut String, manifest: &FeatureManifest) {
    out.push_str("## Quotas\n\n");
    let quotas = manifest.platform.quotas;
    let peak = |channel: &DeclaredChannel| {
        let scale = channel.scale;
        scale
            .peak_per_second
            .or(scale.channel_peak_per_second)
            .unwrap_or_default()
    };
    let sum = |each: &dyn Fn(&DeclaredChannel) -> u64| {
        manifest
            .channels
            .iter()
            .map(each)
            .fold(0_u64, u64::saturating_add)
    };
    let inbound = sum(&peak);
    if inbound == 0 {
        out.push_str(
            "The manifest declares no load (`scale`), so that nothing can be said of quotas.\n\n",
        );
        return;
    }
    let outbound =
        sum(&|channel| peak(channel).saturating_mul(channel.scale.subscribers.unwrap_or(1)));
    let filters = sum(&|channel| channel.scale.channels_per_client.unwrap_or(1));
    out.push_str("| load | at peak | quota | used |\n| --- | ---: | ---: | ---: |\n");
    for (what, load, quota, default) in [
        (
            "published a second",
            inbound,
            quotas.inbound_per_second,
            u64::from(INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT),
        ),
        (
            "delivered a second",
            outbound,
            quotas.outbound_per_second,
            u64::from(OUTBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT),
        ),
        (
            "subscriptions of one client, all channels",
            filters,
            quotas.subscriptions_per_connection,
            u64::try_from(SUBSCRIPTIONS_PER_CONNECTION).unwrap_or(u64::MAX),
        ),
    ] {
        let quota = quota.unwrap_or(default);
        let used = load.saturating_mul(100).div_ceil(quota.max(1));
        let _ = writeln!(out, "| {what} | {load} | {quota} | {used} % |");
    }
    out.push_str("\nQuotas are those of the whole account: other features use them too.\n\n");
}

fn risks(
    out: &mut String,
    manifest: &FeatureManifest,
    platform: &PlatformRoutes<'_>,
    check: &ContractCheck,
) {
    out.push_str("## Risks\n\n");
    let mut lines: Vec<String> = Vec::new();
    for finding in &check.findings {
        let at = finding.region.start;
        lines.push(format!(
            "**{}** (line {}): {}",
            finding.rule,
            at.line,
            plain(&finding.message)
        ));
    }
    for part in &check.unproved {
        lines.push(format!(
            "**{}** is not proved: {}",
            part.rule,
            plain(&part.detail)
        ));
    }
    for channel in &manifest.channels {
        let address = &channel.address;
        if channel.snapshot.is_none() {
            lines.push(format!(
                "`{address}`: no `snapshot`: a client that was away does not know what it missed"
            ));
        }
        if channel.fallback == ChannelFallback::Unstated {
            lines.push(format!(
                "`{address}`: the manifest does not say what clients without WebSockets do"
            ));
        }
        if channel.scale.subscribers.is_none() || channel.scale.peak_per_second.is_none() {
            lines.push(format!(
                "`{address}`: `scale` lacks the peak or the subscribers: its fan-out is not known"
            ));
        }
        for member in channel
            .audience
            .iter()
            .filter(|member| member.extent == AudienceExtent::All)
        {
            if address.parameters().next().is_some() {
                lines.push(format!(
                    "`{address}`: role `{}` hears every one",
                    plain(&member.role)
                ));
            }
        }
        if let Some(served) = served(manifest, channel, platform) {
            if served.qos == 0 {
                lines.push(format!(
                    "`{address}`: QoS 0: messages are lost when a connection breaks"
                ));
            }
            if served.conflate {
                lines.push(format!(
                    "`{address}`: conflated: clients do not see each step"
                ));
            }
            if served.expires_seconds.is_none() {
                lines.push(format!(
                    "`{address}`: no expiry: a backlog is delivered late, however old"
                ));
            }
        }
    }
    for event in manifest
        .events
        .iter()
        .filter(|event| event.schema.is_none())
    {
        lines.push(format!(
            "event `{}`: no schema: changes of its payload are not judged",
            plain(&event.name)
        ));
    }
    for event in manifest
        .events
        .iter()
        .filter(|event| event.counter_examples.is_empty())
    {
        lines.push(format!(
            "event `{}`: no counter-example: a route that is too wide is not noticed",
            plain(&event.name)
        ));
    }
    if lines.is_empty() {
        out.push_str("None was found.\n");
    }
    for line in lines {
        let _ = writeln!(out, "- {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigSource, load};
    use crate::guard::contract::{ContractInput, check};
    use crate::guard::manifest;

    #[test]
    fn a_page() {
        let text = "
feature: order | tracking
owner: team-orders
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{id}\"
    about: where an order is
    audience: { customer: own, support: all }
    scale: { peak_per_second: 100, subscribers: 3, channels_per_client: 5 }
    snapshot: GET /orders/{id}
    fallback: gateway
  - channel: announcements
    audience: [customer]
events:
  - name: placed
    source: shop.orders
    detail-type: OrderPlaced
    to: [\"order:{id}\"]
    schema: { type: object }
    examples: [{ detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 } }]
    counter_examples: [{ detail: {}, source: shop.cart }]
  - name: announced
    source: shop.office
    detail-type: Announced
    to: [announcements]
    examples: [{ detail: {} }]
";
        let platform = "
channels: { user: { id: uuid }, order: { id: uuid } }
routes:
  - { name: orders, match: { source: [shop.orders] }, to: [\"order:{detail.orderId}\"], expires: 5m }
  - { name: news, match: { source: [shop.office] }, to: [announcements], retain: true }
roles:
  customer: { bind: \"user:{claims.sub}\", subscribe: [\"order:{claims.orders[*]}\", announcements] }
  support: { bind: \"user:{claims.sub}\", subscribe: [\"order:*\"] }
  other: { bind: \"user:{claims.sub}\", subscribe: [x] }
bridge: { queue: \"https://sqs.eu-central-1.amazonaws.com/123456789012/q\" }
";
        let manifest = manifest::read("realtime.yaml", text).unwrap();
        let loaded = load(&ConfigSource {
            file: "eventcast.yaml",
            text: platform,
            ..ConfigSource::default()
        });
        let config = loaded.config.unwrap();
        let input = ContractInput {
            manifest: &manifest,
            platform: &config,
            base: None,
        };
        let page = review(&manifest, &PlatformRoutes::new(&config), &check(input));
        insta::assert_snapshot!(page);
    }
}
