//! Secrets in what others say: who gives out tokens may repeat what we sent it in its answer, which
//! librdkafka writes to the log.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use data_encoding::BASE64;
use rdkafka::config::ClientConfig;
use regex::Regex;

/// Properties that are secrets.
const PROPERTIES: &[&str] = &[
    "sasl.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "ssl.key.password",
    "ssl.keystore.password",
];

/// Shorter ones are not looked for: they would be found in any text.
const LEAST: usize = 4;

/// A token: a JWT, or what stands behind a name by which such things go.
static TOKEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let jwt = r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*";
    let named = r#"(?i)\b(?:(?:access|id|refresh|bearer)_?token|client_(?:secret|assertion)|assertion|password)["']?\s*[:=]\s*["']?[^"'\s,;&}]{8,}"#;
    let shown = r"(?i)\b(?:Bearer|Basic) +[A-Za-z0-9+/._~-]{8,}=*";
    Regex::new(&format!("{jwt}|{named}|{shown}")).ok()
});

/// The secrets of one client.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secrets {
    /// Those of a client with these properties.
    pub(super) fn of(client: &ClientConfig) -> Secrets {
        let named = PROPERTIES.iter().filter_map(|name| client.get(name));
        let mut all: Vec<String> = named.map(str::to_owned).collect();
        let of_names = |names: [&str; 2]| names.into_iter().find_map(|name| client.get(name));
        let id = of_names([
            "sasl.oauthbearer.client.id",
            "sasl.oauthbearer.client.credentials.client.id",
        ]);
        if let (Some(id), Some(secret)) = (id, of_names([PROPERTIES[1], PROPERTIES[2]])) {
            // As it goes to the endpoint.
            all.push(BASE64.encode(format!("{id}:{secret}").as_bytes()));
        }
        Secrets::these(all)
    }

    /// These, but for what would be found in any text.
    pub(super) fn these(mut all: Vec<String>) -> Secrets {
        all.retain(|secret| secret.len() >= LEAST);
        Secrets(all)
    }

    /// The text without them, and without what looks like a token.
    pub(super) fn hidden<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), "***"));
            }
        }
        match TOKEN.as_ref() {
            Some(token) if token.is_match(&text) => {
                Cow::Owned(token.replace_all(&text, "***").into_owned())
            }
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_to_an_endpoint_is_not_repeated_from_its_answer() {
        let mut client = ClientConfig::new();
        client
            .set("sasl.oauthbearer.client.id", "sms")
            .set("sasl.oauthbearer.client.secret", "geheim, sehr")
            .set("sasl.password", "ab");
        let secrets = Secrets::of(&client);
        for (said, hidden) in [
            ("wrong: geheim, sehr", "wrong: ***"),
            (
                "Authorization: Basic c21zOmdlaGVpbSwgc2Vocg==",
                "Authorization: Basic ***",
            ),
            ("it is c21zOmdlaGVpbSwgc2Vocg==, no?", "it is ***, no?"),
            (r#"{"access_token":"opaque-0123456789"}"#, r#"{"***"}"#),
            ("client_secret=0123456789&x=1", "***&x=1"),
            (
                "of eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln: refused",
                "of ***: refused",
            ),
            (
                r#"{"error":"invalid_client"}"#,
                r#"{"error":"invalid_client"}"#,
            ),
            (
                "Failed to acquire SASL OAUTHBEARER token: about",
                "Failed to acquire SASL OAUTHBEARER token: about",
            ),
        ] {
            assert_eq!(secrets.hidden(said), hidden, "{said}");
        }
        assert_eq!(format!("{secrets:?}"), "***");
    }
}
