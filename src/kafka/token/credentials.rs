//! Credentials of AWS, from where AWS's own tools look for them, fetched ahead by a thread of their own.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, AssumeRoleWithWebIdentityCredentialProvider, Credential,
    ECSCredentialProvider, EnvCredentialProvider, IMDSv2CredentialProvider,
    ProfileCredentialProvider, RequestSigner,
};
use reqsign_core::{
    Context, Error, ErrorKind, FileRead, HttpSend, OsEnv, ProvideCredential, ProvideCredentialDyn,
    Signer,
};
use reqwest::redirect::Policy;
use rustls::RootCertStore;
use rustls::crypto::ring;

use super::super::masked::Secrets;
use super::Options;
use crate::threads;

/// How long AWS's endpoints may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// That of a machine (169.254.169.254) is near, or not there.
const CONNECT: Duration = Duration::from_secs(2);

/// How long before they run out, at the latest, credentials are fetched anew.
const AHEAD: Duration = Duration::from_secs(300);
/// After so long they are fetched anew although they do not say that they run out: somebody may have
/// changed the file they are in.
const ANEW: Duration = Duration::from_secs(300);
/// How long to wait after a failure.
const AGAIN: Duration = Duration::from_secs(5);
/// The shortest time between two.
const LEAST: Duration = Duration::from_secs(10);

/// What was found last.
#[derive(Default)]
struct Found {
    credential: Option<Arc<Credential>>,
    /// Why none was found.
    failed: Option<String>,
}

/// See the [module](self).
pub(super) struct Credentials {
    found: Arc<(Mutex<Found>, Condvar)>,
}

impl Credentials {
    /// Those that `options` choose, from now on.
    pub(super) fn fetched(options: Options) -> Credentials {
        let found: Arc<(Mutex<Found>, Condvar)> = Arc::default();
        let fetching = found.clone();
        let thread = threads::start("token", move || fetch(&options, &fetching));
        if let Err(error) = thread {
            found.0.lock().failed = Some(error.to_string());
        }
        Credentials { found }
    }

    /// Some that are good at `now`. The first are waited for.
    pub(super) fn ready(
        &self,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Arc<Credential>, String> {
        let (found, changed) = &*self.found;
        let deadline = Instant::now() + patience;
        let mut found = found.lock();
        while found.credential.is_none() && found.failed.is_none() {
            if changed.wait_until(&mut found, deadline).timed_out() {
                return Err("AWS has not yet given us credentials".to_owned());
            }
        }
        let good = found.credential.clone().filter(|credential| {
            let until = credential.expires_in.map(|until| until.as_second());
            until.is_none_or(|until| until > now.as_second())
        });
        good.ok_or_else(|| {
            let why = found.failed.as_deref().unwrap_or("they ran out");
            format!("there are no credentials of AWS ({why})")
        })
    }
}

/// Fetches credentials for as long as the process runs.
fn fetch(options: &Options, found: &(Mutex<Found>, Condvar)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (runtime, context) = match (runtime, context()) {
        (Ok(runtime), Ok(context)) => (runtime, context),
        (Err(error), _) => return note(found, Err(error.to_string())),
        (_, Err(error)) => return note(found, Err(error)),
    };
    let provider = provider(options, &context);
    loop {
        let fetched = runtime.block_on(provider.provide_credential_dyn(&context));
        let pause = match &fetched {
            Ok(Some(credential)) => pause(credential, Timestamp::now()),
            _ => AGAIN,
        };
        note(found, said(fetched, &context));
        std::thread::sleep(pause);
    }
}

/// When to fetch the next.
fn pause(credential: &Credential, now: Timestamp) -> Duration {
    let Some(until) = credential.expires_in else {
        return ANEW;
    };
    let left = until.as_second().saturating_sub(now.as_second());
    let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
    // Short-lived ones would otherwise be fetched all the time.
    left.saturating_sub(AHEAD.min(left / 2)).clamp(LEAST, ANEW)
}

type Fetched = Result<Option<Credential>, Error>;

/// What is kept of it.
fn said(fetched: Fetched, context: &Context) -> Result<Credential, String> {
    match fetched {
        Ok(Some(credential)) => Ok(credential),
        Ok(None) => Err("none were found".to_owned()),
        Err(error) => Err(why(&error, context)),
    }
}

/// What the environment has for us alone, and an endpoint may repeat.
fn secrets(context: &Context) -> Secrets {
    let named = [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    ];
    let mut all: Vec<String> = named
        .iter()
        .filter_map(|name| context.env_var(name))
        .collect();
    let file = context.env_var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    let token = file.and_then(|file| std::fs::read_to_string(file).ok());
    all.extend(token.map(|token| token.trim().to_owned()));
    Secrets::these(all)
}

/// The most that is repeated of what somebody answered.
const MOST: usize = 300;

/// Why, with the last cause that tells more: one that says where something cannot be read or reached, or
/// what an answer lacks. Others may repeat what was answered, which may be a secret.
fn why(error: &Error, context: &Context) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if inner.is::<Error>() || more.starts_with("missing field ") {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    let text = unquoted(&secrets(context).hidden(&text));
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A text without what it quotes: that was answered, and may be a secret that stands in the wrong place.
fn unquoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, quote)) = rest.find(['\'', '"']).map(|at| rest.split_at(at)) {
        shown.push_str(before);
        let (mark, after) = quote.split_at(1);
        let Some((_, behind)) = after.split_once(mark) else {
            // It has no end: perhaps it was cut.
            shown.push_str("***");
            return shown;
        };
        shown.push_str("***");
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

fn note(found: &(Mutex<Found>, Condvar), fetched: Result<Credential, String>) {
    let (found, changed) = found;
    let mut found = found.lock();
    match fetched {
        Ok(credential) => {
            found.credential = Some(Arc::new(credential));
            found.failed = None;
        }
        // Those that are there may be good for a while.
        Err(why) => found.failed = Some(why),
    }
    changed.notify_all();
}

type Provider = Box<dyn ProvideCredentialDyn<Credential = Credential>>;

/// Where credentials are looked for, in this order, each with what it is called. Programs that print
/// credentials, and people who log in, are not for a server.
#[derive(Debug)]
struct Chain {
    places: Vec<(&'static str, Provider)>,
    /// Why there were none when they were looked for last.
    lacks: Arc<Mutex<Option<String>>>,
}

impl Chain {
    fn new(places: Vec<(&'static str, Provider)>) -> Chain {
        Chain {
            places,
            lacks: Arc::default(),
        }
    }

    fn of(options: &Options) -> Chain {
        let profiles = ProfileCredentialProvider::new();
        if let Some(profile) = &options.profile {
            return Chain::new(vec![("files", Box::new(profiles.with_profile(profile)))]);
        }
        let region = options.region.clone().unwrap_or_default();
        let web = AssumeRoleWithWebIdentityCredentialProvider::new()
            .with_region(region)
            .with_regional_sts_endpoint();
        Chain::new(vec![
            ("environment", Box::new(EnvCredentialProvider::new())),
            ("files", Box::new(profiles)),
            ("web identity", Box::new(web)),
            ("container", Box::new(ECSCredentialProvider::new())),
            (
                "machine (IMDSv2)",
                Box::new(IMDSv2CredentialProvider::new()),
            ),
        ])
    }
}

impl ProvideCredential for Chain {
    type Credential = Credential;

    /// The first that there are, or why there are none anywhere.
    async fn provide_credential(&self, context: &Context) -> Fetched {
        let mut reasons = Vec::new();
        for (name, provider) in &self.places {
            let reason = match provider.provide_credential_dyn(context).await {
                Ok(Some(credential)) => match missing(&credential) {
                    None => {
                        *self.lacks.lock() = None;
                        return Ok(Some(credential));
                    }
                    Some(part) => format!("{part} is empty"),
                },
                Ok(None) => match absent(name, context) {
                    Some(reason) => reason,
                    None => continue,
                },
                Err(error) => why(&error, context),
            };
            reasons.push(format!("{name}: {reason}"));
        }
        let names: Vec<&str> = self.places.iter().map(|(name, _)| *name).collect();
        let mut text = format!("looked for in {}", names.join(", "));
        if !reasons.is_empty() {
            text = format!("{text}; {}", reasons.join("; "));
        }
        *self.lacks.lock() = Some(text.clone());
        Err(Error::config_invalid(text))
    }
}

/// A role that is assumed with the credentials of a chain.
#[derive(Debug)]
struct Assumed {
    role: AssumeRoleCredentialProvider,
    /// Why the chain has none, which the role does not repeat.
    lacks: Arc<Mutex<Option<String>>>,
}

impl ProvideCredential for Assumed {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Fetched {
        let assumed = self.role.provide_credential(context).await;
        assumed.map_err(|error| match &*self.lacks.lock() {
            Some(lacks) => Error::config_invalid(format!("{error}: {lacks}")),
            None => error,
        })
    }
}

/// The part that credentials lack.
fn missing(credential: &Credential) -> Option<&'static str> {
    let parts = [
        ("the access key id", &credential.access_key_id),
        ("the secret access key", &credential.secret_access_key),
    ];
    let empty = parts.into_iter().find(|(_, value)| value.is_empty());
    empty.map(|(name, _)| name)
}

/// Why something has none that begins to be there.
fn absent(name: &str, context: &Context) -> Option<String> {
    let pair = match name {
        "environment" => ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        "web identity" => ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"],
        "files" => {
            let said = "no profile there has both aws_access_key_id and aws_secret_access_key";
            return Some(said.to_owned());
        }
        _ => return None,
    };
    let is_set = |name: &&&str| context.env_var(name).is_some_and(|value| !value.is_empty());
    let set = pair.iter().find(is_set)?;
    let unset = pair.iter().find(|name| !is_set(name))?;
    Some(format!(
        "{set} is set and {unset} is not: set both, or none"
    ))
}

fn provider(options: &Options, context: &Context) -> Provider {
    let chain = Chain::of(options);
    let Some(role) = &options.role_arn else {
        return Box::new(chain);
    };
    let region = options.region.clone().unwrap_or_default();
    let lacks = chain.lacks.clone();
    let signer = Signer::new(context.clone(), chain, RequestSigner::new("sts", &region));
    let session = options.role_session_name.as_deref().unwrap_or("kafka-smpp");
    let mut provider = AssumeRoleCredentialProvider::new(role.clone(), signer)
        .with_role_session_name(session.to_owned())
        .with_region(region)
        .with_regional_sts_endpoint();
    if let Some(id) = &options.role_external_id {
        provider = provider.with_external_id(id.clone());
    }
    let assumed = Assumed {
        role: provider,
        lacks,
    };
    Box::new(Chain::new(vec![(
        "kafka.token.role_arn",
        Box::new(assumed),
    )]))
}

fn context() -> Result<Context, String> {
    Ok(Context::new()
        .with_env(OsEnv)
        .with_file_read(Files)
        .with_http_send(Http::new()?))
}

/// Files as they are: small, and local.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>, Error> {
        std::fs::read(path)
            .map_err(|error| Error::config_invalid(format!("{path} cannot be read: {error}")))
    }
}

/// Our own client for HTTP.
struct Http {
    /// Or why there is none: on a machine without authorities nothing is far that can be trusted.
    far: Result<reqwest::Client, String>,
    /// For addresses of this machine or beside it, which no proxy reaches.
    near: reqwest::Client,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl Http {
    fn new() -> Result<Http, String> {
        let client = |tls: rustls::ClientConfig| {
            reqwest::Client::builder()
                .timeout(TIMEOUT)
                .connect_timeout(CONNECT)
                .redirect(Policy::none())
                .tls_backend_preconfigured(tls)
        };
        // These speak no TLS.
        let none = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let near = client(none).no_proxy().build();
        let of_machine = smpp_esme::Tls {
            enabled: true,
            ..smpp_esme::Tls::default()
        };
        let far = smpp_esme::client_config(&of_machine).map_err(|error| error.to_string());
        let far = far.and_then(|tls| client(tls).build().map_err(|error| error.to_string()));
        Ok(Http {
            far,
            near: near.map_err(|error| error.to_string())?,
        })
    }
}

/// Whether a host is this machine, or an address beside it: endpoints for credentials have such.
fn is_near(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local() || address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local()
        }
        Err(_) => host == "localhost",
    }
}

impl HttpSend for Http {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let failed = |error: reqwest::Error| {
            // Without the address, whose query may hold a token.
            let error = error.without_url();
            let mut why = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                why = inner.to_string();
                cause = inner.source();
            }
            Error::new(
                ErrorKind::Unexpected,
                format!("{host} does not answer: {why}"),
            )
        };
        let client = if is_near(&host) {
            &self.near
        } else {
            let none = |why: &String| Error::new(ErrorKind::Unexpected, why.clone());
            self.far.as_ref().map_err(none)?
        };
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let response = client.execute(request).await.map_err(failed)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            *headers = response.headers().clone();
        }
        let body = response.bytes().await.map_err(failed)?;
        answer
            .body(body)
            .map_err(|error| Error::new(ErrorKind::Unexpected, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_fetched_before_they_run_out_and_not_all_the_time() {
        let now = Timestamp::from_second(1_770_000_000).unwrap();
        let of = |left: Option<i64>| {
            let until = left.map(|left| {
                let second = now.as_second() + left;
                reqsign_core::time::Timestamp::from_second(second).unwrap()
            });
            let credential = Credential {
                expires_in: until,
                ..Credential::default()
            };
            pause(&credential, now).as_secs()
        };
        for (left, seconds) in [
            (None, 300),
            (Some(3600), 300),
            (Some(500), 250),
            (Some(40), 20),
            (Some(1), 10),
            (Some(-5), 10),
        ] {
            assert_eq!(of(left), seconds, "{left:?}");
        }
    }

    fn found(options: &Options, set: &[(&str, &str)]) -> Result<Credential, String> {
        let envs = set
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain([("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned())])
            .collect();
        let env = reqsign_core::StaticEnv {
            home_dir: Some("/none".into()),
            envs,
        };
        let context = context().unwrap().with_env(env);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let provider = provider(options, &context);
        let fetched = runtime.block_on(provider.provide_credential_dyn(&context));
        said(fetched, &context)
    }

    #[test]
    fn credentials_that_lack_a_part_are_not_taken_and_the_part_is_named() {
        let options = Options {
            region: Some("eu-central-1".to_owned()),
            ..Options::default()
        };
        let pair = [
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_SECRET_ACCESS_KEY", "Stieglitz"),
        ];
        assert_eq!(found(&options, &pair).unwrap().access_key_id, "AKIA");
        let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/a");
        for (set, wanted) in [
            (
                &pair[..1],
                "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not",
            ),
            (
                &pair[1..],
                "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not",
            ),
            (
                &[pair[0], ("AWS_SECRET_ACCESS_KEY", "")],
                "the secret access key is empty",
            ),
            (
                &[role],
                "AWS_ROLE_ARN is set and AWS_WEB_IDENTITY_TOKEN_FILE is not",
            ),
            (
                &[role, ("AWS_WEB_IDENTITY_TOKEN_FILE", "/none/of")],
                "/none/of cannot be read",
            ),
            (
                &[],
                "looked for in environment, files, web identity, container, machine (IMDSv2)",
            ),
        ] {
            let error = found(&options, set).unwrap_err();
            assert!(error.contains(wanted), "{error}");
            assert!(!error.contains("Stieglitz"), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("credentials");
        let of_file = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())];
        let profile = Options {
            profile: Some("sms".to_owned()),
            ..options.clone()
        };
        for (text, wanted) in [
            (
                "[sms]\naws_access_key_id = AKIA\n",
                "has both aws_access_key_id and aws_secret",
            ),
            (
                "[sms]\naws_access_key_id = \naws_secret_access_key = Stieglitz\n",
                "key id is empty",
            ),
            ("[sms\nStieglitz", "failed to parse credentials file"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = found(&profile, &of_file).unwrap_err();
            assert!(error.contains(wanted), "{error}");
            assert!(!error.contains("Stieglitz"), "{error}");
        }
        // What a role is assumed with is named, too.
        let role = Options {
            role_arn: Some("arn:aws:iam::123456789012:role/a".to_owned()),
            ..options
        };
        let error = found(&role, &pair[..1]).unwrap_err();
        assert!(error.contains("kafka.token.role_arn"), "{error}");
        assert!(error.contains("AWS_SECRET_ACCESS_KEY is not"), "{error}");
    }

    #[test]
    fn what_is_quoted_is_not_repeated() {
        for (said, shown) in [
            (
                "parse 'Stieglitz' into timestamp failed",
                "parse *** into timestamp failed",
            ),
            (
                "invalid type: string \"a'b\", expected",
                "invalid type: string ***, expected",
            ),
            ("cut in 'the mid", "cut in ***"),
            ("missing field `AccessKeyId`", "missing field `AccessKeyId`"),
        ] {
            assert_eq!(unquoted(said), shown);
        }
    }

    #[test]
    fn no_proxy_stands_before_the_endpoints_of_a_machine() {
        for host in [
            "169.254.169.254",
            "169.254.170.23",
            "[fd00:ec2::254]",
            "localhost",
            "127.0.0.1",
        ] {
            assert!(is_near(host), "{host}");
        }
        for host in [
            "sts.eu-central-1.amazonaws.com",
            "10.0.0.1",
            "[2001:db8::1]",
        ] {
            assert!(!is_near(host), "{host}");
        }
    }
}
