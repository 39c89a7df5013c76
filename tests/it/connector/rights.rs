//! A Kafka that says no: who may not do what is said with the command that allows it, and the rights
//! that the documentation names are enough.

use std::process::Output;
use std::sync::OnceLock;

use serde_json::{Value, json};

use nix::sys::signal::Signal;

use super::rebuilt::{mirrored, rebuild};
use super::{Deployment, PATIENCE, message};
use crate::harness::{
    Acls, Broker, Connector, FakeSmsc, Kafka, Process, Secured, TlsFront, command, eventually,
    free_port, has_kip_848, started,
};

/// One broker for all of these, with a user who runs the connector and one who looks after it.
pub fn secured() -> &'static Secured {
    static BROKER: OnceLock<Secured> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start_secured(&[("sms", "geheim"), ("ops", "wartung")]))
}

/// The configuration of a user, with the names that the documentation uses.
fn config(user: &str, password: &str, smsc: u16) -> Value {
    json!({
        "kafka": {
            "bootstrap_servers": format!("127.0.0.1:{}", secured().port),
            "application_id": "sms",
            "session_timeout": "6s",
            "properties": {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": user,
                "sasl.password": password,
                "reconnect.backoff.max.ms": "500",
            },
        },
        "log": { "format": "text" },
        "esme": [{
            "name": "acme",
            "outbound": ["sms.outbound"],
            "hosts": [format!("127.0.0.1:{smsc}")],
            "system_id": "esme",
            "password": "secret",
        }],
    })
}

fn toml(config: &Value) -> String {
    toml::to_string(config).expect("TOML")
}

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// What `check --connect` says, and whether it is content.
fn check(config: &Value) -> (String, bool) {
    let output = command(&toml(config), &["check", "--connect"]);
    (said(&output), output.status.success())
}

/// The commands of a section of the documentation, one for each thing that is allowed.
fn documented(section: &str) -> Vec<String> {
    let text = include_str!("../../../docs/kafka-rights.md");
    let (_, rest) = text
        .split_once(&format!("\n## {section}\n"))
        .expect(section);
    let section = rest.split("\n## ").next().expect("a section");
    let lines = section
        .lines()
        .filter(|line| line.starts_with("kafka-acls.sh "));
    let single = |line: &str| {
        let (command, options) = line.split_once(" --operation ").expect("an operation");
        let options = format!("--operation {options}");
        let prefixed = " --resource-pattern-type prefixed";
        let (options, kind) = match options.strip_suffix(prefixed) {
            Some(options) => (options, prefixed),
            None => (&*options, ""),
        };
        let words: Vec<&str> = options.split(' ').collect();
        let of = |wanted: fn(&str) -> bool| {
            let pairs = words.chunks(2).filter(move |pair| wanted(pair[0]));
            pairs.map(|pair| pair.join(" ")).collect::<Vec<_>>()
        };
        let operations = of(|option| option == "--operation");
        let resources = of(|option| option != "--operation");
        let mut all = Vec::new();
        for operation in &operations {
            all.extend((resources.iter()).map(|on| format!("{command} {operation} {on}{kind}")));
        }
        all
    };
    let all: Vec<String> = lines.flat_map(single).collect();
    assert!(!all.is_empty(), "{section}");
    all
}

/// What is said where the right that `command` gives is missing.
fn missed(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let after = |option: &str| {
        let at = words.iter().position(|word| *word == option)?;
        Some(words[at + 1])
    };
    let operation = after("--operation").expect("an operation").to_uppercase();
    let on = match (after("--topic"), after("--group")) {
        (Some(topic), _) => format!("topic {topic}"),
        (_, Some(group)) => format!("group {group}"),
        _ => {
            let id = after("--transactional-id").expect("a transactional id");
            format!("transactional id {id}check")
        }
    };
    let user = after("--allow-principal").expect("a principal");
    format!(
        "{user} may not {operation} on {on}. Allow it: kafka-acls.sh --bootstrap-server 127.0.0.1:"
    )
}

/// All that a running connector needs, and no more.
#[test]
fn the_documented_rights_are_enough_and_each_that_is_missing_is_named() {
    let smsc = FakeSmsc::start();
    let mut acls = secured().acls();
    let kafka: Kafka = secured().broker.kafka();
    let sms = config("sms", "geheim", smsc.port());
    let ops = toml(&config("ops", "wartung", smsc.port()));

    let create = [
        "topics",
        "create",
        "--partitions",
        "1",
        "--replication",
        "1",
    ];
    let refused = said(&command(&ops, &create));
    assert!(
        refused.contains("User:ops may not CREATE on topic sms.outbound"),
        "{refused}"
    );
    for command in documented("topics create and describe") {
        acls.run(&command);
    }
    // As an init container of each of several pods would.
    let mut creating: Vec<_> = (0..3).map(|_| started(&ops, &create)).collect();
    for one in &mut creating {
        assert_eq!(one.wait(PATIENCE).code(), Some(0), "{}", one.log());
    }

    // Nothing is allowed yet. A process waits, and says for what.
    let mut talkative = sms.clone();
    talkative["log"] = json!({ "format": "json", "level": "info,rdkafka::client=trace" });
    let mut connector = Connector::start(&toml(&talkative));
    connector.wait_for_log("User:sms may not DESCRIBE on topics ", PATIENCE);
    let (all, content) = check(&sms);
    assert!(!content);
    for command in documented("run") {
        assert!(all.contains(&missed(&command)), "{command}\n{all}");
    }

    let needed = documented("run");
    for command in needed.iter().chain(&documented("check --connect")) {
        acls.run(command);
    }
    kafka.produce_json("sms.outbound", 0, &[message("m1")]);
    let response = kafka.wait_records("sms.responses", 1, PATIENCE).remove(0);
    let id = response.value["message_id"].as_str().expect("an id");
    assert_eq!(smsc.receipt(id), 0);
    kafka.wait_records("sms.receipts", 1, PATIENCE);
    assert_eq!(smsc.deliver(0, "4179", "1000", b"hello"), 0);
    kafka.wait_records("sms.inbound", 1, PATIENCE);
    let (all, content) = check(&sms);
    assert!(content, "{all}");
    assert!(!all.contains("warning"), "{all}");

    // Who looks after it.
    for (section, args) in [
        (
            "send, tail",
            &["send", "--to", "41791234567", "--text", "by hand"][..],
        ),
        ("offsets", &["offsets", "show"]),
        ("replay", &["replay", "--send"]),
        ("erase", &["erase", "41791234567", "--execute"]),
    ] {
        for command in documented(section) {
            acls.run(&command);
        }
        let done = command(&ops, args);
        assert!(done.status.success(), "{section}: {}", said(&done));
    }
    kafka.wait_records("sms.responses", 2, PATIENCE);

    // One after the other.
    let checked = documented("check --connect");
    for command in needed.iter().chain(&checked) {
        acls.run(&command.replace(" --add ", " --remove --force "));
        let (all, content) = check(&sms);
        acls.run(command);
        match command.contains("DescribeConfigs") {
            true => {
                assert!(content, "{all}");
                assert!(all.contains("may not DESCRIBE_CONFIGS on topic"), "{all}");
            }
            false => {
                assert!(!content, "{command}\n{all}");
                assert!(all.contains(&missed(command)), "{command}\n{all}");
                assert_eq!(all.matches("may not").count(), 1, "{command}\n{all}");
            }
        }
    }

    // Where processes can be looked at.
    let http = json!({ "listen": "127.0.0.1:0" });
    let (mut ops, mut shown) = (config("ops", "wartung", smsc.port()), sms.clone());
    (ops["http"], shown["http"]) = (http.clone(), http);
    let created = command(&toml(&ops), &create);
    assert!(created.status.success(), "{}", said(&created));
    let (all, content) = check(&shown);
    assert!(!content);
    for command in documented("run, with http.listen") {
        assert!(all.contains(&missed(&command)), "{command}\n{all}");
        acls.run(&command);
    }
    let (all, content) = check(&shown);
    assert!(content && !all.contains("warning"), "{all}");

    // And while it runs.
    let write = |topic: &str| {
        let of = format!("--operation Write --topic {topic}");
        let mut found = needed.iter().filter(|command| command.ends_with(&of));
        found.next().expect("documented").clone()
    };
    let command = write("sms.responses");
    acls.run(&command.replace(" --add ", " --remove --force "));
    kafka.produce_json("sms.outbound", 0, &[message("m2")]);
    connector.wait_for_log(&missed(&command), PATIENCE);
    acls.run(&command);
    kafka.wait_records("sms.responses", 3, PATIENCE);
    assert!(connector.ended().is_none());
    let log = connector.log();
    assert!(!log.contains("PurgeQueue"), "{log}");
    // The wrapper of librdkafka speaks of itself, and not of where it was built. Only lines in JSON
    // would have that.
    assert!(log.contains("\"log.target\":\"rdkafka::"), "{log}");
    assert!(!log.contains("/src/"), "{log}");
}

/// A deployment of its own on this broker, and the rights that it needs.
struct Restricted {
    it: Deployment,
    acls: Acls,
    smsc: FakeSmsc,
    rights: Vec<String>,
}

impl Restricted {
    /// One that is allowed what the documentation says.
    fn new() -> Restricted {
        let smsc = FakeSmsc::start();
        let mut it = Deployment::on(secured().broker.kafka(), smsc.port(), 1);
        let client = config("sms", "geheim", smsc.port())["kafka"].take();
        it.config["kafka"]["bootstrap_servers"] = client["bootstrap_servers"].clone();
        it.config["kafka"]["properties"] = client["properties"].clone();
        it.config["log"]["level"] = json!("info");
        let name = format!(" {}.", it.name);
        let (mut acls, rights) = (secured().acls(), documented("run"));
        let rights: Vec<String> =
            (rights.iter().map(|right| right.replace(" sms.", &name))).collect();
        rights.iter().for_each(|right| acls.run(right));
        Restricted {
            it,
            acls,
            smsc,
            rights,
        }
    }

    /// The right on a group or on transactional ids.
    fn right(&self, option: &str, of: &str) -> String {
        let of = format!(" {option} {}.{of}", self.it.name);
        let mut found = self.rights.iter().filter(|right| right.contains(&of));
        found.next().expect("documented").clone()
    }

    fn allow(&mut self, right: &str) {
        self.acls.run(right);
    }

    fn forbid(&mut self, right: &str) {
        self.acls
            .run(&right.replace(" --add ", " --remove --force "));
    }
}

/// How often the log names who may not do what, and the command `right` that allows it.
fn named(log: &str, right: &str) -> usize {
    let (_, of) = right.split_once(" --operation ").expect("an operation");
    let words: Vec<&str> = of.split(' ').collect();
    let operation = match words[0] {
        "DescribeConfigs" => "DESCRIBE_CONFIGS".to_owned(),
        other => other.to_uppercase(),
    };
    let on = words[1].trim_start_matches("--").replace('-', " ");
    let denied = format!("User:sms may not {operation} on {on} {}", words[2]);
    let at = format!("127.0.0.1:{}", secured().port);
    let remedy = format!(". Allow it: {}", right.replace("HOST:PORT", &at));
    let ends = |after: &str| after.starts_with(['"', ')']);
    let names = |line: &&str| {
        let after = line.split_once(&remedy).map(|(_, after)| after);
        line.contains(&denied) && after.is_some_and(ends)
    };
    log.lines().filter(names).count()
}

/// Waits until a process that goes on names a missing right, for the first time or again.
fn wait_named(process: &mut Process, right: &str, before: usize) {
    eventually(right, PATIENCE, || {
        assert_eq!(process.ended(), None, "{right}");
        named(&process.log(), right) > before
    });
}

/// What `run` does without a right, from the start or later: it waits, and nothing is lost.
#[test]
fn without_a_right_on_a_group_or_a_transactional_id_run_waits_and_loses_nothing() {
    let mut r = Restricted::new();
    r.smsc.send_receipts();
    let rights = [
        r.right("--group", "submit"),
        r.right("--group", "correlate"),
        r.right("--transactional-id", "submit."),
        r.right("--transactional-id", "correlate."),
    ];
    let mut sent = 0;
    for right in &rights {
        let submits = right.contains("submit");
        let mut more = |r: &Restricted| {
            r.it.send_numbered(0, sent..sent + 3);
            sent += 3;
            sent
        };
        // From the start. It ends as it is told to.
        r.forbid(right);
        let before = r.smsc.submitted();
        let all = more(&r);
        let mut connector = r.it.start();
        wait_named(&mut connector, right, 0);
        if submits {
            assert_eq!(
                r.smsc.submitted(),
                before,
                "nothing is sent that cannot be committed"
            );
        }
        connector.signal(Signal::SIGTERM);
        assert_eq!(connector.wait(PATIENCE).code(), Some(0), "{right}");
        let mut connector = r.it.start();
        wait_named(&mut connector, right, 0);
        r.allow(right);
        r.it.results(all);
        // Both groups are at work again: who is not yet would be refused once, and not again.
        assert_eq!(r.it.receipts(all).len(), all);
        // While it runs.
        let said = named(&connector.log(), right);
        r.forbid(right);
        let all = more(&r);
        if !submits {
            r.it.results(all);
        }
        wait_named(&mut connector, right, said);
        if submits {
            connector.wait_for_log("session ended: the lease is over", PATIENCE);
        }
        r.allow(right);
        let results = r.it.results(all);
        assert!(results.values().all(|result| result["accepted"] == true));
        assert_eq!(r.it.receipts(all).len(), all);
        connector.signal(Signal::SIGTERM);
        assert_eq!(connector.wait(PATIENCE).code(), Some(0), "{right}");
    }
    let mut texts = r.smsc.texts();
    texts.sort();
    texts.dedup();
    assert_eq!((texts.len(), r.smsc.submitted()), (sent, sent), "each once");
}

/// With the protocol of KIP-848 librdkafka gives a client up whose group is closed.
#[test]
fn a_group_that_is_closed_ends_run_with_kip_848_and_its_timeout_is_asked_for() {
    if !has_kip_848() {
        return;
    }
    let mut r = Restricted::new();
    r.it.config["kafka"]["group_protocol"] = json!("consumer");
    r.it.config["kafka"]["session_timeout"] = json!("60s");
    let configs = "kafka-acls.sh --bootstrap-server HOST:PORT --add --allow-principal User:sms --operation DescribeConfigs --group";
    let configs = format!("{configs} {}.submit", r.it.name);
    let group = r.right("--group", "submit");
    // From the start: it is not a member yet, and asks until it may be one.
    r.forbid(&group);
    r.it.send_numbered(0, 0..3);
    let mut connector = r.it.start();
    wait_named(&mut connector, &group, 0);
    assert_eq!(r.smsc.submitted(), 0);
    r.allow(&group);
    r.it.results(3);
    // A member that may not be one any more.
    r.forbid(&group);
    r.it.send_numbered(0, 3..6);
    assert_eq!(connector.wait(PATIENCE).code(), Some(69));
    let log = connector.log();
    assert!(named(&log, &group) > 1, "{log}");
    assert!(log.contains("45s is assumed"), "{log}");
    assert!(named(&log, &configs) > 0, "{log}");
    r.allow(&group);
    r.allow(&configs);
    let connector = r.it.start();
    let results = r.it.results(6);
    assert!(results.values().all(|result| result["accepted"] == true));
    assert_eq!(r.smsc.submitted(), 6);
    let log = connector.log();
    assert!(log.contains("silent process away after 30s"), "{log}");
    assert!(!log.contains("may not"), "{log}");
}

/// So many records that the metadata has no room for all that are open: some are put back.
#[test]
fn the_documented_rights_of_rebuild_are_enough_and_each_that_is_missing_is_named() {
    let mut it = Deployment::on(secured().broker.kafka(), 1, 1);
    let client = config("ops", "wartung", 1)["kafka"].take();
    it.config["kafka"]["bootstrap_servers"] = client["bootstrap_servers"].clone();
    it.config["kafka"]["properties"] = client["properties"].clone();
    mirrored(&it, 25_000, |n| n % 3 != 0);
    let name = format!(" {}.", it.name);
    let rights = documented("offsets rebuild");
    let rights: Vec<String> = (rights.iter().map(|right| right.replace(" sms.", &name))).collect();
    let mut acls = secured().acls();
    let args = ["--yes", "--doubt-unmatched"];
    let missed = |right: &str| {
        let id = format!("{name}rebuild");
        missed(right).replace(&format!("{id}check"), &id)
    };
    // Nothing is allowed: all is said at once that can be known.
    let (code, said) = rebuild(&it, &args);
    assert_eq!(code, Some(69), "{said}");
    for right in &rights {
        assert!(said.contains(&missed(right)), "{right}: {said}");
    }
    rights.iter().for_each(|right| acls.run(right));
    for right in &rights {
        acls.run(&right.replace(" --add ", " --remove --force "));
        let (code, said) = rebuild(&it, &args);
        assert_eq!(code, Some(69), "{right}: {said}");
        assert!(said.contains(&missed(right)), "{right}: {said}");
        acls.run(right);
    }
    let (code, said) = rebuild(&it, &args);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" put back"), "{said}");
}

/// Brokers, properties, and what is said.
type Case = (Value, Vec<(&'static str, Value)>, &'static str);

/// Why no connection can be used is told apart, by each command and at the start of `run`.
#[test]
fn a_login_or_a_protocol_that_does_not_fit_is_named_as_what_it_is() {
    let smsc = FakeSmsc::start();
    let (clear, sasl) = (secured().broker.port(), secured().port);
    let (front, stranger) = (TlsFront::start(sasl), TlsFront::start(sasl));
    let path = |front: &TlsFront| json!(front.ca_file().display().to_string());
    let at = |port: u16| json!(format!("127.0.0.1:{port}"));
    let (own, other) = (path(&front), path(&stranger));
    let cases: Vec<Case> = vec![
        (
            at(sasl),
            vec![("sasl.password", json!("falsch"))],
            "refuse the login of User:sms with PLAIN",
        ),
        (
            at(sasl),
            vec![("sasl.mechanism", json!("SCRAM-SHA-256"))],
            "do not take the SASL mechanism SCRAM-SHA-256, only PLAIN",
        ),
        (
            at(sasl),
            vec![("security.protocol", json!("PLAINTEXT"))],
            "may want SASL",
        ),
        (at(clear), vec![], "takes no SASL"),
        (
            at(sasl),
            vec![("security.protocol", json!("SASL_SSL"))],
            "speaks no TLS",
        ),
        (at(front.port()), vec![], "wants TLS"),
        (
            at(front.port()),
            vec![
                ("security.protocol", json!("SASL_SSL")),
                ("ssl.ca.location", other),
            ],
            "is not trusted",
        ),
        (
            json!(format!("localhost:{}", front.port())),
            vec![
                ("security.protocol", json!("SASL_SSL")),
                ("ssl.ca.location", own),
            ],
            "is not trusted",
        ),
        (json!("kafka.invalid:9092"), vec![], "cannot be resolved"),
        (at(free_port()), vec![], "no broker answers"),
    ];
    std::thread::scope(|scope| {
        for (servers, properties, cause) in &cases {
            let mut config = config("sms", "geheim", smsc.port());
            config["kafka"]["bootstrap_servers"] = servers.clone();
            for (key, value) in properties {
                config["kafka"]["properties"][*key] = value.clone();
            }
            scope.spawn(move || {
                let (said, content) = check(&config);
                assert!(!content && said.contains(cause), "{cause}: {said}");
            });
        }
    });
    let mut wrong = config("sms", "falsch", smsc.port());
    wrong["kafka"]["application_id"] = json!("other");
    let mut connector = Connector::start(&toml(&wrong));
    assert_eq!(connector.wait(PATIENCE).code(), Some(78));
    eventually("why is said", PATIENCE, || {
        connector.log().contains("refuse the login of User:sms")
    });
}
