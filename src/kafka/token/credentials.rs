//! Credentials of AWS, from where AWS's own tools look for them, fetched ahead by a thread of their own.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, DefaultCredentialProvider, RequestSigner,
};
use reqsign_core::{
    Context, Error, ErrorKind, FileRead, HttpSend, OsEnv, ProvideCredentialDyn, Signer,
};
use reqwest::redirect::Policy;
use rustls::RootCertStore;
use rustls::crypto::ring;

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
            format!("there are no credentials of AWS: {why}")
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
        note(found, said(fetched));
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

/// What is kept of it. The causes of an error may hold what was answered, and are left out.
fn said(fetched: Fetched) -> Result<Credential, String> {
    match fetched {
        Ok(Some(credential)) => Ok(credential),
        Ok(None) => Err("none in the environment, in files, from a web identity, a container's endpoint or the machine's (IMDSv2)".to_owned()),
        Err(error) => Err(error.to_string()),
    }
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

fn provider(options: &Options, context: &Context) -> Provider {
    // Programs that print credentials, and people who log in, are not for a server.
    let mut chain = DefaultCredentialProvider::builder().no_sso().no_process();
    if let Some(profile) = &options.profile {
        chain = chain.with_profile(profile).no_env().no_web_identity();
        chain = chain.no_ecs().no_imds();
    }
    let chain = chain.build();
    let Some(role) = &options.role_arn else {
        return Box::new(chain);
    };
    let region = options.region.clone().unwrap_or_default();
    let signer = Signer::new(context.clone(), chain, RequestSigner::new("sts", &region));
    let session = options.role_session_name.as_deref().unwrap_or("kafka-smpp");
    let mut provider = AssumeRoleCredentialProvider::new(role.clone(), signer)
        .with_role_session_name(session.to_owned())
        .with_region(region)
        .with_regional_sts_endpoint();
    if let Some(id) = &options.role_external_id {
        provider = provider.with_external_id(id.clone());
    }
    Box::new(provider)
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
