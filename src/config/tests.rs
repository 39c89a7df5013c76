//! Configurations as people write them, and what they are told.

mod reference;
mod values;

use secrecy::ExposeSecret;

use super::*;
use crate::config::problem::Problem;
use crate::settings::{InDoubt, Octets};
use crate::submit::OnStatus;

const MINIMAL: &str = r#"
[[esme]]
name = "acme-1"
outbound = ["sms.outbound"]
hosts = ["smsc:2775"]
system_id = "acme"
password = "secret"
"#;

fn read(text: &str, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let env = env.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    parse(text, env).map_err(|e| e.problems().iter().map(Problem::to_string).collect())
}

fn told(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    read(text, env).expect_err("an error")
}

#[test]
fn a_small_file_is_enough_and_the_rest_has_defaults() {
    let config = read(MINIMAL, &[]).unwrap();
    assert_eq!(config.esme[0].password.expose_secret(), "secret");
    assert_eq!(config.esme[0].leases(), Some("sms.outbound"));
    assert_eq!(config.esme[0].window, 100);
    assert_eq!(config.submit.in_doubt, InDoubt::Report);
    assert_eq!(config.submit.status.get(0x58), OnStatus::Throttle);
    assert_eq!(config.topics.receipts, "sms.receipts");
}

#[test]
fn all_errors_come_at_once_with_line_key_value_and_remedy() {
    let text = r#"
[kafka]
session_timout = "10s"
[kafka.properties]
"isolation.level" = "read_uncommitted"
"sasl.pasword" = "hidden"
[submit]
status = { ESME_RTHROTLED = "retry" }
in_doubt = "perhaps"
fetch_records = 30000
message_deadline = "1 hour"
[[esme]]
name = "a"
outbound = "sms.outbound"
hosts = ["smsc"]
system_id = "a name that is too long"
binds = { per_partition = 20 }
[[esme]]
name = "a"
bind = "receiver"
hosts = ["smsc:2775"]
system_id = "b"
"#;
    let told = told(text, &[]);
    let expected = [
        "line 3: kafka.session_timout: there is no such key; did you mean `session_timeout`?",
        "line 8: submit.status.ESME_RTHROTLED = \"retry\": \"ESME_RTHROTLED\" is not a command_status: write a name such as ESME_RTHROTTLED, or a number such as \"0x58\"; ESME_ROK is always a success",
        "line 9: submit.in_doubt = \"perhaps\": write one of: resend, report",
        "line 11: submit.message_deadline = \"1 hour\": \"1 hour\" is not a time: write a number and its unit, such as \"500ms\", \"30s\", \"5m\", \"12h\" or \"7d\"",
        "line 14: esme[0].outbound = \"sms.outbound\": write a list, such as [\"a\", \"b\"]",
        "line 5: kafka.properties.\"isolation.level\": cannot be set: only committed records may be read, or results would be doubled",
        "line 6: kafka.properties.\"sasl.pasword\": librdkafka has no such property; did you mean `sasl.password`?",
        "line 10: submit.fetch_records = 30000: from 1 to 20000",
        "line 15: esme[0].hosts[0] = \"smsc\": not an address: the port is missing: write such as \"smsc:2775\"",
        "line 16: esme[0].system_id = \"a name that is too long\": at most 15 ASCII characters; it has 23",
        "line 17: esme[0].binds.per_partition = 20: makes 20 sessions, more than max_binds (10)",
        "esme[1].lease_topic: a receiver needs a topic whose partitions are its leases, such as \"sms.acme.lease\"",
        "line 19: esme[1].name = \"a\": esme[0].name has the same name: each needs its own",
    ];
    for line in expected {
        assert!(told.iter().any(|t| t == line), "{line}\nnot in {told:#?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    let lines: Vec<_> = told
        .iter()
        .filter_map(|t| t.strip_prefix("line "))
        .collect();
    assert!(
        lines[0].starts_with("3:") && lines[11].starts_with("19:"),
        "{told:#?}"
    );
}

#[test]
fn every_key_can_come_from_the_environment() {
    let env = [
        ("KAFKA_SMPP__SUBMIT__IN_DOUBT", "resend"),
        ("KAFKA_SMPP__SUBMIT__STATUS__ESME_RSYSERR", "reject"),
        ("KAFKA_SMPP__KAFKA__PROPERTIES__SASL_PASSWORD", "1234"),
        ("KAFKA_SMPP__SHUTDOWN_TIMEOUT", "1m"),
        ("KAFKA_SMPP__ESME__ACME_1__PASSWORD", "0815"),
        ("KAFKA_SMPP__ESME__0__WINDOW", "7"),
        ("KAFKA_SMPP__ESME__0__HOSTS", "a:1, b:2"),
        ("KAFKA_SMPP__ESME__0__BINDS", "{ per_partition = 2 }"),
        ("KAFKA_SMPP__ESME__0__TLS__VERIFY", "false"),
        ("KAFKA_SMPP_CONFIG", "not.ours"),
    ];
    let config = read(MINIMAL, &env).unwrap();
    assert_eq!(config.submit.in_doubt, InDoubt::Resend);
    assert_eq!(config.submit.status.get(0x08), OnStatus::Reject);
    assert_eq!(config.kafka.properties["sasl.password"].get(), "1234");
    assert_eq!(config.shutdown_timeout, Time::seconds(60));
    let esme = &config.esme[0];
    assert_eq!(esme.password.expose_secret(), "0815");
    assert_eq!((esme.window, esme.binds), (7, Binds::PerPartition(2)));
    assert_eq!(esme.hosts, ["a:1", "b:2"]);
    assert!(!esme.tls.verify);
}

#[test]
fn an_esme_can_come_from_the_environment_alone() {
    let env = [
        ("KAFKA_SMPP__ESME__0__NAME", "acme"),
        ("KAFKA_SMPP__ESME__0__OUTBOUND", "sms.outbound"),
        ("KAFKA_SMPP__ESME__0__HOSTS", "smsc:2775"),
        ("KAFKA_SMPP__ESME__0__SYSTEM_ID", "acme"),
    ];
    assert_eq!(read("", &env).unwrap().esme[0].outbound, ["sms.outbound"]);
}

#[test]
fn errors_in_the_environment_name_the_variable() {
    let env = [
        ("KAFKA_SMPP__SUBMIT__IN_DOUPT", "resend"),
        ("KAFKA_SMPP__ESME__0__WINDOW", "many"),
        ("KAFKA_SMPP__ESME__7__NAME", "x"),
    ];
    assert_eq!(
        told(MINIMAL, &env),
        [
            "KAFKA_SMPP__ESME__0__WINDOW: esme[0].window = \"many\": write a whole number, 0 or more",
            "KAFKA_SMPP__ESME__7__NAME: esme[7].name: there are 1 of them, so the next is number 1",
            "KAFKA_SMPP__SUBMIT__IN_DOUPT: submit.in_doupt: there is no such key; did you mean `in_doubt`?",
        ]
    );
}

#[test]
fn a_variable_in_place_of_a_whole_list_is_to_blame_for_what_is_in_it() {
    assert_eq!(
        told(MINIMAL, &[("KAFKA_SMPP__ESME", "acme")]),
        ["KAFKA_SMPP__ESME: esme[0] = \"acme\": write a table"]
    );
}

#[test]
fn secrets_are_never_shown() {
    let text = MINIMAL.replace("\"secret\"", "12345678901")
        + "[kafka.properties]\n\"sasl.password\" = [\"hush\"]\n\"ssl.key.password\" = \"hush\"\n\"message.max.bytes\" = \"hush\"\n";
    let told = told(&text, &[]);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(
        !told
            .iter()
            .any(|t| t.contains("1234") || t.contains("hush")),
        "{told:#?}"
    );

    let config = read(
        &(MINIMAL.to_owned() + "[kafka.properties]\n\"sasl.password\" = \"hush\"\n"),
        &[],
    )
    .unwrap();
    let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
    assert!(
        !shown.contains("secret\"") && !shown.contains("hush"),
        "{shown}"
    );
}

#[test]
fn secrets_can_stand_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "fromfile\n").unwrap();
    let path = file.display().to_string();
    let env = [
        ("KAFKA_SMPP__ESME__ACME_1__PASSWORD_FILE", path.as_str()),
        ("KAFKA_SMPP__KAFKA__PROPERTY_FILES__SASL_PASSWORD", &path),
    ];
    let config = read(&MINIMAL.replace("password", "#"), &env).unwrap();
    assert_eq!(config.esme[0].password.expose_secret(), "fromfile");
    assert_eq!(config.kafka.properties["sasl.password"].get(), "fromfile");

    let both = read(MINIMAL, &env[..1]).unwrap_err();
    assert!(
        both[0].contains("password_file") && both[0].contains("not both"),
        "{both:?}"
    );
    let gone = told(
        &MINIMAL.replace("password = \"secret\"", "password_file = \"/nowhere\""),
        &[],
    );
    assert!(
        gone[0]
            .starts_with("line 7: esme[0].password_file = \"/nowhere\": the file cannot be read"),
        "{gone:?}"
    );
}

#[test]
fn what_is_not_toml_is_shown_with_its_line() {
    let error = parse("[kafka\n", []).unwrap_err();
    assert!(
        matches!(&error, Error::Syntax { text, .. } if text.starts_with("line 1, column 7: ")),
        "{error}"
    );
}

#[test]
fn a_secret_without_its_quotes_is_not_shown() {
    for line in [
        "password = Qz7pWx4k.",
        "password = \"Qz7pWx4k",
        "password = 'Qz7pWx4k\"",
        "password: Qz7pWx4k",
        "password Qz7pWx4k = 3",
        "x = { password = Qz7pWx4k }",
        "hosts = [\nQz7pWx4k,\n]",
        "password = \"\"\"\nQz7pWx4k\\q\"\"\"",
        "password = \"\\q Qz7pWx4k\"",
    ] {
        let text = format!("shutdown_timeout = \"15s\"\n{line}\n");
        let told = parse(&text, []).unwrap_err().to_string();
        assert!(
            told.contains(" is not TOML: line ") && !told.contains("Qz7p"),
            "{line}: {told}"
        );
    }
    let told = parse("token = q7\n", []).unwrap_err().to_string();
    assert!(told.contains("line 1, column 9 (token = ...): "), "{told}");
}

#[test]
fn a_topic_belongs_to_one_esme_and_one_purpose() {
    let text = MINIMAL.replace("sms.outbound", "sms.receipts");
    assert_eq!(
        told(&text, &[]),
        [
            "line 4: esme[0].outbound[0] = \"sms.receipts\": topics.receipts has the same topic: each needs its own"
        ]
    );
}

#[test]
fn librdkafka_takes_every_client_with_both_group_protocols() {
    for protocol in ["classic", "consumer"] {
        let env = [("KAFKA_SMPP__KAFKA__GROUP_PROTOCOL", protocol)];
        let kafka = read(MINIMAL, &env).unwrap().kafka;
        // Partitions that are added are noticed within half a minute.
        let refresh = kafka.submit_consumer();
        let refresh = refresh.get("topic.metadata.refresh.interval.ms");
        assert_eq!(refresh, Some("10000"));
        for consumer in [
            kafka.submit_consumer(),
            kafka.correlate_consumer(),
            kafka.reader(),
            kafka.follower(),
            kafka.watcher(),
        ] {
            consumer
                .create::<rdkafka::consumer::BaseConsumer>()
                .unwrap();
        }
        for producer in [kafka.producer(), kafka.transactional()] {
            producer
                .create::<rdkafka::producer::BaseProducer>()
                .unwrap();
        }
    }
}

#[test]
fn the_memory_bound_grows_with_what_may_be_held() {
    let sum = |text: &str| {
        let bound = read(text, &[]).unwrap().memory_bound();
        bound.iter().map(|(_, octets)| octets).sum::<u64>()
    };
    let wider = MINIMAL.to_owned() + "window = 200\n";
    assert_eq!(sum(&wider) - sum(MINIMAL), 10 * 100 * 2048);
    let more = "[inbound]\nbuffer = \"100MiB\"\n".to_owned() + MINIMAL;
    let marks = |buffer: u64| crate::deliver::repeats_octets(buffer << 20);
    assert_eq!(
        sum(&more) - sum(MINIMAL),
        (36 << 20) + marks(100) - marks(64)
    );
}

#[test]
fn what_is_wrong_with_inbound_is_said_of_each_key() {
    let inbound = "[inbound]\nbuffer = \"64KiB\"\nanswer_timeout = \"0s\"\n";
    let more = "refusal_status = \"ESME_ROK\"\n";
    assert_eq!(
        told(&format!("{inbound}{MINIMAL}{more}"), &[]),
        [
            "line 2: inbound.buffer = 64KiB: from \"1MiB\" to \"1GiB\"",
            "line 3: inbound.answer_timeout = 0s: from 2s to 10m, and shorter than the SMSC waits for a response",
            "line 11: esme[0].refusal_status = \"ESME_ROK\": the name or number of an error, such as \"ESME_RX_T_APPN\", \"ESME_RMSGQFUL\" or \"0x64\"",
        ]
    );
}

#[test]
fn a_configuration_with_the_window_of_before_is_still_read() {
    let text = MINIMAL.to_owned() + "inbound_window = 100\nrefusal_status = \"0x14\"\n";
    let config = read(&text, &[]).unwrap();
    let session = config.esme[0].session("acme-0".into(), smpp_esme::Mode::Receiver);
    assert_eq!(session.refusal, smpp_protocol::Status::RMSGQFUL);
    assert_eq!(config.inbound.buffer, Octets::mib(64));
    assert_eq!(config.inbound.answer_timeout, Time::seconds(8));
}

#[test]
fn a_number_of_binds_that_no_smsc_gives_is_refused_and_overflows_nothing() {
    for binds in [
        "{ per_instance = 2147483648 }",
        "{ per_partition = 2147483648 }",
    ] {
        let text = format!("{MINIMAL}bind = \"pair\"\nmax_binds = 4294967295\nbinds = {binds}\n");
        let error = told(&text, &[]).join("\n");
        assert!(
            error.contains("max_binds = 4294967295: from 1 to 100000"),
            "{error}"
        );
    }
}

#[test]
fn a_format_with_a_registry_needs_one() {
    let with = |more: &str| format!("[formats]\noutbound = \"avro\"\n{more}\n{MINIMAL}");
    assert_eq!(
        told(&with(""), &[]),
        [
            "line 2: formats.outbound = \"avro\": needs a schema registry: set schema_registry.urls, or write \"avro_single_object\" or \"json\""
        ]
    );
    let good = with("[schema_registry]\nurls = [\"http://localhost:8081\"]");
    assert_eq!(read(&good, &[]).unwrap().formats.outbound.name(), "avro");
    let misspelt = good.replace("\"avro\"", "\"avor\"");
    assert_eq!(
        told(&misspelt, &[]),
        [
            "line 2: formats.outbound = \"avor\": write one of: json, json_schema, avro, avro_single_object, cbor, aiosmpplib"
        ]
    );
}

#[test]
fn what_is_wrong_with_a_registry_is_told_without_its_secrets() {
    let text = format!(
        "[schema_registry]
urls = [\"localhost:8081\", \"https://me:hush-hush@registry\"]
username = \"me\"
token = \"hush-hush\"
timeout = \"0s\"
tls.key_file = \"/nowhere/key\"
{MINIMAL}"
    );
    let told = told(&text, &[]);
    let expected = [
        "line 2: schema_registry.urls[0] = \"localhost:8081\": not an address: write such as \"https://registry.example.net\"",
        "line 2: schema_registry.urls[1]: an address must not hold a password: set username and password_file instead",
        "line 4: schema_registry.token: set a user name and a password, or a token, not both",
        "line 5: schema_registry.timeout = 0s: from \"1ms\" to \"1h\"",
        "line 6: schema_registry.tls.key_file = \"/nowhere/key\": there is no such file",
    ];
    for line in expected {
        assert!(told.iter().any(|told| told == line), "{line}: {told:#?}");
    }
    assert!(!told.join("\n").contains("hush"), "{told:#?}");
    for unreadable in [
        "me:hush@registry:8081",
        "https://me:hush@registry:99999",
        "http://me:hush@[bad",
    ] {
        let text = format!("[schema_registry]\nurls = [\"{unreadable}\"]\n{MINIMAL}");
        let told = self::told(&text, &[]);
        assert!(told[0].contains("must not hold a password"), "{told:#?}");
        assert!(!told.join("\n").contains("hush"), "{told:#?}");
    }
}

#[test]
fn a_registrys_secrets_can_stand_in_files_and_in_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "t0ken\n").unwrap();
    let text = format!("[schema_registry]\ntoken_file = {file:?}\n{MINIMAL}");
    let config = read(&text, &[]).unwrap();
    assert_eq!(config.schema_registry.token.expose_secret(), "t0ken");
    let printed = format!("{config:?}{}", serde_json::to_string(&config).unwrap());
    assert!(!printed.contains("t0ken"));
    let env = [
        ("KAFKA_SMPP__SCHEMA_REGISTRY__USERNAME", "me"),
        ("KAFKA_SMPP__SCHEMA_REGISTRY__PASSWORD", "hush"),
        (
            "KAFKA_SMPP__SCHEMA_REGISTRY__URLS",
            "http://a:8081, http://b:8081",
        ),
        ("KAFKA_SMPP__FORMATS__RECEIPTS", "json_schema"),
    ];
    let registry = read(MINIMAL, &env).unwrap().schema_registry;
    assert_eq!(registry.urls, ["http://a:8081", "http://b:8081"]);
    assert_eq!(registry.password.expose_secret(), "hush");
}

#[test]
fn what_an_smsc_does_in_its_own_way_is_configured_for_each_esme() {
    let text = format!(
        r#"{MINIMAL}alphabet = "latin1"
[esme.message_id]
response = "hex"
receipt = "decimal"
receipted_message_id = "hex"
prefixes = ["GW-"]
until = "@"
response_digits = "last 8"
[esme.receipt]
pattern = '^(?<id>\S+) is (?<stat>\w+)'
states = {{ GONE = "delivered" }}
[esme.vendor]
tlvs = {{ operator_id = "0x1401", cost = 5122 }}
command_status = {{ ESME_RBLOCKED = "0x0410" }}
"#
    );
    let config = read(
        &text,
        &[(
            "KAFKA_SMPP__ESME__ACME_1__MESSAGE_ID__RECEIPT_DIGITS",
            "first 8",
        )],
    );
    let dialect = crate::connector::dialect(&config.unwrap().esme[0]);
    assert_eq!(
        dialect.ids.of_response("GW-0000017FA1B2C3D4@1"),
        "2712847316"
    );
    assert_eq!(dialect.ids.receipt.normalise("123456789"), "12345678");
    assert_eq!(dialect.alphabet().encoding().name(), "latin1");
    assert_eq!(dialect.names.tag_of("cost").map(|tag| tag.0), Some(0x1402));
    let receipt = smpp_protocol::Receipt::parse_in("7 is gone", &dialect.receipts);
    assert_eq!(receipt.state, Some(smpp_protocol::MessageState::Delivered));
}

#[test]
fn what_is_wrong_with_a_dialect_is_said_of_each_key() {
    let text = format!(
        r#"{MINIMAL}alphabet = "ucs2"
[esme.message_id]
response_digits = "8"
until = ""
[esme.receipt]
pattern = '(?<id>.'
states = {{ OK = "FINE" }}
[esme.vendor]
tlvs = {{ source_port = "0x1401", a = "0x0204", b = "0x12345", 9lives = 5123, c = "0x1404", d = "0x1404" }}
command_status = {{ ESME_ROK = "0x0410", X = 8 }}
"#
    );
    let told = told(&text, &[]);
    for (key, said) in [
        ("alphabet", "not an alphabet of data_coding 0"),
        ("message_id.response_digits", "last 8"),
        ("message_id.until", "leave it out"),
        ("receipt.pattern", "unclosed group"),
        ("receipt.states.OK", "UNDELIVERABLE"),
        ("vendor.tlvs.source_port", "SMPP calls 0x020A so"),
        (
            "vendor.tlvs.a",
            "SMPP calls this tag user_message_reference",
        ),
        ("vendor.tlvs.b", "two octets"),
        ("vendor.tlvs.9lives", "does not begin with a digit"),
        ("vendor.tlvs.d", "c has the same number"),
        ("vendor.command_status.ESME_ROK", "SMPP calls 0x0000 so"),
        ("vendor.command_status.X", "ESME_RSYSERR"),
    ] {
        let found = told.iter().any(|line| {
            line.contains(&format!("{key} ")) && line.contains(said)
                || line.contains(&format!("{key}:")) && line.contains(said)
        });
        assert!(found, "{key}: {said}: {told:#?}");
    }
    let missing = MINIMAL.to_owned() + "[esme.receipt]\npattern = '(?<stat>.)'";
    assert!(self::told(&missing, &[])[0].contains("no group id"));
}

#[test]
fn an_alphabet_of_ones_own_is_read_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("acme.txt");
    std::fs::write(&file, "0x41 U+0041\n0x80 U+20AC").unwrap();
    let text = format!("{MINIMAL}alphabet_file = {:?}", file.display().to_string());
    let config = read(&text, &[]).unwrap();
    let alphabet = crate::connector::dialect(&config.esme[0]).alphabet();
    assert_eq!(smpp_protocol::text::decode(b"A\x80", 0, &alphabet), "A€");
    let both = told(&format!("{text}\nalphabet = \"gsm\""), &[]);
    assert!(both[0].contains("not both"), "{both:?}");
    std::fs::write(&file, "0x41 A").unwrap();
    let bad = told(&text, &[]);
    assert!(
        bad[0].contains("alphabet_file") && bad[0].contains("line 1"),
        "{bad:?}"
    );
}

#[test]
fn a_long_password_is_taken_if_the_smsc_takes_it() {
    let long = MINIMAL.replace("secret", "longer-than-8-octets");
    let refused = told(&long, &[]);
    assert!(refused[0].contains("long_password = true"), "{refused:?}");
    assert!(!refused[0].contains("longer-than"), "{refused:?}");
    let config = read(&format!("{long}long_password = true"), &[]).unwrap();
    assert!(config.esme[0].long_password);
}

const OUTBIND: &str = r#"
[[esme]]
name = "acme"
bind = "receiver"
lease_topic = "sms.acme.lease"
system_id = "acme"
[esme.outbind]
listen = "127.0.0.1:2776"
system_id = "SMSC1"
from = ["192.0.2.7", "2001:db8::7"]
"#;

#[test]
fn an_smsc_may_connect_to_us_instead() {
    let env = ("KAFKA_SMPP__ESME__ACME__OUTBIND__PASSWORD", "s3cret");
    let config = read(OUTBIND, &[env]).unwrap();
    let outbind = &config.esme[0].outbind;
    assert_eq!(outbind.password.expose_secret(), "s3cret");
    assert_eq!(outbind.from.len(), 2);
    assert!(config.esme[0].outbind_listener().is_some());
    assert!(!serde_json::to_string(&config).unwrap().contains("s3cret"));
}

#[test]
fn what_does_not_go_with_outbind_is_said() {
    for (from, to, key, said) in [
        (
            "system_id = \"acme\"",
            "system_id = \"acme\"\nhosts = [\"smsc:2775\"]",
            "hosts",
            "remove one of them",
        ),
        (
            "bind = \"receiver\"\nlease_topic = \"sms.acme.lease\"",
            "bind = \"transmitter\"\noutbound = [\"o\"]",
            "bind",
            "a receiver or a transceiver",
        ),
        (
            "127.0.0.1:2776",
            "2776",
            "outbind.listen",
            "port is missing",
        ),
        (
            "system_id = \"SMSC1\"",
            "password = \"longer-than-8\"",
            "outbind.password",
            "at most 8",
        ),
        (
            "system_id = \"SMSC1\"",
            "certificate_file = \"none.pem\"",
            "outbind.key_file",
            "together",
        ),
        (
            "listen = \"127.0.0.1:2776\"",
            "",
            "outbind.listen",
            "name the address",
        ),
    ] {
        let text = OUTBIND.replace(from, to);
        let told = told(&text, &[]);
        let found = told
            .iter()
            .any(|line| line.contains(key) && line.contains(said));
        assert!(found, "{key}: {told:#?}");
        assert!(
            !told.iter().any(|line| line.contains("longer-than")),
            "{told:#?}"
        );
    }
}

#[test]
fn the_sender_of_all_messages_is_one_that_phones_can_show() {
    let with = |source: &str| told(&format!("{MINIMAL}{source}\n"), &[]).join("\n");
    assert!(with("source = \"ACME Messages\"").contains("set source_ton = 5"));
    assert!(with("source = \"ACME\\n\"").contains("printable"));
    assert!(with("source = \" \"").contains("is blank"));
    let named = format!("{MINIMAL}source = \"ACME Messages\"\nsource_ton = 5\n");
    assert!(read(&named, &[]).is_ok());
}

/// librdkafka complains of each property that a client of its kind does not have.
#[test]
fn a_property_reaches_the_clients_that_have_it_and_no_other() {
    let properties = r#"
[kafka.properties]
"linger.ms" = "7"
"fetch.min.bytes" = "11"
"client.rack" = "north"
"#;
    let kafka = read(&(MINIMAL.to_owned() + properties), &[]).unwrap().kafka;
    let of = |client: &rdkafka::ClientConfig, name| client.get(name).map(str::to_owned);
    let all = ["linger.ms", "fetch.min.bytes", "client.rack"];
    let [linger, fetch, rack] = ["7", "11", "north"].map(|value| Some(value.to_owned()));
    let had = |client: rdkafka::ClientConfig| all.map(|name| of(&client, name));
    assert_eq!(had(kafka.client()), [None, None, rack.clone()]);
    assert_eq!(had(kafka.transactional()), [linger, None, rack.clone()]);
    assert_eq!(had(kafka.submit_consumer()), [None, fetch, rack]);
    let own = of(&kafka.producer(), "linger.ms");
    assert_eq!(own.as_deref(), Some("0"), "deliveries do not wait");
}

#[test]
#[cfg_attr(feature = "otel", ignore = "this program has spans")]
fn a_program_without_spans_says_how_to_get_them() {
    let text = format!("{MINIMAL}\n[otel]\nendpoint = \"http://collector:4318\"\n");
    let error = parse(&text, []).unwrap_err().to_string();
    assert!(error.contains("--features otel"), "{error}");
}

#[test]
fn a_header_of_the_collector_may_come_from_the_environment_and_is_never_shown() {
    let env = ("KAFKA_SMPP__OTEL__HEADERS__X_API_KEY", "s3cret");
    let config = read(MINIMAL, &[env]).unwrap();
    assert_eq!(config.otel.headers["x-api-key"].get(), "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
    let shown = toml::to_string(&config.otel).unwrap();
    assert!(!shown.contains("s3cret"), "{shown}");
    let text = told(MINIMAL, &[("KAFKA_SMPP__OTEL__HEADERS", "s3cret")]);
    assert!(!text.join(" ").contains("s3cret"), "{text:?}");
}

#[test]
fn a_fetch_gathers_unless_what_it_waits_for_is_configured() {
    let kafka = read(MINIMAL, &[]).unwrap().kafka;
    let least = |client: rdkafka::ClientConfig| client.get("fetch.min.bytes").map(str::to_owned);
    assert_eq!(least(kafka.correlate_consumer()).as_deref(), Some("16384"));
    assert_eq!(least(kafka.follower()).as_deref(), Some("65536"));
    // A message that is to be sent does not wait for others.
    assert_eq!(least(kafka.submit_consumer()), None);
    let configured = |property: &str| {
        let text = format!("{MINIMAL}\n[kafka.properties]\n{property}\n");
        read(&text, &[]).unwrap().kafka
    };
    let kafka = configured(r#""fetch.min.bytes" = "1""#);
    assert_eq!(least(kafka.correlate_consumer()).as_deref(), Some("1"));
    assert_eq!(least(kafka.follower()).as_deref(), Some("1"));
    // Receipts would wait as long.
    let kafka = configured(r#""fetch.wait.max.ms" = "5000""#);
    assert_eq!(least(kafka.correlate_consumer()), None);
    assert_eq!(least(kafka.follower()), None);
}
