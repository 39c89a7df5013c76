//! How we log in to Kafka: what has to be set for each way, before a client tries it.

use std::path::Path;

use reqwest::Url;

use super::Check;
use crate::codes;
use crate::config::kafka::Kafka;
use crate::kafka::features;
use crate::kafka::token::{Options, Provider};

const METHOD: &str = "sasl.oauthbearer.method";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const GRANT: &str = "sasl.oauthbearer.grant.type";
const METADATA: &str = "sasl.oauthbearer.metadata.authentication.type";
const CLIENT_ID: [&str; 2] = [
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.id",
];
const CLIENT_SECRET: [&str; 2] = [
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
];
const ASSERTION: &str = "sasl.oauthbearer.assertion.file";
const KEY_FILE: &str = "sasl.oauthbearer.assertion.private.key.file";
const KEY_PEM: &str = "sasl.oauthbearer.assertion.private.key.pem";
const TEMPLATE: &str = "sasl.oauthbearer.assertion.jwt.template.file";

/// What makes an assertion, and is of no use where one is there.
const OF_MADE_ASSERTIONS: [&str; 7] = [
    KEY_FILE,
    KEY_PEM,
    "sasl.oauthbearer.assertion.private.key.passphrase",
    TEMPLATE,
    "sasl.oauthbearer.assertion.claim.sub",
    "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.iss",
];

/// Whether nothing is wrong.
pub(super) fn check(check: &mut Check<'_>, kafka: &Kafka) -> bool {
    let before = check.problems.len();
    if kafka.token.provider.is_none() && kafka.token != Options::default() {
        let text = "say where tokens come from: write file or aws_msk_iam";
        check.missing(codes::SETTING_MISSING, "token.provider", text);
    }
    match kafka.mechanism() {
        Some("OAUTHBEARER") => tokens(check, kafka),
        Some("GSSAPI") if !features::has(features::KERBEROS) => {
            let key =
                match ["sasl.mechanism", "sasl.mechanisms"].map(|name| kafka.property(&[name])) {
                    [None, None] => "properties.\"security.protocol\"".to_owned(),
                    [None, _] => key_of(kafka, "sasl.mechanisms"),
                    _ => key_of(kafka, "sasl.mechanism"),
                };
            let text = "this program was built without Kerberos (GSSAPI, which is also what SASL means where no sasl.mechanism is set): build it with `--features gssapi`, or set sasl.mechanism to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
            check.missing(codes::WITHOUT_LOGIN, &key, text);
        }
        mechanism => {
            if kafka.token.provider.is_some() {
                let text = "tokens need security.protocol = \"SASL_SSL\" and sasl.mechanism = \"OAUTHBEARER\" in [kafka.properties]";
                check.missing(codes::NEEDS_ANOTHER, "token.provider", text);
            }
            let tokens = kafka.properties.keys().find(|name| is_of_tokens(name));
            if let Some(name) = tokens {
                let now = mechanism.unwrap_or("none, because security.protocol has no SASL");
                let text = format!(
                    "it does nothing: the mechanism is {now}. Set security.protocol = \"SASL_SSL\" and sasl.mechanism = \"OAUTHBEARER\", or leave it out"
                );
                check.missing(codes::NEEDS_ANOTHER, &key_of(kafka, name), &text);
            }
        }
    }
    check.problems.len() == before
}

fn is_of_tokens(name: &str) -> bool {
    name.starts_with("sasl.oauthbearer.") || name.starts_with("https.ca.")
}

/// The key of a property, whichever table it is in.
fn key_of(kafka: &Kafka, name: &str) -> String {
    if kafka.property_files.contains_key(name) {
        format!("property_files.\"{name}\"")
    } else {
        format!("properties.\"{name}\"")
    }
}

fn tokens(check: &mut Check<'_>, kafka: &Kafka) {
    let oidc = kafka.property(&[METHOD]) == Some("oidc");
    if kafka.token.provider.is_some() {
        return own(check, kafka);
    }
    if !oidc {
        let text = "OAUTHBEARER needs a token: set it to \"oidc\", with sasl.oauthbearer.token.endpoint.url, client.id and client.secret, or set kafka.token";
        check.missing(codes::SETTING_MISSING, &key_of(kafka, METHOD), text);
        return;
    }
    if !features::has(features::OIDC) {
        let text = "this program was built without OpenID Connect (librdkafka did not find curl): take a released program or image, or build it from a checkout of the sources";
        check.missing(codes::WITHOUT_LOGIN, &key_of(kafka, METHOD), text);
        return;
    }
    endpoint(check, kafka);
    if kafka.property(&[METADATA]) == Some("azure_imds") {
        return;
    }
    if kafka
        .property(&[GRANT])
        .is_some_and(|grant| grant != "client_credentials")
    {
        assertions(check, kafka);
        return;
    }
    for (names, why) in [
        (
            CLIENT_ID,
            "the token endpoint asks who we are: set it to the client id that it knows",
        ),
        (
            CLIENT_SECRET,
            "the token endpoint asks for the secret of this client: name the file that holds it",
        ),
    ] {
        let value = kafka.property(&names);
        let table = if names == CLIENT_SECRET {
            "property_files"
        } else {
            "properties"
        };
        if value.is_none_or(str::is_empty) {
            let key = format!("{table}.\"{}\"", names[0]);
            check.missing(codes::SETTING_MISSING, &key, why);
        }
    }
}

/// Tokens of our own.
fn own(check: &mut Check<'_>, kafka: &Kafka) {
    let token = &kafka.token;
    let librdkafkas = kafka.properties.keys().find(|name| is_of_tokens(name));
    if let Some(name) = librdkafkas {
        let text = "tokens come from kafka.token, so it does nothing: leave out one of them";
        check.missing(codes::EXCLUDES, &key_of(kafka, name), text);
    }
    let is_file = token.provider == Some(Provider::File);
    let of_file = [
        ("token.file", token.file.is_some()),
        ("token.lifetime", token.lifetime.is_some()),
    ];
    let of_aws = [
        ("token.region", token.region.is_some()),
        ("token.profile", token.profile.is_some()),
        ("token.role_arn", token.role_arn.is_some()),
        ("token.role_session_name", token.role_session_name.is_some()),
        ("token.role_external_id", token.role_external_id.is_some()),
    ];
    let (others, other) = if is_file {
        (&of_aws[..], "aws_msk_iam")
    } else {
        (&of_file[..], "file")
    };
    for (key, _) in others.iter().filter(|(_, is_set)| *is_set) {
        let text = format!("it belongs to kafka.token.provider = {other:?}: leave it out");
        check.missing(codes::EXCLUDES, key, &text);
    }
    if is_file {
        // It may not be there yet: what writes it starts beside this process.
        if token
            .file
            .as_ref()
            .is_none_or(|file| file.as_os_str().is_empty())
        {
            let text = "name the file that holds the token";
            check.missing(codes::SETTING_MISSING, "token.file", text);
        }
        if let Some(lifetime) = token.lifetime {
            check.between("token.lifetime", lifetime, "10s", "365d");
        }
        return;
    }
    match &token.region {
        None => {
            let text = "name the region of the cluster, such as \"eu-central-1\"";
            check.missing(codes::SETTING_MISSING, "token.region", text);
        }
        Some(region) => {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let good = !region.is_empty() && region.chars().all(good);
            let text = "a region such as \"eu-central-1\"";
            let shown = format_args!("{region:?}").to_string();
            check.must(codes::NAME_MALFORMED, good, "token.region", shown, text);
        }
    }
    if let Some(role) = &token.role_arn {
        let good = role.starts_with("arn:") && role.contains(":role/");
        let text = "a role such as \"arn:aws:iam::123456789012:role/sms\"";
        let shown = format_args!("{role:?}").to_string();
        check.must(codes::NAME_MALFORMED, good, "token.role_arn", shown, text);
        return;
    }
    for (key, _) in of_aws[3..].iter().filter(|(_, is_set)| *is_set) {
        let text = "it is for a role that is assumed: set kafka.token.role_arn, or leave it out";
        check.missing(codes::NEEDS_ANOTHER, key, text);
    }
}

fn endpoint(check: &mut Check<'_>, kafka: &Kafka) {
    let key = key_of(kafka, ENDPOINT);
    let Some(url) = kafka.property(&[ENDPOINT]) else {
        let azure = kafka.property(&[METADATA]) == Some("azure_imds");
        let config = kafka
            .property(&["sasl.oauthbearer.config"])
            .unwrap_or_default();
        let query = config
            .split(',')
            .any(|pair| pair.trim_start().starts_with("query="));
        match (azure, query) {
            (true, true) => {}
            (true, false) => check.missing(
                codes::SETTING_MISSING,
                &key_of(kafka, "sasl.oauthbearer.config"),
                "Azure's managed identity needs to know for what the token is: write such as \"query=api-version=2018-02-01&resource=api://kafka\"",
            ),
            _ => check.missing(
                codes::SETTING_MISSING,
                &key,
                "name the token endpoint, such as \"https://login.example.net/oauth2/token\"",
            ),
        }
        return;
    };
    let parsed = Url::parse(url).ok().filter(|url| {
        let http = matches!(url.scheme(), "http" | "https");
        http && url.has_host() && url.fragment().is_none()
    });
    let Some(parsed) = parsed else {
        let text = "not an address: write such as \"https://login.example.net/oauth2/token\"";
        check.missing(codes::ADDRESS_MALFORMED, &key, text);
        return;
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let text = "an address must not hold a password: set sasl.oauthbearer.client.id and client.secret instead";
        check.missing(codes::ADDRESS_MALFORMED, &key, text);
    }
    let location = kafka.property(&["https.ca.location"]);
    let pem = kafka.property(&["https.ca.pem"]);
    for (name, value) in [("https.ca.location", location), ("https.ca.pem", pem)] {
        if value.is_some() && parsed.scheme() == "http" {
            let text = "it does nothing: the token endpoint is not asked over TLS (http://). Write https:// there, or leave it out";
            check.missing(codes::NEEDS_ANOTHER, &key_of(kafka, name), text);
        }
    }
    if location.is_some() && pem.is_some() {
        let text = "name the authority in https.ca.location or in https.ca.pem, not in both";
        check.missing(codes::EXCLUDES, &key_of(kafka, "https.ca.pem"), text);
    }
    if let Some(location) = location.filter(|location| *location != "probe")
        && !Path::new(location).exists()
    {
        let text = "there is no such file: name one with the authority that signed the token endpoint's certificate";
        let key = key_of(kafka, "https.ca.location");
        let shown = format_args!("{location:?}").to_string();
        check.must(codes::FILE_MISSING, false, &key, shown, text);
    }
}

/// What a client shows in place of a secret: a token that somebody else gave it, or that it signs.
fn assertions(check: &mut Check<'_>, kafka: &Kafka) {
    let is_set = |name: &&str| kafka.property(&[name]).is_some();
    if is_set(&ASSERTION) {
        for name in OF_MADE_ASSERTIONS.iter().filter(|name| is_set(name)) {
            let text = format!(
                "the assertion is read from {ASSERTION}, so it does nothing: leave out one of them"
            );
            check.missing(codes::EXCLUDES, &key_of(kafka, name), &text);
        }
    } else if !is_set(&KEY_FILE) && !is_set(&KEY_PEM) {
        let text = format!(
            "an assertion has to be signed: name the private key in it, or a file with a made assertion in {ASSERTION}"
        );
        check.missing(codes::SETTING_MISSING, &key_of(kafka, KEY_FILE), &text);
    } else if is_set(&KEY_FILE) && is_set(&KEY_PEM) {
        let text = format!("the key is in {KEY_FILE} or here, not in both");
        check.missing(codes::EXCLUDES, &key_of(kafka, KEY_PEM), &text);
    }
    for name in [ASSERTION, KEY_FILE, TEMPLATE] {
        if let Some(file) = kafka.property(&[name])
            && let Err(error) = std::fs::File::open(file)
        {
            let text = format!("it cannot be read: {error}");
            let shown = format_args!("{file:?}").to_string();
            check.must(
                codes::FILE_MISSING,
                false,
                &key_of(kafka, name),
                shown,
                &text,
            );
        }
    }
}
