//! Logging in with tokens: who has none, who gets none, and whose the brokers do not take.

use std::fmt;
use std::time::Duration;

use rdkafka::config::ClientConfig;

use super::{Cause, Who, Why, tidy};

/// Where a client's tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// librdkafka gets them from this endpoint.
    Endpoint(String),
    /// From a source of ours (`[kafka.token]`).
    Source,
}

/// Azure's endpoint for managed identities.
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// The most that is repeated of what somebody answered: it may be a page for a browser.
const LONGEST: usize = 300;

impl Tokens {
    pub(super) fn of(client: &ClientConfig) -> Tokens {
        if client.get("sasl.oauthbearer.method") == Some("oidc") {
            let url = client.get("sasl.oauthbearer.token.endpoint.url");
            // What follows may be long, and is for the endpoint alone.
            let url = url.map(|url| url.split('?').next().unwrap_or(url));
            Tokens::Endpoint(url.unwrap_or(IMDS).to_owned())
        } else {
            Tokens::Source
        }
    }
}

/// librdkafka, when it got no token: the beginning of the line that has the code of HTTP at its end,
/// and of the error that does not.
const RETRIEVING: [&str; 2] = [
    "Failed to retrieve OIDC token from ",
    "Failed to retrieve JWT token from ",
];
const ACQUIRING: &str = "Failed to acquire SASL OAUTHBEARER token: ";

/// Why there is no token, or none that the brokers take, if that is what is said.
pub(super) fn why(who: &Who, message: &str) -> Option<Why> {
    let tokens = who.tokens.as_ref()?;
    if RETRIEVING
        .iter()
        .any(|beginning| message.contains(beginning))
    {
        return Some(by_status(status(message)?));
    }
    if let Some((_, answer)) = message.split_once(ACQUIRING) {
        return Some(match tokens {
            Tokens::Source => Why::NoToken,
            Tokens::Endpoint(_) => by_answer(answer),
        });
    }
    if message.contains("there is no token available") {
        return Some(match tokens {
            Tokens::Source => Why::NoToken,
            Tokens::Endpoint(_) => Why::TokenEndpoint,
        });
    }
    let refused = message.contains("SASL authentication error")
        || message.contains("SASL OAUTHBEARER authentication failed");
    // That the broker was lost meanwhile is said as such an error, too.
    let lost = ["Request failed:", "failed: Local:", "Disconnected"];
    (refused && !lost.iter().any(|lost| message.contains(lost))).then_some(Why::Token)
}

/// Whether a connection was lost while its token was shown.
pub(super) fn is_lost_by(message: &str) -> bool {
    message.contains("SaslAuthenticateRequest failed: Local:")
}

/// Why a client that gets its tokens from an endpoint knows nothing of brokers after so long: it has no
/// token, and connects to none before it does. While it asks again, librdkafka says nothing.
pub(crate) fn none_yet(who: &Who, after: Duration) -> Option<Cause> {
    let Some(Tokens::Endpoint(_)) = &who.tokens else {
        return None;
    };
    Some(Cause {
        who: Box::new(who.clone()),
        why: Why::TokenEndpoint,
        message: format!(
            "none in {} s, after which we do not wait longer",
            after.as_secs()
        ),
    })
}

/// `...: ANSWER (401)`; -1 stands for no answer.
fn status(message: &str) -> Option<i32> {
    let (_, status) = message.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    status.parse().ok()
}

fn by_status(status: i32) -> Why {
    match status {
        // It is not there, or works another time; 407 is a proxy's word.
        404 | 405 | 407 | 408 | 410 | 425 | 429 => Why::TokenEndpoint,
        // It was an answer, but no token.
        200..400 => Why::TokenUnusable,
        400..500 => Why::TokenRefused,
        _ => Why::TokenEndpoint,
    }
}

/// By the answer alone.
fn by_answer(answer: &str) -> Why {
    let has = |words: &[&str]| words.iter().any(|word| answer.contains(word));
    if has(&["JWT assertion", "JWT request body"]) {
        Why::NoToken
    } else if has(&[
        "Expected ",
        "Failed to parse JSON",
        "Failed to decode JWT",
        "Response is not JSON",
        "Must supply an unexpired token",
    ]) {
        Why::TokenUnusable
    } else if has(&[
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "access_denied",
    ]) {
        // RFC 6749 §5.2.
        Why::TokenRefused
    } else if answer.len() > LONGEST {
        // A page, of which librdkafka does not say the code.
        Why::TokenUnusable
    } else {
        Why::TokenEndpoint
    }
}

/// What was said, without what librdkafka or we put before it, and not too long.
fn answer(message: &str) -> String {
    let mut text = message;
    if let Some((_, rest)) = text.split_once(ACQUIRING) {
        text = rest;
    }
    for beginning in RETRIEVING {
        if let Some((_, rest)) = text.split_once(beginning) {
            text = rest.split_once("\": ").map_or(rest, |(_, rest)| rest);
        }
    }
    // No answer has no code.
    let text = tidy(text.strip_suffix(" (-1)").unwrap_or(text));
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    let text = once(&text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// An answer that came again and again, as librdkafka adds them up: up to five times, the last perhaps
/// with its code.
fn once(text: &str) -> &str {
    let (said, code) = match text.rsplit_once(" (") {
        Some((said, code)) if status(text).is_some() => (said, code.len() + 2),
        _ => (text, 0),
    };
    let times = (2..=5).rev().find(|times| {
        let length = said.len() / times;
        length > 0
            && said.is_char_boundary(length)
            && said.len() == length * times
            && said == said[..length].repeat(*times)
    });
    match times {
        Some(times) => &text[text.len() - code - said.len() / times..],
        None => text,
    }
}

/// The text of a cause that has to do with tokens.
pub(super) fn explained(f: &mut fmt::Formatter<'_>, cause: &Cause) -> fmt::Result {
    let said = answer(&cause.message);
    let servers = &cause.who.servers;
    let endpoint = match &cause.who.tokens {
        Some(Tokens::Endpoint(url)) => url.as_str(),
        _ => "",
    };
    match cause.why {
        Why::TokenRefused => write!(
            f,
            "the token endpoint {endpoint} gives us no token ({said}): put sasl.oauthbearer.client.id, client.secret and scope right (kafka.properties, kafka.property_files), or have the client made there. Secrets are read at the start: after a change, start again"
        ),
        Why::TokenEndpoint => write!(
            f,
            "no token comes from {endpoint} ({said}): is sasl.oauthbearer.token.endpoint.url right, is it running, does a firewall let us through, and is its certificate signed by an authority that is known here (https.ca.location)?"
        ),
        Why::TokenUnusable => write!(
            f,
            "what {endpoint} answers is no token that can be used ({said}): sasl.oauthbearer.token.endpoint.url must lead to an endpoint that answers with an access_token that is a JWT with exp and sub, and the clocks of both sides must agree"
        ),
        Why::NoToken if endpoint.is_empty() => write!(f, "there is no token for Kafka: {said}"),
        Why::NoToken => write!(
            f,
            "there is no assertion to get a token with ({said}): see the files that the properties beginning with sasl.oauthbearer.assertion name"
        ),
        _ => write!(
            f,
            "the brokers at {servers} refuse the token ({said}): its issuer, audience and scope must be those that they expect, the key that signed it must be known to them, and the clocks of both sides must agree{}",
            match endpoint {
                "" => "; see [kafka.token]".to_owned(),
                url => format!("; it came from {url}"),
            }
        ),
    }
}
