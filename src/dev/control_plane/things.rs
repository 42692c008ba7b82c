//! Things, as far as policies ask for them (IoT API reference, CreateThing and its neighbours).
//!
//! A thing represents a client whose certificate is attached to it, and whose client id is its name
//! unless it is the certificate's only thing (developer guide, "Thing policy variables"). Never
//! here: types, billing groups, shadows, jobs, search.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{ApiRequest, page_of_names};
use super::registry::{RegistryState, room};
use crate::dev::rest::RestAnswer;
use crate::dev::rest::refusal::RestError;
use crate::dev::uuid::uuid;
use crate::policy::context::{self, ThingAttachment};

/// Names of this API's parameters for the size and the marker of pages.
pub(super) const PAGES: (&str, &str) = ("maxResults", "nextToken");

/// The header that names a certificate.
const PRINCIPAL: &str = "x-amzn-principal";

/// The longest name.
const NAME: usize = 128;

/// Maximum number of attributes of a thing without a type (AWS General Reference, "AWS IoT Device
/// Management quotas").
const ATTRIBUTES: usize = 3;

/// A thing.
#[derive(Debug)]
pub(super) struct RegisteredThing {
    id: String,
    version: u64,
    attributes: BTreeMap<String, String>,
    /// ARNs of certificates, and whether the thing is their only one.
    principals: BTreeMap<String, bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThingInput {
    thing_type_name: Option<String>,
    #[serde(default)]
    attribute_payload: AttributePayload,
}

#[derive(Default, Deserialize)]
struct AttributePayload {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    merge: bool,
}

pub(super) fn checked(name: &str) -> Result<&str, RestError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
    if name.is_empty() || name.len() > NAME || !name.chars().all(fits) {
        return Err(RestError::invalid(format!(
            "the name is `{name}`; 1 to {NAME} of the characters A-Z a-z 0-9 : _ - are wanted"
        )));
    }
    Ok(name)
}

fn thing<'s>(
    state: &'s mut RegistryState,
    asked: &ApiRequest,
) -> Result<&'s mut RegisteredThing, RestError> {
    let name = asked.named("thingName");
    let thing = state.things.get_mut(name);
    thing.ok_or_else(|| RestError::absent(format!("there is no thing `{name}`")))
}

fn described(asked: &ApiRequest) -> Result<ThingInput, RestError> {
    let described: ThingInput = asked.body()?;
    match &described.thing_type_name {
        Some(name) => Err(RestError::absent(format!(
            "there is no thing type `{name}`: there are none here"
        ))),
        None => Ok(described),
    }
}

fn set(thing: &mut RegisteredThing, payload: AttributePayload) -> Result<(), RestError> {
    let mut attributes = if payload.merge {
        thing.attributes.clone()
    } else {
        BTreeMap::new()
    };
    attributes.extend(payload.attributes);
    // An empty value takes an attribute away.
    attributes.retain(|_, value| !value.is_empty());
    if attributes.len() > ATTRIBUTES {
        return Err(RestError::invalid(format!(
            "a thing without a type has up to {ATTRIBUTES} attributes"
        )));
    }
    thing.attributes = attributes;
    Ok(())
}

pub(super) fn create(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = checked(asked.named("thingName"))?;
    let arn = state.arn("thing", name);
    let payload = described(asked)?.attribute_payload;
    if state.things.contains_key(name) {
        let why = format!("there is a thing `{name}` already");
        return Err(RestError::exists(why, name, arn));
    }
    room(state.things.len(), "things")?;
    let mut thing = RegisteredThing {
        id: uuid(),
        version: 1,
        attributes: BTreeMap::new(),
        principals: BTreeMap::new(),
    };
    set(&mut thing, payload)?;
    let told = json!({ "thingName": name, "thingArn": arn, "thingId": thing.id });
    state.things.insert(name.to_owned(), thing);
    Ok(Some(told))
}

pub(super) fn one(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("thingName");
    let arn = state.arn("thing", name);
    let thing = thing(state, asked)?;
    Ok(Some(json!({
        "defaultClientId": name,
        "thingName": name,
        "thingId": thing.id,
        "thingArn": arn,
        "attributes": thing.attributes,
        "version": thing.version,
    })))
}

pub(super) fn update(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let payload = described(asked)?.attribute_payload;
    let thing = thing(state, asked)?;
    set(thing, payload)?;
    thing.version += 1;
    state.concerns_everybody();
    Ok(Some(json!({})))
}

pub(super) fn delete(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let name = asked.named("thingName");
    if !thing(state, asked)?.principals.is_empty() {
        return Err(RestError::invalid(format!(
            "thing `{name}` has a certificate; detach it first"
        )));
    }
    state.things.remove(name);
    for group in state.groups.values_mut() {
        group.forget(name);
    }
    Ok(Some(json!({})))
}

pub(super) fn list(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let names = state.things.keys().cloned();
    let (names, next) = page_of_names(asked, PAGES, names)?;
    let told = |name: &String| {
        let thing = state.things.get(name);
        json!({
            "thingName": name,
            "thingArn": state.arn("thing", name),
            "attributes": thing.map(|thing| &thing.attributes),
            "version": thing.map(|thing| thing.version),
        })
    };
    let things: Vec<Value> = names.iter().map(told).collect();
    Ok(Some(json!({ "things": things, "nextToken": next })))
}

pub(super) fn attach(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let principal = asked.header(PRINCIPAL)?;
    let is_exclusive = match asked.of_query("thingPrincipalType") {
        None | Some("NON_EXCLUSIVE_THING") => false,
        Some("EXCLUSIVE_THING") => true,
        Some(other) => {
            return Err(RestError::invalid(format!(
                "thingPrincipalType is `{other}`; EXCLUSIVE_THING or NON_EXCLUSIVE_THING is wanted"
            )));
        }
    };
    if state.certificate_of(principal).is_none() {
        return Err(RestError::absent(format!(
            "there is no certificate `{principal}`"
        )));
    }
    let name = asked.named("thingName");
    let clash = {
        let others = state.things_of(principal);
        let mut others = others.filter(|(other, _)| *other != name);
        others.any(|(_, exclusive)| exclusive || is_exclusive)
    };
    if clash {
        return Err(RestError::invalid(format!(
            "`{principal}` is attached to another thing, and one of the two is to be its only one"
        )));
    }
    thing(state, asked)?
        .principals
        .insert(principal.to_owned(), is_exclusive);
    state.concerns_target(principal);
    Ok(Some(json!({})))
}

pub(super) fn detach(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let principal = asked.header(PRINCIPAL)?;
    thing(state, asked)?.principals.remove(principal);
    state.concerns_target(principal);
    Ok(Some(json!({})))
}

pub(super) fn principals(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let principals = thing(state, asked)?.principals.keys().cloned();
    let (principals, next) = page_of_names(asked, PAGES, principals)?;
    Ok(Some(json!({ "principals": principals, "nextToken": next })))
}

pub(super) fn of_principal(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let principal = asked.header(PRINCIPAL)?;
    let things = state.things_of(principal);
    let things = things.map(|(name, _)| name.to_owned());
    let (things, next) = page_of_names(asked, PAGES, things)?;
    Ok(Some(json!({ "things": things, "nextToken": next })))
}

impl RegistryState {
    /// The things that a certificate is attached to by its ARN, and whether each is its only one.
    pub(super) fn things_of<'s>(&'s self, arn: &'s str) -> impl Iterator<Item = (&'s str, bool)> {
        let things = self.things.iter();
        things.filter_map(move |(name, thing)| {
            let exclusive = thing.principals.get(arn)?;
            Some((name.as_str(), *exclusive))
        })
    }

    /// Returns the thing of a client with a certificate: the certificate's only thing, or the one
    /// that has the client's id.
    pub(super) fn thing_of(&self, arn: &str, client_id: &str) -> Option<context::ClientThing> {
        let mut things = self.things_of(arn);
        let (name, exclusive) =
            things.find(|(name, exclusive)| *exclusive || *name == client_id)?;
        let thing = self.things.get(name)?;
        let attributes = thing.attributes.iter();
        Some(context::ClientThing {
            name: name.into(),
            type_name: None,
            attributes: attributes
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            attachment: if exclusive {
                ThingAttachment::Exclusive
            } else {
                ThingAttachment::NonExclusive
            },
        })
    }
}
