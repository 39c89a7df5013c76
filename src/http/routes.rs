//! What is served under which path.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use super::files::files;
use super::{BODY_OCTETS, HEAD_TIMEOUT, Seen};
use crate::control::{self, Command};
use crate::metrics::{self, Format};
use crate::status::Status;

/// What the handlers work with.
#[derive(Clone)]
pub(super) struct App {
    seen: Arc<dyn Seen>,
    steered: control::Handle,
    /// Who has it may steer; nobody if it is empty.
    token: SecretString,
}

/// What is served, to whoever has the token in case of orders.
pub(super) fn routes(seen: Arc<dyn Seen>, steered: control::Handle, token: SecretString) -> Router {
    Router::new()
        .merge(files())
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/processes", get(processes))
        .route("/history", get(history))
        .route("/steer", get(steering).post(steer))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_allowed)
        .with_state(App {
            seen,
            steered,
            token,
        })
}

/// The media type of what is for people.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// An answer that nobody keeps, and no browser takes for anything else than it is.
pub(super) fn answer(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<String>,
) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (status, headers, body.into()).into_response()
}

fn yes_or_why(is: bool, yes: &str, why: &[String]) -> Response {
    if is {
        answer(StatusCode::OK, PLAIN, format!("{yes}\n"))
    } else {
        let why = why.iter().map(|line| format!("{line}\n"));
        answer(
            StatusCode::SERVICE_UNAVAILABLE,
            PLAIN,
            why.collect::<String>(),
        )
    }
}

async fn live(State(app): State<App>) -> Response {
    let live = app.seen.live();
    yes_or_why(live.live, "live", &live.stuck)
}

async fn ready(State(app): State<App>) -> Response {
    match looked(&app).await {
        Ok(status) => yes_or_why(status.ready.ready, "ready", &status.ready.missing),
        Err(answer) => answer,
    }
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let status = match looked(&app).await {
        Ok(status) => status,
        Err(answer) => return answer,
    };
    match metrics::write(status, format) {
        Ok(text) => answer(StatusCode::OK, format.media_type(), text),
        Err(error) => broken(&error),
    }
}

async fn status(State(app): State<App>) -> Response {
    json(&app, |seen| seen.status()).await
}

async fn processes(State(app): State<App>) -> Response {
    json(&app, |seen| Processes {
        processes: seen.processes(),
    })
    .await
}

async fn history(State(app): State<App>) -> Response {
    json(&app, |seen| seen.history()).await
}

/// What `/processes` says.
#[derive(Serialize)]
struct Processes {
    processes: Vec<Status>,
}

/// Whether anybody can steer here.
async fn steering(State(app): State<App>) -> Response {
    let can = !app.token.expose_secret().is_empty();
    answer(StatusCode::OK, JSON, json!({ "steering": can }).to_string())
}

/// An order, of whoever has the token. It is on its way to all processes when this is answered.
async fn steer(State(app): State<App>, headers: HeaderMap, body: Request) -> Response {
    if let Err(refused) = may_steer(&app, &headers) {
        return *refused;
    }
    // A body that comes slowly holds up nobody but its connection, and that not for long.
    let body = to_bytes(body.into_body(), BODY_OCTETS);
    let body = match timeout(HEAD_TIMEOUT, body).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let why = format!("the body: at most {BODY_OCTETS} octets");
            return refused(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "the body did not come"),
    };
    let command: Command = match serde_json::from_slice(&body) {
        Ok(command) => command,
        Err(error) => {
            return refused(
                StatusCode::BAD_REQUEST,
                &format!("the body is no order: {error}"),
            );
        }
    };
    match app.steered.steer(&command).await {
        Ok(done) => answer(StatusCode::OK, JSON, json!({ "done": done }).to_string()),
        Err(error @ control::Error::Invalid(_)) => {
            refused(StatusCode::BAD_REQUEST, &error.to_string())
        }
        Err(error @ control::Error::NotWritten(..)) => {
            refused(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}

/// Whether the request has the token.
fn may_steer(app: &App, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let token = app.token.expose_secret();
    if token.is_empty() {
        let why = "nobody may steer here: set http.token or http.token_file";
        return Err(Box::new(refused(StatusCode::FORBIDDEN, why)));
    }
    let given = headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    let given = given.and_then(|given| given.strip_prefix(b"Bearer "));
    // Its time does not say how much of a wrong one is right.
    if given.is_some_and(|given| bool::from(given.ct_eq(token.as_bytes()))) {
        return Ok(());
    }
    let why = "send the token of http.token: Authorization: Bearer TOKEN";
    let mut answer = refused(StatusCode::UNAUTHORIZED, why);
    let wants = HeaderValue::from_static("Bearer");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, wants);
    Err(Box::new(answer))
}

fn refused(status: StatusCode, why: &str) -> Response {
    answer(status, JSON, json!({ "error": why }).to_string())
}

async fn looked(app: &App) -> Result<Status, Response> {
    look(app, |seen| seen.status()).await
}

async fn json<T: Serialize + Send + 'static>(app: &App, of: fn(&dyn Seen) -> T) -> Response {
    let looked = match look(app, of).await {
        Ok(looked) => looked,
        Err(answer) => return answer,
    };
    match serde_json::to_string(&looked) {
        Ok(text) => answer(StatusCode::OK, JSON, text),
        Err(error) => broken(&error),
    }
}

/// Looks where locks may be waited for: not on a thread that sessions need.
async fn look<T: Send + 'static>(app: &App, of: fn(&dyn Seen) -> T) -> Result<T, Response> {
    let seen = app.seen.clone();
    let looked = tokio::task::spawn_blocking(move || of(&*seen)).await;
    looked.map_err(|error| broken(&error))
}

fn broken(error: &dyn std::fmt::Display) -> Response {
    let text = format!("this is a fault of kafka-smpp: {error}\n");
    answer(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, text)
}

async fn nowhere() -> Response {
    let text = "there is / (a page), /live, /ready, /metrics, /status, /processes and /history\n";
    answer(StatusCode::NOT_FOUND, PLAIN, text)
}

async fn not_allowed() -> Response {
    answer(
        StatusCode::METHOD_NOT_ALLOWED,
        PLAIN,
        "this can only be read: use GET (and POST with /steer)\n",
    )
}
