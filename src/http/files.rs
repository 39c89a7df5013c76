//! The page for people: a few files, as they stand in `page`.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the page may do: nothing but fetch from where it came. No script but its own files, so that
/// nothing that a producer or an SMSC wrote can become one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($path:literal $file:literal $media_type:expr;)*) => {
        /// The files, each under its path.
        pub(super) fn files<S: Clone + Send + Sync + 'static>() -> Router<S> {
            Router::new()$(.route($path, get(async || {
                file($media_type, include_str!(concat!("page/", $file)))
            })))*
        }
    };
}

files! {
    "/" "index.html" "text/html; charset=utf-8";
    "/page.css" "page.css" "text/css; charset=utf-8";
    "/icon.svg" "icon.svg" "image/svg+xml";
    "/page.js" "page.js" SCRIPT;
    "/model.js" "model.js" SCRIPT;
    "/findings.js" "findings.js" SCRIPT;
    "/sections.js" "sections.js" SCRIPT;
    "/pictures.js" "pictures.js" SCRIPT;
    "/steer.js" "steer.js" SCRIPT;
    "/dom.js" "dom.js" SCRIPT;
}

/// A file. After an update of the program the next look has to have all of the new ones.
fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (headers, text).into_response()
}
