//! EventBridge's actions over the buses (EventBridge API reference; the words of errors are those recorded from the service).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::queue::api::QueueService;
use super::super::refusal::ApiRefusal;
use super::super::{ACCOUNT, ApiResult, body_of};
use super::constraint::{
    ARN, BUS, BUS_OR_ARN, ConstraintViolations, DESCRIPTION, NAME, PATTERN, SCHEDULE, TAG_KEY,
    TAG_VALUE, invalid,
};
use super::page::{check_page, page};
use super::put;
use super::rule::{self, BusRule, STATES};
use super::store::{BusSettings, DEFAULT, EventBusStore};
use super::target::{self, RuleTarget};
use super::wire::{EventsRequest, ResourceTag};
use crate::event::pattern::tree::{NodeValue, TreeValue};

/// Members that TestEventPattern requires of every event (recorded from the service: `resources`
/// and `detail` may be absent).
const OF_EVERY_EVENT: [&str; 6] = ["id", "account", "source", "time", "region", "detail-type"];

/// The actions that buses offer.
pub(in crate::dev) const ACTIONS: [&str; 19] = [
    "CreateEventBus",
    "DeleteEventBus",
    "DeleteRule",
    "DescribeEventBus",
    "DescribeRule",
    "DisableRule",
    "EnableRule",
    "ListEventBuses",
    "ListRuleNamesByTarget",
    "ListRules",
    "ListTagsForResource",
    "ListTargetsByRule",
    "PutEvents",
    "PutRule",
    "PutTargets",
    "RemoveTargets",
    "TagResource",
    "TestEventPattern",
    "UntagResource",
];

/// All buses of a server.
pub(in crate::dev) struct EventBusService {
    store: Mutex<EventBusStore>,
    queues: Arc<QueueService>,
    region: String,
}

fn now() -> f64 {
    Timestamp::now().as_millisecond() as f64 / 1_000.0
}

impl EventBusService {
    pub(in crate::dev) fn new(region: &str, queues: Arc<QueueService>) -> Self {
        Self {
            store: Mutex::new(EventBusStore::new(region, now())),
            queues,
            region: region.to_owned(),
        }
    }

    fn store(&self) -> MutexGuard<'_, EventBusStore> {
        // Nothing in here panics half-way through a change.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out an action, and returns the answer's body.
    pub(in crate::dev) fn act(&self, action: &str, body: &[u8]) -> ApiResult {
        let act = match action {
            "PutEvents" => Self::put_events,
            "CreateEventBus" => Self::create_bus,
            "DeleteEventBus" => Self::delete_bus,
            "DescribeEventBus" => Self::describe_bus,
            "ListEventBuses" => Self::list_buses,
            "PutRule" => Self::put_rule,
            "DeleteRule" => Self::delete_rule,
            "DescribeRule" => Self::describe_rule,
            "EnableRule" => |buses: &Self, request| buses.set_state(request, "ENABLED"),
            "DisableRule" => |buses: &Self, request| buses.set_state(request, "DISABLED"),
            "ListRules" => Self::list_rules,
            "ListRuleNamesByTarget" => Self::list_rule_names_by_target,
            "PutTargets" => Self::put_targets,
            "RemoveTargets" => Self::remove_targets,
            "ListTargetsByRule" => Self::list_targets_by_rule,
            "TestEventPattern" => Self::test_event_pattern,
            "TagResource" => Self::tag,
            "UntagResource" => Self::untag,
            "ListTagsForResource" => Self::list_tags,
            _ => {
                let message = format!("eventcast dev does not offer {action}.");
                return Err(ApiRefusal::new("UnknownOperationException", message));
            }
        };
        let request: EventsRequest = if body.is_empty() {
            EventsRequest::default()
        } else {
            serde_json::from_slice(body)
                .map_err(|error| ApiRefusal::new("SerializationException", error.to_string()))?
        };
        act(self, request)
    }

    fn put_events(&self, request: EventsRequest) -> ApiResult {
        put::check(request.entries.as_deref())?;
        let entries = request.entries.unwrap_or_default();
        put::put(&entries, &self.region, &self.queues, |entry| {
            let store = self.store();
            let bus = store.bus(entry.event_bus_name.as_deref()).ok()?;
            Some(bus.matcher())
        })
    }

    fn create_bus(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("name", request.name.as_deref(), BUS);
        found.optional("description", request.description.as_deref(), DESCRIPTION);
        check_tags(request.tags.as_deref(), &mut found);
        found.refuse()?;
        let name = request.name.unwrap_or_default();
        if let Some(source) = request.event_source_name {
            let message = format!("Event source {source} does not exist.");
            return Err(ApiRefusal::new("ResourceNotFoundException", message));
        }
        if name.contains('/') {
            return Err(invalid("Event bus name must not contain '/'."));
        }
        let about = BusSettings {
            description: request.description,
            kms_key: request.kms_key_identifier,
            dead_letters: request.dead_letter_config,
            logs: request.log_config,
            tags: request.tags.unwrap_or_default(),
        };
        let mut told = about.told();
        let mut store = self.store();
        let bus = store.create(&name, about, now())?;
        told.insert("EventBusArn".into(), json!(bus.arn()));
        body_of(&told)
    }

    fn delete_bus(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("name", request.name.as_deref(), BUS);
        found.refuse()?;
        self.store().delete(&request.name.unwrap_or_default())?;
        nothing()
    }

    fn describe_bus(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.optional("name", request.name.as_deref(), BUS_OR_ARN);
        found.refuse()?;
        let store = self.store();
        body_of(&store.bus(request.name.as_deref())?.told(true))
    }

    fn list_buses(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.optional("namePrefix", request.name_prefix.as_deref(), BUS);
        check_page(&request, &mut found);
        found.refuse()?;
        let prefix = request.name_prefix.as_deref().unwrap_or_default();
        let store = self.store();
        let named = store
            .buses()
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        page("EventBuses", &request, named, |_, bus| bus.told(false))
    }

    fn put_rule(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("name", request.name.as_deref(), NAME);
        check_bus(&request, &mut found);
        found.optional("eventPattern", request.event_pattern.as_deref(), PATTERN);
        let schedule = request.schedule_expression.as_deref();
        found.optional("scheduleExpression", schedule, SCHEDULE);
        found.choice("state", request.state.as_deref(), &STATES);
        found.optional("description", request.description.as_deref(), DESCRIPTION);
        found.optional("roleArn", request.role_arn.as_deref(), ARN);
        check_tags(request.tags.as_deref(), &mut found);
        found.refuse()?;
        let mut store = self.store();
        let bus = store.name(request.event_bus_name.as_deref()).to_owned();
        store.bus(Some(&bus))?;
        let written = match (request.event_pattern, schedule) {
            (_, Some(_)) if bus != DEFAULT => {
                return Err(invalid(
                    "ScheduleExpression is supported only on the default event bus.",
                ));
            }
            (_, Some(_)) => {
                return Err(invalid(
                    "Parameter ScheduleExpression is not valid. Reason: eventcast dev has no schedules.",
                ));
            }
            (None, None) => {
                return Err(invalid(
                    "Parameter(s) EventPattern or ScheduleExpression must be specified.",
                ));
            }
            (Some(pattern), None) => pattern,
        };
        let name = request.name.unwrap_or_default();
        let rule = BusRule {
            arn: store.rule_arn(&bus, &name),
            name,
            pattern: rule::pattern(&written)?,
            written,
            state: request.state.unwrap_or_else(|| "ENABLED".into()),
            description: request.description,
            role_arn: request.role_arn,
            tags: request.tags.unwrap_or_default(),
            targets: std::collections::BTreeMap::new(),
            bus: bus.clone(),
        };
        let answer = body_of(&json!({ "RuleArn": rule.arn }));
        store.bus_mut(Some(&bus))?.put(rule)?;
        answer
    }

    fn delete_rule(&self, request: EventsRequest) -> ApiResult {
        let name = named_rule("name", request.name.as_deref(), &request)?;
        let bus = request.event_bus_name.as_deref();
        self.store().bus_mut(bus)?.remove(name)?;
        nothing()
    }

    fn describe_rule(&self, request: EventsRequest) -> ApiResult {
        let name = named_rule("name", request.name.as_deref(), &request)?;
        let store = self.store();
        let bus = store.bus(request.event_bus_name.as_deref())?;
        body_of(&bus.rule(name)?.told(true))
    }

    fn set_state(&self, request: EventsRequest, state: &str) -> ApiResult {
        let name = named_rule("name", request.name.as_deref(), &request)?;
        let mut store = self.store();
        let bus = store.bus_mut(request.event_bus_name.as_deref())?;
        bus.change(name, |rule| {
            rule.state = state.to_owned();
            Ok(())
        })?;
        nothing()
    }

    fn list_rules(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.optional("namePrefix", request.name_prefix.as_deref(), NAME);
        check_bus(&request, &mut found);
        check_page(&request, &mut found);
        found.refuse()?;
        let prefix = request.name_prefix.as_deref().unwrap_or_default();
        let store = self.store();
        let rules = store.bus(request.event_bus_name.as_deref())?.rules();
        let named = rules.iter().filter(|(name, _)| name.starts_with(prefix));
        page("Rules", &request, named, |_, rule| rule.told(false))
    }

    fn list_rule_names_by_target(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("targetArn", request.target_arn.as_deref(), ARN);
        check_bus(&request, &mut found);
        check_page(&request, &mut found);
        found.refuse()?;
        let arn = request.target_arn.as_deref().unwrap_or_default();
        let store = self.store();
        let rules = store.bus(request.event_bus_name.as_deref())?.rules();
        let aimed = rules.iter().filter(|(_, rule)| {
            let mut targets = rule.targets.values();
            targets.any(|target| target.arn == arn)
        });
        page("RuleNames", &request, aimed, |name, _| json!(name))
    }

    fn put_targets(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("rule", request.rule.as_deref(), NAME);
        check_bus(&request, &mut found);
        let count = request.targets.as_ref().map(Vec::len);
        found.list("targets", count, (1, 100));
        target::check(request.targets.as_deref().unwrap_or_default(), &mut found);
        found.refuse()?;
        let mut store = self.store();
        let bus = store.bus_mut(request.event_bus_name.as_deref())?;
        bus.change(&request.rule.unwrap_or_default(), |rule| {
            let queues = format!("arn:aws:sqs:{}:{ACCOUNT}:", self.region);
            let targets = request.targets.unwrap_or_default().into_iter();
            let checked: Result<Vec<RuleTarget>, ApiRefusal> = targets
                .map(|target| RuleTarget::try_new(target, &queues))
                .collect();
            rule.add(checked?)
        })?;
        body_of(&json!({ "FailedEntryCount": 0, "FailedEntries": [] }))
    }

    fn remove_targets(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("rule", request.rule.as_deref(), NAME);
        check_bus(&request, &mut found);
        found.list("ids", request.ids.as_ref().map(Vec::len), (1, 100));
        for (index, id) in request.ids.iter().flatten().enumerate() {
            found.required(&format!("ids.{}.member", index + 1), Some(id), NAME);
        }
        found.refuse()?;
        let ids = request.ids.unwrap_or_default();
        let name = request.rule.unwrap_or_default();
        let mut store = self.store();
        let bus = store.bus_mut(request.event_bus_name.as_deref())?;
        let failed: Vec<Value> = bus.change(&name, |rule| {
            let missing = ids.into_iter().filter(|id| rule.targets.remove(id).is_none());
            let failed = missing.map(|id| {
                let message = format!("Rule '{name}' does not have a target with the Id '{id}'.");
                json!({ "TargetId": id, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": message })
            });
            Ok(failed.collect())
        })?;
        body_of(&json!({ "FailedEntryCount": failed.len(), "FailedEntries": failed }))
    }

    fn list_targets_by_rule(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("rule", request.rule.as_deref(), NAME);
        check_bus(&request, &mut found);
        check_page(&request, &mut found);
        found.refuse()?;
        let store = self.store();
        let bus = store.bus(request.event_bus_name.as_deref())?;
        let targets = &bus
            .rule(request.rule.as_deref().unwrap_or_default())?
            .targets;
        page("Targets", &request, targets, |_, target| {
            json!(target.written)
        })
    }

    fn test_event_pattern(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        let pattern = request.event_pattern.as_deref();
        found.required("eventPattern", pattern, PATTERN);
        let event = request.event.as_deref();
        found.list("event", event.map(str::len), (0, usize::MAX));
        found.refuse()?;
        let event = event.unwrap_or_default();
        let whole = TreeValue::parse(event).is_ok_and(|event| match event.value {
            NodeValue::Object(members) => {
                let has = |name: &&str| members.iter().any(|member| *member.key == **name);
                OF_EVERY_EVENT.iter().all(has)
            }
            _ => false,
        });
        if !whole {
            return Err(invalid("Parameter Event is not valid."));
        }
        let result = rule::matches(pattern.unwrap_or_default(), event)?;
        body_of(&json!({ "Result": result }))
    }

    fn tag(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("resourceARN", request.resource_arn.as_deref(), ARN);
        found.list("tags", request.tags.as_ref().map(Vec::len), (0, 200));
        check_tags(request.tags.as_deref(), &mut found);
        found.refuse()?;
        let arn = request.resource_arn.unwrap_or_default();
        self.store().tags(&arn, |tags| {
            for tag in request.tags.into_iter().flatten() {
                tags.retain(|known| known.key != tag.key);
                tags.push(tag);
            }
        })?;
        nothing()
    }

    fn untag(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("resourceARN", request.resource_arn.as_deref(), ARN);
        found.list("tagKeys", request.tag_keys.as_ref().map(Vec::len), (0, 200));
        found.refuse()?;
        let arn = request.resource_arn.unwrap_or_default();
        let keys = request.tag_keys.unwrap_or_default();
        self.store()
            .tags(&arn, |tags| tags.retain(|tag| !keys.contains(&tag.key)))?;
        nothing()
    }

    fn list_tags(&self, request: EventsRequest) -> ApiResult {
        let mut found = ConstraintViolations::default();
        found.required("resourceARN", request.resource_arn.as_deref(), ARN);
        found.refuse()?;
        let arn = request.resource_arn.unwrap_or_default();
        let tags = self.store().tags(&arn, |_| {})?;
        body_of(&json!({ "Tags": tags }))
    }
}

/// Answer of actions that return no data.
fn nothing() -> ApiResult {
    Ok(b"{}".to_vec())
}

fn check_bus(request: &EventsRequest, found: &mut ConstraintViolations) {
    found.optional(
        "eventBusName",
        request.event_bus_name.as_deref(),
        BUS_OR_ARN,
    );
}

fn check_tags(tags: Option<&[ResourceTag]>, found: &mut ConstraintViolations) {
    for (index, tag) in tags.into_iter().flatten().enumerate() {
        let at = |member: &str| format!("tags.{}.member.{member}", index + 1);
        found.required(&at("key"), Some(&tag.key), TAG_KEY);
        found.required(&at("value"), Some(&tag.value), TAG_VALUE);
    }
}

/// The rule that is asked for, where nothing else is.
fn named_rule<'r>(
    at: &str,
    name: Option<&'r str>,
    request: &EventsRequest,
) -> Result<&'r str, ApiRefusal> {
    let mut found = ConstraintViolations::default();
    found.required(at, name, NAME);
    check_bus(request, &mut found);
    found.refuse()?;
    Ok(name.unwrap_or_default())
}
