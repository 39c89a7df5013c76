//! What Kafka and librdkafka say, and what becomes of it. The texts are librdkafka 2.12's.

use super::*;

fn client(properties: &[(&str, &str)]) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", "kafka.example:9093,other:9093");
    for (key, value) in properties {
        client.set(*key, *value);
    }
    client
}

const PLAIN: &[(&str, &str)] = &[
    ("security.protocol", "SASL_SSL"),
    ("sasl.mechanism", "PLAIN"),
    ("sasl.username", "sms"),
    ("sasl.password", "geheim"),
];

fn who() -> Who {
    Who::of(&client(PLAIN))
}

#[test]
fn a_broker_that_closes_connections_is_understood_by_their_state() {
    let closed = |protocol: &str, after: &str| {
        let who = Who::of(&client(&[
            ("security.protocol", protocol),
            ("sasl.mechanism", "PLAIN"),
        ]));
        let message = format!(
            "k:9093/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after {after}, 1 identical error(s) suppressed)"
        );
        explain(&who, None, &message, &Doing::Asking).why
    };
    let first = "5ms in state APIVERSION_QUERY";
    assert_eq!(closed("PLAINTEXT", first), Why::WantsTls);
    assert_eq!(closed("SASL_PLAINTEXT", first), Why::WantsTls);
    assert_eq!(closed("SSL", first), Why::Other(None));
    assert_eq!(closed("SSL", "5ms in state SSL_HANDSHAKE"), Why::NoTls);
    assert_eq!(closed("PLAINTEXT", "20ms in state UP"), Why::WantsSasl);
    assert_eq!(closed("PLAINTEXT", "60000ms in state UP"), Why::Other(None));
    assert_eq!(closed("SASL_SSL", "20ms in state UP"), Why::Other(None));
}

#[test]
fn the_principal_is_the_one_that_the_brokers_know() {
    let of = |properties| Who::of(&client(properties)).principal;
    assert_eq!(of(PLAIN).as_deref(), Some("User:sms"));
    assert_eq!(of(&[]).as_deref(), Some("User:ANONYMOUS"));
    assert_eq!(
        of(&[("security.protocol", "ssl")]).as_deref(),
        Some("User:ANONYMOUS")
    );
    let token = &[
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanisms", "OAUTHBEARER"),
    ];
    assert_eq!(of(token), None, "only the brokers know");
    let unreadable = &[
        ("security.protocol", "SSL"),
        ("ssl.certificate.pem", "nonsense"),
    ];
    assert_eq!(of(unreadable), None);
}

#[test]
fn a_right_that_is_missing_is_named_with_who_what_and_the_command() {
    let topics = ["sms.outbound".to_owned()];
    let several = ["sms.urgent".to_owned(), "sms.bulk".to_owned()];
    let member = |topics| Doing::Member {
        group: "sms.submit",
        topics,
    };
    let transaction = Doing::Transaction {
        id: "sms.submit.4f2a",
        group: Some("sms.submit"),
    };
    let (topic, group) = (
        Code::TopicAuthorizationFailed,
        Code::GroupAuthorizationFailed,
    );
    let id = Code::TransactionalIdAuthorizationFailed;
    let cluster = Code::ClusterAuthorizationFailed;
    let added = r#"Failed to add partition "sms.responses" [3] to transaction: Broker: Topic authorization failed"#;
    let subscribed = "Subscribed topic not available: sms.bulk: Broker: Topic authorization failed";
    for (code, message, doing, may_not, options) in [
        (
            topic,
            "",
            Doing::Describing("sms.errors"),
            "DESCRIBE on topic sms.errors",
            "--operation Describe --topic sms.errors",
        ),
        (
            topic,
            "",
            Doing::Reading("sms.correlation"),
            "READ on topic sms.correlation",
            "--operation Read --topic sms.correlation",
        ),
        (
            topic,
            "",
            Doing::Writing("sms.errors"),
            "WRITE on topic sms.errors",
            "--operation Write --topic sms.errors",
        ),
        (
            topic,
            "",
            Doing::Configs("sms.errors"),
            "DESCRIBE_CONFIGS on topic sms.errors",
            "--operation DescribeConfigs --topic sms.errors",
        ),
        (
            topic,
            "",
            Doing::Creating("sms.errors"),
            "CREATE on topic sms.errors",
            "--operation Create --topic sms.errors",
        ),
        (
            cluster,
            "",
            Doing::Creating("sms.errors"),
            "CREATE on topic sms.errors",
            "--operation Create --topic sms.errors",
        ),
        (
            topic,
            "Fetch from broker 1 failed: Broker: Topic authorization failed",
            member(&topics),
            "READ on topic sms.outbound",
            "--operation Read --topic sms.outbound",
        ),
        (
            topic,
            subscribed,
            member(&several),
            "READ on topic sms.bulk",
            "--operation Read --topic sms.bulk",
        ),
        (
            topic,
            "Fetch from broker 1 failed: Broker: Topic authorization failed",
            member(&several),
            "READ on one of the topics sms.urgent, sms.bulk",
            "--operation Read --topic sms.urgent --topic sms.bulk",
        ),
        (
            topic,
            added,
            transaction.clone(),
            "WRITE on topic sms.responses",
            "--operation Write --topic sms.responses",
        ),
        (
            group,
            "",
            member(&topics),
            "READ on group sms.submit",
            "--operation Read --group sms.submit",
        ),
        (
            group,
            "",
            transaction.clone(),
            "READ on group sms.submit",
            "--operation Read --group sms.submit",
        ),
        (
            id,
            "",
            transaction.clone(),
            "WRITE on transactional id sms.submit.4f2a",
            "--operation Write --transactional-id sms.submit. --resource-pattern-type prefixed",
        ),
        (
            cluster,
            "",
            Doing::Idempotent,
            "IDEMPOTENT_WRITE on the cluster",
            "--operation IdempotentWrite --cluster",
        ),
        (
            cluster,
            "",
            Doing::GroupConfigs("sms.submit"),
            "DESCRIBE_CONFIGS on group sms.submit",
            "--operation DescribeConfigs --group sms.submit",
        ),
        (
            group,
            "",
            Doing::GroupConfigs("sms.submit"),
            "DESCRIBE_CONFIGS on group sms.submit",
            "--operation DescribeConfigs --group sms.submit",
        ),
    ] {
        let cause = explain(&who(), Some(code), message, &doing);
        assert!(matches!(cause.why, Why::Denied { .. }), "{cause:?}");
        assert!(!cause.is_decided() && !cause.is_of_connection());
        let text = cause.to_string();
        assert!(
            text.starts_with(&format!("User:sms may not {may_not}. ")),
            "{text}"
        );
        let command = format!(
            "kafka-acls.sh --bootstrap-server kafka.example:9093 --add --allow-principal User:sms {options}"
        );
        assert!(text.contains(&command), "{text}\n{command}");
    }
}

#[test]
fn what_is_not_known_is_not_claimed() {
    for (code, doing) in [
        (Code::TopicAuthorizationFailed, Doing::Asking),
        (Code::GroupAuthorizationFailed, Doing::Asking),
        (
            Code::TopicAuthorizationFailed,
            Doing::Transaction {
                id: "a.b",
                group: None,
            },
        ),
        (Code::UnknownTopicOrPartition, Doing::Asking),
        (Code::PurgeQueue, Doing::Writing("sms.errors")),
        (Code::OperationTimedOut, Doing::Reading("sms.errors")),
    ] {
        let cause = explain(&who(), Some(code), "", &doing);
        assert_eq!(cause.why, Why::Other(Some(code)), "{doing:?}");
        assert!(!cause.to_string().is_empty());
        assert!(!cause.is_decided());
    }
}

#[test]
fn why_a_connection_cannot_be_used_is_told_apart() {
    let at = "sasl_ssl://kafka.example:9093/bootstrap: ";
    let transport = Some(Code::BrokerTransportFailure);
    let login = Some(Code::Authentication);
    let ssl = Some(Code::SSL);
    for (code, message, why, word) in [
        (
            login,
            "SASL authentication error: Authentication failed: Invalid username or password (after 5ms in state AUTH_REQ)",
            Why::Login,
            "refuse the login of User:sms with PLAIN",
        ),
        (
            login,
            "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-256,SCRAM-SHA-512",
            Why::Mechanism("SCRAM-SHA-256, SCRAM-SHA-512".into()),
            "only SCRAM-SHA-256, SCRAM-SHA-512",
        ),
        (
            login,
            "SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms: (after 1ms in state AUTH_HANDSHAKE)",
            Why::NoSasl,
            "set security.protocol in [kafka.properties] to SSL",
        ),
        (
            transport,
            "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after 3ms in state SSL_HANDSHAKE)",
            Why::NoTls,
            "to SASL_PLAINTEXT",
        ),
        (
            ssl,
            "SSL handshake failed: error:0A00010B:SSL routines::wrong version number: connecting to a PLAINTEXT broker listener?",
            Why::NoTls,
            "speaks no TLS",
        ),
        (
            transport,
            "Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL listener?) or broker version is < 0.10 (see api.version.request) (after 10ms in state APIVERSION_QUERY)",
            Why::WantsTls,
            "wants TLS",
        ),
        (
            transport,
            "Disconnected: verify that security.protocol is correctly configured, broker might require SASL authentication (after 20ms in state UP)",
            Why::WantsSasl,
            "may want SASL",
        ),
        (
            ssl,
            "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates are installed (add broker's CA certificate to /etc/ssl/certs)",
            Why::Certificate,
            "ssl.ca.location",
        ),
        (
            transport,
            "error:0A000086:SSL routines::certificate verify failed",
            Why::Certificate,
            "ssl.ca.location",
        ),
        (
            ssl,
            "Failed to verify broker certificate: hostname mismatch",
            Why::Certificate,
            "must name the host",
        ),
        (
            ssl,
            "SSL handshake failed: error:0A00045C:SSL routines::tlsv13 alert certificate required",
            Why::ClientCertificate,
            "ssl.certificate.location",
        ),
        (
            ssl,
            "SSL handshake failed: error:0A0000BF:SSL routines::no protocols available",
            Why::Tls,
            "no protocols available",
        ),
        (
            Some(Code::Resolve),
            "Failed to resolve 'kafka.example:9093': Name or service not known",
            Why::Name,
            "cannot be resolved",
        ),
        (
            transport,
            "Connect to ipv4#127.0.0.1:9093 failed: Connection refused (after 0ms in state CONNECT)",
            Why::Unreachable,
            "Connection refused)",
        ),
        (
            Some(Code::AllBrokersDown),
            "1/1 brokers are down",
            Why::Unreachable,
            "no broker answers at kafka.example:9093",
        ),
    ] {
        let cause = explain(&who(), code, &format!("{at}{message}"), &Doing::Asking);
        assert_eq!(cause.why, why, "{message}");
        let text = cause.to_string();
        assert!(text.contains(word), "{text}");
        assert!(
            !text.contains("geheim") && !text.contains(" (after "),
            "{text}"
        );
    }
}

#[test]
fn a_topic_that_is_not_there_is_named_with_the_command() {
    for doing in [
        Doing::Describing("sms.responses"),
        Doing::Writing("sms.responses"),
        Doing::Reading("sms.responses"),
    ] {
        for code in [Code::UnknownTopicOrPartition, Code::UnknownTopic] {
            let text = explain(&who(), Some(code), "", &doing).to_string();
            assert_eq!(
                text,
                "topic sms.responses does not exist: kafka-smpp topics create makes it"
            );
        }
    }
}

#[test]
fn a_property_that_is_wrong_is_named_without_its_value() {
    let mut client = client(PLAIN);
    client.set("sasl.mechanism", "geheim-2");
    let made = client.create::<rdkafka::consumer::BaseConsumer>();
    let error = made.err().expect("no such mechanism");
    let cause = of_error(&Who::of(&client), &error, &Doing::Asking);
    assert_eq!(cause.why, Why::Properties);
    let text = cause.to_string();
    assert!(text.contains("[kafka.properties]"), "{text}");
    assert!(!text.contains("geheim\""), "{text}");
}

#[test]
fn words_of_a_shell_are_quoted_where_they_must_be() {
    assert_eq!(quoted("User:sms"), "User:sms");
    assert_eq!(quoted("User:CN=a b,O=x"), "'User:CN=a b,O=x'");
    assert_eq!(quoted("it's"), r"'it'\''s'");
}

/// With tokens, from librdkafka's endpoint or from a source of ours.
const TOKENS: &[(&str, &str)] = &[
    ("security.protocol", "SASL_SSL"),
    ("sasl.mechanism", "OAUTHBEARER"),
];
const OIDC: &[(&str, &str)] = &[
    ("security.protocol", "SASL_SSL"),
    ("sasl.mechanism", "OAUTHBEARER"),
    ("sasl.oauthbearer.method", "oidc"),
    (
        "sasl.oauthbearer.token.endpoint.url",
        "https://login.example.net/token?tenant=one",
    ),
];

#[test]
fn who_gives_us_no_token_is_told_apart_from_who_refuses_it() {
    let authentication = Some(Code::Authentication);
    for (properties, code, message, why, said) in [
        (
            OIDC,
            None,
            r#"[thrd:background]: Failed to retrieve OIDC token from "https://login.example.net/token?tenant=one": {"error":"invalid_client"} (401)"#,
            Why::TokenRefused,
            r#"https://login.example.net/token gives us no token ({"error":"invalid_client"} (401)): put"#,
        ),
        (
            OIDC,
            None,
            r#"Failed to retrieve OIDC token from "https://login.example.net/token": Failed to connect to login.example.net port 443 after 3 ms: Couldn't connect to server (-1)"#,
            Why::TokenEndpoint,
            "after 3 ms: Couldn't connect to server): is",
        ),
        (
            OIDC,
            None,
            r#"Failed to retrieve JWT token from "https://login.example.net/token": slow down (429)"#,
            Why::TokenEndpoint,
            "(slow down (429))",
        ),
        (
            OIDC,
            None,
            r#"Failed to retrieve OIDC token from "https://login.example.net/token": nothing here (404)"#,
            Why::TokenEndpoint,
            "(nothing here (404)): is sasl.oauthbearer.token.endpoint.url right",
        ),
        (
            OIDC,
            None,
            r#"Failed to retrieve OIDC token from "https://login.example.net/token": wait, ogwait, ogwait, og (503)"#,
            Why::TokenEndpoint,
            "(wait, og (503))",
        ),
        (
            OIDC,
            None,
            r#"Failed to retrieve OIDC token from "https://login.example.net/token": Response is not JSON encoded: text/html (200)"#,
            Why::TokenUnusable,
            "text/html",
        ),
        (
            OIDC,
            authentication,
            r#"Failed to acquire SASL OAUTHBEARER token: Expected JSON JWT response with "exp" field"#,
            Why::TokenUnusable,
            "\"exp\" field",
        ),
        (
            OIDC,
            authentication,
            "Failed to acquire SASL OAUTHBEARER token: Must supply an unexpired token: now=2ms, exp=1ms",
            Why::TokenUnusable,
            "clocks",
        ),
        (
            OIDC,
            authentication,
            "Failed to acquire SASL OAUTHBEARER token: Failed to create JWT assertion",
            Why::NoToken,
            "no assertion",
        ),
        (
            TOKENS,
            authentication,
            "Failed to acquire SASL OAUTHBEARER token: the file /t cannot be read: No such file",
            Why::NoToken,
            "there is no token for Kafka: the file /t cannot be read",
        ),
        (
            OIDC,
            authentication,
            r#"sasl_ssl://k:9093/bootstrap: SASL authentication error: {"status":"invalid_token"} (after 5ms in state AUTH_REQ)"#,
            Why::Token,
            r#"refuse the token (sasl_ssl://k:9093/bootstrap: SASL authentication error: {"status":"invalid_token"})"#,
        ),
        (
            TOKENS,
            authentication,
            r#"k:9093/1: SASL OAUTHBEARER authentication failed (principal=sms): {"status":"invalid_token"}"#,
            Why::Token,
            "see [kafka.token]",
        ),
    ] {
        let who = Who::of(&client(properties));
        let cause = explain(&who, code, message, &Doing::Asking);
        assert_eq!(cause.why, why, "{message}");
        let text = cause.to_string();
        assert!(text.contains(said), "{text}");
        assert!(!text.contains("tenant"), "{text}");
        assert!(cause.is_of_connection(), "{text}");
        assert_eq!(cause.is_decided(), why == Why::TokenRefused, "{text}");
        assert_eq!(cause.is_of_token(), why != Why::Token, "{text}");
    }
    let page = "x ".repeat(2000);
    let message = format!("Failed to retrieve OIDC token from \"https://l/\": {page} (403)");
    let cause = explain(&Who::of(&client(OIDC)), None, &message, &Doing::Asking);
    assert!(cause.to_string().len() < 900, "{cause}");
    // librdkafka cuts its lines, and so the code.
    let message = format!("Failed to acquire SASL OAUTHBEARER token: {page}");
    let cause = explain(
        &Who::of(&client(OIDC)),
        authentication,
        &message,
        &Doing::Asking,
    );
    assert_eq!(cause.why, Why::TokenUnusable);
}

#[test]
fn a_token_that_is_too_large_and_one_that_does_not_come_are_told_apart_from_brokers_that_are_away()
{
    let lost = "sasl_plaintext://k:9093/bootstrap: SASL authentication error: SaslAuthenticateRequest failed: Local: Broker transport failure (after 3ms in state AUTH_REQ)";
    for (properties, is_said) in [(PLAIN, false), (TOKENS, true), (OIDC, true)] {
        let who = Who::of(&client(properties));
        let cause = explain(
            &who,
            Some(Code::BrokerTransportFailure),
            lost,
            &Doing::Asking,
        );
        assert_eq!(cause.why, Why::Unreachable);
        let text = cause.to_string();
        assert_eq!(text.contains("larger than they take"), is_said, "{text}");
    }
    let after = std::time::Duration::from_secs(10);
    for properties in [PLAIN, TOKENS] {
        assert_eq!(none_yet(&Who::of(&client(properties)), after), None);
    }
    let cause = none_yet(&Who::of(&client(OIDC)), after).unwrap();
    assert_eq!(cause.code(), codes::TOKEN_ENDPOINT);
    let text = cause.to_string();
    let wanted = "no token comes from https://login.example.net/token (none in 10 s, after";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn a_connection_that_was_lost_in_a_handshake_says_nothing_of_mechanisms() {
    let failed = |properties, said: &str| {
        let who = Who::of(&client(properties));
        let message = format!(
            "SASL OAUTHBEARER mechanism handshake failed: {said} (after 3ms in state AUTH_HANDSHAKE)"
        );
        explain(&who, Some(Code::Authentication), &message, &Doing::Asking)
    };
    let lost = "Local: Broker transport failure: broker's supported mechanisms: (n/a)";
    for properties in [PLAIN, TOKENS, OIDC] {
        assert_eq!(failed(properties, lost).why, Why::Unreachable);
    }
    // A listener without SASL says this, and one that was asked for a second login too soon.
    let strange =
        "Broker: Request not valid in current SASL state: broker's supported mechanisms: ";
    assert!(failed(PLAIN, strange).is_decided());
    let cause = failed(TOKENS, strange);
    assert_eq!(cause.why, Why::NoSasl);
    assert!(!cause.is_decided());
}

#[test]
fn what_takes_an_administrative_client_says_so_with_tokens_of_our_own() {
    let mut client = client(TOKENS);
    let options = crate::kafka::token::Options {
        provider: Some(crate::kafka::token::Provider::File),
        ..Default::default()
    };
    options.add(&mut client);
    let error = super::super::topics::admin(&client).err().unwrap();
    let cause = of_error(&Who::of(&client), &error, &Doing::Asking);
    assert_eq!(cause.why, Why::NoAdmin);
    assert!(
        cause
            .to_string()
            .contains("Create topics with Kafka's own tools")
    );
}
