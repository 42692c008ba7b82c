//! RT104 and RT105: each channel is heard by its declared audience, and by nobody else.

use super::{narrow_audience, wide_audience};
use crate::config::check::did_you_mean;
use crate::guard::contract::ContractRun;
use crate::guard::contract::hearing::{HearingContext, RoleReach};
use crate::guard::manifest::{AudienceExtent, AudienceMember, DeclaredChannel};
use crate::policy::role::Role;

pub(in crate::guard::contract) fn check(run: &mut ContractRun<'_>) {
    let (manifest, platform) = (run.input.manifest, run.input.platform);
    let subscriptions = manifest.platform.quotas.subscriptions_per_connection;
    let hearing = HearingContext {
        kinds: &platform.kinds,
        environment: platform.environment.as_deref(),
        subscriptions: subscriptions.and_then(|count| usize::try_from(count).ok()),
    };
    for channel in &manifest.channels {
        for member in &channel.audience {
            if platform.roles.iter().all(|role| *role.name != *member.role) {
                unknown_role(run, channel, member);
            }
        }
        for role in &platform.roles {
            let claims = manifest.claims.get(&*role.name);
            let member = channel
                .audience
                .iter()
                .find(|member| *member.role == *role.name);
            match hearing.reach(role, &channel.address, claims) {
                Ok(reach) => judge(run, channel, role, member, &reach),
                Err(why) => {
                    let rule = match member {
                        Some(_) => &narrow_audience::RULE,
                        None => &wide_audience::RULE,
                    };
                    let detail = format!(
                        "what role `{}` hears of `{}`: {why}; give example claims in `claims.{}`",
                        role.name, channel.address, role.name
                    );
                    run.unproved(rule, member.map_or(channel.at, |member| member.at), detail);
                }
            }
        }
    }
}

fn unknown_role(run: &mut ContractRun<'_>, channel: &DeclaredChannel, member: &AudienceMember) {
    let names: Vec<&str> = run
        .input
        .platform
        .roles
        .iter()
        .map(|role| &*role.name)
        .collect();
    let message = format!(
        "the audience of `{}` is `{}`, which is no role of the platform",
        channel.address, member.role
    );
    let part = format!("{} {}", channel.address.shape(), member.role);
    let near = did_you_mean(&member.role, names.iter().copied());
    let known = match names.as_slice() {
        [] => "the platform has no roles".to_owned(),
        names => format!("roles are {}", names.join(", ")),
    };
    let help = near.map_or_else(|| known.clone(), |near| format!("{near} {known}"));
    run.find(&narrow_audience::RULE, member.at, &part, message)
        .help = Some(help);
}

/// Compares the channels that a role may receive from with the declared ones.
fn judge(
    run: &mut ContractRun<'_>,
    channel: &DeclaredChannel,
    role: &Role,
    member: Option<&AudienceMember>,
    reach: &RoleReach,
) {
    let (name, address) = (&role.name, &channel.address);
    let part = format!("{} {name}", address.shape());
    let (member, fixed) = match (member, reach) {
        (None, RoleReach::Nothing) => return,
        (None, RoleReach::Heard { topic, .. }) => {
            let message =
                format!("role `{name}` hears `{topic}`, and is not in the audience of `{address}`");
            run.find(&wide_audience::RULE, channel.at, &part, message);
            return;
        }
        (Some(member), RoleReach::Nothing) => {
            let message = format!("role `{name}` cannot hear `{address}`");
            let help = format!(
                "add \"{}\" to `roles.{name}.subscribe` of the platform, or correct the audience",
                address.to_string().replace('{', "{claims.")
            );
            run.find(&narrow_audience::RULE, member.at, &part, message)
                .help = Some(help);
            return;
        }
        (Some(member), RoleReach::Heard { fixed, .. }) => (member, fixed),
    };
    let declared = |name: &str| match &member.extent {
        AudienceExtent::Own => true,
        AudienceExtent::All => false,
        AudienceExtent::Named(names) => names.iter().any(|known| known == name),
    };
    let (mut any, mut named) = (Vec::new(), Vec::new());
    for (parameter, fixed) in address.parameters().zip(fixed) {
        match (declared(parameter), *fixed) {
            (true, false) => any.push(parameter),
            (false, true) => named.push(parameter),
            _ => {}
        }
    }
    if !any.is_empty() {
        let message = format!(
            "role `{name}` hears `{address}` with any value of {}, and the manifest says those of its token",
            any.join(", ")
        );
        let help = format!(
            "bind it to a claim in `roles.{name}.subscribe` of the platform, or declare it: audience: {{ {name}: all }}"
        );
        run.find(&wide_audience::RULE, member.at, &part, message)
            .help = Some(help);
    }
    if !named.is_empty() {
        let message = format!(
            "role `{name}` hears `{address}` with the values of its token for {}, and the manifest says any",
            named.join(", ")
        );
        run.find(&narrow_audience::RULE, member.at, &part, message);
    }
}
