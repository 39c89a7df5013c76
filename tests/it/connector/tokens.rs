//! Logging in to Kafka with tokens: traffic goes on while they are renewed, and what is wrong is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, complaints_of_kafka};
use crate::harness::{Broker, FakeSmsc, Secured, TokenAnswer, TokenEndpoint, command, scratch};

/// A deployment whose clients log in with tokens: `properties` besides those that say so.
fn deployment(secured: &Secured, smsc: u16, partitions: i32, properties: &Value) -> Deployment {
    let mut it = Deployment::on(secured.broker.kafka(), smsc, partitions);
    let kafka = &mut it.config["kafka"];
    kafka["bootstrap_servers"] = json!(format!("127.0.0.1:{}", secured.port));
    kafka["properties"]["security.protocol"] = json!("SASL_PLAINTEXT");
    kafka["properties"]["sasl.mechanism"] = json!("OAUTHBEARER");
    for (name, value) in properties.as_object().expect("properties") {
        kafka["properties"][name] = value.clone();
    }
    it
}

fn oidc(endpoint: &TokenEndpoint, secret: &str) -> Value {
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
fn traffic_goes_on_while_librdkafka_renews_its_tokens() {
    let endpoint = TokenEndpoint::start(Duration::from_secs(8));
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let it = deployment(&secured, smsc.port(), 2, &oidc(&endpoint, "geheim"));
    let (pace, time) = (Duration::from_millis(500), Duration::from_secs(20));
    let (sent, log) = traffic(&it, &smsc, time, pace);
    assert!(sent > 200, "{sent}");
    assert!(!log.contains("geheim") && !log.contains("eyJ"), "{log}");
    // The clients that stay have had two more since.
    assert!(endpoint.given() > 20, "{} tokens", endpoint.given());
}

#[test]
fn traffic_goes_on_while_somebody_else_renews_a_token_in_a_file() {
    let endpoint = TokenEndpoint::start(Duration::from_secs(8));
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
                std::thread::sleep(Duration::from_secs(2));
                endpoint.write(&file, "sidecar");
            }
        })
    };
    let mut it = deployment(&secured, smsc.port(), 2, &json!({}));
    it.config["kafka"]["token"] = json!({ "provider": "file", "file": file });
    let (pace, time) = (Duration::from_millis(500), Duration::from_secs(20));
    let (sent, log) = traffic(&it, &smsc, time, pace);
    assert!(sent > 200, "{sent}");
    assert!(!log.contains("eyJ"), "{log}");
    assert_eq!(endpoint.given(), 0, "nobody asked the endpoint");

    let create = command(&it.toml(), &["topics", "create", "--partitions", "1"]);
    let said = String::from_utf8_lossy(&create.stderr);
    assert_eq!(create.status.code(), Some(69), "{said}");
    assert!(said.contains("KS-3025"), "{said}");
    let output = command(&it.toml(), &["check", "--connect"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    stop.store(true, Ordering::SeqCst);
    renewing.join().expect("it renews");
    std::fs::remove_file(&file).expect("the file is gone");
    let said = check(&it);
    assert!(
        said.contains("KS-3024") && said.contains("cannot be read"),
        "{said}"
    );
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

/// What `check --connect` says.
fn check(it: &Deployment) -> String {
    let output = command(&it.toml(), &["check", "--connect"]);
    assert!(!output.status.success());
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// One endpoint and one broker for all that goes wrong: the others do not share them.
#[test]
fn what_is_wrong_with_tokens_is_said_with_what_helps() {
    let endpoint = TokenEndpoint::start(Duration::from_secs(60));
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let mut it = deployment(&secured, smsc.port(), 1, &oidc(&endpoint, "falsch-geraten"));
    let said = check(&it);
    assert!(
        said.contains("KS-3026") && said.contains("invalid_client"),
        "{said}"
    );
    assert!(!said.contains("falsch-geraten"), "{said}");

    it.config["kafka"]["properties"]["sasl.oauthbearer.client.secret"] = json!("geheim");
    let page = "<html>Log in</html>".to_owned();
    endpoint.answer(Some(TokenAnswer::Say(200, "text/html", page)));
    let said = check(&it);
    assert!(
        said.contains("KS-3022") && said.contains("text/html"),
        "{said}"
    );
    let opaque = json!({ "access_token": "opaque-0123456789" }).to_string();
    endpoint.answer(Some(TokenAnswer::Say(200, "application/json", opaque)));
    let said = check(&it);
    assert!(
        said.contains("KS-3022") && !said.contains("opaque-01"),
        "{said}"
    );
    let strange = json!({ "access_token": endpoint.token_for("sms", "billing") }).to_string();
    endpoint.answer(Some(TokenAnswer::Say(200, "application/json", strange)));
    let said = check(&it);
    assert!(said.contains("KS-3023") && !said.contains("eyJ"), "{said}");

    endpoint.answer(None);
    let output = command(&it.toml(), &["check", "--connect"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    it.config["kafka"]["properties"]["sasl.oauthbearer.token.endpoint.url"] =
        json!("http://127.0.0.1:1/token");
    let said = check(&it);
    assert!(
        said.contains("KS-3021") && said.contains("127.0.0.1:1"),
        "{said}"
    );
}
