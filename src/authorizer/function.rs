//! The custom authorizer as a function: a question of IoT Core -> an answer, and one log line.
//!
//! It never fails: whatever it is asked, and whatever does not answer it, the worst is an answer
//! that lets nobody in. The log line has the subject, the role, the number of channels and the
//! reason; never the token.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::AuthorizerResponse;
use super::decide::{AdmittedClient, Rejection, TokenAuthority};
use super::event::ConnectQuestion;

/// The longest text of a client that a log line quotes, in characters.
const LOGGED: usize = 256;

/// The longest reason in a log line, in characters.
const REASON: usize = 1_000;

/// A custom authorizer.
#[derive(Clone, Debug)]
pub struct AuthorizerFunction {
    authority: Arc<TokenAuthority>,
    /// The name that tokens are looked for under.
    token_key: Arc<str>,
}

/// One decision.
#[derive(Debug)]
pub struct FunctionDecision {
    /// The answer for IoT Core.
    pub answer: AuthorizerResponse,
    /// The client that is let in, or the reason of a refusal.
    pub outcome: Result<AdmittedClient, FunctionRefusal>,
}

/// Reason why a question is answered by a refusal.
#[derive(Debug, thiserror::Error)]
pub enum FunctionRefusal {
    /// It is none of IoT Core's questions.
    #[error("the event is not a JSON object")]
    Event,
    /// There is no token.
    #[error(
        "no token: it is looked for in the event's `token`, as `{0}` in the query string, a header or the user name's query, and as password"
    )]
    NoToken(Arc<str>),
    /// The token lets nobody in.
    #[error(transparent)]
    Rejection(#[from] Rejection),
    /// The client id is somebody else's. IoT Core would refuse it by the documents, and not say
    /// why.
    #[error("the client id `{client_id}` is none of its own: {}", .own.join(", "))]
    ClientId {
        /// The client id of CONNECT.
        client_id: String,
        /// Those that belong to the principal.
        own: Vec<String>,
    },
}

/// Fields of a log line beside the reason.
#[derive(Default)]
struct Subject {
    subject: Option<String>,
    issuer: Option<String>,
    roles: Option<String>,
}

impl AuthorizerFunction {
    /// A custom authorizer that looks for tokens under a name.
    pub fn new(authority: Arc<TokenAuthority>, token_key: &str) -> Self {
        Self {
            authority,
            token_key: token_key.into(),
        }
    }

    /// Decides on a question of IoT Core, and logs the decision. Cancel safe.
    pub async fn decide(&self, event: &Value) -> FunctionDecision {
        let question = ConnectQuestion::read(event);
        let mut about = Subject::default();
        let outcome = match &question {
            Some(question) => self.outcome(question, &mut about).await,
            None => Err(FunctionRefusal::Event),
        };
        let mut answer = match &outcome {
            Ok(admission) => admission.answer(Timestamp::now()),
            Err(_) => AuthorizerResponse::refused(),
        };
        let certificate = question.as_ref().and_then(ConnectQuestion::certificate);
        if let (Ok(_), Some(certificate)) = (&outcome, certificate) {
            certificate.clone_into(&mut answer.principal_id);
        }
        log(question.as_ref(), &about, &answer, &outcome);
        FunctionDecision { answer, outcome }
    }

    async fn outcome(
        &self,
        question: &ConnectQuestion,
        about: &mut Subject,
    ) -> Result<AdmittedClient, FunctionRefusal> {
        let token = question
            .token(&self.token_key)
            .ok_or_else(|| FunctionRefusal::NoToken(Arc::clone(&self.token_key)))?;
        let believed = self.authority.believe(&token).await?;
        about.subject = believed.verified.subject().map(shortened);
        about.issuer = believed.issuer.name.as_deref().map(str::to_owned);
        let admission = self.authority.grant(believed)?;
        about.roles = Some(admission.role().into());
        self.authority.check_revoked(&admission).await?;
        let principal = &admission.grants.principal;
        match question.client_id() {
            Some(client_id) if !principal.owns(client_id) => Err(FunctionRefusal::ClientId {
                client_id: shortened(client_id),
                own: principal.client_globs(),
            }),
            _ => Ok(admission),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(LOGGED).collect()
}

fn log(
    question: Option<&ConnectQuestion>,
    about: &Subject,
    answer: &AuthorizerResponse,
    outcome: &Result<AdmittedClient, FunctionRefusal>,
) {
    let connection = question
        .and_then(ConnectQuestion::connection)
        .map(shortened);
    let connection = connection.as_deref();
    let (subject, issuer, role) = (
        about.subject.as_deref(),
        about.issuer.as_deref(),
        about.roles.as_deref(),
    );
    match outcome {
        Ok(admission) => tracing::info!(
            decision = "admitted",
            subject,
            issuer,
            role,
            principal = answer.principal_id,
            channels = admission.grants.channels(),
            documents = answer.policy_documents.len(),
            seconds = answer.disconnect_after_in_seconds,
            connection,
            "client decided on"
        ),
        Err(refusal) => {
            let reason: String = refusal.to_string().chars().take(REASON).collect();
            tracing::info!(
                decision = "refused",
                subject,
                issuer,
                role,
                reason,
                connection,
                "client decided on"
            );
        }
    }
}
