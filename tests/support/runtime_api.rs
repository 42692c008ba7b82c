//! An emulation of Lambda's runtime API (AWS Lambda developer guide, "Using the Lambda runtime
//! API", version 2018-06-01): it hands events to a program, and keeps the program's answers.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The longest wait for an answer.
const WAIT: Duration = Duration::from_secs(60);

/// The variables of an execution environment ("Defined runtime environment variables").
const ENVIRONMENT: [(&str, &str); 6] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "authorizer"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/authorizer"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
];

/// An answer of the program.
#[derive(Debug)]
pub(crate) enum Answered {
    /// It answered.
    Response(String),
    /// It failed.
    Error(String),
}

type Waiting = Mutex<HashMap<String, oneshot::Sender<Answered>>>;

struct Api {
    next: AsyncMutex<mpsc::Receiver<(String, String)>>,
    waiting: Waiting,
    /// Message of the program that could not start.
    failed: mpsc::Sender<String>,
}

/// The runtime API of one execution environment.
pub(crate) struct RuntimeApi {
    port: u16,
    api: Arc<Api>,
    events: mpsc::Sender<(String, String)>,
    failures: mpsc::Receiver<String>,
    count: u32,
    _tasks: JoinSet<()>,
}

impl RuntimeApi {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (events, next) = mpsc::channel(64);
        let (failed, failures) = mpsc::channel(8);
        let api = Arc::new(Api {
            next: AsyncMutex::new(next),
            waiting: Waiting::default(),
            failed,
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_event))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(Arc::clone(&api));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            port,
            api,
            events,
            failures,
            count: 0,
            _tasks: tasks,
        }
    }

    /// Gives a program the environment of a function, and nothing else of ours.
    pub(crate) fn environment(&self, command: &mut Command) {
        command
            .env_clear()
            .envs(ENVIRONMENT)
            .env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", self.port));
    }

    /// Invokes the function, and returns its answer once it is there.
    pub(crate) async fn ask(&mut self, event: &str) -> oneshot::Receiver<Answered> {
        self.count += 1;
        let id = format!("request-{}", self.count);
        let (answer, answered) = oneshot::channel();
        self.api.waiting.lock().unwrap().insert(id.clone(), answer);
        self.events.send((id, event.to_owned())).await.unwrap();
        answered
    }

    /// Invokes the function and waits for its answer.
    pub(crate) async fn invoke(&mut self, event: &str) -> Answered {
        let answered = self.ask(event).await;
        let answered = timeout(WAIT, answered).await;
        answered.expect("an answer in time").expect("an answer")
    }

    /// Message of the program when it could not start, if it failed.
    pub(crate) fn failure(&mut self) -> Option<String> {
        self.failures.try_recv().ok()
    }
}

async fn next_event(State(api): State<Arc<Api>>) -> Response {
    let event = api.next.lock().await.recv().await;
    let Some((id, event)) = event else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", "99999999999999".to_owned()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:authorizer".to_owned(),
        ),
        ("lambda-runtime-trace-id", "Root=1-0-0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event).into_response()
}

fn answered(api: &Api, id: &str, answer: Answered) -> StatusCode {
    match api.waiting.lock().unwrap().remove(id) {
        Some(waiting) => {
            let _ = waiting.send(answer);
            StatusCode::ACCEPTED
        }
        None => StatusCode::NOT_FOUND,
    }
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, body: String) -> StatusCode {
    answered(&api, &id, Answered::Response(body))
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: String) -> StatusCode {
    answered(&api, &id, Answered::Error(body))
}

async fn init_error(State(api): State<Arc<Api>>, body: String) -> StatusCode {
    let _ = api.failed.send(body).await;
    StatusCode::ACCEPTED
}
