//! A token in a file: one that Kubernetes projects, or that a sidecar writes.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde::Deserialize;

use super::Token;

/// More than any broker takes.
const MOST: u64 = 1 << 20;

/// See the [module](self).
pub(super) struct File {
    pub path: PathBuf,
    /// How long a token is good that does not say it, from when the file was written.
    pub lifetime: Option<Duration>,
}

/// What we look at in a JWT.
#[derive(Debug, Deserialize)]
struct Claims {
    exp: f64,
    sub: Option<String>,
}

impl File {
    pub(super) fn token(&self, now: Timestamp) -> Result<Token, String> {
        let shown = self.path.display();
        let unreadable =
            |error: std::io::Error| format!("the file {shown} cannot be read: {error}");
        let metadata = std::fs::metadata(&self.path).map_err(unreadable)?;
        if metadata.len() > MOST {
            return Err(format!("the file {shown} is too large for a token"));
        }
        let text = std::fs::read_to_string(&self.path).map_err(unreadable)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(format!("the file {shown} is empty: it must hold a token"));
        }
        if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(format!(
                "the file {shown} must hold a token and nothing else: there are blanks, or characters that tokens do not have"
            ));
        }
        let (principal, expires) = match claims(text) {
            // The fraction of a second, and what lies beyond all time, do not matter.
            Some(claims) => {
                let expires = (claims.exp * 1000.0) as i64;
                (claims.sub.unwrap_or_default(), expires)
            }
            None => {
                let lifetime = self.lifetime.ok_or_else(|| {
                    format!(
                        "the token in {shown} does not say when it runs out (it is no JWT with exp): set kafka.token.lifetime"
                    )
                })?;
                let written = metadata.modified().map_err(unreadable)?;
                let written = Timestamp::try_from(written).unwrap_or(now);
                let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
                let expires = written.as_millisecond().saturating_add(lifetime);
                (String::new(), expires)
            }
        };
        if expires <= now.as_millisecond() {
            let at = Timestamp::from_millisecond(expires)
                .map_or_else(|_| "long ago".to_owned(), |at| format!("at {at:.0}"));
            return Err(format!(
                "the token in {shown} ran out {at}: does what renews the file run, and are the clocks right?"
            ));
        }
        Ok(Token {
            text: text.to_owned(),
            principal,
            expires,
        })
    }
}

/// What a JWT says of itself. Whether it is true is for the brokers to see.
fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = BASE64URL_NOPAD
        .decode(claims.trim_end_matches('=').as_bytes())
        .ok()?;
    serde_json::from_slice(&claims).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        let encoded = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        format!("{}.{}.c2ln", encoded("{}"), encoded(claims))
    }

    #[test]
    fn a_token_says_when_it_runs_out_or_its_file_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let now = Timestamp::now();
        let of = |text: &str, lifetime| {
            std::fs::write(&path, text).unwrap();
            let file = File {
                path: path.clone(),
                lifetime,
            };
            file.token(now)
        };
        let exp = now.as_second() + 60;
        let good = jwt(&format!(r#"{{"sub":"sms","exp":{exp}}}"#));
        let token = of(&format!("{good}\n"), None).unwrap();
        assert_eq!(token.text, good);
        assert_eq!(token.principal, "sms");
        assert_eq!(token.expires, exp * 1000);
        let hour = Some(Duration::from_secs(3600));
        // What a JWT says counts for more.
        assert_eq!(of(&good, hour).unwrap().expires, exp * 1000);
        let opaque = of("0123-opaque", hour).unwrap();
        let left = opaque.expires - now.as_millisecond();
        assert!((3_590_000..3_610_000).contains(&left), "{left}");
        let old = jwt(&format!(r#"{{"sub":"sms","exp":{}}}"#, exp - 61));
        for (text, lifetime, said) in [
            ("", None, "is empty"),
            (" \n", None, "is empty"),
            ("two words", hour, "nothing else"),
            ("0123-opaque", None, "set kafka.token.lifetime"),
            (&jwt("{}"), None, "set kafka.token.lifetime"),
            (&jwt("nonsense"), None, "set kafka.token.lifetime"),
            (&old, hour, "ran out at "),
        ] {
            let error = of(text, lifetime).unwrap_err();
            assert!(error.contains(said), "{text:?}: {error}");
            assert!(!error.contains("opaque"), "{error}");
        }
        std::fs::write(&path, "0123-opaque").unwrap();
        let file = File {
            path: path.clone(),
            lifetime: hour,
        };
        let later = Timestamp::from_second(now.as_second() + 7200).unwrap();
        let error = file.token(later).unwrap_err();
        assert!(error.contains("ran out at "), "{error}");
        std::fs::remove_file(&path).unwrap();
        let gone = File {
            path,
            lifetime: None,
        };
        assert!(gone.token(now).unwrap_err().contains("cannot be read"));
    }
}
