//! Who gives out tokens for Kafka, as a test tells it: an endpoint for OpenID Connect's client
//! credentials, and the key by which brokers know its tokens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// Who issues the tokens, and for whom.
const ISSUER: &str = "https://login.example.net";
pub const AUDIENCE: &str = "kafka";

/// How the endpoint answers, if not with a token.
#[derive(Clone, Debug)]
pub enum TokenAnswer {
    /// With this status, content type and body.
    Say(u16, &'static str, String),
    /// With a token, after so long.
    Late(Duration),
}

struct Shared {
    key: EcdsaKeyPair,
    random: SystemRandom,
    /// How long a token lives, in seconds.
    life: AtomicU64,
    asked: AtomicUsize,
    given: AtomicUsize,
    /// What is answered always.
    trouble: Mutex<Option<TokenAnswer>>,
    /// What the client `sms` shows.
    secret: Mutex<String>,
    /// Credentials of AWS, and the authorization to have them.
    credentials: Mutex<(String, String)>,
}

/// See the [module](self).
#[derive(Clone)]
pub struct TokenEndpoint {
    port: u16,
    shared: Arc<Shared>,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}

impl TokenEndpoint {
    /// One whose tokens live so long. It knows the client `sms` with the secret `geheim`.
    pub fn start(life: Duration) -> TokenEndpoint {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("a key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = TokenEndpoint {
            port: listener.local_addr().expect("an address").port(),
            shared: Arc::new(Shared {
                key,
                random,
                life: AtomicU64::new(life.as_secs()),
                asked: AtomicUsize::new(0),
                given: AtomicUsize::new(0),
                trouble: Mutex::default(),
                secret: Mutex::new("geheim".to_owned()),
                credentials: Mutex::default(),
            }),
        };
        let serving = endpoint.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (endpoint, stream) = (serving.clone(), stream.expect("a connection"));
                std::thread::spawn(move || endpoint.serve(stream));
            }
        });
        endpoint
    }

    /// Where tokens are given out.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// Where the keys are that sign them.
    pub fn keys_url(&self) -> String {
        format!("http://127.0.0.1:{}/keys", self.port)
    }

    /// How often it was asked for a token.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// How many tokens it gave out.
    pub fn given(&self) -> usize {
        self.shared.given.load(Ordering::SeqCst)
    }

    /// Knows the client `sms` by this secret from now on.
    pub fn know(&self, secret: &str) {
        secret.clone_into(&mut self.shared.secret.lock().unwrap());
    }

    /// Answers so from now on; `None`: as it should.
    pub fn answer(&self, answer: Option<TokenAnswer>) {
        *self.shared.trouble.lock().unwrap() = answer;
    }

    /// A token for somebody, as brokers of this endpoint take it.
    pub fn token(&self, subject: &str) -> String {
        self.token_for(subject, AUDIENCE)
    }

    /// A token that is meant for others.
    pub fn token_for(&self, subject: &str, audience: &str) -> String {
        let life = self.shared.life.load(Ordering::SeqCst);
        self.token_until(subject, audience, now() + life)
    }

    /// A token that ran out a moment ago.
    pub fn token_that_ran_out(&self) -> String {
        self.token_until("sms", AUDIENCE, now() - 5)
    }

    fn token_until(&self, subject: &str, audience: &str, until: u64) -> String {
        let encoded = |part: Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        let header = encoded(json!({ "alg": "ES256", "typ": "JWT", "kid": "one" }));
        let claims = encoded(json!({
            "iss": ISSUER, "sub": subject, "aud": audience, "scope": "sms",
            "iat": now(), "exp": until,
            "jti": self.given().to_string(),
        }));
        let signed = format!("{header}.{claims}");
        let Shared { key, random, .. } = &*self.shared;
        let signature = key.sign(random, signed.as_bytes()).expect("signed");
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    /// Writes a token to a file, as what renews one there does.
    pub fn write(&self, file: &Path, subject: &str) {
        let new = file.with_extension("new");
        std::fs::write(&new, self.token(subject) + "\n").expect("a file");
        std::fs::rename(new, file).expect("renamed");
    }

    /// What a broker needs to know of it, besides that it has the listener `SASL`.
    pub fn broker_properties(&self) -> String {
        let of = "listener.name.sasl.oauthbearer.";
        format!(
            "
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT
sasl.enabled.mechanisms=OAUTHBEARER
{of}sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
{of}sasl.server.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler
{of}sasl.oauthbearer.jwks.endpoint.url={}
{of}sasl.oauthbearer.expected.audience={AUDIENCE}
{of}sasl.oauthbearer.expected.issuer={ISSUER}
{of}sasl.oauthbearer.clock.skew.seconds=0
# Without this Kafka 4.1 looks at neither signature nor audience, and it does not see it behind a prefix;
# older ones do not know it.
sasl.oauthbearer.jwt.validator.class=org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator
# Who does not log in again before its token runs out is thrown out.
{of}connections.max.reauth.ms=3600000
connection.failed.authentication.delay.ms=0
",
            self.keys_url()
        )
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':') {
                match &*name.to_lowercase() {
                    "content-length" => length = value.trim().parse().unwrap_or(0),
                    "authorization" => value.trim().clone_into(&mut authorization),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        let _ = reader.read_exact(&mut body);
        let (status, kind, text) = match &*path {
            "/keys" => (200, "application/json", self.keys()),
            "/credentials" => self.lend(&authorization),
            "/token" => self.give(&authorization, &String::from_utf8_lossy(&body)),
            _ => (404, "text/plain", "nothing here".to_owned()),
        };
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
        let _ = (&stream).write_all(answer.as_bytes());
    }

    fn give(&self, authorization: &str, body: &str) -> (u16, &'static str, String) {
        self.shared.asked.fetch_add(1, Ordering::SeqCst);
        let trouble = self.shared.trouble.lock().unwrap().clone();
        match trouble {
            Some(TokenAnswer::Say(status, kind, text)) => return (status, kind, text),
            Some(TokenAnswer::Late(after)) => std::thread::sleep(after),
            None => {}
        }
        let known = format!("sms:{}", self.shared.secret.lock().unwrap());
        let known = format!("Basic {}", BASE64.encode(known.as_bytes()));
        if authorization != known || !body.starts_with("grant_type=client_credentials") {
            // As some do: with what they were asked.
            let text = json!({
                "error": "invalid_client",
                "error_description": format!("nobody is known by {authorization}"),
            });
            return (401, "application/json", text.to_string());
        }
        self.shared.given.fetch_add(1, Ordering::SeqCst);
        let text = json!({
            "access_token": self.token("sms"),
            "token_type": "Bearer",
            "expires_in": self.shared.life.load(Ordering::SeqCst),
        });
        (200, "application/json", text.to_string())
    }

    /// Where credentials of AWS are given out, as beside a container.
    pub fn credentials_url(&self) -> String {
        format!("http://127.0.0.1:{}/credentials", self.port)
    }

    /// What stands there, for whom.
    pub fn lend_credentials(&self, credentials: Value, to: &str) {
        *self.shared.credentials.lock().unwrap() = (credentials.to_string(), to.to_owned());
    }

    fn lend(&self, authorization: &str) -> (u16, &'static str, String) {
        let (credentials, to) = self.shared.credentials.lock().unwrap().clone();
        if authorization == to {
            (200, "application/json", credentials)
        } else {
            let text = format!("nobody is known by {authorization}");
            (401, "text/plain", text)
        }
    }

    fn keys(&self) -> String {
        let public = self.shared.key.public_key().as_ref();
        // An uncompressed point: 4, x, y.
        let (x, y) = public[1..].split_at(32);
        let encoded = |number| BASE64URL_NOPAD.encode(number);
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one",
            "x": encoded(x), "y": encoded(y),
        });
        json!({ "keys": [key] }).to_string()
    }
}
