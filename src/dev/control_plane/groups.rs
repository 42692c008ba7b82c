//! Thing groups: policies that are attached to one count for its things, and for those of the groups below it (developer guide,
//! "Static thing groups").
//!
//! Never here: groups by query, properties and descriptions.

use std::collections::BTreeSet;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{ApiRequest, page_of_names, seconds};
use super::registry::{RegistryState, room};
use super::things::{PAGES, checked};
use crate::dev::rest::RestAnswer;
use crate::dev::rest::refusal::RestError;
use crate::dev::uuid::uuid;

/// Maximum number of groups of a thing, and maximum depth of nested groups (AWS General Reference,
/// "AWS IoT Device Management quotas").
const GROUPS: usize = 10;
const DEPTH: usize = 7;

/// A thing group.
#[derive(Debug)]
pub(super) struct ThingGroup {
    id: String,
    parent: Option<String>,
    things: BTreeSet<String>,
    created: SystemTime,
}

impl ThingGroup {
    /// A thing is gone.
    pub(super) fn forget(&mut self, thing: &str) {
        self.things.remove(thing);
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateThingGroupInput {
    parent_group_name: Option<String>,
}

pub(super) fn create(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = checked(asked.named("thingGroupName"))?;
    let arn = state.arn("thinggroup", name);
    let parent = asked.body::<CreateThingGroupInput>()?.parent_group_name;
    if state.groups.contains_key(name) {
        let why = format!("there is a thing group `{name}` already");
        return Err(RestError::exists(why, name, arn));
    }
    if let Some(parent) = &parent {
        if !state.groups.contains_key(parent) {
            return Err(no_group(parent));
        }
        if state.line(parent).count() >= DEPTH {
            return Err(RestError::invalid(format!(
                "groups lie up to {DEPTH} deep, and `{parent}` lies so deep already"
            )));
        }
    }
    room(state.groups.len(), "thing groups")?;
    let group = ThingGroup {
        id: uuid(),
        parent,
        things: BTreeSet::new(),
        created: SystemTime::now(),
    };
    let told = json!({ "thingGroupName": name, "thingGroupArn": arn, "thingGroupId": group.id });
    state.groups.insert(name.to_owned(), group);
    Ok(Some(told))
}

pub(super) fn one(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("thingGroupName");
    let group = state.groups.get(name).ok_or_else(|| no_group(name))?;
    let above = group.parent.iter().flat_map(|parent| state.line(parent));
    let above: Vec<&str> = above.collect();
    let above = above.iter().rev().map(|name| reference(state, name));
    Ok(Some(json!({
        "thingGroupName": name,
        "thingGroupId": group.id,
        "thingGroupArn": state.arn("thinggroup", name),
        "version": 1,
        "thingGroupProperties": {},
        "thingGroupMetadata": {
            "parentGroupName": group.parent,
            "rootToParentThingGroups": above.collect::<Vec<Value>>(),
            "creationDate": seconds(group.created),
        },
    })))
}

/// A group where others name it.
fn reference(state: &RegistryState, name: &str) -> Value {
    json!({ "groupName": name, "groupArn": state.arn("thinggroup", name) })
}

fn references(
    state: &RegistryState,
    asked: &ApiRequest,
    names: impl Iterator<Item = String>,
) -> RestAnswer {
    let (names, next) = page_of_names(asked, PAGES, names)?;
    let groups: Vec<Value> = names.iter().map(|name| reference(state, name)).collect();
    Ok(Some(json!({ "thingGroups": groups, "nextToken": next })))
}

pub(super) fn list(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    references(state, asked, state.groups.keys().cloned())
}

/// The groups that a thing is in, without those above them.
pub(super) fn of_thing(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let thing = asked.named("thingName");
    if !state.things.contains_key(thing) {
        return Err(RestError::absent(format!("there is no thing `{thing}`")));
    }
    let groups = state.groups.iter();
    let of = groups.filter(|(_, group)| group.things.contains(thing));
    references(state, asked, of.map(|(name, _)| name.clone()))
}

/// The things of a group, and of those below it where that is asked for.
pub(super) fn things(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("thingGroupName");
    if !state.groups.contains_key(name) {
        return Err(no_group(name));
    }
    let below = asked.flag("recursive")?;
    let groups = state.groups.iter();
    let groups = groups.filter(|(other, _)| {
        *other == name || (below && state.line(other).any(|above| above == name))
    });
    let things: BTreeSet<String> = groups.flat_map(|(_, group)| group.things.clone()).collect();
    let (things, next) = page_of_names(asked, PAGES, things.into_iter())?;
    Ok(Some(json!({ "things": things, "nextToken": next })))
}

fn no_group(name: &str) -> RestError {
    RestError::absent(format!("there is no thing group `{name}`"))
}

pub(super) fn delete(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("thingGroupName");
    let arn = state.arn("thinggroup", name);
    let mut groups = state.groups.values();
    if groups.any(|group| group.parent.as_deref() == Some(name)) {
        return Err(RestError::invalid(format!(
            "thing group `{name}` has groups below it; delete them first"
        )));
    }
    // One that is not there is as it should be.
    state.groups.remove(name);
    state.attached.remove(&arn);
    state.concerns_everybody();
    Ok(Some(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThingGroupMember {
    thing_group_name: Option<String>,
    thing_group_arn: Option<String>,
    thing_name: Option<String>,
    thing_arn: Option<String>,
}

impl ThingGroupMember {
    /// The names of the group and the thing, however they were given.
    fn names(&self, state: &RegistryState) -> Result<(String, String), RestError> {
        let of = |name: &Option<String>, arn: &Option<String>, kind: &str| {
            let head = state.arn(kind, "");
            let of_arn = arn.as_deref().and_then(|arn| arn.strip_prefix(&head));
            let name = name.as_deref().or(of_arn);
            name.map(str::to_owned)
                .ok_or_else(|| RestError::invalid(format!("no {kind} is named")))
        };
        Ok((
            of(&self.thing_group_name, &self.thing_group_arn, "thinggroup")?,
            of(&self.thing_name, &self.thing_arn, "thing")?,
        ))
    }
}

pub(super) fn join(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let (group, thing) = asked.body::<ThingGroupMember>()?.names(state)?;
    if !state.things.contains_key(&thing) {
        return Err(RestError::absent(format!("there is no thing `{thing}`")));
    }
    let of = state.groups.values();
    if of.filter(|group| group.things.contains(&thing)).count() >= GROUPS {
        return Err(RestError::invalid(format!(
            "thing `{thing}` is in {GROUPS} groups, and no more are possible"
        )));
    }
    let found = state.groups.get_mut(&group);
    found.ok_or_else(|| no_group(&group))?.things.insert(thing);
    state.concerns_everybody();
    Ok(Some(json!({})))
}

pub(super) fn leave(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let (group, thing) = asked.body::<ThingGroupMember>()?.names(state)?;
    let found = state.groups.get_mut(&group);
    found.ok_or_else(|| no_group(&group))?.things.remove(&thing);
    state.concerns_everybody();
    Ok(Some(json!({})))
}

impl RegistryState {
    /// The ARNs of the groups that a thing is in, and of those above them.
    pub(super) fn groups_of(&self, thing: &str) -> BTreeSet<String> {
        let groups = self.groups.iter();
        let of = groups.filter(|(_, group)| group.things.contains(thing));
        of.flat_map(|(name, _)| self.line(name))
            .map(|name| self.arn("thinggroup", name))
            .collect()
    }

    /// A group and all above it.
    fn line<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        std::iter::successors(Some(name), |name| self.groups.get(*name)?.parent.as_deref())
    }

    /// The names of the policies that a target has by the groups above it, or by those of its things.
    pub(super) fn inherited_by(&self, target: &str) -> BTreeSet<String> {
        let mut groups = BTreeSet::new();
        if let Some(name) = target.strip_prefix(&self.arn("thinggroup", "")) {
            groups.extend(
                self.line(name)
                    .skip(1)
                    .map(|name| self.arn("thinggroup", name)),
            );
        }
        for (thing, _) in self.things_of(target) {
            groups.extend(self.groups_of(thing));
        }
        let names = groups.iter().flat_map(|arn| self.attached_to(arn));
        names.cloned().collect()
    }
}
