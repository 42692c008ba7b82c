//! The suite's needs from a running `eventcast dev`: tokens, channels, its data plane.

use serde_json::{Map, Value};

use crate::channel::example::uuid_of_bits;
use crate::cli::listen::platform::{AskError, DevPlatform, MintedToken};
use crate::cli::user_error::UserError;
use crate::conformance::publish::TestPublisher;
use crate::conformance::{ProbeChannel, Suite};

/// Completes a suite with the parts that the platform at its address has; given parts stay.
pub(super) async fn complete(suite: &mut Suite, role: Option<&str>) -> Result<(), UserError> {
    let origin = suite.address.origin();
    if suite.address.is_secure {
        return Err(UserError::new(
            "`eventcast dev` serves plain HTTP, and the address is an https one",
            "give its http address, such as http://127.0.0.1:4566",
        ));
    }
    let platform = DevPlatform::reach(&origin).await.map_err(as_error)?;
    let roles: Vec<String> = match role {
        Some(role) => vec![role.to_owned()],
        None => platform.roles().into_iter().map(str::to_owned).collect(),
    };
    let known = platform.roles().join(", ");
    if let Some(role) = role
        && !platform.roles().contains(&role)
    {
        return Err(UserError::new(
            format_args!("there is no role `{role}`"),
            format_args!("roles are {known}"),
        ));
    }
    for role in &roles {
        let claims = platform.example_claims(role);
        let minted = platform.mint(role, &claims).await.map_err(as_error)?;
        let channels = channels(&platform, &minted).await?;
        let Some(first) = channels.first() else {
            continue;
        };
        if suite.denied_channel.is_none() {
            suite.denied_channel = denied(&first.name);
        }
        suite.other_token = other(&platform, role, &claims).await;
        if suite.token.is_empty() {
            suite.token = minted.token;
        }
        suite.channels = channels;
        suite.origin.get_or_insert_with(|| origin.clone());
        let authority = origin.trim_start_matches("http://").to_owned();
        suite
            .publisher
            .get_or_insert(TestPublisher::DataPlane(authority));
        return Ok(());
    }
    Err(UserError::new(
        "no role grants one channel, as opposed to a filter of many",
        "name another with --role, or give --token and --channel",
    ))
}

/// The channels that a token grants one by one.
async fn channels(
    platform: &DevPlatform,
    minted: &MintedToken,
) -> Result<Vec<ProbeChannel>, UserError> {
    let mut channels = Vec::new();
    for topic in &minted.subscribe {
        if topic.contains(['*', '+', '#']) {
            continue;
        }
        let mut name = topic.clone();
        // A channel is `kind:id` of the topic's last levels; before them may be an environment.
        let levels: Vec<&str> = topic.split('/').collect();
        for skipped in 0..levels.len().saturating_sub(1) {
            let Some((kind, id)) = levels
                .get(skipped..)
                .and_then(|levels| levels.split_first())
            else {
                continue;
            };
            let candidate = format!("{kind}:{}", id.join(":"));
            if platform
                .topic(&candidate)
                .await
                .is_ok_and(|found| found == *topic)
            {
                name = candidate;
                break;
            }
        }
        channels.push(ProbeChannel {
            name,
            topic: Some(topic.clone()),
        });
    }
    // Those with ids first: nobody else publishes there.
    channels.sort_by_key(|channel| !channel.name.contains(':'));
    Ok(channels)
}

/// A channel of the same kind that nobody is granted.
fn denied(channel: &str) -> Option<String> {
    let (kind, _) = channel.split_once(':')?;
    Some(format!("{kind}:{}", uuid_of_bits(fastrand::u128(..))))
}

/// A token of the same role for somebody else, where the role is given to anybody.
async fn other(platform: &DevPlatform, role: &str, claims: &Map<String, Value>) -> Option<String> {
    let mut claims = claims.clone();
    claims.insert("sub".into(), uuid_of_bits(fastrand::u128(..)).into());
    let minted = platform.mint(role, &claims).await.ok()?;
    Some(minted.token)
}

fn as_error(error: AskError) -> UserError {
    match error {
        AskError::Unreachable { what, .. } => UserError::new(
            what,
            "start `eventcast dev`, and give its address; without --dev any deployment can be tried",
        ),
        AskError::Wrong(why) => UserError::new(why, "name another role with --role"),
    }
}
