//! What is secret comes out nowhere: each secret is a word that stands nowhere else, errors of every kind
//! happen, and all that comes out is searched. What is in the log besides is held by `masked`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGABRT, SIGTERM};
use serde_json::{Value, json};

use super::tokens::{deployment, oidc};
use super::{Deployment, PATIENCE, rights};
use crate::harness::http::{ask, get};
use crate::harness::{
    Broker, Connector, FakeSmsc, Reply, Send, TokenAnswer, TokenEndpoint, command, eventually,
    free_port, scratch,
};

/// Passwords and tokens, each with where it is set.
const SECRETS: [(&str, &str); 10] = [
    ("the ESME's password", "Qz7pWx4k"),
    ("the password of outbind", "Hv3nLb9t"),
    ("a password of outbind that is wrong", "Hv3nLb9u"),
    ("the token of HTTP", "Jd8sRf2m-Tc6yGk1w"),
    ("the password of SASL", "Xn5bVq0z-Ep4uMh7j"),
    ("the passphrase of a TLS key", "Wr9cKs3f-Bd1xZo6l"),
    ("the registry's password", "Lm2gYt8v-Na5eQi0p"),
    ("the key of hashed numbers", "Uf4hCj6r-Sw3kDx9b"),
    ("a header of the collector", "Gp1vNz7q-Kt5mHy2c"),
    ("a token that is wrong", "Jd8sRf2m-Tc6yGk1x"),
];
/// Of a message.
const TEXT: &str = "Purpurschnecke";
const NUMBER: &str = "41798812346";

fn secret(what: &str) -> &'static str {
    let found = SECRETS.iter().find(|(name, _)| *name == what);
    found.expect("one of them").1
}

/// Whether a text has none of these words.
fn has_none<'a>(of: &str, text: &str, words: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (what, word) in words {
        if let Some(at) = text.find(word) {
            let from = text.floor_char_boundary(at.saturating_sub(200));
            let to = text.ceil_char_boundary((at + 200).min(text.len()));
            panic!("{what} ({word}) is in {of}: ...{}...", &text[from..to]);
        }
    }
}

/// A deployment that has all secrets.
fn secretive(smsc: u16, port: u16) -> Deployment {
    let mut it = Deployment::new(smsc, 1);
    it.config["http"] = json!({
        "listen": format!("127.0.0.1:{port}"),
        "token": secret("the token of HTTP"),
    });
    it.config["log"] = json!({
        "level": "trace", "format": "json", "numbers": "hash",
        "numbers_key": secret("the key of hashed numbers"),
    });
    it.config["otel"] =
        json!({ "headers": { "authorization": secret("a header of the collector") } });
    let properties = &mut it.config["kafka"]["properties"];
    properties["sasl.username"] = json!("sms");
    properties["sasl.password"] = json!(secret("the password of SASL"));
    properties["ssl.key.password"] = json!(secret("the passphrase of a TLS key"));
    properties["debug"] = json!("security,broker,conf");
    it.config["topics"]["trace"] = json!(it.topic("trace"));
    it.config["trace"] = json!({ "sample": 1.0 });
    it.config["schema_registry"] = json!({
        "urls": ["http://127.0.0.1:1"], "username": "me",
        "password": secret("the registry's password"),
    });
    it.esme()["password"] = json!(secret("the ESME's password"));
    for stem in ["trace", "beta"] {
        it.kafka.topic(&it.topic(stem), 1, &[]);
    }
    let beta = json!({
        "name": "beta",
        "outbound": [it.topic("beta")],
        "hosts": [],
        "system_id": "beta",
        "password": secret("the ESME's password"),
        "outbind": {
            "listen": format!("127.0.0.1:{}", free_port()),
            "password": secret("the password of outbind"),
        },
    });
    it.config["esme"].as_array_mut().expect("a list").push(beta);
    it
}

/// What all topics have, those left out that are for texts and numbers.
fn topics(it: &Deployment, stems: &[&str]) -> BTreeMap<String, String> {
    let text = |stem: &&str| {
        let topic = it.topic(stem);
        let all = it.kafka.octets(&topic);
        let all: Vec<String> = all
            .iter()
            .map(|o| String::from_utf8_lossy(o).into_owned())
            .collect();
        (topic, all.join("\n"))
    };
    stems.iter().map(text).collect()
}

fn pages(port: u16) -> BTreeMap<String, String> {
    let paths = [
        "/",
        "/live",
        "/ready",
        "/status",
        "/processes",
        "/history",
        "/metrics",
        "/steer",
        "/none",
    ];
    let page = |path: &str| {
        let (_, body) = get(port, path).expect("an answer");
        (path.to_owned(), body)
    };
    paths.into_iter().map(page).collect()
}

/// Strangers at the listener for outbind: one with a wrong password, then one whose password has no end.
fn outbinds(it: &Deployment, connector: &Connector) {
    let listen = it.config["esme"][1]["outbind"]["listen"].as_str();
    let listen = listen.expect("an address");
    let wrong = secret("a password of outbind that is wrong").as_bytes();
    for (end, told) in [
        (&b"\0"[..], "its outbind has another password"),
        (b"", "its outbind cannot be read"),
    ] {
        let body = [b"stranger\0", wrong, end].concat();
        let length = u32::try_from(16 + body.len()).expect("short");
        let words = [length, 0x0000_000B, 0, 1].map(u32::to_be_bytes);
        let pdu = [&words.concat()[..], &body].concat();
        // It listens while it has a lease and no session; a connection that it had not taken when a lease
        // ended is reset.
        let knock = || {
            let mut stranger = TcpStream::connect(listen)?;
            stranger.set_read_timeout(Some(Duration::from_secs(30)))?;
            stranger.write_all(&pdu)?;
            let mut answer = Vec::new();
            let dropped = stranger.read_to_end(&mut answer);
            assert!(answer.is_empty(), "without an answer: {answer:?}");
            dropped
        };
        // It tells of one stranger each second, and of a stranger whom it has dropped already: it may tell
        // of the next one first, and of the one before not at all.
        eventually(told, PATIENCE, || {
            if let Err(error) = knock() {
                use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
                let again = [ConnectionRefused, ConnectionReset, BrokenPipe];
                assert!(again.contains(&error.kind()), "{error}");
            }
            std::thread::sleep(Duration::from_millis(1100));
            connector.log().contains(told)
        });
    }
}

/// Orders with a wrong token, and with none that can be read.
fn knocks(port: u16) -> String {
    let mut said = String::new();
    for (token, body) in [
        (secret("a token that is wrong"), "{\"action\":\"pause\"}"),
        (
            secret("the token of HTTP"),
            "{\"action\":\"fly\",\"esme\":\"acme\"}",
        ),
        (secret("the token of HTTP"), "{\"action\":"),
    ] {
        let length = body.len();
        let request = format!(
            "POST /steer HTTP/1.1\r\nhost: it\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let (code, text) = ask(port, &request).expect("an answer");
        assert!((400..500).contains(&code), "{code} {text}");
        said.push_str(&text);
    }
    said
}

fn records() -> Vec<Vec<u8>> {
    let good = json!({ "destination": NUMBER, "short_message": TEXT, "log_id": "m" });
    let good = good.to_string().into_bytes();
    vec![
        good[..good.len() - 2].to_vec(),
        json!({ "destination": TEXT, "short_message": NUMBER })
            .to_string()
            .into_bytes(),
        json!({ "destination": NUMBER, "short_message": { "hex": TEXT } })
            .to_string()
            .into_bytes(),
        json!({ "destination": NUMBER, TEXT: NUMBER })
            .to_string()
            .into_bytes(),
        TEXT.as_bytes().to_vec(),
        good.clone(),
        good,
    ]
}

fn file(it: &Deployment, more: &[(&str, Value)]) -> String {
    let mut config = it.config.clone();
    for (pointer, value) in more {
        *config.pointer_mut(pointer).expect(pointer) = value.clone();
    }
    toml::to_string(&config).expect("TOML")
}

/// What commands say of configurations that are wrong somewhere beside a secret, and of Kafkas that
/// refuse it.
fn commands(it: &Deployment) -> String {
    let good = file(it, &[]);
    let of = |what: &str| format!("{:?}", secret(what));
    let registry = of("the registry's password");
    let broken = [
        good.clone(),
        good.replace(&of("the ESME's password"), &format!("{}.", secret("the ESME's password"))),
        good.replace(&of("the ESME's password"), &format!("[{}]", of("the ESME's password"))),
        good.replace(&of("the ESME's password"), &of("the token of HTTP")),
        good.replace(&of("the token of HTTP"), &format!("{{ a = {} }}", of("the token of HTTP"))),
        good.replace(&of("the token of HTTP"), &format!("\"{} \"", secret("the token of HTTP"))),
        good.replace(&registry, &format!("\"{}\\u0007\"", secret("the registry's password"))),
        good.replace("http://127.0.0.1:1", &format!("http://me:{}@127.0.0.1:x", secret("the registry's password"))),
        good.replace("http://127.0.0.1:1", &format!("http://me:{}@127.0.0.1:1", secret("the registry's password"))),
        good.replace("sasl.password", "sasl.pasword"),
        good.replace("numbers_key", "numbers_kay"),
        format!("{good}\n[http2]\ntoken = {}\n", of("the token of HTTP")),
        file(it, &[
            ("/kafka/bootstrap_servers", json!(format!("127.0.0.1:{}", rights::secured().port))),
            ("/kafka/properties/debug", json!("all")),
        ])
        .replace("\"sasl.username\"", "\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\""),
    ];
    let mut said = String::new();
    let first_and_last = [0, broken.len() - 1];
    for (n, toml) in broken.iter().enumerate() {
        let asks_others = [&["check", "--connect"][..], &["status"]];
        let asks_others = asks_others.iter().filter(|_| first_and_last.contains(&n));
        for args in [&["check"][..]].iter().chain(asks_others) {
            let output = command(toml, args);
            assert_ne!(output.status.code(), Some(101), "{args:?} panics");
            for octets in [&output.stdout, &output.stderr] {
                said.push_str(&String::from_utf8_lossy(octets));
            }
        }
    }
    for args in [&["--help"][..], &["run", "--help"], &["check", "--help"]] {
        said.push_str(&String::from_utf8_lossy(&command(&good, args).stdout));
    }
    said
}

#[test]
fn no_secret_comes_out() {
    let smsc = FakeSmsc::start();
    let port = free_port();
    let it = secretive(smsc.port(), port);
    let mut turn = 0;
    smsc.script(move |_| {
        turn += 1;
        if turn % 2 == 0 {
            Reply::Accept
        } else {
            Reply::Status(0x0B)
        }
    });
    // ESME_RINVPASWD.
    smsc.refuse_binds(0x0E);
    let mut connector = it.start();
    connector.wait_for_log("ESME_RINVPASWD", PATIENCE);
    smsc.refuse_binds(0);
    smsc.wait_bound(1);
    let records = records();
    let sent: Vec<Send<'_>> = records
        .iter()
        .map(|value| Send {
            value: Some(value),
            ..Send::default()
        })
        .collect();
    it.kafka.produce(&it.topic("outbound"), &sent);
    smsc.deliver(0, NUMBER, "1000", TEXT.as_bytes());
    smsc.deliver(0, TEXT, NUMBER, &[0xFF; 3]);
    eventually("all end", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(300));
        it.events()
            .iter()
            .filter(|event| event["terminal"] == true)
            .count()
            >= records.len()
    });
    smsc.drop_connections();
    smsc.wait_bound(1);
    outbinds(&it, &connector);
    let secrets = || SECRETS.iter().copied();
    let contents = || [("a text", TEXT), ("a number", NUMBER)];
    has_none("an answer to a wrong order", &knocks(port), secrets());
    for (path, page) in pages(port) {
        has_none(&path, &page, secrets().chain(contents()));
    }
    let line = std::fs::read(format!("/proc/{}/cmdline", connector.pid())).expect("Linux");
    has_none(
        "the command line",
        &String::from_utf8_lossy(&line),
        secrets(),
    );
    connector.signal(SIGTERM);
    connector.wait(Duration::from_secs(30));
    let log = connector.log();
    assert!(log.contains("TRACE"), "it is at trace");
    has_none("the log", &log, secrets().chain(contents()));
    for (topic, text) in topics(
        &it,
        &["status", "control", "notifications", "correlation", "trace"],
    ) {
        assert!(
            topic.ends_with("control") || !text.is_empty(),
            "{topic} has something"
        );
        has_none(&topic, &text, secrets().chain([("a text", TEXT)]));
    }
    for (topic, text) in topics(
        &it,
        &[
            "outbound",
            "responses",
            "errors",
            "receipts",
            "inbound",
            "deliveries",
        ],
    ) {
        has_none(&topic, &text, secrets());
    }
    has_none("what commands say", &commands(&it), secrets());
}

/// What logs in to Kafka with tokens, each with where it is set.
const OF_TOKENS: [(&str, &str); 8] = [
    ("the client's secret", "Bk6wJr1s-Yq8cTz5n"),
    // `sms:` and the secret, as it goes to the endpoint.
    ("the client's authorization", "c21zOkJrNndKcjFzLVlxOGNUejVu"),
    ("a token that is no JWT", "Vt2xLp9h-Mg4kWd7a"),
    ("the secret access key", "Fz8nQs3j-Rx6vBy0e"),
    ("the session token", "Cw5uKm2g-Ph9tJf4i"),
    ("the authorization for credentials", "Sy1oXa7r-Zl3dNe6b"),
    // Of every JWT, and of every token for MSK.
    ("a JWT", "eyJ"),
    ("a token for MSK", "aHR0cHM6Ly9rYWZrYS4"),
];

/// Tokens, and what they are had with, are as secret as passwords: whoever says them again, whatever goes
/// wrong, and however much is in the log.
#[test]
fn no_token_comes_out() {
    let of = |what: &str| {
        let found = OF_TOKENS.iter().find(|(name, _)| *name == what);
        found.expect("one of them").1
    };
    let endpoint = TokenEndpoint::start(Duration::from_secs(20));
    let secured = Broker::start_with_tokens(&endpoint);
    let smsc = FakeSmsc::start();
    let debug = json!({ "debug": "security,broker,conf,protocol" });
    let mut it = deployment(&secured, smsc.port(), 1, &debug);
    it.config["log"] = json!({ "level": "trace", "format": "json" });
    let plain = it.config.clone();
    let mut said = String::new();
    let mut ends = |mut connector: Connector, toml: &str| {
        connector.signal(SIGTERM);
        connector.wait(PATIENCE);
        let log = connector.log();
        assert!(log.contains("TRACE"), "it is at trace");
        said.push_str(&log);
        for args in [&["check"][..], &["check", "--connect"]] {
            let output = command(toml, args);
            for octets in [&output.stdout, &output.stderr] {
                said.push_str(&String::from_utf8_lossy(octets));
            }
        }
    };

    // The endpoint knows the secret `geheim`, and repeats what it was shown.
    let secret = of("the client's secret");
    let properties = oidc(&endpoint, secret);
    for (name, value) in properties.as_object().expect("properties") {
        it.config["kafka"]["properties"][name] = value.clone();
    }
    let mut connector = it.start();
    connector.wait_for_log("KS-3026", PATIENCE);
    ends(connector, &it.toml());
    let of_answer = |answer: Value| {
        Some(TokenAnswer::Say(
            400,
            "application/json",
            answer.to_string(),
        ))
    };
    let token = of("a token that is no JWT");
    endpoint.know(secret);
    let mut connector = it.start();
    smsc.wait_bound(1);
    for (answer, wanted) in [
        (
            json!({ "error": "invalid_grant", "access_token": token }),
            "invalid_grant",
        ),
        (
            json!({ "error": "invalid_scope", "id_token": endpoint.token("sms") }),
            "invalid_scope",
        ),
        (
            json!({ "error": "access_denied", "hint": format!("not by {secret}") }),
            "access_denied",
        ),
    ] {
        endpoint.answer(of_answer(answer));
        connector.wait_for_log(wanted, PATIENCE);
    }
    ends(connector, &it.toml());

    it.config = plain.clone();
    let file = scratch("token").join("token");
    it.config["kafka"]["token"] = json!({ "provider": "file", "file": file });
    endpoint.write(&file, "sms");
    let mut connector = it.start();
    connector.wait_for_log("OAUTHBEARER", PATIENCE);
    std::fs::write(&file, token).expect("a file");
    connector.wait_for_log("KS-3024", PATIENCE);
    it.config["kafka"]["token"]["lifetime"] = json!("1h");
    ends(connector, &it.toml());

    it.config = plain;
    it.config["kafka"]["token"] = json!({ "provider": "aws_msk_iam", "region": "eu-central-1" });
    let of_credentials = |expiration: &str| {
        json!({
            "AccessKeyId": "AKIAKANARIE", "SecretAccessKey": of("the secret access key"),
            "Token": of("the session token"), "Expiration": expiration,
        })
    };
    let lent_to = of("the authorization for credentials");
    let (home, url) = (scratch("home"), endpoint.credentials_url());
    let env = [
        ("HOME", home.to_str().expect("UTF-8")),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", lent_to),
    ];
    for (expiration, to, wanted) in [
        // No broker of ours takes a token for MSK.
        ("2099-01-01T00:00:00Z", lent_to, "KS-3023"),
        (
            of("the session token"),
            lent_to,
            "failed to parse ECS credential",
        ),
        (
            "2099-01-01T00:00:00Z",
            "somebody else",
            "nobody is known by",
        ),
    ] {
        endpoint.lend_credentials(of_credentials(expiration), to);
        let mut connector = Connector::start_with(&it.toml(), &env);
        connector.wait_for_log(wanted, PATIENCE);
        ends(connector, &it.toml());
    }
    has_none("what came out", &said, OF_TOKENS);
}

/// A core dump has passwords in it, whatever is done: none is written.
#[test]
fn a_crash_writes_no_core_dump() {
    use std::os::unix::process::ExitStatusExt;
    let limit = |connector: &Connector| {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", connector.pid()));
        let limits = limits.expect("Linux");
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        line.expect("a limit")
            .split_whitespace()
            .nth(4)
            .map(str::to_owned)
    };
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let mut connector = it.start();
    smsc.wait_bound(1);
    assert_eq!(limit(&connector).as_deref(), Some("0"));
    connector.signal(SIGABRT);
    let ended = connector.wait(Duration::from_secs(30));
    assert!(
        ended.signal() == Some(6) && !ended.core_dumped(),
        "{ended:?}"
    );
}

/// Another process of the same user reads neither its memory nor its environment, but with `core_dumps`.
/// Root reads all, so where root runs the tests, this user is another one.
#[cfg(target_os = "linux")]
#[test]
fn no_process_of_the_same_user_looks_into_it() {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// Nobody, by its usual number.
    const NOBODY: u32 = 65_534;
    let owner = |of: &str| {
        std::fs::metadata(format!("/proc/{of}"))
            .expect("Linux")
            .uid()
    };
    let root = owner("self") == 0;
    let user = if root { NOBODY } else { owner("self") };
    let by_user = |command: &mut Command| {
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    for dumps in [false, true] {
        it.config["core_dumps"] = json!(dumps);
        let toml = it.toml();
        let connector = Connector::start_by(&toml, &[("PLANTED", TEXT)], by_user);
        smsc.wait_bound(1);
        let read = |name: &str| {
            let mut cat = Command::new("cat");
            by_user(cat.arg(format!("/proc/{}/{name}", connector.pid())));
            let done = cat.output().expect("cat starts");
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
        };
        let environment = read("environ");
        assert_eq!(environment.contains(TEXT), dumps, "{environment}");
        let maps = read("maps");
        assert_eq!(maps.contains("kafka-smpp"), dumps, "{maps}");
        let refused = environment.contains("denied") && maps.contains("denied");
        assert_eq!(refused, !dumps, "{environment} {maps}");
        // Nor can it open what is written to.
        let memory = owner(&format!("{}/mem", connector.pid()));
        assert_eq!(memory, if dumps { user } else { 0 });
        drop(connector);
        eventually("the bind is closed", PATIENCE, || smsc.bound() == 0);
    }
}
