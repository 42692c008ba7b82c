//! An event that a route publishes, to begin with.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::table::Route;
use crate::channel::example::place;
use crate::channel::template::Part;
use crate::event::pattern::explain::PatternExplainer;
use crate::event::scan::scan;

/// An event that a route takes, as far as one could be made up.
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleEvent {
    /// The envelope's members, `detail` among them.
    pub fields: Map<String, Value>,
    /// `true` if the route's pattern matches it.
    pub matches: bool,
}

impl Route {
    /// Makes up an event that the pattern takes and that has what the targets' templates name, ids by
    /// [`Kind::example`](crate::channel::ChannelKind::example).
    pub fn example(&self) -> ExampleEvent {
        let mut fields = self.pattern.example();
        for target in &self.targets {
            let id = target.kind().map(crate::channel::ChannelKind::example);
            for part in target.template().parts() {
                if let Part::Placeholder(placeholder) = part {
                    place(&mut fields, placeholder, 0, id.as_deref().unwrap_or("any"));
                }
            }
        }
        let text = Value::Object(fields.clone()).to_string();
        let explainer = PatternExplainer::new(&self.pattern);
        let scanned = scan(&Bytes::from(text), explainer.fields()).ok();
        let explained = scanned.and_then(|scanned| explainer.explain(&scanned).ok());
        ExampleEvent {
            matches: explained.is_some_and(|explained| explained.matches),
            fields,
        }
    }
}
