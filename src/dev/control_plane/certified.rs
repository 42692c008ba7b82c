//! The authorizer of a broker with a registry of certificates: a client with a certificate may do
//! what the attached policies allow.
//!
//! All policies are pooled, those of the thing's groups with them. A token that is presented beside
//! the certificate adds what it grants, as with IoT Core's X.509 together with a custom authorizer
//! (developer guide, "Defining your Lambda function": the permissions are the union). Another
//! authorizer decides on clients without a certificate.
//!
//! A certificate that is not registered has no permissions, as in IoT Core. As long as there never
//! was a policy, it counts for nothing instead, so that the registry may be left unused.

use std::sync::Arc;

use super::registry::{CertificateStatus, IotRegistry, RegistryState};
use super::x509::id;
use crate::access::Documents;
use crate::policy::context::{ClientCertificate, ClientPrincipal, ClientThing, Context};
use crate::policy::query_report::Policies;
use crate::policy::scope::Scope;
use crate::port::{
    Authentication, AuthenticationFuture, AuthenticationRefusal, Authorizer, Grounds, Identity,
    Presented, RequestingClient,
};

/// Lets in whom certificates let in.
pub struct CertificateAuthorizer {
    registry: IotRegistry,
    /// Scope that the ARNs of requests begin with.
    scope: Scope,
    others: Arc<dyn Authorizer>,
}

/// State of a certificate in the registry.
enum CertificateState {
    /// The client is refused.
    Refused(CertificateStatus),
    /// It is active.
    Active(ActiveCertificate),
    /// The certificate is not registered.
    Unknown {
        /// `true` if there ever was a policy.
        had_policy: bool,
    },
}

struct ActiveCertificate {
    policies: Policies,
    facts: ClientCertificate,
    thing: Option<ClientThing>,
}

impl CertificateAuthorizer {
    /// With a registry, at an endpoint with this scope, in front of another authorizer.
    pub fn new(registry: IotRegistry, scope: Scope, others: Arc<dyn Authorizer>) -> Self {
        Self {
            registry,
            scope,
            others,
        }
    }

    async fn decide(
        &self,
        presented: &Presented,
        der: &[u8],
    ) -> Result<Authentication, AuthenticationRefusal> {
        let id = id(der);
        let client_id = presented.login.as_ref().map(|login| &*login.client_id);
        let standing = standing(&self.registry.state(), &id, client_id.unwrap_or_default());
        match standing {
            CertificateState::Refused(status) => {
                Err(AuthenticationRefusal::BadCredentials(format!(
                    "certificate `{id}` is {}; help: aws iot update-certificate --certificate-id {id} --new-status ACTIVE",
                    status.as_str()
                )))
            }
            CertificateState::Active(active) => self.active(presented, &id, active).await,
            CertificateState::Unknown { had_policy } => {
                self.unknown(presented, &id, had_policy).await
            }
        }
    }

    /// The policies of the certificate, and those of a token if there is one.
    async fn active(
        &self,
        presented: &Presented,
        id: &str,
        active: ActiveCertificate,
    ) -> Result<Authentication, AuthenticationRefusal> {
        let shown = match self.others.authenticate(presented).await {
            Ok(Authentication::Known(identity)) => Some(identity),
            Ok(Authentication::AtConnect) | Err(AuthenticationRefusal::NothingShown(_)) => None,
            Err(refusal) => return Err(refusal),
        };
        let granted = shown
            .as_ref()
            .and_then(|identity| grounds(identity, presented));
        let mut policies = active.policies;
        if let Some(granted) = &granted {
            add(&mut policies, &granted.policies);
        }
        let mut context = Context::default();
        context.principal = Some(ClientPrincipal::Certificate);
        context.certificate = Some(active.facts);
        context.thing = active.thing;
        let arn = self.registry.state().arn("cert", id);
        let access = Documents {
            role: granted.and_then(|granted| granted.role),
            policies: Arc::new(policies),
            scope: self.scope.clone(),
            context,
            none: Some(
                format!("no policy is attached to the certificate; help: eventcast policy apply --name NAME --policy FILE --attach {arn}")
                    .into(),
            ),
        };
        Ok(Authentication::Known(Identity {
            principal: id.into(),
            access: Arc::new(access),
            refresh_after: shown.as_ref().and_then(|identity| identity.refresh_after),
            disconnect_after: shown.and_then(|identity| identity.disconnect_after),
        }))
    }

    /// A token decides alone. Without one there is nothing to go by.
    async fn unknown(
        &self,
        presented: &Presented,
        id: &str,
        had_policy: bool,
    ) -> Result<Authentication, AuthenticationRefusal> {
        let identity = match self.others.authenticate(presented).await {
            Ok(Authentication::Known(identity)) => Some(identity),
            Err(AuthenticationRefusal::NothingShown(_)) if had_policy => None,
            other => return other,
        };
        let by_policies = |identity: &Identity| grounds(identity, presented).is_some();
        let identity = identity.filter(|identity| !had_policy || by_policies(identity));
        let access = match identity {
            // Changes of the registry find the connection by its certificate.
            Some(identity) => {
                return Ok(Authentication::Known(Identity {
                    principal: id.into(),
                    ..identity
                }));
            }
            None => self.nothing(id),
        };
        Ok(Authentication::Known(Identity {
            principal: id.into(),
            access: Arc::new(access),
            refresh_after: None,
            disconnect_after: None,
        }))
    }

    /// The permissions of a certificate that is not registered: none.
    fn nothing(&self, id: &str) -> Documents {
        let arn = self.registry.state().arn("cert", id);
        let why = format!(
            "certificate `{id}` is not registered; help: aws iot register-certificate-without-ca --status ACTIVE --certificate-pem file://FILE, then eventcast policy apply --name NAME --policy FILE --attach {arn}"
        );
        tracing::error!("a client may do nothing: {why}");
        let mut context = Context::default();
        context.principal = Some(ClientPrincipal::Certificate);
        Documents {
            role: None,
            policies: Arc::default(),
            scope: self.scope.clone(),
            context,
            none: Some(why.into()),
        }
    }
}

/// Adds the policies of a token to those of a certificate.
fn add(policies: &mut Policies, token: &Policies) {
    let token = token.names.iter().zip(&token.texts).zip(&token.documents);
    for ((name, text), document) in token {
        let name = format!("{name} of the token");
        policies.push(name, text.clone(), document.clone());
    }
}

/// Basis of an identity's permissions; `None` if there are no policies and every client may do
/// everything.
fn grounds(identity: &Identity, presented: &Presented) -> Option<Grounds> {
    let login = presented.login.as_ref();
    identity.access.grounds(&RequestingClient {
        id: login.map_or("", |login| &login.client_id).into(),
        source: presented.source.ip(),
        domain_name: None,
    })
}

fn standing(state: &RegistryState, id: &str, client_id: &str) -> CertificateState {
    let Some(certificate) = state.certificates.get(id) else {
        return CertificateState::Unknown {
            had_policy: state.had_policy,
        };
    };
    if certificate.status != CertificateStatus::Active {
        return CertificateState::Refused(certificate.status);
    }
    let arn = state.arn("cert", id);
    let thing = state.thing_of(&arn, client_id);
    let groups = thing.as_ref().map(|thing| state.groups_of(&thing.name));
    let targets = std::iter::once(&arn).chain(groups.iter().flatten());
    let mut policies = Policies::default();
    for name in targets.flat_map(|target| state.attached_to(target)) {
        let version = state
            .policies
            .get(name)
            .and_then(|policy| policy.in_force());
        if let Some(version) = version {
            let name = format!("policy `{name}` version {}", version.id);
            if !policies.names.contains(&name) {
                policies.push(name, version.text.clone(), version.document.clone());
            }
        }
    }
    CertificateState::Active(ActiveCertificate {
        policies,
        facts: certificate.read.facts.clone(),
        thing,
    })
}

impl Authorizer for CertificateAuthorizer {
    fn authenticate<'a>(&'a self, presented: &'a Presented) -> AuthenticationFuture<'a> {
        let tls = presented.tls.as_ref();
        match tls.and_then(|tls| tls.certificate.as_ref()) {
            Some(der) => Box::pin(self.decide(presented, der)),
            None => self.others.authenticate(presented),
        }
    }
}
