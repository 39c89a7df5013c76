//! Logging in to Kafka with tokens: traffic goes on while they are renewed, and what is wrong is said.
//!
//! ```text
//! cargo test --test it -- --ignored --nocapture connector::tokens     # with the ten minutes
//! cargo test --test it -- --ignored connector::tokens --skip ten_minutes
//! ```

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use nix::sys::signal::Signal::SIGTERM;
use serde_json::{Value, json};

use super::{Deployment, PATIENCE, complaints_of_kafka};
use crate::harness::{
    Broker, FakeSmsc, Secured, TokenAnswer, TokenEndpoint, command, command_by, eventually, scratch,
};

/// How long tokens live: each is renewed after four fifths of it, which must leave time enough where
/// others work beside us.
const LIFE: Duration = Duration::from_secs(30);

/// A deployment whose clients log in with tokens: `properties` besides those that say so.
pub(super) fn deployment(
    secured: &Secured,
    smsc: u16,
    partitions: i32,
    properties: &Value,
) -> Deployment {
    let mut it = Deployment::on(secured.broker.kafka(), smsc, partitions);
    // That it is slow here is not what is looked for.
    it.config["correlate"]["early_receipt_grace"] = json!("60s");
    let kafka = &mut it.config["kafka"];
    kafka["bootstrap_servers"] = json!(format!("127.0.0.1:{}", secured.port));
    kafka["session_timeout"] = json!("30s");
    kafka["transaction_timeout"] = json!("30s");
    kafka["properties"]["security.protocol"] = json!("SASL_PLAINTEXT");
    kafka["properties"]["sasl.mechanism"] = json!("OAUTHBEARER");
    for (name, value) in properties.as_object().expect("properties") {
        kafka["properties"][name] = value.clone();
    }
    it
}

pub(super) fn oidc(endpoint: &TokenEndpoint, secret: &str) -> Value {
    json!({
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": endpoint.url(),
        "sasl.oauthbearer.client.id": "sms",
        "sasl.oauthbearer.client.secret": secret,
    })
}

/// Sends records for so long, a few a second, and waits for their results: each has one, and it is
/// that the SMSC accepted it. How many, and what the process wrote to its log.
fn traffic(it: &Deployment, smsc: &FakeSmsc, time: Duration, pause: Duration) -> (usize, String) {
    let mut connector = it.start();
    smsc.wait_bound(2);
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < time {
        for partition in 0..2 {
            it.send_numbered(partition, sent..sent + 10);
            sent += 10;
        }
        assert!(connector.ended().is_none(), "{}", connector.log());
        std::thread::sleep(pause);
    }
    let results = it.results_within(sent, PATIENCE);
    assert_eq!(results.len(), sent);
    for (id, result) in &results {
        assert_eq!(result["accepted"], true, "{id}: {result:#}");
        assert_ne!(result["possible_duplicate"], true, "{id}: {result:#}");
    }
    assert_eq!(smsc.submits().len(), sent, "nothing was sent twice");
    assert_eq!(smsc.bound(), 2, "no bind was given up");
    let log = connector.log();
    let complaints = complaints_of_kafka(&log);
    assert!(complaints.is_empty(), "{complaints:#?}");
    (sent, log)
}

#[test]
#[ignore = "its tokens live for 30 s, which is short where much else runs: the command is above"]
fn traffic_goes_on_while_librdkafka_renews_its_tokens() {
    let endpoint = TokenEndpoint::start(LIFE);
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let it = deployment(&secured, smsc.port(), 2, &oidc(&endpoint, "geheim"));
    let (pace, time) = (Duration::from_secs(1), LIFE * 2);
    let (sent, log) = traffic(&it, &smsc, time, pace);
    assert!(sent > 40, "{sent}");
    assert!(!log.contains("geheim") && !log.contains("eyJ"), "{log}");
    // The clients that stay have had more since.
    assert!(endpoint.given() > 15, "{} tokens", endpoint.given());
}

#[test]
#[ignore = "its tokens live for 30 s, which is short where much else runs: the command is above"]
fn traffic_goes_on_while_somebody_else_renews_a_token_in_a_file() {
    let endpoint = TokenEndpoint::start(LIFE);
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let file = scratch("token").join("token");
    endpoint.write(&file, "sidecar");
    let stop = Arc::new(AtomicBool::new(false));
    let renewing = {
        let (endpoint, file, stop) = (endpoint.clone(), file.clone(), stop.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                // Long before the old one runs out, as what renews tokens does.
                std::thread::sleep(LIFE / 6);
                endpoint.write(&file, "sidecar");
            }
        })
    };
    let mut it = deployment(&secured, smsc.port(), 2, &json!({}));
    it.config["kafka"]["token"] = json!({ "provider": "file", "file": file });
    let (pace, time) = (Duration::from_secs(1), LIFE * 2);
    let (sent, log) = traffic(&it, &smsc, time, pace);
    assert!(sent > 40, "{sent}");
    assert!(!log.contains("eyJ"), "{log}");
    assert_eq!(endpoint.given(), 0, "nobody asked the endpoint");

    eventually("topics cannot be created, which is said", PATIENCE, || {
        let create = command(&it.toml(), &["topics", "create", "--partitions", "1"]);
        let said = String::from_utf8_lossy(&create.stderr);
        assert_eq!(create.status.code(), Some(69), "{said}");
        said.contains("KS-3025")
    });
    succeeds(&it);

    stop.store(true, Ordering::SeqCst);
    renewing.join().expect("it renews");
    std::fs::remove_file(&file).expect("the file is gone");
    check(&it, &["KS-3024", "cannot be read", "kafka.token.file"]);
}

#[test]
#[ignore = "ten minutes"]
fn ten_minutes_of_traffic_with_tokens_that_live_for_one() {
    let endpoint = TokenEndpoint::start(Duration::from_secs(60));
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let it = deployment(&secured, smsc.port(), 2, &oidc(&endpoint, "geheim"));
    let (pace, time) = (Duration::from_millis(250), Duration::from_secs(600));
    let (sent, log) = traffic(&it, &smsc, time, pace);
    let lines = log.lines().filter(|line| line.contains(" WARN ")).count();
    println!(
        "{sent} records in 600 s, each with one result; {} tokens given; {lines} warnings",
        endpoint.given()
    );
}

/// What `check --connect` says, when it says all that: on a machine that is busy a broker may not answer
/// in time, which is another error.
fn check(it: &Deployment, wanted: &[&str]) -> String {
    check_by(it, wanted, |_| {})
}

fn check_by(it: &Deployment, wanted: &[&str], change: impl Fn(&mut Command)) -> String {
    let mut said = String::new();
    eventually(&format!("check says {wanted:?}"), PATIENCE, || {
        let output = command_by(&it.toml(), &["check", "--connect"], &change);
        said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert!(!said.contains("eyJ"), "a token: {said}");
        let found = wanted.iter().all(|word| said.contains(word));
        if found {
            assert_eq!(output.status.code(), Some(69), "{said}");
        } else {
            eprintln!("{:?}: {said}", output.status);
        }
        found
    });
    said
}

fn succeeds(it: &Deployment) {
    eventually("check says that all is well", PATIENCE, || {
        let output = command(&it.toml(), &["check", "--connect"]);
        let well = output.status.success();
        if !well {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
        well
    });
}

/// One endpoint and one broker for all that goes wrong: the others do not share them.
#[test]
fn what_is_wrong_with_tokens_is_said_with_what_helps() {
    const PROPERTY: &str = "sasl.oauthbearer.token.endpoint.url";
    let endpoint = TokenEndpoint::start(Duration::from_secs(3600));
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let mut it = deployment(&secured, smsc.port(), 1, &oidc(&endpoint, "falsch-geraten"));
    let said = check(&it, &["KS-3026", "invalid_client", "client.secret"]);
    assert!(!said.contains("falsch-geraten"), "{said}");
    let encoded = BASE64.encode(b"sms:falsch-geraten");
    assert!(!said.contains(&encoded), "{said}");

    it.config["kafka"]["properties"]["sasl.oauthbearer.client.secret"] = json!("geheim");
    let url = endpoint.url();
    let with = |token: String| json!({ "access_token": token }).to_string();
    let padded = json!({ "sub": "sms", "exp": 4_000_000_000_u32, "pad": "x".repeat(1 << 20) });
    let large = format!(
        "e30.{}.c2ln",
        BASE64URL_NOPAD.encode(padded.to_string().as_bytes())
    );
    let (text, html, json) = ("text/plain", "text/html", "application/json");
    let page = "<p>Log in</p>".repeat(300);
    for (status, kind, body, wanted) in [
        (
            403,
            text,
            "not today".to_owned(),
            ["KS-3026", "not today", "client.secret"],
        ),
        (
            404,
            text,
            "nothing here".to_owned(),
            ["KS-3021", "nothing here", PROPERTY],
        ),
        (200, html, page.clone(), ["KS-3022", "text/html", PROPERTY]),
        (400, html, page, ["KS-3022", "Log in", PROPERTY]),
        (
            200,
            json,
            "\u{1}\u{fffd}{{{".to_owned(),
            ["KS-3022", "Failed to parse", PROPERTY],
        ),
        (
            200,
            json,
            with("opaque-0123456789".to_owned()),
            ["KS-3022", "JWT", PROPERTY],
        ),
        (
            200,
            json,
            with(endpoint.token_that_ran_out()),
            ["KS-3022", "unexpired", "clocks"],
        ),
        (
            200,
            json,
            with(endpoint.token_for("sms", "billing")),
            ["KS-3023", "audience", &url],
        ),
        (
            200,
            json,
            with(large),
            ["KS-3009", "larger than they take", "512 KiB"],
        ),
        (
            503,
            text,
            "come again".to_owned(),
            ["KS-3021", &url, PROPERTY],
        ),
    ] {
        endpoint.answer(Some(TokenAnswer::Say(status, kind, body)));
        let said = check(&it, &wanted);
        assert!(!said.contains("opaque-01"), "{said}");
    }
    // It takes the question, and answers when nobody waits any longer.
    endpoint.answer(Some(TokenAnswer::Late(Duration::from_secs(60))));
    check(&it, &["KS-3021", &url, PROPERTY]);

    endpoint.answer(Some(TokenAnswer::Late(Duration::from_millis(500))));
    succeeds(&it);

    it.config["kafka"]["properties"][PROPERTY] = json!("http://127.0.0.1:1/token");
    check(&it, &["KS-3021", "127.0.0.1:1", PROPERTY]);
}

#[test]
#[ignore = "its tokens live for 30 s, which is short where much else runs: the command is above"]
fn an_endpoint_that_is_away_for_longer_than_a_token_lives_stops_nothing_for_good() {
    let endpoint = TokenEndpoint::start(LIFE);
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let it = deployment(&secured, smsc.port(), 2, &oidc(&endpoint, "geheim"));
    let mut connector = it.start();
    smsc.wait_bound(2);
    it.send_numbered(0, 0..10);
    it.results_within(10, PATIENCE);
    let body = "come again".to_owned();
    endpoint.answer(Some(TokenAnswer::Say(503, "text/plain", body)));
    connector.wait_for_log("KS-3021", PATIENCE);
    it.send_numbered(0, 10..20);
    assert!(connector.ended().is_none(), "{}", connector.log());
    endpoint.answer(None);
    it.results_within(20, PATIENCE);

    // Nor does one that does not answer hold up the end.
    let asked = endpoint.asked();
    endpoint.answer(Some(TokenAnswer::Late(Duration::from_secs(600))));
    eventually("it is asked", PATIENCE, || endpoint.asked() > asked);
    connector.signal(SIGTERM);
    let ended = connector.wait(PATIENCE);
    let log = connector.log();
    // Kafka may be gone by then, so that it gives up at the end of `shutdown_timeout`.
    assert!(ended.success() || log.contains("KS-4005"), "{ended}");
    assert!(!log.contains("geheim") && !log.contains("eyJ"), "{log}");
}

#[test]
#[ignore = "its tokens live for 30 s, which is short where much else runs: the command is above"]
fn a_token_file_that_is_spoilt_is_said_and_the_next_good_one_is_taken() {
    let endpoint = TokenEndpoint::start(LIFE);
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let file = scratch("token").join("token");
    endpoint.write(&file, "sidecar");
    let mut it = deployment(&secured, smsc.port(), 2, &json!({}));
    it.config["kafka"]["token"] = json!({ "provider": "file", "file": file });
    let mut connector = it.start();
    smsc.wait_bound(2);
    let mut sent = 0;
    for (spoilt, wanted) in [
        (
            Some("verdorben und leer"),
            "must hold a token and nothing else",
        ),
        (Some(""), "is empty"),
        (None, "cannot be read"),
    ] {
        it.send_numbered(0, sent..sent + 10);
        sent += 10;
        it.results_within(sent, PATIENCE);
        match spoilt {
            Some(text) => std::fs::write(&file, text).expect("a file"),
            None => std::fs::remove_file(&file).expect("it was there"),
        }
        connector.wait_for_log(wanted, PATIENCE);
        assert!(connector.ended().is_none(), "{}", connector.log());
        endpoint.write(&file, "sidecar");
        // What renews it goes on.
        let (endpoint, file) = (endpoint.clone(), file.clone());
        eventually("all is bound", PATIENCE, || {
            endpoint.write(&file, "sidecar");
            std::thread::sleep(Duration::from_secs(1));
            smsc.bound() == 2
        });
    }
    connector.signal(SIGTERM);
    assert!(connector.wait(PATIENCE).success());
    let log = connector.log();
    assert!(
        log.contains("KS-3024") && log.contains("kafka.token.file"),
        "{log}"
    );
    assert!(!log.contains("verdorben") && !log.contains("eyJ"), "{log}");

    // Root reads all, so where root runs the tests, this user is another one.
    let is_root = std::fs::metadata("/proc/self").expect("Linux").uid() == 0;
    std::fs::set_permissions(&file, Permissions::from_mode(0o0)).expect("it is ours");
    check_by(
        &it,
        &["KS-3024", "kafka.token.file", "Permission denied"],
        |command| {
            if is_root {
                command.uid(65_534).gid(65_534);
            }
        },
    );
}

#[test]
fn credentials_of_aws_that_lack_a_part_are_said_by_its_name() {
    let endpoint = TokenEndpoint::start(Duration::from_secs(60));
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let mut it = deployment(&secured, smsc.port(), 1, &json!({}));
    it.config["kafka"]["token"] = json!({ "provider": "aws_msk_iam", "region": "eu-central-1" });
    let home = scratch("home");
    let url = endpoint.credentials_url();
    let lacking = json!({
        "AccessKeyId": "AKIAKANARIE", "Token": "Sittich-0123", "Expiration": "2099-01-01T00:00:00Z",
    });
    endpoint.lend_credentials(lacking, "Zeisig-4567");
    for (set, wanted) in [
        (
            vec![("AWS_ACCESS_KEY_ID", "AKIAKANARIE")],
            "AWS_SECRET_ACCESS_KEY is not",
        ),
        (
            vec![("AWS_SECRET_ACCESS_KEY", "Stieglitz-89")],
            "AWS_ACCESS_KEY_ID is not",
        ),
        (
            vec![
                ("AWS_ACCESS_KEY_ID", "AKIAKANARIE"),
                ("AWS_SECRET_ACCESS_KEY", ""),
            ],
            "secret access key is empty",
        ),
        (
            vec![
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/a"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/none"),
            ],
            "/none cannot be read",
        ),
        (
            vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")],
            "127.0.0.1 does not answer",
        ),
        (
            vec![
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*url),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Zeisig-4567"),
            ],
            "missing field `SecretAccessKey`",
        ),
    ] {
        let said = check_by(&it, &["KS-3024", wanted], |command| {
            command
                .env("HOME", &home)
                .env("AWS_EC2_METADATA_DISABLED", "true");
            command.envs(set.iter().copied());
        });
        for secret in ["Stieglitz", "Sittich", "Zeisig"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}
