//! What is served under which path.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::SecretString;
use serde::Serialize;

use super::files::files;
use super::{BODY_OCTETS, Seen};
use crate::metrics::{self, Format};
use crate::status::Status;

/// What the handlers work with.
#[derive(Clone)]
pub(super) struct App {
    seen: Arc<dyn Seen>,
}

pub(super) fn routes(seen: Arc<dyn Seen>, _token: SecretString) -> Router {
    Router::new()
        .merge(files())
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/processes", get(processes))
        .route("/history", get(history))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_OCTETS))
        .with_state(App { seen })
}

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// An answer that nobody keeps, and no browser takes for anything else than it is.
fn answer(status: StatusCode, media_type: &'static str, body: impl Into<String>) -> Response {
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
        "this can only be read: use GET\n",
    )
}
