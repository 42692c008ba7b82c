//! The buses with their rules. Pure: nothing is sent from here, and the time is handed in.
//!
//! Bounds are EventBridge's default quotas (user guide, "Quotas").

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::ACCOUNT;
use super::super::refusal::ApiRefusal;
use super::constraint::invalid;
use super::rule::{BusRule, RuleMatcher};
use super::target::RuleTarget;
use super::wire::{DeadLetterConfig, ResourceTag};

/// The bus that every account has.
pub(super) const DEFAULT: &str = "default";

const MOST_BUSES: usize = 100;
const MOST_RULES: usize = 300;
const MOST_TARGETS: usize = 5;
const MOST_TAGS: usize = 50;

/// Settings that a bus is created with. Encryption and logs of a bus have no effect that a client
/// could see.
#[derive(Clone, Debug, Default)]
pub(super) struct BusSettings {
    pub(super) description: Option<String>,
    pub(super) kms_key: Option<String>,
    pub(super) dead_letters: Option<DeadLetterConfig>,
    pub(super) logs: Option<Value>,
    pub(super) tags: Vec<ResourceTag>,
}

impl BusSettings {
    /// The members that were given, by their names.
    pub(super) fn told(&self) -> serde_json::Map<String, Value> {
        let members = [
            ("Description", json!(self.description)),
            ("KmsKeyIdentifier", json!(self.kms_key)),
            ("DeadLetterConfig", json!(self.dead_letters)),
            ("LogConfig", json!(self.logs)),
        ];
        let given = members.into_iter().filter(|(_, value)| !value.is_null());
        given
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

#[derive(Debug)]
pub(super) struct EventBus {
    name: String,
    arn: String,
    about: BusSettings,
    /// Seconds since 1970.
    created: f64,
    rules: BTreeMap<String, Arc<BusRule>>,
    matcher: Arc<RuleMatcher>,
}

impl EventBus {
    /// As lists have it, or with all that is known.
    pub(super) fn told(&self, described: bool) -> Value {
        let mut told = self.about.told();
        if !described {
            told.retain(|name, _| name == "Description");
        }
        told.insert("Name".into(), json!(self.name));
        told.insert("Arn".into(), json!(self.arn));
        told.insert("CreationTime".into(), json!(self.created));
        told.insert("LastModifiedTime".into(), json!(self.created));
        told.into()
    }

    pub(super) fn arn(&self) -> &str {
        &self.arn
    }

    pub(super) fn rules(&self) -> &BTreeMap<String, Arc<BusRule>> {
        &self.rules
    }

    /// Matcher of events for the current rules. Later changes do not affect it.
    pub(super) fn matcher(&self) -> Arc<RuleMatcher> {
        Arc::clone(&self.matcher)
    }

    pub(super) fn rule(&self, name: &str) -> Result<&BusRule, ApiRefusal> {
        let rule = self.rules.get(name).map(Arc::as_ref);
        rule.ok_or_else(|| self.no_rule(name))
    }

    fn no_rule(&self, name: &str) -> ApiRefusal {
        let bus = &self.name;
        not_found(format!("Rule {name} does not exist on EventBus {bus}."))
    }

    /// Changes a rule, and the bus's matcher with it.
    pub(super) fn change<T>(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut BusRule) -> Result<T, ApiRefusal>,
    ) -> Result<T, ApiRefusal> {
        let Some(rule) = self.rules.get_mut(name) else {
            return Err(self.no_rule(name));
        };
        let changed = change(Arc::make_mut(rule))?;
        self.matcher = Arc::new(RuleMatcher::new(self.rules.values()));
        Ok(changed)
    }

    /// Adds a rule or replaces one; a replaced rule's targets and tags stay.
    pub(super) fn put(&mut self, mut rule: BusRule) -> Result<(), ApiRefusal> {
        match self.rules.get(&rule.name) {
            Some(known) => {
                rule.targets = known.targets.clone();
                rule.tags = known.tags.clone();
            }
            None if self.rules.len() >= MOST_RULES => return Err(over_limit()),
            None => {}
        }
        self.rules.insert(rule.name.clone(), Arc::new(rule));
        self.matcher = Arc::new(RuleMatcher::new(self.rules.values()));
        Ok(())
    }

    /// Removes a rule without targets; one that does not exist is removed already.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), ApiRefusal> {
        let has_targets = |rule: &Arc<BusRule>| !rule.targets.is_empty();
        if self.rules.get(name).is_some_and(has_targets) {
            return Err(invalid("Rule can't be deleted since it has targets."));
        }
        self.rules.remove(name);
        self.matcher = Arc::new(RuleMatcher::new(self.rules.values()));
        Ok(())
    }
}

impl BusRule {
    /// Adds targets or replaces those with the same ids: all or none.
    pub(super) fn add(&mut self, targets: Vec<RuleTarget>) -> Result<(), ApiRefusal> {
        let mut all = self.targets.clone();
        all.extend(
            targets
                .into_iter()
                .map(|target| (target.id.clone(), target)),
        );
        if all.len() > MOST_TARGETS {
            return Err(over_limit());
        }
        self.targets = all;
        Ok(())
    }
}

/// All buses.
#[derive(Debug)]
pub(super) struct EventBusStore {
    /// Beginning of every ARN, up to the kind of resource.
    prefix: String,
    buses: BTreeMap<String, EventBus>,
}

impl EventBusStore {
    pub(super) fn new(region: &str, now: f64) -> Self {
        let mut store = Self {
            prefix: format!("arn:aws:events:{region}:{ACCOUNT}:"),
            buses: BTreeMap::new(),
        };
        store.insert(DEFAULT, BusSettings::default(), now);
        store
    }

    pub(super) fn buses(&self) -> &BTreeMap<String, EventBus> {
        &self.buses
    }

    /// The name in a bus's ARN; anything else is a name already.
    pub(super) fn name<'n>(&self, name_or_arn: Option<&'n str>) -> &'n str {
        let name_or_arn = name_or_arn.unwrap_or(DEFAULT);
        let after = name_or_arn.strip_prefix(self.prefix.as_str());
        after
            .and_then(|after| after.strip_prefix("event-bus/"))
            .unwrap_or(name_or_arn)
    }

    pub(super) fn bus(&self, name_or_arn: Option<&str>) -> Result<&EventBus, ApiRefusal> {
        let name = self.name(name_or_arn);
        self.buses.get(name).ok_or_else(|| no_bus(name))
    }

    pub(super) fn bus_mut(
        &mut self,
        name_or_arn: Option<&str>,
    ) -> Result<&mut EventBus, ApiRefusal> {
        let name = self.name(name_or_arn);
        self.buses.get_mut(name).ok_or_else(|| no_bus(name))
    }

    pub(super) fn create(
        &mut self,
        name: &str,
        about: BusSettings,
        now: f64,
    ) -> Result<&EventBus, ApiRefusal> {
        if self.buses.contains_key(name) {
            let message = format!("Event bus {name} already exists.");
            return Err(ApiRefusal::new("ResourceAlreadyExistsException", message));
        }
        if self.buses.len() > MOST_BUSES {
            return Err(over_limit());
        }
        self.insert(name, about, now);
        self.bus(Some(name))
    }

    fn insert(&mut self, name: &str, about: BusSettings, now: f64) {
        let bus = EventBus {
            name: name.to_owned(),
            arn: format!("{}event-bus/{name}", self.prefix),
            about,
            created: now,
            rules: BTreeMap::new(),
            matcher: Arc::new(RuleMatcher::new([])),
        };
        self.buses.insert(name.to_owned(), bus);
    }

    /// Removes a bus without rules; one that does not exist is removed already.
    pub(super) fn delete(&mut self, name: &str) -> Result<(), ApiRefusal> {
        if name == DEFAULT {
            return Err(invalid("Cannot delete event bus default."));
        }
        let has_rules = |bus: &EventBus| !bus.rules.is_empty();
        if self.buses.get(name).is_some_and(has_rules) {
            return Err(invalid("Event bus can't be deleted since it has rules."));
        }
        self.buses.remove(name);
        Ok(())
    }

    /// The ARN of a rule on a bus.
    pub(super) fn rule_arn(&self, bus: &str, name: &str) -> String {
        let prefix = &self.prefix;
        match bus {
            DEFAULT => format!("{prefix}rule/{name}"),
            bus => format!("{prefix}rule/{bus}/{name}"),
        }
    }

    /// Changes the tags of the bus or rule with an ARN.
    pub(super) fn tags(
        &mut self,
        arn: &str,
        change: impl FnOnce(&mut Vec<ResourceTag>),
    ) -> Result<Vec<ResourceTag>, ApiRefusal> {
        let change = |tags: &mut Vec<ResourceTag>| {
            let mut changed = tags.clone();
            change(&mut changed);
            if changed.len() > MOST_TAGS {
                return Err(over_limit());
            }
            tags.clone_from(&changed);
            Ok(changed)
        };
        let rest = arn.strip_prefix(self.prefix.as_str()).unwrap_or_default();
        if let Some(rule) = rest.strip_prefix("rule/") {
            let (bus, rule) = rule.rsplit_once('/').unwrap_or((DEFAULT, rule));
            return self
                .bus_mut(Some(bus))?
                .change(rule, |rule| change(&mut rule.tags));
        }
        match rest.strip_prefix("event-bus/") {
            Some(bus) => change(&mut self.bus_mut(Some(bus))?.about.tags),
            None => Err(not_found(format!("Resource {arn} does not exist."))),
        }
    }
}

fn no_bus(name: &str) -> ApiRefusal {
    not_found(format!("Event bus {name} does not exist."))
}

fn not_found(message: String) -> ApiRefusal {
    ApiRefusal::new("ResourceNotFoundException", message)
}

fn over_limit() -> ApiRefusal {
    ApiRefusal::new(
        "LimitExceededException",
        "The requested resource exceeds the maximum number allowed.",
    )
}
