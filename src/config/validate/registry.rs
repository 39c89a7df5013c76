//! The schema registry, and the formats that need one.

use reqwest::Url;
use secrecy::ExposeSecret;

use super::{Check, tls_files};
use crate::codes;
use crate::config::Formats;
use crate::config::load::blank_end;
use crate::registry::Options;

pub(super) fn check(check: &mut Check<'_>, registry: &Options) {
    for (n, url) in registry.urls.iter().enumerate() {
        let key = format!("urls[{n}]");
        if url.contains('@') {
            // It may hold a password, readable or not, and is not repeated.
            check.missing(
                codes::ADDRESS_MALFORMED,
                &key,
                "an address must not hold a password: set username and password_file instead",
            );
            continue;
        }
        let good = Url::parse(url).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let text = "not an address: write such as \"https://registry.example.net\"";
        check.must(
            codes::ADDRESS_MALFORMED,
            good,
            &key,
            format_args!("{url:?}"),
            text,
        );
    }
    check.twice("urls", registry.urls.iter().map(String::as_str));
    let strange =
        registry.username.contains([':', '\n', '\r']) || blank_end(&registry.username).is_some();
    check.must(
        codes::NAME_MALFORMED,
        !strange,
        "username",
        format_args!("{:?}", registry.username),
        "a user name has no colon, and no blanks around it (RFC 7617 §2)",
    );
    // What comes from a file has none: that is seen as it is read.
    for (key, secret) in [("password", &registry.password), ("token", &registry.token)] {
        if let Some(blank) = blank_end(secret.expose_secret()) {
            check.missing(codes::SECRET_MALFORMED, key, &format!("the secret {blank}"));
        }
    }
    let secret = |secret: &secrecy::SecretString| !secret.expose_secret().is_empty();
    let (password, token) = (secret(&registry.password), secret(&registry.token));
    if password && registry.username.is_empty() {
        check.missing(
            codes::NEEDS_ANOTHER,
            "username",
            "a password needs the user name it belongs to",
        );
    }
    if token && !registry.username.is_empty() {
        check.missing(
            codes::EXCLUDES,
            "token",
            "set a user name and a password, or a token, not both",
        );
    }
    if token && !(registry.token.expose_secret().bytes()).all(|b| b.is_ascii_graphic()) {
        check.missing(
            codes::SECRET_MALFORMED,
            "token",
            "it may consist of ASCII letters, digits and signs only",
        );
    }
    check.positive("timeout", registry.timeout, "1h");
    check.positive("retry_max", registry.retry_max, "1d");
    let tls = &registry.tls;
    tls_files(check, &tls.ca_file, &tls.certificate_file, &tls.key_file);
}

/// A format with numbers of schemas needs somebody who knows the numbers.
pub(super) fn formats(check: &mut Check<'_>, formats: &Formats, registry: &Options) {
    let there = !registry.urls.is_empty();
    for (key, format) in formats.named() {
        let value = format_args!("{:?}", format.name()).to_string();
        check.must(codes::FORMAT_IMPOSSIBLE,
            there || !format.is_registered(),
            key,
            value,
            "needs a schema registry: set schema_registry.urls, or write \"avro_single_object\" or \"json\"",
        );
    }
}
