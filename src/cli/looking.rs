//! Asking running connectors what can be seen of them (`[http]` of the configuration).

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;

use super::{Code, ConfigSource, Failure};
use crate::codes;
use crate::config::Config;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// No answer has more octets.
const LARGEST: usize = 64 << 20;
/// What another process said last is believed to be so for so long, in seconds.
pub(super) const SILENT: f64 = 15.0;

/// How a connector is reached.
#[derive(Args, Clone, Debug)]
pub(super) struct Access {
    #[command(flatten)]
    source: ConfigSource,
    /// PEM file of the authority that signed the certificate, instead of those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Take any certificate, such as one that nobody signed
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

/// Asks.
pub(super) struct Visitor {
    http: reqwest::Client,
    /// Where connectors listen.
    pub urls: Vec<String>,
}

impl Access {
    /// One who asks at these addresses; without any at that of the configuration.
    pub fn visitor(&self, urls: &[String]) -> Result<Visitor, Failure> {
        let urls = if urls.is_empty() {
            vec![of_configuration(&self.source.load()?)?]
        } else {
            urls.iter().map(|url| whole(url)).collect()
        };
        let is_secure = urls.iter().any(|url| url.starts_with("https://"));
        let tls = smpp_esme::client_config(&smpp_esme::Tls {
            enabled: true,
            ca_file: self.ca.clone(),
            certificate_file: None,
            key_file: None,
            server_name: None,
            // The system's authorities may be missing where nobody needs them.
            verify: is_secure && !self.insecure,
        });
        let unusable = |why: &dyn std::fmt::Display| {
            let text = format!("TLS cannot be set up: {why}");
            Failure::new(Code::Config, codes::HTTP_NO_ANSWER, text)
        };
        let tls = tls.map_err(|error| unusable(&error))?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("kafka-smpp/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            // It is near: what is for the rest of the world is none of ours.
            .no_proxy()
            .build();
        let http = http.map_err(|error| unusable(&error))?;
        Ok(Visitor { http, urls })
    }
}

/// An address as people write it, with a scheme and without an end.
fn whole(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    }
}

/// Where a connector of this configuration listens.
fn of_configuration(config: &Config) -> Result<String, Failure> {
    let missing = |text: &str| Failure::new(Code::Config, codes::SETTING_MISSING, text);
    let Some(listen) = &config.http.listen else {
        return Err(missing(
            "http.listen is not set in this configuration, so nobody can look at the connector: set it, or say with --url where one listens",
        ));
    };
    if listen.ends_with(":0") {
        return Err(missing(
            "http.listen has the port 0, so each process takes another one: its log says which; give that with --url",
        ));
    }
    let scheme = match config.http.certificate_file {
        Some(_) => "https",
        None => "http",
    };
    Ok(format!("{scheme}://{}", here(listen)))
}

/// An address that means all of this machine is reached at its own.
fn here(listen: &str) -> String {
    let Ok(mut address) = listen.parse::<SocketAddr>() else {
        return listen.to_owned();
    };
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address.to_string()
}

impl Visitor {
    /// The text that stands there, or why there is none.
    pub async fn text(&self, url: &str, path: &str) -> Result<String, String> {
        let failed = |error: reqwest::Error| format!("{url}: {}", causes(&error.without_url()));
        let asked = self.http.get(format!("{url}{path}")).send().await;
        let mut answer = asked.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            return Err(format!(
                "{url} answers {status} to {path}: is that the http.listen of kafka-smpp?"
            ));
        }
        let mut octets = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            octets.extend_from_slice(&chunk);
            if octets.len() > LARGEST {
                return Err(format!("{url}: the answer has more than {LARGEST} octets"));
            }
        }
        String::from_utf8(octets).map_err(|_| format!("{url}: the answer is no text"))
    }

    /// The document that stands there.
    pub async fn document<T: DeserializeOwned>(&self, url: &str, path: &str) -> Result<T, String> {
        read(url, &self.text(url, path).await?)
    }
}

/// A document, or why it is none.
pub(super) fn read<T: DeserializeOwned>(url: &str, text: &str) -> Result<T, String> {
    let read = serde_json::from_str(text);
    read.map_err(|error| format!("{url}: what it says is no status of kafka-smpp: {error}"))
}

/// Nobody answers.
pub(super) fn nobody(why: String) -> Failure {
    Failure::new(Code::Unavailable, codes::HTTP_NO_ANSWER, why)
}

/// An error with all that caused it.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A text that others wrote as a terminal may have it: what would move its cursor, or turn the
/// direction of what follows, is a mark.
pub(super) fn inert(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let mark = |c: char| match c {
        '\t' | '\n' => ' ',
        c if c.is_control() || turns(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_is_asked_where_its_configuration_says() {
        let of = |http: &str| {
            let text = format!(
                "[http]\n{http}\n[[esme]]\nname = \"a\"\noutbound = [\"o\"]\nhosts = [\"s:1\"]\nsystem_id = \"a\"\n"
            );
            of_configuration(&crate::config::parse(&text, []).unwrap())
        };
        for (listen, url) in [
            ("127.0.0.1:9464", "http://127.0.0.1:9464"),
            ("0.0.0.0:9464", "http://127.0.0.1:9464"),
            ("[::]:9464", "http://[::1]:9464"),
            ("localhost:9464", "http://localhost:9464"),
        ] {
            assert_eq!(of(&format!("listen = {listen:?}")).unwrap(), url);
        }
        for (http, why) in [
            ("", "http.listen is not set"),
            ("listen = \"127.0.0.1:0\"", "port 0"),
        ] {
            let failure = of(http).unwrap_err();
            assert!(failure.text().contains(why), "{}", failure.text());
        }
        assert_eq!(whole("pod-1:9464/"), "http://pod-1:9464");
        assert_eq!(whole("https://pod-1:9464"), "https://pod-1:9464");
    }

    #[test]
    fn what_others_wrote_moves_no_cursor() {
        assert_eq!(
            inert("a\u{1b}[2Jb\r\u{9b}\u{7f}\u{202e}c\nd é漢"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}\u{fffd}c d é漢"
        );
    }
}
