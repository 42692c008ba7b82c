//! Claims that a role gives grants for, to begin with.

use serde_json::{Map, Value};

use super::role::{EntryForm, Role, RoleEntry};
use crate::channel::example::place;
use crate::channel::template::{ChannelTemplate, Part};

impl Role {
    /// Makes up claims that name one of everything that the role grants, ids by
    /// [`ChannelKind::example`](crate::channel::ChannelKind::example).
    pub fn example(&self) -> Map<String, Value> {
        let mut claims = Map::new();
        let entries = self.subscribe.iter().chain(&self.publish);
        for entry in std::iter::once(&self.bind).chain(entries) {
            entry.place(&mut claims);
        }
        claims
    }
}

impl RoleEntry {
    fn place(&self, claims: &mut Map<String, Value>) {
        match &self.form {
            EntryForm::Channel(kind, template) => fill(template, &kind.example(), claims),
            EntryForm::Filter(template) => fill(template, "any", claims),
            EntryForm::EveryChannel(_) => {}
        }
    }
}

fn fill(template: &ChannelTemplate, value: &str, claims: &mut Map<String, Value>) {
    for part in template.parts() {
        if let Part::Placeholder(placeholder) = part {
            // The first segment only says that claims are meant.
            place(claims, placeholder, 1, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::grant::Grants;
    use super::super::principal::ClientIdRules;
    use super::super::role::Use;
    use super::*;
    use crate::channel::{ChannelKind, IdFormat, Kinds};

    #[test]
    fn example_claims_give_grants() {
        let kind = |name: &str| {
            (
                name.into(),
                ChannelKind::try_new(name, IdFormat::Uuid).unwrap(),
            )
        };
        let kinds: Kinds = ["user", "order"].map(kind).into();
        let entry = |text: &str, purpose| RoleEntry::parse(text, purpose, &kinds).unwrap();
        let role = Role {
            name: "customer".into(),
            bind: entry("user:{claims.sub}", Use::Bind),
            client_ids: ClientIdRules::default(),
            subscribe: vec![
                entry("user:{claims.sub}", Use::Subscribe),
                entry("order:{claims.orders[*]}", Use::Subscribe),
                entry("tenant/{claims.tenant}/alerts", Use::Subscribe),
                entry("order:*", Use::Subscribe),
            ],
            publish: Vec::new(),
            retain: false,
        };
        let claims = Value::Object(role.example());
        let user = kinds["user"].example();
        let order = kinds["order"].example();
        let wanted = serde_json::json!({"sub": user, "orders": [order], "tenant": "any"});
        assert_eq!(claims, wanted);
        let grants = Grants::of(&role, &claims, None).unwrap();
        assert_eq!(grants.principal.as_str(), user);
        assert_eq!(grants.subscriptions.len(), 4);
    }
}
