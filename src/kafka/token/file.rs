//! A token in a file: one that Kubernetes projects, or that a sidecar writes.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde::Deserialize;

use super::Token;

/// More than any broker takes.
const MOST: u64 = 1 << 20;

/// A year, in milliseconds: librdkafka reckons in microseconds, in which some numbers are too large. The
/// file is read again before.
const LONGEST: i64 = 365 * 24 * 3_600_000;

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
        let wrong = |what: &str| format!("kafka.token.file {:?} {what}", self.path);
        let unreadable = |error: std::io::Error| {
            wrong(&format!(
                "cannot be read ({error}): does what writes it run, and may the user of this process read it?"
            ))
        };
        let metadata = std::fs::metadata(&self.path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(wrong("is no file: name the file that holds the token"));
        }
        if metadata.len() > MOST {
            return Err(wrong(&format!(
                "has {} octets, more than a token has (1 MiB at most): it must hold a token and nothing else",
                metadata.len()
            )));
        }
        let octets = std::fs::read(&self.path).map_err(unreadable)?;
        let octets = octets.trim_ascii();
        if octets.is_empty() {
            return Err(wrong("is empty: it must hold a token"));
        }
        if !octets.iter().all(u8::is_ascii_graphic) {
            return Err(wrong(
                "must hold a token and nothing else: there are blanks, or characters that tokens do not have",
            ));
        }
        let text = String::from_utf8_lossy(octets);
        let (principal, expires) = match claims(&text) {
            // The fraction of a second, and what lies beyond all time, do not matter.
            Some(claims) => {
                let expires = ((claims.exp * 1000.0) as i64).min(now.as_millisecond() + LONGEST);
                (claims.sub.unwrap_or_default(), expires)
            }
            None => {
                let lifetime = self.lifetime.ok_or_else(|| {
                    wrong(
                        "holds no token that says when it runs out (a JWT with exp): put one there, or set kafka.token.lifetime",
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
            return Err(wrong(&format!(
                "holds a token that ran out {at}: does what renews the file run, and are the clocks right?"
            )));
        }
        Ok(Token {
            text: text.into_owned(),
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
        let forever = jwt(r#"{"exp":1e300}"#);
        let left = of(&forever, None).unwrap().expires - now.as_millisecond();
        assert_eq!(left, LONGEST);
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
        let folder = File {
            path: dir.path().to_owned(),
            lifetime: None,
        };
        assert!(folder.token(now).unwrap_err().contains("is no file"));
        let large = File {
            path: dir.path().join("large"),
            lifetime: hour,
        };
        std::fs::write(&large.path, vec![b'x'; 1 << 20]).unwrap();
        assert!(large.token(now).is_ok());
        std::fs::write(&large.path, vec![b'x'; (1 << 20) + 1]).unwrap();
        let error = large.token(now).unwrap_err();
        assert!(error.contains("has 1048577 octets"), "{error}");
        std::fs::write(&large.path, b"\xff\xfe").unwrap();
        assert!(large.token(now).unwrap_err().contains("nothing else"));
    }
}
