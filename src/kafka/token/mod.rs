//! Tokens of our own for logging in to Kafka: from a file that somebody else renews, or signed with
//! credentials of AWS.
//!
//! librdkafka asks for a token as a client begins, and again when four fifths of its time are over; if it
//! gets none, again after ten seconds. It asks while the client is polled, so the answer must not take
//! long: a file is read, credentials are fetched ahead by a thread of their own. A client that nobody
//! polls is polled once as it begins ([`consumer_begins`], [`producer_begins`]). `AdminClient` cannot be
//! polled, so it never gets such a token: [`is_ours`] says when there is none to be had.
//!
//! Where the tokens come from goes with the properties of each client, in `sasl.oauthbearer.config`, which
//! librdkafka hands back when it asks. There is one [`Source`] for all clients of a process that say the
//! same there.

mod credentials;
mod file;
mod msk;

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::client::OAuthToken;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, ProducerContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Time;
use credentials::Credentials;

/// Tokens of our own for logging in to Kafka, where librdkafka gets none itself: needs
/// `sasl.mechanism = "OAUTHBEARER"` in `[kafka.properties]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where tokens come from: `file`, which somebody else renews, or `aws_msk_iam`, credentials of AWS for
    /// a cluster of MSK.
    #[schemars(example = &"file")]
    pub provider: Option<Provider>,
    /// With `file`: the file that holds the token and nothing else.
    #[schemars(example = "/var/run/secrets/kafka/token")]
    pub file: Option<PathBuf>,
    /// With `file`: how long after the file was written its token is good. Only for tokens that do not say
    /// it themselves, as a JWT does with `exp`.
    #[schemars(example = "10m")]
    pub lifetime: Option<Time>,
    /// With `aws_msk_iam`: the region of the cluster.
    #[schemars(example = "eu-central-1")]
    pub region: Option<String>,
    /// With `aws_msk_iam`: the profile in the files of AWS (`~/.aws/config`) to take credentials from, and
    /// nowhere else.
    #[schemars(example = &"sms")]
    pub profile: Option<String>,
    /// With `aws_msk_iam`: the role to assume with the credentials that are found.
    #[schemars(example = "arn:aws:iam::123456789012:role/sms")]
    pub role_arn: Option<String>,
    /// With `role_arn`: the name of the session, which AWS writes down.
    #[schemars(example = "kafka-smpp")]
    pub role_session_name: Option<String>,
    /// With `role_arn`: the external id that the role asks for.
    #[schemars(example = "sms-1")]
    pub role_external_id: Option<String>,
}

/// Where tokens come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// A file that somebody else renews.
    File,
    /// Credentials of AWS, for a cluster of MSK.
    AwsMskIam,
}

/// Where clients carry it.
const PROPERTY: &str = "sasl.oauthbearer.config";

impl Options {
    /// Gives the clients made with these properties tokens of ours, if there are any.
    pub fn add(&self, client: &mut ClientConfig) {
        if self.provider.is_some()
            && let Ok(text) = serde_json::to_string(self)
        {
            client.set(PROPERTY, text);
        }
    }

    fn of(client: &ClientConfig) -> Option<Options> {
        serde_json::from_str(client.get(PROPERTY)?).ok()
    }
}

/// Whether clients with these properties log in with tokens of ours: then there is no `AdminClient`.
pub fn is_ours(client: &ClientConfig) -> bool {
    Options::of(client).is_some()
}

/// A token, and who it is for, as far as it says.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    principal: String,
    /// When it runs out, in Unix milliseconds.
    expires: i64,
}

/// Where the tokens of a process come from.
enum Source {
    File(file::File),
    Msk(String, Credentials),
}

/// How long the first client waits for the first credentials.
const FIRST: Duration = Duration::from_secs(5);

impl Source {
    fn of(options: &Options) -> Source {
        match options.provider {
            Some(Provider::AwsMskIam) => {
                let region = options.region.clone().unwrap_or_default();
                Source::Msk(region, Credentials::fetched(options.clone()))
            }
            _ => Source::File(file::File {
                path: options.file.clone().unwrap_or_default(),
                lifetime: options.lifetime.map(Time::get),
            }),
        }
    }

    /// A token that is good at `now`, or why there is none.
    fn token(&self, now: Timestamp) -> Result<Token, String> {
        match self {
            Source::File(file) => file.token(now),
            Source::Msk(region, credentials) => {
                let found = credentials.ready(now, FIRST)?;
                let keys = msk::Keys {
                    access_key_id: &found.access_key_id,
                    secret_access_key: &found.secret_access_key,
                    session_token: found.session_token.as_deref(),
                };
                let agent = concat!("kafka-smpp/", env!("CARGO_PKG_VERSION"));
                let (text, expires) = msk::token(region, &keys, now, agent);
                // A token is no longer good than what it was signed with.
                let until = found
                    .expires_in
                    .map_or(i64::MAX, |until| until.as_second() * 1000);
                Ok(Token {
                    text,
                    principal: found.access_key_id.clone(),
                    expires: expires.min(until),
                })
            }
        }
    }
}

/// The sources of this process, by what clients say of them.
static SOURCES: LazyLock<Mutex<HashMap<String, Arc<Source>>>> = LazyLock::new(Mutex::default);

/// What librdkafka asks for ([`rdkafka::ClientContext::generate_oauth_token`]): a token from the source that the
/// client names.
pub(crate) fn ready(config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
    let config = config.unwrap_or_default();
    let options: Options = serde_json::from_str(config)
        .map_err(|_| "set kafka.token, or sasl.oauthbearer.method = \"oidc\"")?;
    let source = {
        let mut sources = SOURCES.lock();
        let source = sources.entry(config.to_owned());
        source
            .or_insert_with(|| Arc::new(Source::of(&options)))
            .clone()
    };
    let token = source.token(Timestamp::now())?;
    Ok(OAuthToken {
        token: token.text,
        principal_name: token.principal,
        lifetime_ms: token.expires,
    })
}

/// What the context of every client has, so that it gets tokens of ours.
macro_rules! tokens_of_ours {
    () => {
        const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

        fn generate_oauth_token(
            &self,
            config: Option<&str>,
        ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
            $crate::kafka::token::ready(config)
        }
    };
}
pub(crate) use tokens_of_ours;

/// A consumer that begins gets its first token, should nobody poll it for now. Not for a member of a group, nor
/// for who must hear that a group is denied: see [`first_poll`].
pub(crate) fn consumer_begins<C: ConsumerContext>(consumer: BaseConsumer<C>) -> BaseConsumer<C> {
    // There is no record before something is assigned, and its context hears why connections fail.
    let _ = first_poll(&consumer);
    consumer
}

/// The poll that brings a consumer its first token, and what else it brings: librdkafka looks for the group's
/// coordinator from the beginning, and says once only that the group is denied.
pub(crate) fn first_poll<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<KafkaError> {
    consumer.poll(Duration::ZERO)?.err()
}

/// As [`consumer_begins`], of a producer: `init_transactions` polls nothing.
pub(crate) fn producer_begins<C: ProducerContext>(producer: BaseProducer<C>) -> BaseProducer<C> {
    producer.poll(Duration::ZERO);
    producer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_say_the_same_have_one_source() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "opaque").unwrap();
        let options = Options {
            provider: Some(Provider::File),
            file: Some(path.clone()),
            lifetime: Some(Time::seconds(60)),
            ..Options::default()
        };
        let mut client = ClientConfig::new();
        assert!(!is_ours(&client));
        options.add(&mut client);
        assert!(is_ours(&client));
        let config = client.get(PROPERTY).map(str::to_owned);
        let token = ready(config.as_deref()).unwrap();
        assert_eq!(token.token, "opaque");
        assert!(token.lifetime_ms > Timestamp::now().as_millisecond());
        std::fs::remove_file(&path).unwrap();
        let error = ready(config.as_deref()).err().unwrap().to_string();
        assert!(error.contains("cannot be read"), "{error}");
        let error = ready(Some("principal=admin")).err().unwrap().to_string();
        assert!(error.contains("kafka.token"), "{error}");
    }
}
