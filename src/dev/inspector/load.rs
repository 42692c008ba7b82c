//! Load of this session as a load description, and the plan of the configuration for it.
//!
//! Rates of a session are those of each client, so that the plan of ten clients is also that of a
//! million. A session knows neither days nor peaks; these have the defaults of a description.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Inspector;
use crate::config::load_profile::{LoadSource, load_profile};
use crate::escape::escaped;
use crate::plan::capacity_plan::PlanBasis;
use crate::plan::chart::short;
use crate::plan::facts::PlatformFacts;
use crate::plan::pictures::pictures;
use crate::plan::prices::PriceTable;
use crate::plan::quota_use::WANTED_HEADROOM;
use crate::plan::quotas::QuotaTable;
use crate::plan::report::write_plan;

/// Default number of clients in a plan.
const USUAL_CLIENTS: f64 = 1e6;

/// Numbers of clients that the page links to.
const LINKED_CLIENTS: [f64; 4] = [1e4, 1e5, 1e6, 1e7];

/// Region for a configuration without one, or with one whose prices are unknown.
const USUAL_REGION: &str = "us-east-1";

/// Number of events whose sizes are averaged, and of clients whose filters are counted.
const SAMPLED: usize = 1_000;

impl Inspector {
    /// Returns the values of a load description, `KEY=VALUE`, that this session shows.
    fn load_values(&self) -> Vec<String> {
        let pulse = self.pulse();
        let seconds = ((pulse.at - self.started) as f64 / 1e6).max(1.0);
        let seats = self.clients(SAMPLED);
        let connected: Vec<usize> = seats
            .clients
            .iter()
            .filter(|seat| seat.connected)
            .map(|seat| seat.subscriptions)
            .collect();
        let clients = connected.len().max(1) as f64;
        let filters = connected.iter().sum::<usize>() as f64 / clients;
        let mut values = vec![format!("clients={clients}"), format!("channels={filters}")];
        let trails = self.ledger.news(0, SAMPLED).events;
        let bytes: usize = trails.iter().map(|trail| trail.bytes).sum();
        let size = (bytes as f64 / trails.len().max(1) as f64).round();
        if size >= 1.0 {
            values.push(format!("event_bytes={size}"));
        }
        let messages = pulse.messages.total as f64;
        for route in &self.config().routes {
            let (published, _) = self.ledger.of_route(&route.name);
            let path = format!("routes.{}", route.name);
            let rate = published as f64 / seconds / clients;
            values.push(format!("{path}.events={rate}/s per client"));
            values.push(format!("{path}.topics=1"));
            if messages > 0.0 {
                let subscribers = pulse.deliveries.total as f64 / messages;
                values.push(format!("{path}.subscribers={subscribers}"));
            }
            if size >= 1.0 {
                values.push(format!("{path}.payload={size}"));
            }
        }
        values
    }

    /// Returns the basis of a plan for this session's load with this number of clients, and
    /// remarks.
    fn plan_basis(&self, clients: f64) -> Result<(PlanBasis, Vec<String>), String> {
        let config = self.config();
        let mut flags: Vec<(&'static str, String)> = self
            .load_values()
            .into_iter()
            .map(|value| ("session", value))
            .collect();
        flags.push(("clients", format!("clients={clients}")));
        let loaded = load_profile(&LoadSource {
            file: "this session",
            text: "",
            flags,
            routes: Some(config.routes.iter().map(|route| &*route.name).collect()),
        });
        let profile = loaded.profile.ok_or_else(|| {
            let messages = loaded.faults.iter().map(|fault| fault.message.clone());
            messages.collect::<Vec<_>>().join("; ")
        })?;
        let facts = PlatformFacts::of(&config);
        let mut remarks = Vec::new();
        let region = facts.region.clone().unwrap_or_default();
        let (region, prices) = match PriceTable::try_of_region(&region) {
            Ok(prices) => (&*region, prices),
            Err(_) => {
                remarks.push(format!("Region {USUAL_REGION} is assumed"));
                let prices = PriceTable::try_of_region(USUAL_REGION);
                (USUAL_REGION, prices.map_err(|fault| format!("{fault:?}"))?)
            }
        };
        let quotas = QuotaTable::try_of_region(region).map_err(|faults| format!("{faults:?}"))?;
        let basis = PlanBasis {
            profile,
            facts,
            quotas,
            prices,
            headroom: WANTED_HEADROOM,
        };
        Ok((basis, remarks))
    }
}

/// Answers with the session's load.
pub(super) async fn load(State(here): State<Arc<Inspector>>) -> Response {
    let body = json!({ "values": here.load_values() }).to_string();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Deserialize)]
pub(super) struct PlanQuery {
    clients: Option<f64>,
    /// Name of a picture.
    picture: Option<String>,
}

/// Answers with the plan of the configuration as a page, or with one of its pictures.
pub(super) async fn plan(
    State(here): State<Arc<Inspector>>,
    Query(query): Query<PlanQuery>,
) -> Response {
    let clients = query.clients.unwrap_or(USUAL_CLIENTS);
    if !(1.0..=1e9).contains(&clients) {
        let said = "`clients` is a number from 1 to 1000000000";
        return (StatusCode::BAD_REQUEST, said).into_response();
    }
    let (basis, remarks) = match here.plan_basis(clients) {
        Ok(found) => found,
        Err(why) => return (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
    };
    match query.picture {
        None => page(&basis, &remarks),
        Some(name) => match pictures(&basis)
            .into_iter()
            .find(|known| known.name == name)
        {
            Some(picture) => answer("image/svg+xml", picture.svg),
            None => (StatusCode::NOT_FOUND, "there is no such picture").into_response(),
        },
    }
}

fn answer(kind: &'static str, body: String) -> Response {
    // Pictures contain their colours as inline style.
    let policy = HeaderValue::from_static(
        "default-src 'none'; img-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, body).into_response()
}

fn page(basis: &PlanBasis, remarks: &[String]) -> Response {
    let mut text = Vec::new();
    if let Err(error) = write_plan(&basis.plan(), &basis.profile, &mut text) {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    let text = html(&String::from_utf8_lossy(&text));
    let clients = basis.profile.clients;
    let links = LINKED_CLIENTS.map(|linked| {
        let current = if linked == clients {
            " aria-current=\"page\""
        } else {
            ""
        };
        format!(
            "<a href=\"/_dev/plan?clients={linked}\"{current}>{} clients</a>",
            short(linked)
        )
    });
    let pictures = ["cost.svg", "headroom.svg"].map(|name| {
        let what = name.trim_end_matches(".svg");
        format!(
            "<p><img src=\"/_dev/plan?clients={clients}&amp;picture={name}\" alt=\"{what} against clients\" width=\"860\" height=\"480\"></p>"
        )
    });
    let remarks: String = remarks
        .iter()
        .map(|remark| format!("<p>{}</p>", html(remark)))
        .collect();
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>Plan - eventcast dev</title>\
         <link rel=\"icon\" type=\"image/svg+xml\" href=\"/_dev/page/icon.svg\"><link rel=\"stylesheet\" href=\"/_dev/page/style.css\"></head>\n\
         <body class=\"plan\"><header class=\"top\"><div class=\"bar\"><h1><a href=\"/\">eventcast <span>dev</span></a></h1>\
         <nav aria-label=\"Clients\">{}</nav></div></header>\n<main><h2>Plan of this configuration</h2>\
         <p>The load is that of this session, client by client; <code>eventcast plan --learn ADDRESS --print-load</code> writes it as a file.</p>\
         {remarks}{}\n<pre>{text}</pre></main></body></html>\n",
        links.join(""),
        pictures.join("\n"),
    );
    answer("text/html; charset=utf-8", body)
}

/// Escapes text for HTML.
fn html(text: &str) -> String {
    let lines = text.lines().map(escaped);
    let text = lines
        .map(|line| line.to_string())
        .collect::<Vec<_>>()
        .join("\n");
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
