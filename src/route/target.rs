//! Targets of a route: a channel (`order:{detail.orderId}`) or a plain topic
//! (`status/{detail.region}`).

use std::fmt;

use crate::channel::limits::{TOPIC_BYTES, TOPIC_SLASHES};
use crate::channel::template::{self, ChannelTemplate, Part, TemplateError};
use crate::channel::{ChannelKind, Kinds};

/// One target of a route.
#[derive(Clone, Debug)]
pub struct TopicTarget {
    kind: Option<ChannelKind>,
    template: ChannelTemplate,
}

/// A part of the topics that a target can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetPart<'t> {
    /// This text.
    Text(&'t str),
    /// Text that differs from event to event.
    Gap,
}

impl TopicTarget {
    /// Reads a target. Text that begins with a word and a colon is a channel; everything else is a topic.
    ///
    /// # Errors
    /// [`TemplateError`] when the template cannot be read, the channel is not declared, or no event could ever make a topic
    /// of it that IoT Core takes.
    pub fn parse(text: &str, kinds: &Kinds) -> Result<Self, TemplateError> {
        let Some((kind, id)) = template::channel(text, kinds)? else {
            return Self::topic(text).and_then(Self::checked);
        };
        let name = kind.name();
        let template = ChannelTemplate::parse(id).map_err(|error| TemplateError {
            offset: error.offset + name.len() + 1,
            ..error
        })?;
        if id.is_empty() {
            return Err(TemplateError {
                message: format!("channel `{name}` has no id"),
                offset: text.len(),
                help: Some(format!("write {name}:{{detail.{name}Id}}")),
            });
        }
        Self {
            kind: Some(kind.clone()),
            template,
        }
        .checked()
    }

    /// Each placeholder puts a byte into the topic at least, and the search for values goes one call deeper for each.
    fn checked(self) -> Result<Self, TemplateError> {
        let placeholders = self.template.paths().count();
        if placeholders > TOPIC_BYTES {
            return Err(TemplateError {
                message: format!("the target has {placeholders} placeholders"),
                offset: 0,
                help: Some(format!("IoT Core takes topics of {TOPIC_BYTES} bytes")),
            });
        }
        Ok(self)
    }

    fn topic(text: &str) -> Result<Self, TemplateError> {
        let template = ChannelTemplate::parse(text)?;
        let literal = template.leading_literal();
        let fail = |message: String, help: &str| TemplateError {
            message,
            offset: 0,
            help: Some(help.to_owned()),
        };
        if literal.starts_with('$') {
            return Err(fail(
                "the topic begins with `$`, which is reserved".into(),
                "begin with a word of your own",
            ));
        }
        if literal.is_empty() || (!literal.contains('/') && literal.len() != text.len()) {
            return Err(fail(
                "the first level of a topic must be literal text".into(),
                "begin with a word and a slash, as in status/{detail.id}, or declare a channel",
            ));
        }
        let fixed: String = template
            .parts()
            .iter()
            .filter_map(|part| match part {
                Part::Literal(text) => Some(&**text),
                _ => None,
            })
            .collect();
        if let Some(wildcard) = fixed.chars().find(|c| matches!(c, '+' | '#')) {
            return Err(fail(
                format!("the topic has the wildcard `{wildcard}`; a publish topic must not"),
                "clients subscribe with wildcards; events are published to one topic each",
            ));
        }
        if fixed.len() > TOPIC_BYTES {
            return Err(fail(
                format!("the literal text alone is {} bytes long", fixed.len()),
                "IoT Core takes topics of 256 bytes",
            ));
        }
        let slashes = fixed.matches('/').count();
        if slashes > TOPIC_SLASHES {
            return Err(fail(
                format!("the topic has {slashes} slashes"),
                "IoT Core takes 7 slashes, so 8 levels",
            ));
        }
        Ok(Self {
            kind: None,
            template,
        })
    }

    /// The topics that events can make of it, as text with gaps. Channels begin with their kind; the environment is not part of it.
    pub fn pieces<'t>(&'t self, route: &'t str) -> impl Iterator<Item = TargetPart<'t>> {
        let kind = self.kind.as_ref().map(ChannelKind::name);
        let kind = kind
            .into_iter()
            .flat_map(|name| [TargetPart::Text(name), TargetPart::Text("/")]);
        kind.chain(self.template.parts().iter().map(move |part| match part {
            Part::Literal(text) => TargetPart::Text(text),
            Part::RouteName => TargetPart::Text(route),
            Part::Placeholder(_) => TargetPart::Gap,
        }))
    }

    /// The kind of channel, unless this is a plain topic.
    pub fn kind(&self) -> Option<&ChannelKind> {
        self.kind.as_ref()
    }

    /// The template of the channel's id, or of the whole topic.
    pub fn template(&self) -> &ChannelTemplate {
        &self.template
    }
}

impl fmt::Display for TopicTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(kind) => write!(f, "{}:{}", kind.name(), self.template),
            None => write!(f, "{}", self.template),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::IdFormat;

    fn kinds() -> Kinds {
        let order = ChannelKind::try_new("order", IdFormat::Uuid).unwrap();
        [("order".into(), order)].into()
    }

    #[test]
    fn channels_and_topics() {
        let channel = TopicTarget::parse("order:{detail.orderId}", &kinds()).unwrap();
        assert_eq!(channel.kind().map(ChannelKind::name), Some("order"));
        assert_eq!(channel.to_string(), "order:{detail.orderId}");
        let pieces = [
            TargetPart::Text("order"),
            TargetPart::Text("/"),
            TargetPart::Gap,
        ];
        assert!(channel.pieces("r").eq(pieces));
        let topic = TopicTarget::parse("status/{detail.region}", &kinds()).unwrap();
        assert!(topic.kind().is_none());
        assert!(TopicTarget::parse("announcements", &kinds()).is_ok());
    }

    #[test]
    fn faults() {
        let fault = |text: &str| {
            let error = TopicTarget::parse(text, &kinds()).unwrap_err();
            format!(
                "{} at {}; {}",
                error.message,
                error.offset,
                error.help.unwrap_or_default()
            )
        };
        insta::assert_snapshot!(fault("oder:{x}"), @"channel `oder` is not declared at 0; did you mean `order`?");
        insta::assert_snapshot!(fault("courier:{x}"), @"channel `courier` is not declared at 0; declare it: channels: { courier: { id: uuid } }");
        insta::assert_snapshot!(fault("order:"), @"channel `order` has no id at 6; write order:{detail.orderId}");
        insta::assert_snapshot!(fault("order:{x|y}"), @"there is no filter `y` at 9; filters are lower, encode, path and default:text");
        insta::assert_snapshot!(fault("{source}/x"), @"the first level of a topic must be literal text at 0; begin with a word and a slash, as in status/{detail.id}, or declare a channel");
        insta::assert_snapshot!(fault("x{source}/x"), @"the first level of a topic must be literal text at 0; begin with a word and a slash, as in status/{detail.id}, or declare a channel");
        insta::assert_snapshot!(fault("$aws/things"), @"the topic begins with `$`, which is reserved at 0; begin with a word of your own");
        insta::assert_snapshot!(fault("a/+/b"), @"the topic has the wildcard `+`; a publish topic must not at 0; clients subscribe with wildcards; events are published to one topic each");
        let many = format!("a/{}", "{x}".repeat(20_000));
        insta::assert_snapshot!(fault(&many), @"the target has 20000 placeholders at 0; IoT Core takes topics of 256 bytes");
        insta::assert_snapshot!(fault("1/2/3/4/5/6/7/8/9"), @"the topic has 8 slashes at 0; IoT Core takes 7 slashes, so 8 levels");
    }
}
