//! What all routes do with one event, and why not: the pattern's fields, the reason a topic could not be made, the publications.

use bytes::Bytes;
use serde::Serialize;

use super::publication::Publication;
use super::table::{Refusal, Route, RouteTable};
use crate::event::envelope::Decoder;
use crate::event::pattern::explain::{Explainer, Mismatch};

/// What all routes do with one event.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The event.
    pub event: EventFacts,
    /// Why the event as a whole cannot be published, if so.
    pub refused: Option<Reason>,
    /// Each route, in the order of the configuration.
    pub routes: Vec<RouteExplanation>,
}

impl Explanation {
    /// Whether anything would be published.
    pub fn publishes(&self) -> bool {
        let mut routes = self.routes.iter();
        self.refused.is_none() && routes.any(|route| !route.publications.is_empty())
    }
}

/// What the event says of itself.
#[derive(Debug, Serialize)]
pub struct EventFacts {
    /// Its id; the queue's message id where it has none.
    pub id: String,
    /// Who sent it.
    pub source: Option<String>,
    /// What it tells.
    pub detail_type: Option<String>,
    /// The length of the body.
    pub size_bytes: usize,
    /// Whether an archive sends it once more.
    pub replay: bool,
}

/// What one route does with the event.
#[derive(Debug, Serialize)]
pub struct RouteExplanation {
    /// The route's name.
    pub route: String,
    /// Whether its pattern matches.
    pub matches: bool,
    /// Why it does not match: one reason for each alternative of `$or`.
    pub mismatches: Vec<Mismatch>,
    /// Why it publishes nothing although it matches.
    pub refused: Option<Reason>,
    /// What it publishes.
    pub publications: Vec<PublicationFacts>,
}

/// Why nothing is published.
#[derive(Debug, Serialize)]
pub struct Reason {
    /// A word from a closed set.
    pub reason: &'static str,
    /// One line for a person.
    pub detail: String,
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        Self {
            reason: refusal.reason,
            detail: refusal.detail,
        }
    }
}

/// A publication without its payload.
#[derive(Debug, Serialize)]
pub struct PublicationFacts {
    /// Where it goes.
    pub topic: String,
    /// The payload's length.
    pub size_bytes: usize,
    /// 0 or 1.
    pub qos: u8,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// How long it is worth delivering.
    pub expires_seconds: Option<u64>,
    /// MQTT 5 content type.
    pub content_type: &'static str,
    /// MQTT 5 user properties.
    pub user_properties: serde_json::Map<String, serde_json::Value>,
}

impl From<Publication> for PublicationFacts {
    fn from(publication: Publication) -> Self {
        Self {
            user_properties: publication
                .user_properties()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            topic: publication.topic.to_string(),
            size_bytes: publication.payload.len(),
            qos: publication.qos.level(),
            retain: publication.retain,
            expires_seconds: publication.expires.map(|expires| expires.as_secs()),
            content_type: publication.content_type,
        }
    }
}

/// Explains one body as the queue hands it out.
///
/// # Errors
/// [`Refusal`] when the body is no event, or takes too long to match.
pub fn explain(table: &RouteTable, body: &Bytes, message_id: &str) -> Result<Explanation, Refusal> {
    let event = table.decode(body, message_id)?;
    let facts = EventFacts {
        id: event.id().to_owned(),
        source: event.source().map(str::to_owned),
        detail_type: event.detail_type().map(str::to_owned),
        size_bytes: body.len(),
        replay: event.is_replay(),
    };
    let routes = table.routes().enumerate();
    let routes = routes
        .map(|(index, route)| explain_route(table, index, route, body, message_id))
        .collect::<Result<_, _>>()?;
    Ok(Explanation {
        event: facts,
        refused: table.route(body, message_id).err().map(Reason::from),
        routes,
    })
}

fn explain_route(
    table: &RouteTable,
    index: usize,
    route: &Route,
    body: &Bytes,
    message_id: &str,
) -> Result<RouteExplanation, Refusal> {
    let event = table.decode(body, message_id)?;
    let explainer = Explainer::new(&route.pattern);
    let decoder = Decoder::new(table.envelope(), explainer.fields().clone());
    let scanned = decoder.decode(body, message_id)?;
    let verdict = explainer.explain(scanned.scanned())?;
    let mut explained = RouteExplanation {
        route: route.name.to_string(),
        matches: verdict.matches,
        mismatches: verdict.mismatches,
        refused: None,
        publications: Vec::new(),
    };
    if !explained.matches {
        return Ok(explained);
    }
    if event.is_replay() && !route.replay {
        explained.refused = Some(Reason {
            reason: "replay",
            detail: "the event is replayed from an archive; the route does not say `replay: true`"
                .into(),
        });
        return Ok(explained);
    }
    match table.publications_of(index, &event) {
        Ok(publications) => {
            explained.publications = publications.into_iter().map(Into::into).collect();
        }
        Err(refusal) => explained.refused = Some(refusal.into()),
    }
    Ok(explained)
}
