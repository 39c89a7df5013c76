//! Questions to a registry, each asked once: no answer is kept here, good or bad.
//!
//! The questions are [`schema_registry_converter`]'s, without its caches, which would keep a
//! passing failure for good. What it does not ask (whether a schema would fit, by which rule)
//! is asked beside it.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, RequestBuilder};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_versions, perform_sr_call,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, RawRegisteredSchema, SrCall};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Error;
use super::options::Options;
use crate::record::format::Format;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// See the [module](self).
pub struct Client {
    servers: Vec<Server>,
    /// The server that answered last.
    first: AtomicUsize,
    options: Options,
}

struct Server {
    url: String,
    settings: SrSettings,
    http: reqwest::Client,
}

/// A schema as the registry has it.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its number.
    pub id: Option<u32>,
    /// Its version within its subject.
    pub version: Option<u32>,
    /// `AVRO`, `JSON`, `PROTOBUF`.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// Subject and version of what it refers to.
    pub references: Vec<(String, u32)>,
}

impl From<RawRegisteredSchema> for Registered {
    fn from(raw: RawRegisteredSchema) -> Self {
        let references = raw.references.unwrap_or_default();
        Registered {
            id: raw.id,
            version: raw.version,
            kind: raw.schema_type.unwrap_or_else(|| "AVRO".to_owned()),
            text: raw.schema.unwrap_or_default(),
            references: references
                .into_iter()
                .map(|r| (r.subject, r.version))
                .collect(),
        }
    }
}

/// What the registry says of a schema that is not registered yet.
#[derive(Clone, Debug, Deserialize)]
pub struct Compatibility {
    /// Whether its rule for the subject allows it.
    pub is_compatible: bool,
    /// Why not.
    #[serde(default)]
    pub messages: Vec<String>,
}

impl Client {
    /// A client that has asked nothing yet.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up as configured.
    pub fn new(options: &Options) -> Result<Client, Error> {
        let server = |url: &String| {
            let url = url.trim_end_matches('/').to_owned();
            let mut builder = SrSettings::new_builder(url.clone());
            let (token, password) = (&options.token, options.password.expose_secret());
            if !options.username.is_empty() {
                builder.set_basic_authorization(&options.username, Some(password));
            } else if !token.expose_secret().is_empty() {
                builder.set_token_authorization(token.expose_secret());
            }
            let settings = builder
                .set_timeout(options.timeout.get())
                .build_with(http(options)?);
            Ok(Server {
                url,
                settings: settings.map_err(|error| Error::Setup(error.to_string()))?,
                http: (http(options)?.timeout(options.timeout.get()).build())
                    .map_err(|error| Error::Setup(error.to_string()))?,
            })
        };
        let servers: Result<Vec<_>, Error> = options.urls.iter().map(server).collect();
        Ok(Client {
            servers: servers?,
            first: AtomicUsize::new(0),
            options: options.clone(),
        })
    }

    /// The schema with a number.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if the registry has none.
    pub async fn by_id(&self, id: u32) -> Result<Registered, Error> {
        whole(self.call(SrCall::GetById(id)).await?)
    }

    /// A version of a subject.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if there is none.
    pub async fn version(&self, subject: &str, version: u32) -> Result<Registered, Error> {
        whole(
            self.call(SrCall::GetBySubjectAndVersion(subject, version))
                .await?,
        )
    }

    /// Number and version of a schema in its subject.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if it is not registered there.
    pub async fn look_up(
        &self,
        subject: &str,
        format: Format,
        text: &str,
    ) -> Result<Registered, Error> {
        let body = body(format, text).to_string();
        numbered(self.call(SrCall::PostForVersion(subject, &body)).await?)
    }

    /// Registers a schema; its number.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the registry's rule does not allow it.
    pub async fn register(
        &self,
        subject: &str,
        format: Format,
        text: &str,
    ) -> Result<Registered, Error> {
        let body = body(format, text).to_string();
        numbered(self.call(SrCall::PostNew(subject, &body)).await?)
    }

    /// The versions of a subject, the oldest first; none if there is no such subject.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn versions(&self, subject: &str) -> Result<Vec<u32>, Error> {
        let mut failed = Vec::new();
        for (index, server) in self.servers() {
            match get_all_versions(&server.settings, subject.to_owned()).await {
                Ok(versions) => return Ok(versions),
                Err(error) => match classified(&server.url, &error) {
                    Error::Missing(_) => return Ok(Vec::new()),
                    error => failed.push(self.note(index, error)?),
                },
            }
        }
        Err(nobody(&failed))
    }

    /// What the registry's rule says of a schema that would be added to a subject.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn compatibility(
        &self,
        subject: &str,
        format: Format,
        text: &str,
    ) -> Result<Compatibility, Error> {
        let path = format!("/compatibility/subjects/{subject}/versions?verbose=true");
        let asked = self
            .ask(Method::POST, &path, Some(body(format, text)))
            .await;
        let answer = match asked {
            // Nothing there yet: everything fits.
            Err(Error::Missing(_)) => json!({ "is_compatible": true }),
            asked => asked?,
        };
        serde_json::from_value(answer).map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// The registry's rule for a subject, such as `BACKWARD`.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn rule(&self, subject: &str) -> Result<String, Error> {
        let path = format!("/config/{subject}?defaultToGlobal=true");
        let answer = match self.ask(Method::GET, &path, None).await {
            Err(Error::Missing(_)) => self.ask(Method::GET, "/config", None).await?,
            asked => asked?,
        };
        let rule = answer["compatibilityLevel"].as_str();
        let none = || Error::Unavailable("the answer names no compatibilityLevel".into());
        Ok(rule.ok_or_else(none)?.to_owned())
    }

    async fn call(&self, call: SrCall<'_>) -> Result<RawRegisteredSchema, Error> {
        let mut failed = Vec::new();
        for (index, server) in self.servers() {
            match perform_sr_call(&server.settings, call).await {
                Ok(answer) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => failed.push(self.note(index, classified(&server.url, &error))?),
            }
        }
        Err(nobody(&failed))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Error> {
        let mut failed = Vec::new();
        for (index, server) in self.servers() {
            let request = server
                .http
                .request(method.clone(), format!("{}{path}", server.url));
            let request = match &body {
                Some(body) => request.body(body.to_string()),
                None => request,
            };
            match answer(self.authorized(request), &server.url).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failed.push(self.note(index, error)?),
            }
        }
        Err(nobody(&failed))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request
            .header("Content-Type", MEDIA_TYPE)
            .header("Accept", MEDIA_TYPE);
        let token = self.options.token.expose_secret();
        match (&*self.options.username, token) {
            ("", "") => request,
            ("", token) => request.bearer_auth(token),
            (name, _) => request.basic_auth(name, Some(self.options.password.expose_secret())),
        }
    }

    /// The servers, the one that answered last before the others.
    fn servers(&self) -> impl Iterator<Item = (usize, &Server)> {
        let first = self.first.load(Ordering::Relaxed);
        let (before, after) = self.servers.split_at(first.min(self.servers.len()));
        let after = (first..).zip(after);
        after.chain(before.iter().enumerate())
    }

    /// What was wrong, if another server is worth a question: one that answers speaks for all.
    fn note(&self, index: usize, error: Error) -> Result<String, Error> {
        match error {
            Error::Unavailable(text) => Ok(text),
            answered => {
                self.first.store(index, Ordering::Relaxed);
                Err(answered)
            }
        }
    }
}

/// None of the servers answered.
fn nobody(failed: &[String]) -> Error {
    Error::Unavailable(match failed {
        [] => "schema_registry.urls names none".into(),
        failed => failed.join("; "),
    })
}

/// Both clients' beginning.
fn http(options: &Options) -> Result<reqwest::ClientBuilder, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::Setup(error.to_string());
    let tls = if options.urls.iter().any(|url| url.starts_with("https")) {
        smpp_esme::client_config(&smpp_esme::Tls {
            enabled: true,
            ca_file: options.tls.ca_file.clone(),
            certificate_file: options.tls.certificate_file.clone(),
            key_file: options.tls.key_file.clone(),
            server_name: None,
            verify: options.tls.verify,
        })
        .map_err(|error| wrong(&error))?
    } else {
        // The system's authorities may be missing where nobody needs them.
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    };
    Ok(reqwest::Client::builder()
        .user_agent(concat!("kafka-smpp/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls))
}

fn body(format: Format, text: &str) -> Value {
    match format {
        Format::JsonSchema => json!({ "schema": text, "schemaType": "JSON" }),
        // Registries that know nothing but Avro do not know the key.
        _ => json!({ "schema": text }),
    }
}

fn whole(raw: RawRegisteredSchema) -> Result<Registered, Error> {
    match &raw.schema {
        Some(_) => Ok(raw.into()),
        None => Err(Error::Unavailable("the answer holds no schema".into())),
    }
}

fn numbered(raw: RawRegisteredSchema) -> Result<Registered, Error> {
    match raw.id {
        Some(_) => Ok(raw.into()),
        None => Err(Error::Unavailable("the answer names no number".into())),
    }
}

async fn answer(request: RequestBuilder, url: &str) -> Result<Value, Error> {
    let failed = |error: reqwest::Error| Error::Unavailable(format!("{url}: {}", causes(&error)));
    let response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    if response.status().is_success() {
        return response.json().await.map_err(failed);
    }
    let raw: Option<RawError> = response.json().await.ok();
    Err(refusal(url, status, raw.as_ref()))
}

/// What an error of the crate means.
fn classified(url: &str, error: &SRCError) -> Error {
    let status = error.error.split_once("status ").and_then(|(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    match (status, error.source()) {
        (Some(status), source) => {
            let raw = source.and_then(|source| source.downcast_ref::<RawError>());
            // Without a code it is the crate's own, for an answer that it could not read.
            refusal(url, status, raw.filter(|raw| raw.error_code != 0))
        }
        (None, Some(source)) => Error::Unavailable(format!("{url}: {}", causes(source))),
        (None, None) => Error::Unavailable(format!("{url}: {}", error.error)),
    }
}

/// What an answer other than 200 means. Only what a registry says in its own words about a
/// schema is an answer; everything else may come of something on the way to it.
fn refusal(url: &str, status: u16, raw: Option<&RawError>) -> Error {
    let text = match raw {
        Some(raw) => format!("{url}: {} ({})", raw.message, raw.error_code),
        None => format!("{url}: HTTP status {status}"),
    };
    match (status, raw.map(|raw| raw.error_code)) {
        (404, Some(40401..=40499)) => Error::Missing(text),
        (404, _) => Error::Unavailable(format!(
            "{text}, without the error code of a schema registry: does the address end where its API begins?"
        )),
        (409 | 422, Some(_)) => Error::Refused(text),
        (401 | 403, _) => Error::Unavailable(format!(
            "{text}: check schema_registry.username and password, or token"
        )),
        _ => Error::Unavailable(text),
    }
}

/// An error with all that caused it: reqwest's own words leave out the cause.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(error_code: u32) -> RawError {
        serde_json::from_value(json!({ "error_code": error_code, "message": "no" })).unwrap()
    }

    #[test]
    fn only_a_registrys_own_word_is_an_answer() {
        let of = |status, code: Option<u32>| refusal("u", status, code.map(raw).as_ref());
        assert!(matches!(of(404, Some(40403)), Error::Missing(_)));
        assert!(matches!(of(409, Some(409)), Error::Refused(_)));
        assert!(matches!(of(422, Some(42201)), Error::Refused(_)));
        for (status, code) in [
            (404, None),
            (404, Some(404)),
            (500, Some(50001)),
            (429, None),
            (401, Some(40101)),
            (403, None),
            (503, None),
        ] {
            let error = of(status, code);
            assert!(matches!(error, Error::Unavailable(_)), "{status}: {error}");
        }
    }
}
