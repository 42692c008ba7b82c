//! IoT Core's control plane in front of the broker: policies, certificates, things, and the
//! attachments between them.
//!
//! Paths, parameters and errors are those of the IoT model of 2015-05-28, so that every SDK works
//! with `AWS_ENDPOINT_URL`. A change by the API holds for the broker's clients at once, also for
//! those that are connected ([`certified`]); on AWS it takes minutes. Never checked: the caller
//! (any credentials are taken, and their permissions are not looked at), and the rate of calls.
//! Calls that are not in the table below get an answer that says so.

mod asked;
mod attachments;
mod certificates;
pub mod certified;
mod effective;
mod groups;
mod policies;
pub mod registry;
mod things;
mod x509;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection, RawPathParamsRejection};
use axum::extract::{DefaultBodyLimit, Query, RawPathParams};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use serde_json::json;

use self::asked::ApiRequest;
use self::registry::{AffectedPrincipals, IotRegistry, RegistryState};
use super::broker::Broker;
use super::rest::refusal::RestError;
use super::rest::{self, RestAnswer, RestResponder};
use super::server::LARGEST_BODY;

/// Function that carries out one call.
type ApiHandler = fn(&mut RegistryState, &ApiRequest) -> RestAnswer;

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;
const PUT: MethodFilter = MethodFilter::PUT;
const PATCH: MethodFilter = MethodFilter::PATCH;
const DELETE: MethodFilter = MethodFilter::DELETE;

/// The calls that are offered: action, method, path.
#[rustfmt::skip]
const CALLS: [(&str, MethodFilter, &str, ApiHandler); 41] = [
    ("CreatePolicy", POST, "/policies/{policyName}", policies::create),
    ("GetPolicy", GET, "/policies/{policyName}", policies::one),
    ("ListPolicies", GET, "/policies", policies::list),
    ("DeletePolicy", DELETE, "/policies/{policyName}", policies::delete),
    ("CreatePolicyVersion", POST, "/policies/{policyName}/version", policies::create_version),
    ("GetPolicyVersion", GET, "/policies/{policyName}/version/{policyVersionId}", policies::version_of),
    ("ListPolicyVersions", GET, "/policies/{policyName}/version", policies::versions),
    ("SetDefaultPolicyVersion", PATCH, "/policies/{policyName}/version/{policyVersionId}", policies::set_default),
    ("DeletePolicyVersion", DELETE, "/policies/{policyName}/version/{policyVersionId}", policies::delete_version),
    ("AttachPolicy", PUT, "/target-policies/{policyName}", attachments::attach),
    ("DetachPolicy", POST, "/target-policies/{policyName}", attachments::detach),
    ("ListAttachedPolicies", POST, "/attached-policies/{*target}", attachments::policies),
    ("ListTargetsForPolicy", POST, "/policy-targets/{policyName}", attachments::targets),
    ("AttachPrincipalPolicy", PUT, "/principal-policies/{policyName}", attachments::attach_principal),
    ("DetachPrincipalPolicy", DELETE, "/principal-policies/{policyName}", attachments::detach_principal),
    ("ListPrincipalPolicies", GET, "/principal-policies", attachments::policies_of_principal),
    ("GetEffectivePolicies", POST, "/effective-policies", effective::policies),
    ("TestAuthorization", POST, "/test-authorization", effective::test),
    ("CreateKeysAndCertificate", POST, "/keys-and-certificate", certificates::create),
    ("RegisterCertificateWithoutCA", POST, "/certificate/register-no-ca", certificates::register),
    ("DescribeCertificate", GET, "/certificates/{certificateId}", certificates::one),
    ("ListCertificates", GET, "/certificates", certificates::list),
    ("UpdateCertificate", PUT, "/certificates/{certificateId}", certificates::update),
    ("DeleteCertificate", DELETE, "/certificates/{certificateId}", certificates::delete),
    ("CreateThing", POST, "/things/{thingName}", things::create),
    ("DescribeThing", GET, "/things/{thingName}", things::one),
    ("UpdateThing", PATCH, "/things/{thingName}", things::update),
    ("DeleteThing", DELETE, "/things/{thingName}", things::delete),
    ("ListThings", GET, "/things", things::list),
    ("AttachThingPrincipal", PUT, "/things/{thingName}/principals", things::attach),
    ("DetachThingPrincipal", DELETE, "/things/{thingName}/principals", things::detach),
    ("ListThingPrincipals", GET, "/things/{thingName}/principals", things::principals),
    ("ListPrincipalThings", GET, "/principals/things", things::of_principal),
    ("CreateThingGroup", POST, "/thing-groups/{thingGroupName}", groups::create),
    ("DescribeThingGroup", GET, "/thing-groups/{thingGroupName}", groups::one),
    ("DeleteThingGroup", DELETE, "/thing-groups/{thingGroupName}", groups::delete),
    ("ListThingGroups", GET, "/thing-groups", groups::list),
    ("ListThingGroupsForThing", GET, "/things/{thingName}/thing-groups", groups::of_thing),
    ("ListThingsInThingGroup", GET, "/thing-groups/{thingGroupName}/things", groups::things),
    ("AddThingToThingGroup", PUT, "/thing-groups/addThingToThingGroup", groups::join),
    ("RemoveThingFromThingGroup", PUT, "/thing-groups/removeThingFromThingGroup", groups::leave),
];

/// The names of the calls that are offered.
pub(super) fn actions() -> impl Iterator<Item = &'static str> {
    let calls = CALLS.iter().map(|(action, ..)| *action);
    calls.chain(["DescribeEndpoint"])
}

/// The control plane in front of one broker.
#[derive(Clone)]
pub(super) struct ControlPlane(Arc<ControlPlaneApi>);

struct ControlPlaneApi {
    registry: IotRegistry,
    broker: Broker,
    /// Host and port for MQTT clients with certificates, as DescribeEndpoint returns them.
    endpoint: Option<String>,
    manner: RestResponder,
}

/// Parts of the control plane, beside the broker.
#[derive(Clone, Debug)]
pub struct ControlPlaneParts {
    /// Registry that the control plane changes, and that the broker's authorizer reads.
    pub registry: IotRegistry,
    /// Host and port of the broker, such as `127.0.0.1:8883`.
    pub endpoint: Option<String>,
}

type PathParams = Result<RawPathParams, RawPathParamsRejection>;
type Pairs = Result<Query<HashMap<String, String>>, QueryRejection>;
type Body = Result<Bytes, BytesRejection>;

impl ControlPlane {
    pub(super) fn new(parts: ControlPlaneParts, broker: Broker, delay: Duration) -> Self {
        let faults = broker.faults();
        Self(Arc::new(ControlPlaneApi {
            registry: parts.registry,
            endpoint: parts.endpoint,
            broker,
            manner: RestResponder {
                delay,
                faults,
                throttled: StatusCode::BAD_REQUEST,
            },
        }))
    }

    /// Its addresses, each with IoT Core's answer to methods that it does not know.
    pub(super) fn router(&self) -> Router {
        let mut router = Router::new();
        for (action, method, path, act) in CALLS {
            let plane = Arc::clone(&self.0);
            let handler =
                async move |params: PathParams, pairs: Pairs, headers: HeaderMap, body: Body| {
                    match asked(params, pairs, headers, body) {
                        Ok(asked) => plane.call(action, act, &asked).await,
                        Err(refusal) => refusal.answer(),
                    }
                };
            router = router.route(path, on(method, handler));
        }
        let plane = Arc::clone(&self.0);
        let endpoint = async move |pairs: Pairs| match pairs {
            Ok(Query(query)) => plane.describe_endpoint(&query).await,
            Err(rejection) => RestError::from(rejection).answer(),
        };
        router
            .route("/endpoint", on(GET, endpoint))
            .method_not_allowed_fallback(async || RestError::method().answer())
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
    }
}

fn asked(
    params: PathParams,
    pairs: Pairs,
    headers: HeaderMap,
    body: Body,
) -> Result<ApiRequest, RestError> {
    let (params, Query(query)) = (params?, pairs?);
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(ApiRequest {
        path: params.iter().map(owned).collect(),
        query,
        headers,
        body: body?,
    })
}

/// Answer to a call of the control plane that is not offered.
pub(super) fn not_offered(method: &str, path: &str) -> Response {
    RestError::not_offered(format!(
        "eventcast dev does not offer `{method} {path}` of IoT Core; docs/certificates.md lists what it does"
    ))
    .answer()
}

impl ControlPlaneApi {
    async fn call(&self, action: &'static str, act: ApiHandler, asked: &ApiRequest) -> Response {
        let call = rest::RestCall::of(action);
        let acted = || {
            let (answer, concerned) = self.registry.act(|state| act(state, asked));
            self.tell(&concerned);
            answer
        };
        self.manner.answer(call, acted).await
    }

    /// Connections whose permissions may have changed ask again, before the call is answered.
    fn tell(&self, concerned: &AffectedPrincipals) {
        match concerned {
            AffectedPrincipals::Nobody => {}
            AffectedPrincipals::Certificates(ids) => self.broker.ask_again(|id| ids.contains(id)),
            AffectedPrincipals::Everybody => self.broker.ask_again(|_| true),
        }
    }

    async fn describe_endpoint(&self, query: &HashMap<String, String>) -> Response {
        let call = rest::RestCall::of("DescribeEndpoint");
        let kind = query.get("endpointType").map_or("iot:Data", String::as_str);
        let told = || match (kind, &self.endpoint) {
            ("iot:Data" | "iot:Data-ATS", Some(endpoint)) => {
                Ok(Some(json!({ "endpointAddress": endpoint })))
            }
            _ => Err(RestError::invalid(format!(
                "the endpoint's type is `{kind}`; iot:Data-ATS and iot:Data are here"
            ))),
        };
        self.manner.answer(call, told).await
    }
}

#[cfg(test)]
mod tests;
